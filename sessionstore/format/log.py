"""A session file as a run of segments: walk and verify them, decode them, and write new ones.

A segment is the lines between two seals, with the seal that commits them. Reading goes one way: `walk` finds the next
seal, verifies it over the bytes before it, and only then hands the segment out to be decoded. Writing goes the other
way: `Batch` collects lines and seals them at least every 1 MiB.

Memory: reading in steps holds a few times one segment or one step; a segment is 1 MiB plus at most one line. A line
without an end is not held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from sessionstore.errors import MalformedError, TooLargeError
from sessionstore.format.cut import STEP_BYTES, cut
from sessionstore.format.lines import ENTRY, Open, State, StateChange, decode_entry, decode_open, decode_state
from sessionstore.format.seal import SEGMENT_BYTES, Seal, Sealed, Sealer
from sessionstore.model import Provenance

MAX_PROJECT_CHARS = 1024


class Segment(msgspec.Struct, frozen=True):
    """Verified lines and their seal.

    Attributes:
        body: The lines, as bytes.
        sealed: The seal that commits them.
        is_first: Whether the file begins here, so that the first line is the open line.
    """

    body: bytes
    sealed: Sealed
    is_first: bool


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a seal that describe the session, carried from seal to seal."""

    name: str
    tags: tuple[str, ...]
    project: str | None
    place: tuple[int, int] | None
    provenance: Provenance
    created_at: str
    updated_at: str
    closed_at: str | None

    def changed(self, change: StateChange | None, updated_at: str) -> Summary:
        """The summary after a save, with the state change it carries."""
        return summarised(self, change, updated_at)

    def as_seal(self) -> Seal:
        """A seal that says this, and nothing yet of the bytes it will commit."""
        return Seal(**msgspec.structs.asdict(self), rev=0, at=0, entries=0, lines=0, chain="")


S = TypeVar("S", Summary, Seal)


def summarised(before: S, change: StateChange | None, updated_at: str) -> S:
    """A summary, or a seal as far as it is one, after a save with the state change it carries."""
    if change is None:
        return replace(before, updated_at=updated_at)
    changes: dict[str, Any] = {"updated_at": updated_at}
    for name in ("name", "tags", "closed_at"):
        if getattr(change, name) is not msgspec.UNSET:
            changes[name] = getattr(change, name)
    if change.project is not msgspec.UNSET:
        record = change.project
        changes["project"] = None if record is None else record.display_path[:MAX_PROJECT_CHARS]
        changes["place"] = None
        if record is not None and record.inode is not None and record.device is not None:
            changes["place"] = (record.device, record.inode)
    return replace(before, **changes)


def walk(
    sealer: Sealer,
    read: Callable[[int, int], bytes],
    *,
    previous: Sealed | None = None,
    end: int,
    step_bytes: int = STEP_BYTES,
) -> Iterator[Segment]:
    """Yield the verified segments from behind `previous` up to `end`, in order; stop where no whole seal follows.

    Args:
        sealer: Knows the keys and the identity that was asked for.
        read: `read(start, size)` gives up to `size` bytes from `start`.
        previous: The seal to go on behind, None to begin at the start of the file.
        end: Offset where reading stops, in bytes.
        step_bytes: How much is read at a time, at least. A line over 1 MiB is read twice: first for where it ends.

    Raises:
        Broken: The next seal does not commit the bytes before it. Every segment handed out before is good.
        UnknownKeyError, KeyDisabledError: The next seal's key cannot be used.
    """
    start = previous.end if previous is not None else 0
    for body, line in cut(read, start=start, end=end, step_bytes=step_bytes):
        sealed = sealer.verify(previous, body, line)
        yield Segment(body, sealed, previous is None)
        previous = sealed


class Batch:
    """The lines of one save, sealed as they come.

    Args:
        sealer: Makes the seals.
        previous: The seal to go on behind, None for a new file.
        summary: What the seals say of the session: a summary, or a seal whose summary it is.
        max_session_bytes: Cap on the whole file.
        idempotency_key: Goes into the last seal.
        first_rev: Revision of the first seal of a rewritten file, with `replaces`.
        replaces: Signature that a rewritten file takes the place of.
    """

    def __init__(
        self,
        sealer: Sealer,
        previous: Sealed | None,
        summary: Summary | Seal,
        *,
        max_session_bytes: int,
        idempotency_key: str | None = None,
        first_rev: int = 1,
        replaces: str | None = None,
    ) -> None:
        self._sealer = sealer
        # Seals are made by changing one: a third of the time of making them from their members.
        self._template = summary.as_seal() if isinstance(summary, Summary) else summary
        self._max_session_bytes = max_session_bytes
        self._key = idempotency_key
        self._first_rev = first_rev
        self._replaces = replaces
        self._previous = previous

    @property
    def sealed(self) -> Sealed:
        """The last seal, once `chunks` is exhausted."""
        if self._previous is None:
            raise ValueError("nothing was sealed yet")
        return self._previous

    def chunks(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes to write: the lines and, at least every 1 MiB and at the end, a seal.

        Raises:
            TooLargeError: The file would be longer than `max_session_bytes`; raised before those bytes are handed out.
        """
        body: list[bytes] = []
        size = 0
        for line in lines:
            if size >= SEGMENT_BYTES:
                yield self._seal(body, more=True)
                body, size = [], 0
            body.append(line)
            size += len(line)
        yield self._seal(body, more=False)

    def _seal(self, lines: list[bytes], *, more: bool) -> bytes:
        body = b"".join(lines)
        before = self._previous
        entries = sum([line.startswith(ENTRY) for line in lines])
        if before is None:
            start, count, rev, replaces = 0, len(lines), self._first_rev, self._replaces
        else:
            start, count, rev, replaces = before.end, before.seal.lines + 1 + len(lines), before.seal.rev + 1, None
            entries += before.seal.entries
        key = None if more else self._key
        members = {"rev": rev, "at": start + len(body), "entries": entries, "lines": count, "replaces": replaces}
        seal = replace(self._template, more=more, idempotency_key=key, **members)
        sealed = self._sealer.make(before, body, seal)
        if sealed.end > self._max_session_bytes:
            raise TooLargeError(
                what="session",
                size_bytes=sealed.end,
                limit_bytes=self._max_session_bytes,
                setting="max_session_bytes",
            )
        self._previous = sealed
        return body + sealed.line


class Content:
    """Decoded segments put together: the open line, the entries, the merged state.

    Args:
        entries_before: Entries of the segments that are left out in front.
    """

    def __init__(self, entries_before: int = 0) -> None:
        self._entries_before = entries_before
        self.opened: Open | None = None
        self.entries: list[dict[str, Any]] = []
        self.state = State()

    def add(self, segment: Segment) -> None:
        """Take one more segment, in order.

        Raises:
            MalformedError, UnsupportedVersionError: As `add_body`, or the seal counts other entries than there are.
        """
        self.add_body(segment.body, is_first=segment.is_first)
        if self._entries_before + len(self.entries) != segment.sealed.seal.entries:
            raise MalformedError(session_id="", reason="a seal counts other entries than there are")

    def add_body(self, body: bytes, *, is_first: bool, start: int = 0, stop: int | None = None) -> None:
        """Take the lines of one more segment, verified by the caller.

        Args:
            body: Bytes that hold them.
            is_first: Whether the open line is the first of them.
            start, stop: Where in `body` they begin and end.

        Raises:
            MalformedError, UnsupportedVersionError: A sealed line is none of this format (a file of a newer release).
        """
        stop, view = len(body) if stop is None else stop, memoryview(body)
        if is_first:
            first = body[start:stop].partition(b"\n")[0]
            self.opened = decode_open(first)
            start += len(first) + 1
        while start < stop:
            end = body.find(b"\n", start, stop)
            if end < 0:
                raise MalformedError(session_id="", reason="the last line has no end")
            if body.startswith(ENTRY, start):
                self.entries.append(decode_entry(view[start:end]))
            else:
                self.state = self.state.merged(decode_state(body[start:end]))
            start = end + 1
