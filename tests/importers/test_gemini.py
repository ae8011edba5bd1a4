"""Gemini recordings: what replaces, what takes back, and tool calls inside a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sessionstore.importers import ImportedTranscript

Imported = Callable[..., ImportedTranscript]

HEADER = {
    "sessionId": "c0ffee00-1d1d",
    "projectHash": "ab12",
    "startTime": "2026-03-02T09:00:00.000Z",
    "lastUpdated": "2026-03-02T09:00:00.000Z",
    "kind": "main",
}

CALL = {
    "id": "1",
    "name": "ls",
    "args": {"dir": "."},
    "result": [{"functionResponse": {"response": {"output": "a"}}}],
    "status": "success",
}


def said(id: str, content: Any = "hello", type: str = "user", **members: Any) -> dict[str, Any]:
    return {"id": id, "timestamp": "2026-03-02T09:00:01.000Z", "type": type, "content": content, **members}


def shown(transcript: ImportedTranscript) -> list[Any]:
    return [entry["content"] if "role" in entry else entry["type"] for entry in transcript.entries]


class TestMessages:
    def test_user_and_model_become_roles_and_everything_else_is_kept(self, imported: Imported) -> None:
        transcript = imported(
            HEADER,
            said("i", "Logged in", "info"),
            said("u", [{"text": "hi"}]),
            said("g", "hello", "gemini", model="m", tokens={"total": 5}),
            said("e", "broken", "error"),
            {"$set": {"lastUpdated": "2026-03-02T10:00:00.000Z"}},
            {"from": "the future"},
        )
        assert shown(transcript) == [
            "gemini/header",
            "gemini/info",
            [{"text": "hi"}],
            "hello",
            "gemini/error",
            "gemini/set",
            "gemini/unknown",
        ]
        assert transcript.entries[3] == {
            "role": "assistant",
            "content": "hello",
            "id": "g",
            "timestamp": "2026-03-02T09:00:01.000Z",
            "source": {"format": "gemini", "record": {"type": "gemini", "model": "m", "tokens": {"total": 5}}},
        }

    @pytest.mark.parametrize("content", ["", "text", [], [{"text": "x"}, "y"], {"text": "part"}])
    def test_content_of_any_shape_is_kept_as_it_is(self, imported: Imported, content: Any) -> None:
        assert shown(imported(HEADER, said("u", content)))[1] == content

    @pytest.mark.parametrize("content", [None, 5, True])
    def test_a_record_without_content_is_kept_verbatim(self, imported: Imported, content: Any) -> None:
        assert shown(imported(HEADER, said("u", content)))[1] == "gemini/user"

    def test_a_message_without_id_is_a_message(self, imported: Imported) -> None:
        nameless = {"type": "user", "content": "hi"}
        assert shown(imported(HEADER, nameless, nameless)) == ["gemini/header", "hi", "hi"]


class TestReplacing:
    def test_the_same_id_again_replaces_what_was_there(self, imported: Imported) -> None:
        transcript = imported(HEADER, said("u"), said("g", "thin", "gemini"), said("g", "thinking", "gemini"))
        assert shown(transcript) == ["gemini/header", "hello", "gemini/replaced", "thinking"]
        assert transcript.report.preserved["gemini/replaced"] == 1

    def test_what_replaces_stands_where_the_replaced_stood_in_the_conversation(self, imported: Imported) -> None:
        transcript = imported(
            HEADER, said("g", "1", "gemini"), said("u", "2"), said("g", "1 done", "gemini"), said("v", "3")
        )
        assert shown(transcript) == ["gemini/header", "gemini/replaced", "1 done", "2", "3"]


class TestRewinding:
    def test_a_rewind_takes_back_its_target_and_all_after_it(self, imported: Imported) -> None:
        transcript = imported(
            HEADER,
            said("a", "1"),
            said("b", "2"),
            said("i", "note", "info"),
            said("c", "3"),
            {"$rewindTo": "b"},
            said("d", "4"),
        )
        assert shown(transcript) == [
            "gemini/header",
            "1",
            "gemini/rewound",
            "gemini/rewound",
            "gemini/rewound",
            "gemini/rewind",
            "4",
        ]
        assert transcript.report.messages == 2

    def test_a_rewind_to_what_is_not_there_takes_back_everything_and_is_told(self, imported: Imported) -> None:
        transcript = imported(HEADER, said("a"), {"$rewindTo": "nothing"}, said("b", "after"))
        assert shown(transcript) == ["gemini/header", "gemini/rewound", "gemini/rewind", "after"]
        assert "line 3" in transcript.report.warnings[0]

    def test_an_id_that_comes_again_after_a_rewind_stands_at_its_new_place(self, imported: Imported) -> None:
        transcript = imported(
            HEADER, said("a", "1"), said("b", "2"), {"$rewindTo": "a"}, said("b", "3"), said("a", "4")
        )
        assert shown(transcript)[3:] == ["gemini/rewind", "3", "4"]

    def test_rewinding_twice_goes_further_back(self, imported: Imported) -> None:
        transcript = imported(
            HEADER, said("a", "1"), said("b", "2"), said("c", "3"), {"$rewindTo": "c"}, {"$rewindTo": "b"}
        )
        assert shown(transcript)[1] == "1"
        assert transcript.report.preserved["gemini/rewound"] == 2


class TestToolCalls:
    def test_call_and_result_become_blocks_and_are_stored_once(self, imported: Imported) -> None:
        transcript = imported(HEADER, said("g", "Looking.", "gemini", toolCalls=[CALL]))
        entry = transcript.entries[1]
        assert entry["content"] == [
            {"type": "text", "text": "Looking."},
            {"type": "tool_use", "id": "1", "name": "ls", "input": {"dir": "."}},
            {"type": "tool_result", "tool_use_id": "1", "content": CALL["result"]},
        ]
        assert entry["source"]["record"]["toolCalls"] == [{"id": "1", "name": "ls", "status": "success"}]
        assert (transcript.report.tool_calls, transcript.report.tool_results) == (1, 1)

    def test_a_failed_call_is_marked(self, imported: Imported) -> None:
        entry = imported(HEADER, said("g", "", "gemini", toolCalls=[{**CALL, "status": "error"}])).entries[1]
        assert entry["content"][1]["is_error"] is True

    @pytest.mark.parametrize("content", ["", "text", [], [{"text": "x"}], {"text": "part"}])
    @pytest.mark.parametrize(
        "calls",
        [
            [CALL],
            [CALL, CALL],
            [{"name": "bare"}, CALL],
            [{"name": "pending", "args": None, "result": None}, {"name": "empty", "result": []}],
        ],
    )
    def test_every_mix_of_content_and_calls_comes_back(self, imported: Imported, content: Any, calls: Any) -> None:
        report = imported(HEADER, said("g", content, "gemini", toolCalls=calls)).report
        assert report.tool_calls == len(calls)

    @pytest.mark.parametrize("calls", [None, "x", {}, [], [5], [{"name": 5}], [{"id": "1"}]])
    def test_calls_of_another_shape_stay_where_they_are(self, imported: Imported, calls: Any) -> None:
        entry = imported(HEADER, said("g", "text", "gemini", toolCalls=calls)).entries[1]
        assert entry["content"] == "text"
        assert entry["source"]["record"]["toolCalls"] == calls


class TestTheHead:
    def test_patches_change_the_header(self, imported: Imported) -> None:
        patch = {
            "$set": {"summary": "The docs", "lastUpdated": "2026-03-02T10:00:00.000Z", "directories": ["/srv/demo"]}
        }
        transcript = imported(HEADER, said("u"), {"$set": {"summary": "Old"}}, patch)
        assert transcript.title == "The docs"
        assert transcript.source_id == "c0ffee00-1d1d"
        assert transcript.project == b"/srv/demo"
        assert transcript.updated_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
        assert transcript.config == {"kind": "main", "project_hash": "ab12"}

    def test_without_summary_the_first_prompt_that_stands_is_the_title(self, imported: Imported) -> None:
        transcript = imported(HEADER, said("a", "Taken back"), {"$rewindTo": "a"}, said("b", [{"text": " Kept "}]))
        assert transcript.title == "Kept"

    def test_without_prompt_the_title_is_the_start_of_the_id(self, imported: Imported) -> None:
        assert imported(HEADER).title == "gemini c0ffee00"

    def test_messages_inside_a_patch_are_kept_there_and_counted(self, imported: Imported) -> None:
        transcript = imported(HEADER, said("u"), {"$set": {"messages": [said("x"), said("y")]}})
        assert transcript.report.not_represented == {"messages inside a header": 2}
        assert transcript.report.messages == 1
