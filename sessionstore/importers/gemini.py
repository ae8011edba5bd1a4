"""Gemini CLI recordings: a header, then one record a line, and two records that change what came before.

- `{"$set": {…}}` patches the header.
- A record whose id was there before replaces that one, in its place in the conversation.
- `{"$rewindTo": id}` takes back the record of that id and all after it; where the id is not there, everything. That is
  how the tool itself reads its files.

`user` and `gemini` records become messages of the roles `user` and `assistant`. Tool calls stand inside the record that
made them, so call and result become a `tool_use` and a `tool_result` block of that one message. What was replaced or
taken back is kept as `gemini/replaced` and `gemini/rewound`, everything else as `gemini/<type>`.

The title is the header's summary, else the first prompt.
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

FORMAT = "gemini"
_ROLES = {"user": "user", "gemini": "assistant"}
_TYPES = ("user", "gemini", "info", "error", "warning")
_SHAPES: dict[type[Any], str] = {str: "text", list: "parts", dict: "part"}


def looks_like(record: dict[str, Any]) -> bool:
    """Whether only Gemini CLI writes such a record."""
    if isinstance(record.get("$rewindTo"), str) or isinstance(record.get("$set"), dict):
        return True
    if isinstance(record.get("sessionId"), str) and isinstance(record.get("projectHash"), str):
        return True
    plain = "message" not in record and "uuid" not in record and "payload" not in record
    return plain and isinstance(record.get("id"), str) and record.get("type") in _TYPES and "content" in record


def is_message(record: dict[str, Any]) -> bool:
    """Whether the record holds a turn of the user or the model."""
    kind = record.get("type")
    return isinstance(kind, str) and kind in _ROLES and type(record.get("content")) in _SHAPES


def message_entry(record: dict[str, Any]) -> dict[str, Any]:
    """The message entry of a record for which `is_message` holds.

    Without tool calls the content is that of the record. With them it is a list: the text or parts first, then for each
    call its `tool_use` and, where it has one, its `tool_result`; arguments and result are not stored twice.
    """
    rest = dict(record)
    content = rest.pop("content")
    entry: dict[str, Any] = {"role": _ROLES[rest["type"]], "content": content}
    source: dict[str, Any] = {"format": FORMAT, "record": rest}
    calls = _calls_of(rest)
    if calls:
        blocks = _as_blocks(content)
        source["content"] = _SHAPES[type(content)]
        source["leading_blocks"] = len(blocks)
        rest["toolCalls"] = [_lift_call(dict(call), blocks) for call in calls]
        entry["content"] = blocks
    lift_identity(rest, entry, rest, "id")
    entry["source"] = source
    return entry


def rebuild_message(entry: dict[str, Any]) -> dict[str, Any]:
    """The record that `message_entry` was given."""
    source = entry["source"]
    record = dict(source["record"])
    record["content"] = entry["content"]
    if "content" in source:
        blocks, at = entry["content"], source["leading_blocks"]
        record["content"] = _from_blocks(blocks[:at], source["content"])
        calls = [dict(call) for call in record["toolCalls"]]
        for call in calls:
            if "input" in blocks[at]:
                call["args"] = blocks[at]["input"]
            at += 1
            if at < len(blocks) and blocks[at]["type"] == "tool_result":
                call["result"] = blocks[at]["content"]
                at += 1
        record["toolCalls"] = calls
    return_identity(record, entry, record, "id")
    return record


class GeminiReading:
    """The first pass over a recording. Holds the ids of the records that stand."""

    def __init__(self) -> None:
        self.moments = Moments()
        # Ids in the order of the conversation; a replacement keeps the place of what it replaces.
        self._standing: dict[str, int] = {}
        self._messages: set[int] = set()
        self._demoted: dict[int, str] = {}
        self._tools: dict[int, tuple[int, int]] = {}
        self._prompts: dict[int, str] = {}
        self._header: dict[str, Any] = {}
        self._model: str | None = None
        self._inner_messages = 0
        self._warnings: list[str] = []

    def note(self, place: int, record: dict[str, Any]) -> str:
        """See `Reading.note`."""
        self.moments.note(record.get("timestamp"))
        target = record.get("$rewindTo")
        if isinstance(target, str):
            self._rewind(place, target)
            return entry_type(FORMAT, "rewind")
        identity = record.get("id")
        if isinstance(identity, str) or is_message(record):
            # A message without id can be taken back, never replaced.
            return self._note_standing(place, identity if isinstance(identity, str) else f"\0{place}", record)
        if isinstance(record.get("$set"), dict):
            self._patch(record["$set"])
            return entry_type(FORMAT, "set")
        if isinstance(record.get("sessionId"), str):
            self._patch(record)
            return entry_type(FORMAT, "header")
        return entry_type(FORMAT, record.get("type"))

    def settle(self) -> Settled:
        """See `Reading.settle`."""
        conversation = [place for place in self._standing.values() if place in self._messages]
        tools = [self._tools[place] for place in conversation if place in self._tools]
        prompts = [self._prompts[place] for place in conversation if place in self._prompts]
        directories = self._header.get("directories")
        inner = {"messages inside a header": self._inner_messages} if self._inner_messages else {}
        return Settled(
            titles=[text_or_none(self._header.get("summary")) or "", *prompts[:1]],
            source_id=text_or_none(self._header.get("sessionId")),
            project=text_or_none(directories[0]) if isinstance(directories, list) and directories else None,
            config=small_config(
                model=self._model,
                kind=self._header.get("kind"),
                project_hash=self._header.get("projectHash"),
            ),
            tool_calls=sum(calls for calls, _ in tools),
            tool_results=sum(results for _, results in tools),
            demoted=self._demoted,
            conversation=conversation,
            not_represented=inner,
            warnings=self._warnings,
        )

    def _note_standing(self, place: int, identity: str, record: dict[str, Any]) -> str:
        if identity in self._standing:
            self._demoted[self._standing[identity]] = entry_type(FORMAT, "replaced")
        self._standing[identity] = place
        if not is_message(record):
            return entry_type(FORMAT, record.get("type"))
        self._messages.add(place)
        calls = _calls_of(record)
        if calls:
            self._tools[place] = len(calls), sum(call.get("result") is not None for call in calls)
        if record["type"] == "user":
            prompt = first_prompt(record["content"], ())
            if prompt:
                self._prompts[place] = prompt
        self._model = text_or_none(record.get("model")) or self._model
        return MESSAGE

    def _rewind(self, place: int, target: str) -> None:
        if target not in self._standing:
            self._warnings.append(f"line {place + 1} takes back all before it: the message it names is not there")
        while self._standing:
            identity, rewound = self._standing.popitem()
            self._demoted[rewound] = entry_type(FORMAT, "rewound")
            if identity == target:
                return

    def _patch(self, members: dict[str, Any]) -> None:
        # Only what the head needs: a patch may carry a whole conversation.
        wanted = ("sessionId", "projectHash", "summary", "kind", "directories")
        self._header.update({name: members[name] for name in wanted if name in members})
        self.moments.note(members.get("startTime"))
        self.moments.note(members.get("lastUpdated"))
        inner = members.get("messages")
        self._inner_messages += len(inner) if isinstance(inner, list) else 0


def _calls_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool calls, or nothing where their shape is not the one that is known."""
    calls = record.get("toolCalls")
    if not isinstance(calls, list):
        return []
    known = all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls)
    return calls if known else []


def _as_blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content) if isinstance(content, list) else [content]


def _from_blocks(leading: list[Any], shape: str) -> Any:
    if shape == "text":
        return leading[0]["text"] if leading else ""
    return leading if shape == "parts" else leading[0]


def _lift_call(call: dict[str, Any], blocks: list[Any]) -> dict[str, Any]:
    use = {"type": "tool_use", "id": call.get("id"), "name": call["name"]}
    blocks.append({**use, "input": call.pop("args")} if "args" in call else use)
    if call.get("result") is not None:
        result = {"type": "tool_result", "tool_use_id": call.get("id"), "content": call.pop("result")}
        blocks.append({**result, "is_error": True} if call.get("status") == "error" else result)
    return call
