"""What an import gives: the head of a transcript, its entries, and an honest count of what became of every line."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from sessionstore.model import check_name
from sessionstore.model.ids import MAX_NAME_CHARS

MAX_WARNINGS = 20
"""Warnings kept in a report. A file of a million broken lines must not become a million sentences."""

_LONGEST_LOOK_CHARS = 4_000
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the lines. `records == messages + sum(preserved.values())`, always.

    Attributes:
        records: Lines that became an entry, one each: every line that is not blank.
        messages: Entries with `role` and `content`, tool calls and tool results among them.
        tool_calls, tool_results: Blocks of these kinds in the messages.
        preserved: Records kept verbatim that are not part of the conversation, by entry type.
        not_represented: What has no entry of its own, by reason; 0 reasons where nothing was left out.
        torn_last_line: The last line has no line end and is not JSON: its writer was stopped half way. It is kept.
        warnings: Sentences for people, at most 20 and one that counts the rest.
    """

    records: int
    messages: int
    tool_calls: int
    tool_results: int
    preserved: dict[str, int]
    not_represented: dict[str, int]
    torn_last_line: bool
    warnings: tuple[str, ...]


class TranscriptHead(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a transcript but its entries.

    Nothing here is verified: a transcript is an unsigned file, and these are its own words.

    Attributes:
        format: `claude-code`, `codex` or `gemini`.
        title: A valid session name.
        source_id: The session id in the tool it comes from.
        project: The working directory that the transcript states, absolute; it may not exist here.
        created_at, updated_at: First and last of the times it states, UTC.
        config: Small facts for people and programs: model, version of the tool, git branch.
        report: What became of every line.
    """

    format: str
    title: str
    source_id: str | None
    project: bytes | None
    created_at: datetime | None
    updated_at: datetime | None
    config: dict[str, Any]
    report: ImportReport


class ImportedTranscript(TranscriptHead, frozen=True, kw_only=True):
    """A whole transcript in memory.

    Attributes:
        entries: In the order of the conversation, ready for the store.

    The other attributes are those of `TranscriptHead`.
    """

    entries: tuple[dict[str, Any], ...]


def title_from(candidates: Iterable[str], *, format: str, source_id: str | None) -> str:
    """The first candidate that has something to show, as a valid session name; else format and start of the id.

    White space becomes one blank; control characters and those that turn the direction of writing are dropped, because
    a title stands in tables beside others. What is over 200 characters is cut and ends in "…".
    """
    fallback = f"{format} {source_id[:8]}" if source_id else f"{format} transcript"
    for candidate in (*candidates, fallback):
        cleaned = clean_text(candidate)
        if cleaned:
            return check_name(cleaned)
    return check_name(f"{format} transcript")


def clean_text(text: str) -> str:
    """`text` as one line of at most 200 characters that a session name may hold; "" where nothing is left."""
    kept = "".join(map(_visible, text[:_LONGEST_LOOK_CHARS]))
    line = " ".join(kept.split())
    return line if len(line) <= MAX_NAME_CHARS else line[: MAX_NAME_CHARS - 1].rstrip() + "…"


def _visible(char: str) -> str:
    if char.isspace():
        return " "
    hidden = char in _BIDI_CONTROLS or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
    return "" if hidden else char
