"""Codex rollouts: `{timestamp, type, payload}`, one record a line.

A rollout tells every turn twice: as `response_item`, what went to and came from the model, and as `event_msg`, what the
terminal showed. Only one of the two becomes messages, or every message would double: the response items, and the
events `user_message` and `agent_message` only where the file holds no response item that is a message.

- `message` items become messages with their own role and content.
- Calls become an assistant's message with one `tool_use` block, outputs one of the role `tool` with one `tool_result`.
- Everything else is kept verbatim as `codex/<type>` or `codex/<type>/<payload type>`.

The title is the last thread name, else the first prompt that the terminal shows, else the first that the model got.
"""

from __future__ import annotations

from typing import Any

from sessionstore.importers.reading import (
    MESSAGE,
    Moments,
    Settled,
    entry_type,
    first_prompt,
    lift_identity,
    return_identity,
    small_config,
    text_or_none,
)
from sessionstore.importers.strict_json import LineRefused, parse_line

FORMAT = "codex"
_TYPES = ("session_meta", "turn_context", "response_item", "event_msg", "compacted")
_SPEAKERS = {"user_message": "user", "agent_message": "assistant"}
_CALLS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "tool_search_call": "arguments",
    "local_shell_call": "action",
}
_OUTPUTS = {"function_call_output": "output", "custom_tool_call_output": "output", "tool_search_output": "tools"}
_INJECTED = (
    "<environment_context>",
    "<user_instructions>",
    "<permissions instructions>",
    "<INSTRUCTIONS>",
    "<turn_aborted>",
    "# AGENTS.md instructions",
)


def looks_like(record: dict[str, Any]) -> bool:
    """Whether only Codex writes such a record."""
    return record.get("type") in _TYPES and isinstance(record.get("payload"), dict)


def is_message(record: dict[str, Any]) -> bool:
    """Whether the record can become a message: an item that is one, a call or an output, or what was said."""
    payload = record.get("payload")
    if not isinstance(payload, dict):
        return False
    kind = payload.get("type")
    if not isinstance(kind, str):
        return False
    if record.get("type") == "response_item":
        return _is_item_message(payload) or kind in _CALLS or kind in _OUTPUTS
    return record.get("type") == "event_msg" and kind in _SPEAKERS and isinstance(payload.get("message"), str)


def message_entry(record: dict[str, Any]) -> dict[str, Any]:
    """The message entry of a record for which `is_message` holds.

    Large members move into the content block and are not stored twice, with one exception: the arguments of a function
    call are JSON inside a string, which is parsed for `input` and kept as it was written under `source`.
    """
    rest = dict(record)
    payload = dict(rest["payload"])
    rest["payload"] = payload
    kind = payload["type"]
    entry: dict[str, Any]
    if kind in _CALLS:
        name = payload.get("name", kind.removesuffix("_call"))
        block = {"type": "tool_use", "id": payload.get("call_id"), "name": name}
        entry = {"role": "assistant", "content": [_with_input(block, payload, _CALLS[kind])]}
    elif kind in _OUTPUTS:
        block = {"type": "tool_result", "tool_use_id": payload.get("call_id")}
        if _OUTPUTS[kind] in payload:
            block["content"] = payload.pop(_OUTPUTS[kind])
        entry = {"role": "tool", "content": [block]}
    elif kind == "message":
        entry = {"role": payload.pop("role"), "content": payload.pop("content")}
    else:
        entry = {"role": _SPEAKERS[kind], "content": payload.pop("message")}
    lift_identity(rest, entry, payload, "id")
    entry["source"] = {"format": FORMAT, "record": rest}
    return entry


def rebuild_message(entry: dict[str, Any]) -> dict[str, Any]:
    """The record that `message_entry` was given."""
    record = dict(entry["source"]["record"])
    payload = dict(record["payload"])
    record["payload"] = payload
    kind = payload["type"]
    content = entry["content"]
    if kind in _CALLS:
        if _CALLS[kind] not in payload and "input" in content[0]:
            payload[_CALLS[kind]] = content[0]["input"]
    elif kind in _OUTPUTS:
        if "content" in content[0]:
            payload[_OUTPUTS[kind]] = content[0]["content"]
    elif kind == "message":
        payload.update(role=entry["role"], content=content)
    else:
        payload["message"] = content
    return_identity(record, entry, payload, "id")
    return record


class CodexReading:
    """The first pass over a rollout. Holds a number for each event that may be a message."""

    def __init__(self) -> None:
        self.moments = Moments()
        self._events: dict[int, str] = {}
        self._item_messages = 0
        self._tool_calls = 0
        self._tool_results = 0
        self._rolled_back_turns = 0
        self._meta: dict[str, Any] = {}
        self._metas = 0
        self._model: str | None = None
        self._thread_name = ""
        self._shown_prompt = ""
        self._sent_prompt = ""

    def note(self, place: int, record: dict[str, Any]) -> str:
        """See `Reading.note`."""
        self.moments.note(record.get("timestamp"))
        payload = record.get("payload")
        if not isinstance(payload, dict):
            return entry_type(FORMAT, record.get("type"))
        kind = record.get("type")
        if kind == "session_meta":
            self._note_meta(payload)
        elif kind == "turn_context":
            self._model = text_or_none(payload.get("model")) or self._model
        elif kind == "event_msg":
            self._note_event(payload)
        words = (kind, payload["type"]) if "type" in payload else (kind,)
        if not is_message(record):
            return entry_type(FORMAT, *words)
        if kind == "event_msg":
            self._events[place] = entry_type(FORMAT, *words)
        else:
            self._note_item(payload)
        return MESSAGE

    def settle(self) -> Settled:
        """See `Reading.settle`."""
        git = self._meta.get("git")
        branch = git.get("branch") if isinstance(git, dict) else None
        warnings = []
        if self._metas > 1:
            warnings.append(f"{self._metas} session headers: id and directory are those of the first")
        if self._events and not self._item_messages:
            warnings.append("no response items hold messages: they are taken from the terminal's events")
        return Settled(
            titles=[self._thread_name, self._shown_prompt, self._sent_prompt],
            source_id=text_or_none(self._meta.get("id")) or text_or_none(self._meta.get("session_id")),
            project=text_or_none(self._meta.get("cwd")),
            config=small_config(
                model=self._model,
                model_provider=self._meta.get("model_provider"),
                cli_version=self._meta.get("cli_version"),
                git_branch=branch,
            ),
            tool_calls=self._tool_calls,
            tool_results=self._tool_results,
            demoted=self._events if self._item_messages else {},
            not_represented={"turns rolled back": self._rolled_back_turns} if self._rolled_back_turns else {},
            warnings=warnings,
        )

    def _note_meta(self, payload: dict[str, Any]) -> None:
        # A forked or resumed thread repeats the headers of those it came from after its own.
        self._meta = self._meta or payload
        self._metas += 1
        self.moments.note(payload.get("timestamp"))

    def _note_event(self, payload: dict[str, Any]) -> None:
        kind = payload.get("type")
        if kind == "thread_name_updated":
            self._thread_name = text_or_none(payload.get("thread_name")) or self._thread_name
        elif kind == "thread_rolled_back":
            turns = payload.get("num_turns")
            self._rolled_back_turns += turns if type(turns) is int and 0 < turns < 1_000_000 else 1
        elif kind == "user_message":
            self._shown_prompt = self._shown_prompt or first_prompt(payload.get("message"), _INJECTED)

    def _note_item(self, payload: dict[str, Any]) -> None:
        if payload["type"] in _CALLS:
            self._tool_calls += 1
        elif payload["type"] in _OUTPUTS:
            self._tool_results += 1
        else:
            self._item_messages += 1
            if payload["role"] == "user":
                self._sent_prompt = self._sent_prompt or first_prompt(payload["content"], _INJECTED)


def _is_item_message(payload: dict[str, Any]) -> bool:
    return (
        payload.get("type") == "message"
        and isinstance(payload.get("role"), str)
        and isinstance(payload.get("content"), (str, list))
    )


def _with_input(block: dict[str, Any], payload: dict[str, Any], member: str) -> dict[str, Any]:
    written = payload.get(member)
    if payload["type"] == "function_call" and isinstance(written, str):
        try:
            parsed = parse_line(written.encode("utf-8"))
        except LineRefused:
            parsed = None
        if isinstance(parsed, dict):
            return {**block, "input": parsed}
    return {**block, "input": payload.pop(member)} if member in payload else block
