"""A session file as a run of segments: walk and verify them, decode them, and write new ones.

A segment is the lines between two seals, with the seal that commits them. Reading goes one way: `walk` finds the next
seal, verifies it over the bytes before it, and only then hands the segment out to be decoded. Writing goes the other
way: `Batch` collects lines and seals them at least every 1 MiB.

Memory: reading in steps holds one segment and one step; a segment is 1 MiB plus at most one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from sessionstore.errors import MalformedError, TooLargeError
from sessionstore.format.lines import ENTRY, Open, State, StateChange, decode_line, decode_open, read_lines
from sessionstore.format.seal import SEGMENT_BYTES, Sealed, Sealer, find_seal
from sessionstore.model import Provenance

STEP_BYTES = 1024 * 1024
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

    def decode(self) -> tuple[Open | None, list[dict[str, Any] | StateChange]]:
        """The open line, if it is here, and the entries and state changes in order.

        Raises:
            MalformedError: A sealed line is none of this format (a file of a newer release).
        """
        lines = read_lines(self.body)
        opened = decode_open(next(lines, b"")) if self.is_first else None
        return opened, [decode_line(line) for line in lines]


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

    @classmethod
    def of(cls, sealed: Sealed) -> Summary:
        """The summary in a seal."""
        return cls(**{name: getattr(sealed.seal, name) for name in cls.__struct_fields__})

    def changed(self, change: StateChange | None, updated_at: str) -> Summary:
        """The summary after a save, with the state change it carries."""
        changes: dict[str, Any] = {"updated_at": updated_at}
        if change is None:
            return msgspec.structs.replace(self, **changes)
        for name in ("name", "tags", "closed_at"):
            if getattr(change, name) is not msgspec.UNSET:
                changes[name] = getattr(change, name)
        if change.project is not msgspec.UNSET:
            record = change.project
            changes["project"] = None if record is None else record.display_path[:MAX_PROJECT_CHARS]
            changes["place"] = None
            if record is not None and record.inode is not None and record.device is not None:
                changes["place"] = (record.device, record.inode)
        return msgspec.structs.replace(self, **changes)


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
        step_bytes: How much is read at a time.

    Raises:
        Broken: The next seal does not commit the bytes before it. Every segment handed out before is good.
        UnknownKeyError, KeyDisabledError: The next seal's key cannot be used.
    """
    window = bytearray()
    start = previous.end if previous is not None else 0  # offset of window[0] in the file
    line = scan = 0  # in the window: where the segment begins, where the search goes on
    while True:
        found = find_seal(window, line, scan)
        if found is None:
            step = read(start + len(window), min(step_bytes, end - start - len(window)))
            if not step:
                return
            # Searching goes on where it stopped: a file without any seal costs one pass, not one a step.
            scan = max(0, len(window) - line - 64 * 1024)
            del window[:line]
            start, line = start + line, 0
            window += step
            continue
        begin, stop = found
        body = bytes(memoryview(window)[line:begin])
        sealed = sealer.verify(previous, body, bytes(memoryview(window)[begin:stop]))
        yield Segment(body, sealed, previous is None)
        previous, line, scan = sealed, stop, stop


class Batch:
    """The lines of one save, sealed as they come.

    Args:
        sealer: Makes the seals.
        previous: The seal to go on behind, None for a new file.
        summary: What the seals say of the session.
        max_session_bytes: Cap on the whole file.
        idempotency_key: Goes into the last seal.
        first_rev: Revision of the first seal of a rewritten file, with `replaces`.
        replaces: Signature that a rewritten file takes the place of.
    """

    def __init__(
        self,
        sealer: Sealer,
        previous: Sealed | None,
        summary: Summary,
        *,
        max_session_bytes: int,
        idempotency_key: str | None = None,
        first_rev: int = 1,
        replaces: str | None = None,
    ) -> None:
        self._sealer = sealer
        self._summary = msgspec.structs.asdict(summary)
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
        entries = sum(line.startswith(ENTRY) for line in lines)
        fields = {
            **self._summary,
            "rev": before.seal.rev + 1 if before is not None else self._first_rev,
            "at": (before.end if before is not None else 0) + len(body),
            "entries": entries + (before.seal.entries if before is not None else 0),
            "lines": len(lines) + (before.seal.lines + 1 if before is not None else 0),
            "more": more,
            "idempotency_key": None if more else self._key,
            "replaces": self._replaces if before is None else None,
        }
        sealed = self._sealer.make(before, body, fields)
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
            MalformedError: As `Segment.decode`, or the seal counts other entries than there are.
        """
        opened, items = segment.decode()
        self.opened = opened or self.opened
        for item in items:
            if isinstance(item, dict):
                self.entries.append(item)
            else:
                self.state = self.state.merged(item)
        if self._entries_before + len(self.entries) != segment.sealed.seal.entries:
            raise MalformedError(session_id="", reason="a seal counts other entries than there are")
