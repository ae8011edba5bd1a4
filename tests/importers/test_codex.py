"""Codex rollouts: one of the two views becomes messages, the other is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore.importers import ImportedTranscript

Imported = Callable[..., ImportedTranscript]


def line(type: str, payload: Any, **members: Any) -> dict[str, Any]:
    return {"timestamp": "2026-03-02T09:00:00.000Z", "type": type, "payload": payload, **members}


def item(type: str, **members: Any) -> dict[str, Any]:
    return line("response_item", {"type": type, **members})


def event(type: str, **members: Any) -> dict[str, Any]:
    return line("event_msg", {"type": type, **members})


META = line("session_meta", {"id": "019d0e5a-7c00", "cwd": "/srv/demo/atlas", "cli_version": "0.146.0"})


def source(entry: dict[str, Any]) -> Any:
    assert entry["source"]["format"] == "codex"
    return entry["source"]["record"]["payload"]


class TestMessages:
    def test_an_item_message_keeps_role_and_content(self, imported: Imported) -> None:
        content = [{"type": "input_text", "text": "hi"}]
        _, entry = imported(META, item("message", id="m1", role="developer", content=content, phase="input")).entries
        assert entry == {
            "role": "developer",
            "content": content,
            "id": "m1",
            "timestamp": "2026-03-02T09:00:00.000Z",
            "source": {
                "format": "codex",
                "record": {"type": "response_item", "payload": {"type": "message", "phase": "input"}},
            },
        }

    def test_a_rollout_that_tells_a_turn_twice_gives_it_once(self, imported: Imported) -> None:
        transcript = imported(
            META,
            event("user_message", message="hi"),
            item("message", role="user", content=[{"type": "input_text", "text": "hi"}]),
            item("message", role="assistant", content=[{"type": "output_text", "text": "hello"}]),
            event("agent_message", message="hello"),
        )
        assert [entry.get("role") for entry in transcript.entries] == [None, None, "user", "assistant", None]
        assert transcript.report.messages == 2
        assert transcript.report.preserved == {
            "codex/event_msg/agent_message": 1,
            "codex/event_msg/user_message": 1,
            "codex/session_meta": 1,
        }

    def test_events_are_the_messages_where_no_item_is_one(self, imported: Imported) -> None:
        transcript = imported(
            META,
            event("user_message", message="hi"),
            item("reasoning", summary=[]),
            event("agent_message", message="hello"),
        )
        spoken = [(entry["role"], entry["content"]) for entry in transcript.entries if "role" in entry]
        assert spoken == [("user", "hi"), ("assistant", "hello")]
        assert "events" in transcript.report.warnings[0]

    @pytest.mark.parametrize("payload", [None, "text", [], {}, {"type": "message"}, {"type": ["message"]}, {"type": 5}])
    @pytest.mark.parametrize("type", ["response_item", "event_msg", "turn_context"])
    def test_an_odd_payload_is_kept_verbatim(self, imported: Imported, type: str, payload: Any) -> None:
        transcript = imported(META, line(type, payload))
        assert transcript.entries[1]["record"]["payload"] == payload
        assert transcript.report.messages == 0


class TestToolCalls:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ('{"command": ["ls"], "n": 1.0}', {"command": ["ls"], "n": 1.0}),
            ("{}", {}),
            ("[1]", "[1]"),
            ("not json", "not json"),
            ('{"a":1,"a":2}', '{"a":1,"a":2}'),
            ('{"a":NaN}', '{"a":NaN}'),
            ('{"a":"\\ud83d"}', '{"a":"\\ud83d"}'),
            ("[" * 500, "[" * 500),
            ("", ""),
            (None, None),
            ({"already": "parsed"}, {"already": "parsed"}),
        ],
    )
    def test_arguments_are_parsed_where_that_changes_nothing(
        self, imported: Imported, written: Any, value: Any
    ) -> None:
        call = item("function_call", id="f1", name="shell", call_id="c1", arguments=written)
        _, entry = imported(META, call).entries
        assert (entry["role"], entry["id"]) == ("assistant", "f1")
        assert entry["content"] == [{"type": "tool_use", "id": "c1", "name": "shell", "input": value}]

    def test_parsed_arguments_are_kept_as_they_were_written_too(self, imported: Imported) -> None:
        _, entry = imported(META, item("function_call", name="f", call_id="c", arguments='{"a": 1}')).entries
        assert source(entry)["arguments"] == '{"a": 1}'

    @pytest.mark.parametrize(
        ("kind", "member", "name"),
        [
            ("custom_tool_call", "input", "apply_patch"),
            ("tool_search_call", "arguments", None),
            ("local_shell_call", "action", None),
        ],
    )
    def test_other_calls_hold_their_input_once(self, imported: Imported, kind: str, member: str, name: Any) -> None:
        members = {"call_id": "c", member: {"big": "x"}} | ({"name": name} if name else {})
        _, entry = imported(META, item(kind, **members)).entries
        expected = name or kind.removesuffix("_call")
        assert entry["content"] == [{"type": "tool_use", "id": "c", "name": expected, "input": {"big": "x"}}]
        assert member not in source(entry)

    @pytest.mark.parametrize(
        ("kind", "member"),
        [("function_call_output", "output"), ("custom_tool_call_output", "output"), ("tool_search_output", "tools")],
    )
    @pytest.mark.parametrize("output", ["text", [{"type": "input_text", "text": "x"}], {"content": "x"}, None])
    def test_an_output_is_a_message_of_the_tool_and_stored_once(
        self, imported: Imported, kind: str, member: str, output: Any
    ) -> None:
        transcript = imported(META, item(kind, call_id="c", **{member: output}))
        entry = transcript.entries[1]
        assert entry["role"] == "tool"
        assert entry["content"] == [{"type": "tool_result", "tool_use_id": "c", "content": output}]
        assert member not in source(entry)
        assert (transcript.report.messages, transcript.report.tool_results) == (1, 1)

    def test_calls_and_outputs_without_their_members_are_messages_all_the_same(self, imported: Imported) -> None:
        transcript = imported(META, item("function_call"), item("custom_tool_call"), item("function_call_output"))
        assert (transcript.report.tool_calls, transcript.report.tool_results) == (2, 1)

    def test_calls_that_the_model_server_ran_itself_are_kept_verbatim(self, imported: Imported) -> None:
        transcript = imported(META, item("web_search_call", action={}), item("reasoning", summary=[]))
        assert transcript.report.preserved["codex/response_item/web_search_call"] == 1
        assert transcript.report.tool_calls == 0


class TestTheHead:
    def test_id_and_directory_are_those_of_the_first_header(self, imported: Imported) -> None:
        other = line("session_meta", {"id": "other", "cwd": "/srv/demo/other", "cli_version": "0.1"})
        transcript = imported(META, other)
        assert (transcript.source_id, transcript.project) == ("019d0e5a-7c00", b"/srv/demo/atlas")
        assert transcript.report.preserved == {"codex/session_meta": 2}
        assert "2 session headers" in transcript.report.warnings[0]

    def test_the_model_is_that_of_the_last_turn(self, imported: Imported) -> None:
        meta = line(
            "session_meta", {"id": "x", "model_provider": "openai", "git": {"branch": "main"}, "cli_version": 5}
        )
        turns = (line("turn_context", {"model": "one"}), line("turn_context", {"model": "two"}))
        assert imported(meta, *turns).config == {"model": "two", "model_provider": "openai", "git_branch": "main"}

    def test_turns_that_were_rolled_back_are_counted(self, imported: Imported) -> None:
        transcript = imported(META, event("thread_rolled_back", num_turns=2), event("thread_rolled_back"))
        assert transcript.report.not_represented == {"turns rolled back": 3}


class TestTheTitle:
    ITEM = item("message", role="user", content=[{"type": "input_text", "text": "Sent to the model"}])

    def test_the_last_thread_name_comes_first(self, imported: Imported) -> None:
        names = (event("thread_name_updated", thread_name="One"), event("thread_name_updated", thread_name="Two"))
        assert imported(META, event("user_message", message="Shown"), self.ITEM, *names).title == "Two"

    def test_then_the_first_prompt_that_was_shown(self, imported: Imported) -> None:
        assert imported(META, self.ITEM, event("user_message", message="Shown")).title == "Shown"

    def test_then_the_first_that_was_sent_and_not_injected(self, imported: Imported) -> None:
        injected = [
            item("message", role="user", content=[{"type": "input_text", "text": text}])
            for text in ("<environment_context>x", "# AGENTS.md instructions for /srv", "<user_instructions>x")
        ]
        developer = item("message", role="developer", content=[{"type": "input_text", "text": "Rules"}])
        assert imported(META, developer, *injected, self.ITEM).title == "Sent to the model"

    def test_then_the_start_of_the_id(self, imported: Imported) -> None:
        assert imported(META).title == "codex 019d0e5a"
