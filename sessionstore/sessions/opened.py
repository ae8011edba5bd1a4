"""Logs open for writing, and what is known of their ends.

* A log is kept open between two saves and followed: if it is not exactly what the head speaks of, it is opened anew.
* What cannot be explained by the head is verified whole before anything is written behind it.
* A session in an unsigned file is migrated when somebody is about to write to it.
* Every log is used by whoever holds the session's write lock, and by nobody else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from sessionstore.errors import ConflictError, KeyringError, MissingError, SessionNotFoundError
from sessionstore.format.cut import STEP_BYTES
from sessionstore.format.seal import Broken, Sealed
from sessionstore.ledger import Head
from sessionstore.sessions.ground import Ground, file_name, head_after, stamp_of
from sessionstore.sessions.making import Maker
from sessionstore.sessions.read import Reader
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


class OpenLogs:
    """The logs of one store that are open for writing.

    Args:
        ground: The store.
        reader: Verifies what has to be verified whole.
        maker: Makes a session of what stands in an unsigned file.
    """

    def __init__(self, ground: Ground, reader: Reader, maker: Maker) -> None:
        self._ground = ground
        self._reader = reader
        self._maker = maker
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

    def keep(self, ready: Ready) -> None:
        """Hold a log open for the next save, in place of the one that was unused for longest if there are too many."""
        ready.from_unsigned = False
        self._idle[ready.head.session_id] = ready
        while len(self._idle) > MAX_IDLE_LOGS:
            self._idle.popitem(last=False)[1].close()

    def ready(self, session_id: str) -> Ready:
        """The session's log, open at an end that is known to be good; of an unsigned one, after it was migrated.

        The caller holds the write lock.

        Raises:
            SessionNotFoundError, VerificationError: The session cannot be extended; the class says why.
            StoreUnavailableError: The store is read-only.
        """
        self._ground.refuse_read_only()
        head = self._ground.ledger.head(session_id)
        held = self._idle.pop(session_id, None)
        if head is None or head.state != "live":
            if held is not None:
                held.close()
            head = self._maker.migrate(session_id, head)
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
            # Another process saved; or keys were changed, and the old one may be good for nothing any more.
            if held.head.tag != head.tag or held.sealed.key_id != self._ground.keyring.primary.id:
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
