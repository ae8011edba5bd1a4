"""Entries of the SDK as entries of the store, and which of them are there already.

An entry is stored as it was given. What the store's strict JSON does not keep (half a surrogate pair, which JavaScript
cuts out of an emoji; an integer of more than 64 bits) is stored as text, in an entry with the one member `TEXT`. So is
an entry that has such a member itself: what comes back is always what was given.

An entry with a `uuid` counts once. A repeated one is left out where it is known, and for good when the transcript is
loaded: so the answer is right whatever any process knew when it saved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sessionstore.errors import MalformedError, TooDeepError
from sessionstore.format.lines import entry_line
from sessionstore.model import parse_time

Entry = dict[str, Any]

TEXT = "claude:json"
_HALF = re.compile("[\ud800-\udfff]")

# About 3 MB for one transcript. A longer one is not searched for repeated entries when it grows, only when it is read.
MAX_KNOWN = 32_768

# An entry that says of itself that it is so much older than the last save belongs to a replay (the SDK's import).
REPLAY_AGE = timedelta(minutes=1)


class Known:
    """`uuid`s of one transcript at one revision: the newest, at most `MAX_KNOWN`.

    Attributes:
        at: Id of the session, and the revision. At any other one they are worth nothing.
        is_whole: Whether there are no others.
    """

    def __init__(self, at: tuple[str, int] | None = None) -> None:
        self._uuids: dict[str, None] = {}
        self.at = at
        self.is_whole = False

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._uuids

    def add(self, entries: Iterable[Entry]) -> None:
        """Take in what was saved or read."""
        for entry in entries:
            uuid = uuid_of(entry)
            if uuid is not None:
                self._uuids[uuid] = None
                if len(self._uuids) > MAX_KNOWN:
                    del self._uuids[next(iter(self._uuids))]
                    self.is_whole = False


def uuid_of(entry: Mapping[str, Any]) -> str | None:
    """The entry's `uuid`, None for one that is saved as often as it is given."""
    uuid = entry.get("uuid")
    return uuid if isinstance(uuid, str) and uuid else None


def once(entries: Iterable[Entry], known: Container[str] = ()) -> Iterator[Entry]:
    """Yield the entries without those whose `uuid` came before or is known."""
    seen: set[str] = set()
    for entry in entries:
        uuid = uuid_of(entry)
        if uuid is None:
            yield entry
        elif uuid not in seen and uuid not in known:
            seen.add(uuid)
            yield entry


def is_replay(entries: Iterable[Entry], last_save: datetime) -> bool:
    """Whether an entry with a `uuid` says that it is older than the last save, and be it in question."""
    return any(uuid_of(entry) is not None and _is_before(entry, last_save - REPLAY_AGE) for entry in entries)


def stored(entries: Iterable[Entry], *, max_bytes: int | None = None) -> list[Entry]:
    """The entries as they are kept.

    Args:
        entries: As the SDK gave them.
        max_bytes: Given, each is tried, and what the store would refuse as JSON is kept as text. Without it only what
            could be taken for such a text is.
    """
    return [_as_text(entry) if TEXT in entry or _is_refused(entry, max_bytes) else entry for entry in entries]


def given(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries as the SDK gave them."""
    for entry in entries:
        yield _from_text(entry) if TEXT in entry else entry


def _is_refused(entry: Entry, max_bytes: int | None) -> bool:
    if max_bytes is None:
        return False
    try:
        entry_line(entry, max_bytes=max_bytes)
    except (MalformedError, TooDeepError):
        return True
    return False


def _as_text(entry: Entry) -> Entry:
    """The entry as text; the entry itself if it is not JSON at all, which the store says better."""
    try:
        text = json.dumps(entry, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        # All else stays readable, for search and redaction.
        text = _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
        return {TEXT: text} if json.loads(text) == entry else entry
    except (TypeError, ValueError, RecursionError):
        return entry


def _from_text(entry: Entry) -> Entry:
    """The entry in the text. The text as it is if somebody blanked it, by the store's own redaction."""
    try:
        found = json.loads(entry[TEXT])
    except (TypeError, ValueError):
        return entry
    return found if isinstance(found, dict) else entry


def _is_before(entry: Entry, moment: datetime) -> bool:
    text = entry.get("timestamp")
    try:
        return isinstance(text, str) and parse_time(text) < moment
    except ValueError:
        return False
