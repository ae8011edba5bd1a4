"""Saving: append lines and one seal to a session, at the price of the new bytes.

The order, under the session's write lock:

1. the head is live, the log under the session's name is the one we hold, and nothing happened to it that the head does
   not explain (inode, size, both times); otherwise the whole log is verified first;
2. an uncommitted tail is copied into quarantine and cut;
3. the new lines and their seal are written at the exact end, synced once;
4. one commit moves the head; then the caller is answered.

So a turn costs one sync and its own bytes, however long the session is, in a fresh process too: what a writer needs of
the past is the last seal line. Logs stay open between turns, which saves a few system calls and nothing else: each turn
compares head and log again. The chain is continued from seals that were verified, never from bytes that merely stand
in the file: damage cannot be sealed in.

After a failed sync nobody knows what is on the disk: the log is closed, the caller gets `outcome="unknown"`, and the
next save looks again. Safe for many threads and processes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sessionstore.errors import (
    ConflictError,
    KeyringError,
    MissingError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from sessionstore.format.lines import StateChange, entry_line, state_line
from sessionstore.format.log import STEP_BYTES, Batch, summarised
from sessionstore.format.seal import SEGMENT_BYTES, Broken, Seal, Sealed
from sessionstore.ledger import Head
from sessionstore.model import Message, check_id, check_key, format_time, next_time, parse_time
from sessionstore.model.session import as_entry
from sessionstore.sessions.ground import Ground, file_name, head_after, stamp_of
from sessionstore.sessions.making import Maker, commit_after_write
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import was_saved
from sessionstore.storage import Log

MAX_IDLE_LOGS = 64


@dataclass(slots=True)
class Ready:
    """A log open for writing, and what is known to be its end. Only the holder of the write lock uses it.

    Attributes:
        log, head, sealed: The log, its head, its last seal.
        from_unsigned: The session was migrated under the lock that is held, in the same call.
    """

    log: Log
    head: Head
    sealed: Sealed
    from_unsigned: bool = False

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def expect(self, rev: int | None) -> None:
        """Refuse unless the session is at that revision; an unsigned one was at 0 before this call migrated it.

        Raises:
            ConflictError: It is not.
        """
        if rev is not None and rev != self.head.rev and not (self.from_unsigned and rev == 0):
            raise ConflictError(session_id=self.head.session_id, expected=rev, found=self.head.rev)


class Writer:
    """Appends to the sessions of one store. `maker` makes those that it appends to."""

    def __init__(self, ground: Ground, reader: Reader) -> None:
        self._ground = ground
        self._reader = reader
        self.maker = Maker(ground, reader)
        # Logs that nobody uses at the moment; who works with one has taken it out. Single operations are atomic.
        self._idle: OrderedDict[str, Ready] = OrderedDict()

    def close(self) -> None:
        """Close the logs that are held open."""
        while self._idle:
            self._idle.popitem()[1].close()

    def forget(self, session_id: str) -> None:
        """Close the log of a session that is going: an open one would keep its space on the disk."""
        held = self._idle.pop(session_id, None)
        if held is not None:
            held.close()

    def append(
        self,
        session_id: str,
        entries: Iterable[dict[str, Any] | Message] = (),
        change: StateChange | None = None,
        *,
        expected_rev: int | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Save entries and a state change as one step, durably; all of it or nothing.

        Returns:
            The new revision; the present one if there was nothing to save or the key is that of the last save.

        Raises:
            ConflictError: The session is not at `expected_rev`.
            MalformedError, TooDeepError, TooLargeError: An entry cannot be kept; nothing was saved.
            StoreUnavailableError: See its `outcome`.
        """
        check_id(session_id)
        if idempotency_key is not None:
            check_key(idempotency_key)
        if change is not None and change.is_empty:
            change = None
        lines, rest = self._first_lines(entries, change)
        with self._ground.locked(session_id):
            if not lines and self._is_unsigned(session_id):
                ready_at = 0  # nothing to save is no save, and so no migration
                if expected_rev not in (None, ready_at):
                    raise ConflictError(session_id=session_id, expected=expected_rev, found=ready_at)
                return ready_at
            ready = self.ready(session_id)
            try:
                rev = self._append(ready, lines, rest, change, expected_rev, idempotency_key)
            except BaseException:
                ready.close()
                raise
            ready.from_unsigned = False
            self._idle[session_id] = ready
            while len(self._idle) > MAX_IDLE_LOGS:
                self._idle.popitem(last=False)[1].close()
            return rev

    def _append(
        self,
        ready: Ready,
        lines: list[bytes],
        rest: Iterator[bytes],
        change: StateChange | None,
        expected_rev: int | None,
        idempotency_key: str | None,
    ) -> int:
        if idempotency_key is not None and ready.head.last_key == idempotency_key:
            return ready.head.rev
        ready.expect(expected_rev)
        if not lines:
            return ready.head.rev
        batch = Batch(
            self._ground.sealer(ready.head.session_id),
            ready.sealed,
            self.summary(ready, change),
            max_session_bytes=self._ground.config.max_session_bytes,
            idempotency_key=idempotency_key,
        )
        stamp = ready.log.append(ready.sealed.end, batch.chunks(chain(lines, rest)))
        head = head_after(ready.head, batch.sealed, stamp)
        commit_after_write(self._ground, head, ready.head)
        ready.head, ready.sealed = head, batch.sealed
        return head.rev

    def ready(self, session_id: str) -> Ready:
        """The session's log, open at an end that is known to be good; of an unsigned one, after it was migrated.

        The caller holds the write lock.

        Raises:
            SessionNotFoundError, VerificationError: The session cannot be extended; the class says why.
            StoreUnavailableError: The store is read-only.
        """
        if self._ground.read_only:
            raise StoreUnavailableError(reason="this store was opened read-only", outcome="not_written")
        head = self._ground.ledger.head(session_id)
        held = self._idle.pop(session_id, None)
        if head is None or head.state != "live":
            if held is not None:
                held.close()
            head = self.maker.migrate(session_id, head)
            if head is None:
                self._reader.find(session_id).log.close()  # raises the error that says what is wrong
                raise SessionNotFoundError
            ready = self._opened(session_id, head)
            ready.from_unsigned = True
            return ready
        if held is not None:
            if self._follow(held, head):
                return held
            held.close()
        return self._opened(session_id, head)

    def _follow(self, held: Ready, head: Head) -> bool:
        """Bring a log that was kept open up to `head`; whether it is still the log that the head speaks of."""
        try:
            if held.log.current_stamp() != stamp_of(head):
                return False
            if held.head.tag != head.tag:  # another process saved
                sealed = self._named_seal(head, held.log)
                if sealed is None:
                    return False
                held.sealed = sealed
        except BaseException:
            held.close()
            raise
        held.head = head
        return True

    def _opened(self, session_id: str, head: Head) -> Ready:
        log = self._ground.backend.open(file_name(session_id), writable=True)
        if log is None:
            self._reader.find(session_id).log.close()
            raise MissingError(session_id=session_id, head_rev=head.rev)
        try:
            if log.stamp() == stamp_of(head) and "several_links" not in log.notices:
                sealed = self._named_seal(head, log)
                if sealed is not None:
                    return Ready(log, head, sealed)
        except BaseException:
            log.close()
            raise
        log.close()
        return self._checked(session_id)

    def summary(self, ready: Ready, change: StateChange | None = None) -> Seal:
        """What the next seal says of the session; what it says of the bytes is still that of the last."""
        now = format_time(next_time(self._ground.now(), parse_time(ready.head.updated_at)))
        return summarised(ready.sealed.seal, change, now)

    def _is_unsigned(self, session_id: str) -> bool:
        """Whether the session is in an unsigned file that may be opened."""
        head = self._ground.ledger.head(session_id)
        return not was_saved(head) and self._reader.unsigned.find(session_id, head) is not None

    def _first_lines(
        self, entries: Iterable[dict[str, Any] | Message], change: StateChange | None
    ) -> tuple[list[bytes], Iterator[bytes]]:
        """The lines up to one segment, encoded before any lock is taken, and the rest, encoded as it is written."""
        max_bytes = self._ground.config.max_entry_bytes
        lines: list[bytes] = []
        if change is not None:
            lines.append(state_line(change, max_bytes=max_bytes))
        rest = (entry_line(as_entry(entry), max_bytes=max_bytes) for entry in entries)
        size = 0
        for line in rest:
            lines.append(line)
            size += len(line)
            if size >= SEGMENT_BYTES:
                break
        return lines, rest

    def _named_seal(self, head: Head, log: Log) -> Sealed | None:
        """The seal that the head names, if it stands where the head says."""
        try:
            sealed = self._ground.sealer(head.session_id).verify_line(log.read(head.seal_at, head.end - head.seal_at))
        except (Broken, KeyringError):
            return None
        return sealed if sealed.signature == head.tag and log.stamp().size == head.end else None

    def _checked(self, session_id: str) -> Ready:
        """Verify the whole log, set an uncommitted tail aside, and bring the head up to it.

        A log that is ahead of its head, or has several names, becomes a new file: a copy also settles what a failed
        sync left open, for pages that the kernel only believes to be on the disk are written again.
        """
        found = self._reader.find(session_id)
        name, backend = file_name(session_id), self._ground.backend
        with closing(found.log):
            self._reader.verify(found)
            if found.tail_bytes:
                backend.keep(f"{session_id}.tail", _pieces(found.log.read, found.sealed.end, found.stamp.size))
            if found.sealed.signature != found.head.tag or "several_links" in found.log.notices:
                backend.write(name, _pieces(found.log.read, 0, found.sealed.end), replace=True)
        log = backend.open(name, writable=True)
        if log is None:
            raise MissingError(session_id=session_id, head_rev=found.head.rev)
        try:
            if log.stamp().size > found.sealed.end:
                log.cut(found.sealed.end)
            head = head_after(found.head, found.sealed, log.stamp())
            # As it is: nothing of the caller was written yet, so a ledger that refuses leaves nothing unknown.
            self._ground.ledger.commit(head, old=found.head)
        except BaseException:
            log.close()
            raise
        return Ready(log, head, found.sealed)


def _pieces(read: Callable[[int, int], bytes], start: int, end: int) -> Iterator[bytes]:
    while start < end and (piece := read(start, min(STEP_BYTES, end - start))):
        yield piece
        start += len(piece)
