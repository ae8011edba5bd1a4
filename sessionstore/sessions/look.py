"""One look at a session: its head, then its log, and whether the log ends as the head says.

The log must hold, at the place the head names, exactly the seal the head names. What stands behind it is adopted as far
as it is complete saves under the primary key; the rest is an uncommitted tail, reported and left alone. Only seals are
decoded here; the body is verified by who reads it. A look changes nothing: no head is moved, nothing is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

from sessionstore.errors import (
    KeyDisabledError,
    KeyringError,
    MissingError,
    ResurrectedError,
    SessionNotFoundError,
    TooLargeError,
    UnsupportedVersionError,
)
from sessionstore.format.log import walk
from sessionstore.format.seal import Broken, Sealed
from sessionstore.ledger import Head
from sessionstore.model import LoadWarning
from sessionstore.sessions.ground import Ground, file_name, refuse_lost
from sessionstore.sessions.judge import accept_rewritten, given_up, unknown_here
from sessionstore.sessions.unsigned import Unsigned, UnsignedFiles
from sessionstore.storage import Log, Stamp


@dataclass
class Found:
    """A log whose last seal is known to be good; its body is not verified yet.

    Attributes:
        head: What the ledger says.
        log: The opened log; close it.
        stamp: Its stamp when it was opened.
        sealed: The last committed or adopted seal.
        tail_bytes: Bytes behind it that belong to no complete save.
    """

    head: Head
    log: Log
    stamp: Stamp
    sealed: Sealed
    tail_bytes: int

    @property
    def warnings(self) -> tuple[LoadWarning, ...]:
        """What a caller should know although the session is good."""
        found = [LoadWarning(notice, _NOTICES[notice]) for notice in self.log.notices]
        if self.tail_bytes:
            text = (
                f"{self.tail_bytes} bytes behind the last complete save belong to none; the next save sets them aside"
            )
            found.append(LoadWarning("uncommitted_tail", text))
        return tuple(found)


_NOTICES = {
    "several_links": "the file has several hard links; the next save writes a new one",
    "loose_mode": "other users could read or write the file; the next save closes it",
}

_UNSIGNED_HINT = "its next save signs it, and so does `sessionstore migrate`"


class Look:
    """One look at a session: the head, then the log, and a way to tell later whether they moved."""

    def __init__(self, ground: Ground, unsigned: UnsignedFiles, session_id: str) -> None:
        self._ground = ground
        self._unsigned = unsigned
        self._session_id = session_id
        self._head: Head | None = None
        self._stamp: Stamp | None = None
        self.has_tail = False

    def is_unchanged(self) -> bool:
        """Whether head and log are still what this look saw."""
        ground, name = self._ground, file_name(self._session_id)
        return ground.ledger.head(self._session_id) == self._head and ground.backend.stamp(name) == self._stamp

    def found(self) -> Found:
        """The log with its last good seal.

        Raises:
            UnsupportedVersionError: There is only an unsigned file, which `seen` gives.
            SessionNotFoundError, VerificationError, UnknownKeyError, TooLargeError: See the classes.
        """
        seen = self.seen()
        if isinstance(seen, Unsigned):
            raise UnsupportedVersionError(session_id=self._session_id, version=1, hint=_UNSIGNED_HINT)
        return seen

    def seen(self) -> Found | Unsigned:
        """The same, or the unsigned file of a session that was never saved here."""
        ground = self._ground
        head = self._head = ground.ledger.head(self._session_id)
        log = ground.backend.open(file_name(self._session_id))
        if log is None:
            return self._absent(head)
        try:
            self._stamp = log.stamp()
            if head is None:
                raise unknown_here(ground, self._session_id, log)
            if head.state == "deleted":
                raise ResurrectedError(session_id=self._session_id)
            if head.state == "deleting":
                raise SessionNotFoundError
            return self._anchored(head, log, self._stamp)
        except BaseException:
            log.close()
            raise

    def _absent(self, head: Head | None) -> Unsigned:
        if head is None or head.state == "live" or (head.rev == 0 and head.state != "deleting"):
            unsigned = self._unsigned.find(self._session_id, head)
            if unsigned is not None:
                return unsigned
        if head is not None and head.state == "live":
            raise MissingError(session_id=self._session_id, head_rev=head.rev)
        if head is None:
            refuse_lost(self._ground)
        raise SessionNotFoundError

    def _anchored(self, head: Head, log: Log, stamp: Stamp) -> Found:
        limit = self._ground.config.max_session_bytes
        if stamp.size > limit:
            raise TooLargeError(what="session", size_bytes=stamp.size, limit_bytes=limit, setting="max_session_bytes")
        sealer = self._ground.sealer(self._session_id)
        try:
            sealed = sealer.verify_line(log.read(head.seal_at, head.end - head.seal_at))
        except KeyDisabledError as error:
            if error.key_id == head.tag[4:20]:
                # Not a sign of tampering: its key was retired before the session was sealed anew.
                raise given_up(error.key_id, error.status, self._session_id) from None
            sealed = None
        except (Broken, KeyringError):
            sealed = None
        if sealed is None or sealed.signature != head.tag:
            sealed = accept_rewritten(self._ground, head, log, stamp.size)
        else:
            sealed = self._adopted(sealed, log, stamp.size)
        self.has_tail = stamp.size > sealed.end
        return Found(head, log, stamp, sealed, stamp.size - sealed.end)

    def _adopted(self, anchor: Sealed, log: Log, size: int) -> Sealed:
        """The last seal of the complete saves behind `anchor`; only the primary key may extend a session."""
        last = anchor
        if size == anchor.end:
            return last
        try:
            for segment in walk(self._ground.sealer(self._session_id), log.read, previous=anchor, end=size):
                if segment.sealed.key_id != self._ground.keyring.primary.id:
                    break
                if not segment.sealed.seal.more:
                    last = segment.sealed
        except (Broken, KeyringError):
            pass  # the rest is an uncommitted tail, which is reported
        return last
