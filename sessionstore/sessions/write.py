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

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Any

from sessionstore.errors import (
    ConflictError,
)
from sessionstore.format.lines import StateChange, entry_line, state_line
from sessionstore.format.log import Batch, summarised
from sessionstore.format.seal import SEGMENT_BYTES, Seal, Sealed
from sessionstore.ledger import Head
from sessionstore.model import Message, check_id, check_key, format_time, next_time, parse_time
from sessionstore.model.session import as_entry
from sessionstore.sessions.anchor import anchor, seal_anew
from sessionstore.sessions.ground import Ground
from sessionstore.sessions.making import Maker
from sessionstore.sessions.opened import OpenLogs, Ready
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import was_saved
from sessionstore.storage import Log, Stamp


class Writer:
    """Appends to the sessions of one store.

    Attributes:
        maker: Makes the sessions.
        logs: The logs that are open to be appended to.
    """

    def __init__(self, ground: Ground, reader: Reader) -> None:
        self._ground = ground
        self._reader = reader
        self.maker = Maker(ground, reader)
        self.logs = OpenLogs(ground, reader, self.maker)

    def close(self) -> None:
        """Close the logs that are held open."""
        self.logs.close()

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
            ready = self.logs.ready(session_id)
            try:
                rev = self._append(ready, lines, rest, change, expected_rev, idempotency_key)
            except BaseException:
                ready.close()
                raise
            self.logs.keep(ready)
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
        ready.head, ready.sealed = self.anchor(batch.sealed, stamp, ready.head, log=ready.log)
        return ready.head.rev

    def reseal(self, session_id: str) -> bool:
        """Put one more seal, of the primary key, behind a session that ends with another's; whether that was done.

        It says what the last one said, time and idempotency key included: nothing was saved.

        Raises:
            TooLargeError: The seal would bring the session over its cap.
        """
        with self._ground.locked(session_id), closing(self.logs.ready(session_id)) as ready:
            if ready.sealed.key_id == self._ground.keyring.primary.id:
                return False
            sealed, stamp = seal_anew(self._ground, ready.log, session_id, ready.sealed)
            self.anchor(sealed, stamp, ready.head, log=ready.log)
            return True

    def settle(self, session_id: str) -> None:
        """Bring the head up to a log that is ahead of it, as the next save would."""
        with self._ground.locked(session_id):
            self.logs.ready(session_id).close()

    def anchor(
        self, sealed: Sealed, stamp: Stamp, old: Head, *, log: Log | None = None, durable: bool = False
    ) -> tuple[Head, Sealed]:
        """See `sessionstore.sessions.anchor`."""
        return anchor(self._ground, sealed, stamp, old, log=log, durable=durable)

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
