"""Claude Code records: what they become, what is counted, and what the head says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sessionstore.importers import ImportedTranscript
from sessionstore.model import Message

Imported = Callable[..., ImportedTranscript]


def record(uuid: str, parent: str | None, type: str = "user", content: Any = "hello", **members: Any) -> dict[str, Any]:
    message = {"role": type, "content": content, **members.pop("message", {})}
    base = {"uuid": uuid, "parentUuid": parent, "sessionId": "0f5c2a9e-3b61", "isSidechain": False}
    return {**base, "type": type, "message": message, **members}


def kinds(transcript: ImportedTranscript) -> list[str]:
    return [entry.get("type") or entry["role"] for entry in transcript.entries]


class TestAMessage:
    def test_role_content_id_and_time_stand_in_the_entry_and_the_rest_under_source(self, imported: Imported) -> None:
        blocks = [
            {"type": "text", "text": "Hi \u2028 \U0001f642"},
            {"type": "tool_use", "id": "t", "input": {"n": 1.0}},
        ]
        given = record("a", None, "assistant", blocks, timestamp="2026-01-02T03:04:05.678Z", message={"model": "m"})
        (entry,) = imported(given).entries
        rest = {"parentUuid": None, "sessionId": "0f5c2a9e-3b61", "isSidechain": False, "type": "assistant"}
        assert entry == {
            "role": "assistant",
            "content": blocks,
            "id": "a",
            "timestamp": "2026-01-02T03:04:05.678Z",
            "source": {"format": "claude-code", "record": {**rest, "message": {"model": "m"}}},
        }

    def test_the_store_sees_a_typed_message_in_it(self, imported: Imported) -> None:
        (entry,) = imported(record("a", None, timestamp="2026-01-02T03:04:05+01:00")).entries
        moment = datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
        assert Message.from_entry(entry) == Message("user", "hello", "a", moment)

    @pytest.mark.parametrize("odd", ["yesterday", "2026-01-02T03:04:05", "0001-01-01T00:00:00+23:59", 5, None])
    def test_a_time_that_is_none_stays_under_source(self, imported: Imported, odd: Any) -> None:
        transcript = imported(record("a", None, timestamp=odd))
        assert "timestamp" not in transcript.entries[0]
        assert transcript.entries[0]["source"]["record"]["timestamp"] == odd
        assert transcript.created_at is None

    @pytest.mark.parametrize(
        "message",
        [
            None,
            "text",
            {"role": "user"},
            {"content": "x"},
            {"role": 5, "content": "x"},
            {"role": "user", "content": None},
        ],
    )
    def test_a_record_without_role_and_content_is_kept_verbatim(self, imported: Imported, message: Any) -> None:
        given = {**record("a", None), "message": message}
        assert imported(given).entries == ({"type": "claude-code/user", "record": given},)

    def test_tool_calls_and_results_are_counted_in_the_conversation_only(self, imported: Imported) -> None:
        call = [{"type": "tool_use", "id": "1"}, {"type": "server_tool_use", "id": "2"}, {"type": "text", "text": "x"}]
        result = [{"type": "tool_result", "tool_use_id": "1"}, {"type": "web_search_tool_result", "tool_use_id": "2"}]
        report = imported(
            record("a", None, "assistant", call),
            record("side", None, "assistant", call, isSidechain=True),
            record("b", "a", "user", result),
        ).report
        assert (report.tool_calls, report.tool_results) == (2, 2)


class TestTheConversation:
    def test_everything_keeps_its_place_and_what_is_off_the_chain_says_why(self, imported: Imported) -> None:
        transcript = imported(
            {"type": "mode", "mode": "normal", "sessionId": "s"},
            record("a", None),
            record("side", "a", isSidechain=True),
            record("old", "a", "assistant"),
            record("note", "a", isMeta=True),
            {"type": "user", "message": {"role": "user", "content": "no uuid"}},
            {"uuid": "x", "parentUuid": "a", "type": "attachment", "attachment": {}},
            record("new", "x", "assistant"),
            {"type": "from-the-future", "sessionId": "s", "deep": [[1]]},
        )
        assert kinds(transcript) == [
            "claude-code/mode",
            "user",
            "claude-code/off-chain/sidechain",
            "claude-code/off-chain/branch",
            "claude-code/off-chain/meta",
            "claude-code/off-chain/no-uuid",
            "claude-code/attachment",
            "assistant",
            "claude-code/from-the-future",
        ]
        report = transcript.report
        assert (report.records, report.messages, sum(report.preserved.values())) == (9, 2, 7)
        assert report.preserved["claude-code/off-chain/branch"] == 1
        assert report.not_represented == {}
        assert report.warnings == ("1 messages on other branches are kept, but are no part of the conversation",)

    def test_a_compact_boundary_does_not_cut_the_conversation(self, imported: Imported) -> None:
        boundary = {"uuid": "c", "parentUuid": None, "logicalParentUuid": "b", "type": "system", "sessionId": "s"}
        transcript = imported(record("a", None), record("b", "a"), boundary, record("d", "c"))
        assert kinds(transcript) == ["user", "user", "claude-code/system", "user"]

    def test_messages_stand_in_chain_order_and_other_records_keep_their_lines(self, imported: Imported) -> None:
        transcript = imported(
            record("c", "b"),
            {"type": "mode", "sessionId": "s"},
            record("a", None),
            record("b", "a"),
            record("s", "a", isSidechain=True),
        )
        assert [entry.get("id") or entry["type"] for entry in transcript.entries] == [
            "a",
            "claude-code/mode",
            "b",
            "c",
            "claude-code/off-chain/sidechain",
        ]
        assert transcript.report.warnings == ("3 messages stand in the order of the conversation, not of the file",)

    def test_a_meta_record_with_a_tool_result_stays_in_the_conversation(self, imported: Imported) -> None:
        transcript = imported(
            record("a", None, "assistant", [{"type": "tool_use", "id": "1"}]),
            record("b", "a", "user", [{"type": "tool_result", "tool_use_id": "1"}], isMeta=True),
            record("c", "b", "assistant"),
        )
        assert kinds(transcript) == ["assistant", "user", "assistant"]

    def test_parallel_tool_calls_keep_all_their_results(self, imported: Imported) -> None:
        transcript = imported(
            record("a1", None, "assistant", [{"type": "tool_use", "id": "1"}], message={"id": "m"}),
            record("a2", "a1", "assistant", [{"type": "tool_use", "id": "2"}], message={"id": "m"}),
            record("r1", "a1", "user", [{"type": "tool_result", "tool_use_id": "1"}]),
            record("r2", "a2", "user", [{"type": "tool_result", "tool_use_id": "2"}]),
            record("b", "r2", "assistant"),
        )
        assert [entry["id"] for entry in transcript.entries] == ["a1", "a2", "r1", "r2", "b"]
        assert (transcript.report.tool_calls, transcript.report.tool_results) == (2, 2)

    def test_a_subagents_own_transcript_is_read_as_its_conversation(self, imported: Imported) -> None:
        transcript = imported(record("a", None, isSidechain=True), record("b", "a", isSidechain=True))
        assert kinds(transcript) == ["user", "user"]
        assert "subagent" in transcript.report.warnings[0]

    def test_a_missing_parent_is_told_with_the_line(self, imported: Imported) -> None:
        transcript = imported({"type": "mode", "sessionId": "s"}, record("b", "lost"), record("c", "b"))
        assert transcript.report.messages == 2
        assert "line 2" in transcript.report.warnings[0]

    def test_a_transcript_without_messages_says_so(self, imported: Imported) -> None:
        assert imported({"type": "mode", "sessionId": "s"}).report.warnings == ("it holds no message",)


class TestTheTitle:
    CUSTOM = ({"type": "custom-title", "customTitle": "Old"}, {"type": "custom-title", "customTitle": "Custom"})
    AI = ({"type": "ai-title", "aiTitle": "First"}, {"type": "ai-title", "aiTitle": "From the model"})
    SUMMARIES = (
        {"type": "summary", "summary": "Of this file", "leafUuid": "a"},
        {"type": "summary", "summary": "Of another file", "leafUuid": "z"},
    )

    def test_the_last_custom_title_comes_first(self, imported: Imported) -> None:
        assert imported(*self.CUSTOM, *self.AI, *self.SUMMARIES, record("a", None)).title == "Custom"

    def test_then_the_last_ai_title(self, imported: Imported) -> None:
        assert imported(*self.AI, *self.SUMMARIES, record("a", None)).title == "From the model"

    def test_then_the_last_summary_of_this_file(self, imported: Imported) -> None:
        assert imported(*self.SUMMARIES, record("a", None)).title == "Of this file"

    def test_then_the_last_summary_of_any_file(self, imported: Imported) -> None:
        assert imported(*self.SUMMARIES, record("b", None)).title == "Of another file"

    @pytest.mark.parametrize(
        "injected",
        [
            "<command-name>/clear</command-name>",
            "<local-command-stdout>ok</local-command-stdout>",
            "  \n",
            "<system-reminder>Be brief.</system-reminder>",
            "[Request interrupted by user]",
            [{"type": "tool_result", "content": "file1"}],
            [{"type": "image", "source": {}}],
        ],
    )
    def test_then_the_first_prompt_that_a_person_typed(self, imported: Imported, injected: Any) -> None:
        title = imported(
            record("side", None, content="A subagent's task", isSidechain=True),
            record("a", None, content=injected),
            record("b", "a", "assistant", "Not a prompt"),
            record("c", "b", content="A summary", isCompactSummary=True),
            record(
                "d", "c", content=[{"type": "text", "text": "<system-reminder>x"}, {"type": "text", "text": "Fix\nit"}]
            ),
            record("e", "d", content="A later prompt"),
        ).title
        assert title == "Fix it"

    def test_a_title_of_nothing_but_control_characters_is_passed_over(self, imported: Imported) -> None:
        assert imported({"type": "custom-title", "customTitle": "\x1b\x07"}, *self.AI, record("a", None)).title == (
            "From the model"
        )

    def test_without_any_of_them_it_is_the_start_of_the_id(self, imported: Imported) -> None:
        assert imported(record("a", None, "assistant")).title == "claude-code 0f5c2a9e"


class TestTheHead:
    def test_directory_and_id_are_the_first_and_the_rest_the_last_that_is_stated(self, imported: Imported) -> None:
        transcript = imported(
            record("a", None, cwd="/srv/demo/atlas", version="1", gitBranch="main", timestamp="2026-01-02T00:00:00Z"),
            record("b", "a", "assistant", message={"model": "one"}, timestamp="2026-01-01T00:00:00Z"),
            record("c", "b", "assistant", message={"model": "two"}, cwd="/srv/demo/atlas/src", version="2"),
            record("d", "c", "assistant", message={"model": "<synthetic>"}, sessionId="other", gitBranch=""),
        )
        assert transcript.format == "claude-code"
        assert transcript.source_id == "0f5c2a9e-3b61"
        assert transcript.project == b"/srv/demo/atlas"
        assert transcript.config == {"model": "two", "cli_version": "2", "git_branch": "main"}
        assert transcript.created_at == datetime(2026, 1, 1, tzinfo=UTC)
        assert transcript.updated_at == datetime(2026, 1, 2, tzinfo=UTC)

    @pytest.mark.parametrize("stated", ["relative", "C:\\work", "/a\0b", "/" + "x" * 5000])
    def test_a_directory_that_cannot_be_one_here_is_left_out_and_told(self, imported: Imported, stated: str) -> None:
        transcript = imported(record("a", None, cwd=stated))
        assert transcript.project is None
        assert "directory" in transcript.report.warnings[0]

    def test_a_directory_in_any_letters_is_kept_as_utf_8(self, imported: Imported) -> None:
        assert imported(record("a", None, cwd="/srv/\u00fcber\u2028")).project == "/srv/\u00fcber\u2028".encode()
