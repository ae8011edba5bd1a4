"""What the three formats have in common: how a record is kept, how a message is split, and what a reading must say.

A transcript is read twice. In the first pass a `Reading` sees every record once and keeps only what it needs to know
which of them are the conversation. In the second pass each record becomes its entry, on its own.

Two kinds of entry:

- A message is `{"role", "content", "id"?, "timestamp"?, "source": {"format", "record", …}}`. `source.record` is the
  record without what stands in the entry already, so that nothing is stored twice and nothing is lost: `rebuild` puts
  the two together again.
- Everything else is `{"type": "<format>/<kind>", "record": …}`, the record verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from sessionstore.model import parse_time

MESSAGE = "message"
"""The kind of a record that becomes a message. Every other kind is an entry type and holds a "/"."""

MAX_PROMPT_CHARS = 400
MAX_CONFIG_CHARS = 500
MAX_PATH_BYTES = 4096
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Settled(msgspec.Struct, kw_only=True):
    """What a reading knows after the first pass.

    Attributes:
        titles: Texts the title may come from, best first.
        source_id, project, config: As in `TranscriptHead`; `project` still as text.
        tool_calls, tool_results: Blocks in the messages.
        demoted: Entry types of records (by place) that look like messages but are not part of the conversation.
        conversation: Places of the messages in the order of the conversation.
        not_represented, warnings: As in `ImportReport`.
    """

    titles: Sequence[str]
    source_id: str | None
    project: str | None
    config: dict[str, Any]
    tool_calls: int
    tool_results: int
    demoted: dict[int, str]
    conversation: Sequence[int] | None = None
    not_represented: dict[str, int] = msgspec.field(default_factory=dict)
    warnings: list[str] = msgspec.field(default_factory=list)


class Reading(Protocol):
    """One format's view on one transcript. A place is the number of a line, from 0."""

    moments: Moments

    def note(self, place: int, record: dict[str, Any]) -> str:
        """Take in one record, in the order of the file; the answer is its kind: `MESSAGE` or an entry type."""
        ...

    def settle(self) -> Settled:
        """What all records together mean. Called once, after the last `note`."""
        ...


class Moments:
    """The first and the last of the times that a transcript states; text that is no time is passed over."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None

    def note(self, stated: Any) -> None:
        """Take in one time as it stands in a record."""
        moment = time_of(stated)
        if moment is not None:
            self.first = moment if self.first is None else min(self.first, moment)
            self.last = moment if self.last is None else max(self.last, moment)


def time_of(stated: Any) -> datetime | None:
    """The time that `stated` names, None where it is not RFC 3339 text with a zone."""
    if not isinstance(stated, str):
        return None
    try:
        return parse_time(stated)
    except (ValueError, OverflowError):
        # The year 1 with an offset lies before the first moment that Python knows.
        return None


def entry_type(format: str, *words: Any) -> str:
    """`<format>/<word>…`; a word that is no short plain word becomes `unknown` (the record keeps the real one)."""
    plain = (word if isinstance(word, str) and _WORD.fullmatch(word) else "unknown" for word in words)
    return "/".join((format, *plain))


def moved(conversation: Iterable[int]) -> dict[int, int]:
    """Which place is shown at which, where the conversation does not follow the file: only those that differ.

    The messages share the places that messages have; every other record keeps its own.
    """
    order = list(conversation)
    return {shown_at: place for shown_at, place in zip(sorted(order), order, strict=True) if shown_at != place}


def lift_identity(rest: dict[str, Any], entry: dict[str, Any], id_holder: dict[str, Any], id_member: str) -> None:
    """Move id and time from the record to the entry, where they are what an entry means by them."""
    if isinstance(id_holder.get(id_member), str):
        entry["id"] = id_holder.pop(id_member)
    if time_of(rest.get("timestamp")) is not None:
        entry["timestamp"] = rest.pop("timestamp")


def return_identity(record: dict[str, Any], entry: dict[str, Any], id_holder: dict[str, Any], id_member: str) -> None:
    """The inverse of `lift_identity`."""
    if "id" in entry:
        id_holder[id_member] = entry["id"]
    if "timestamp" in entry:
        record["timestamp"] = entry["timestamp"]


def texts_of(content: Any) -> list[str]:
    """The texts in a message's content, in order: the content itself, or the `text` of its blocks."""
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else [content]
    texts = (block.get("text") for block in blocks if isinstance(block, dict))
    return [text for text in texts if isinstance(text, str)]


def first_prompt(content: Any, injected: tuple[str, ...]) -> str:
    """What a person typed: the first text that does not start with one of `injected`; "" where there is none."""
    for text in texts_of(content):
        start = text[: 4 * MAX_PROMPT_CHARS].strip()
        if start and not start.startswith(injected):
            return start[:MAX_PROMPT_CHARS]
    return ""


def small_config(**facts: Any) -> dict[str, Any]:
    """The facts that are short text; the records keep the others."""
    return {name: fact for name, fact in facts.items() if isinstance(fact, str) and 0 < len(fact) <= MAX_CONFIG_CHARS}


def text_or_none(value: Any) -> str | None:
    """`value` where it is text with something in it."""
    return value if isinstance(value, str) and value else None


def project_bytes(stated: str | None) -> bytes | None:
    """The stated directory as a path of this kind of system; None for a relative one, another system's, or none."""
    if stated is None or not stated.startswith("/") or "\0" in stated:
        return None
    path = stated.encode("utf-8")
    return path if len(path) <= MAX_PATH_BYTES else None
