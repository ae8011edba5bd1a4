"""Unsigned files of format version 1: which of them may be opened, and what each one is now.

The inventory is taken once, when a data directory is first opened: name and SHA-256 digest of every unsigned file,
MACed in the ledger. It is what makes a downgrade fail. Rules:

* A file opens only if its digest is in the inventory. The bytes that are hashed are the bytes that are read: the file
  is opened once and never again by its name.
* Where a session was ever saved here, its unsigned file is not read, whatever its digest. That holds for a deleted one
  too, and for one whose row is gone but whose entry says `migrated`.
* What is refused here is refused at every policy level, and the file is left alone.

Not promised: that a listed file was genuine when the inventory was taken. Nothing in it says who wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256

from sessionstore.errors import (
    LegacyModifiedError,
    MissingError,
    SignatureStrippedError,
    TooLargeError,
    UnsignedRefusedError,
    UnsignedUnknownError,
)
from sessionstore.format.legacy import MAX_LEGACY_BYTES, LegacySession, read_legacy
from sessionstore.format.log import MAX_PROJECT_CHARS
from sessionstore.ledger import Head, InventoryEntry
from sessionstore.model import LoadWarning, Policy, Session, format_time, parse_time
from sessionstore.model.ids import is_id
from sessionstore.sessions.ground import Ground, refuse_lost
from sessionstore.sessions.policy import at_least, state
from sessionstore.storage import Backend, Stamp

SUFFIX = ".json"
_STEP_BYTES = 1024 * 1024

# Files that a warning was given for, by store and name. One warning a file and process; adding to a set is atomic.
_warned: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Content:
    """The bytes of an unsigned file.

    Attributes:
        stamp: Of the file they were read from, when it was opened.
        data: All of them; of a longer file than format version 1 allows, one byte more than it allows.
        digest: SHA-256 of `data` in hex.
    """

    stamp: Stamp
    data: bytes
    digest: str


@dataclass(frozen=True)
class Unsigned:
    """An unsigned file that may be opened.

    Attributes:
        session_id: Whose it is.
        content: Its bytes, which have the digest that was listed.
    """

    session_id: str
    content: Content

    def read(self) -> LegacySession:
        """What it holds.

        Raises:
            MalformedError, TooDeepError, UnsupportedVersionError, WrongSessionError: See `read_legacy`.
        """
        return read_legacy(self.content.data, file_stem=self.session_id)

    def head(self) -> Head:
        """The line of a list that it stands for, in the form of a row of revision 0 that no ledger holds.

        Errors as `read`.
        """
        old = self.read()
        stamp, size = self.content.stamp, len(self.content.data)
        project = None if old.state.project is None else old.state.project.display_path[:MAX_PROJECT_CHARS]
        return Head(
            session_id=old.id,
            state="live",
            rev=0,
            tag="",
            end=size,
            seal_at=0,
            inode=stamp.inode,
            size=size,
            mtime_ns=stamp.mtime_ns,
            ctime_ns=stamp.ctime_ns,
            key=None,
            name=old.state.name,
            project=project,
            place=None,
            parent=None,
            origin=None,
            created_at=format_time(old.created_at),
            updated_at=format_time(old.updated_at),
            closed_at=old.state.closed_at,
            entries=len(old.entries),
            tags=(),
            provenance="legacy-adopted",
            last_key=None,
        )


class UnsignedFiles:
    """Finds and judges the unsigned files of one store. Safe for many threads and processes."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._remembered: tuple[object, dict[str, InventoryEntry]] | None = None
        self._whole_at: object = None

    def find(self, session_id: str, head: Head | None, *, by_command: bool = False) -> Unsigned | None:
        """The unsigned file of a session that was never saved here; None if there is none.

        Args:
            session_id: Checked by the caller.
            head: What the ledger says of it.
            by_command: A person asked for just this, so the policy does not matter.

        Raises:
            UnsafeFileError: It is no ordinary file of ours.
            SignatureStrippedError, LegacyModifiedError, UnsignedUnknownError: See `judge`.
            UnsignedRefusedError: The policy is not to open unsigned files.
            MissingError: It was listed, and is gone.
            TooLargeError: It is over the cap of sessions.
        """
        content = content_of(self._ground.backend, session_id)
        if content is None:
            if not was_saved(head) and self.is_listed(session_id):
                raise MissingError(session_id=session_id, head_rev=0)
            return None
        self.judge(session_id, content.digest, head)
        if not by_command and at_least(self.policy(), "require"):
            raise UnsignedRefusedError(session_id=session_id)
        limit = self._ground.config.max_session_bytes
        if len(content.data) > limit:
            size = len(content.data)
            raise TooLargeError(what="session", size_bytes=size, limit_bytes=limit, setting="max_session_bytes")
        return Unsigned(session_id, content)

    def judge(self, session_id: str, digest: str, head: Head | None) -> InventoryEntry:
        """The entry that lets a file with this digest be opened.

        Raises:
            SignatureStrippedError: The session was saved here, sealed.
            UnsignedUnknownError: The file is not in the inventory.
            LegacyModifiedError: It is, with another digest.
            LedgerCorruptError: The inventory was changed outside sessionstore, or rows of sessions were taken away.
        """
        if was_saved(head):
            raise SignatureStrippedError(session_id=session_id)
        entry = self.inventory().get(session_id + SUFFIX)
        if entry is None:
            raise UnsignedUnknownError(session_id=session_id)
        if entry.state == "migrated":
            raise SignatureStrippedError(session_id=session_id)
        if entry.digest != digest:
            raise LegacyModifiedError(session_id=session_id)
        if head is None:
            # An entry that was put back as it was before the migration is good on its own; the missing row tells.
            self._refuse_lost()
        return entry

    def is_listed(self, session_id: str) -> bool:
        """Whether an unsigned file is, or ought to be, the session of that id."""
        entry = self.inventory().get(session_id + SUFFIX)
        return entry is not None and entry.state == "listed"

    def policy(self) -> Policy:
        """The policy in force."""
        return state(self._ground.ledger, self._ground.config).policy

    def inventory(self) -> dict[str, InventoryEntry]:
        """Every entry by file name, verified as a set; remembered until anybody commits something."""
        token = self._ground.ledger.changed_token()
        if self._remembered is None or self._remembered[0] != token:
            self._remembered = (token, self._ground.ledger.inventory())
        return self._remembered[1]

    def _refuse_lost(self) -> None:
        """`refuse_lost`, asked once until anybody commits something: a list asks for every file."""
        token = self._ground.ledger.changed_token()
        if self._whole_at != token:
            refuse_lost(self._ground, proven=True)
            self._whole_at = token

    def session(self, unsigned: Unsigned) -> Session:
        """The snapshot that a file stands for, with the one warning about it in this process. Errors as `read`."""
        old = unsigned.read()
        return Session(
            id=old.id,
            key=None,
            name=old.state.name,
            project=old.state.project,
            parent=None,
            origin=None,
            created_at=old.created_at,
            updated_at=old.updated_at,
            closed_at=None if old.state.closed_at is None else parse_time(old.state.closed_at),
            rev=0,
            entries=old.entries,
            todos=old.state.todos,
            config=old.state.config,
            tags=(),
            provenance="legacy-adopted",
            size_bytes=len(unsigned.content.data),
            warnings=self._warnings(old),
        )

    def _warnings(self, old: LegacySession) -> tuple[LoadWarning, ...]:
        name = (self._ground.store_id, old.id)
        if name in _warned or not at_least(self.policy(), "warn"):
            return ()
        _warned.add(name)
        text = "this session is not signed yet: its next save signs it, and so does `sessionstore migrate`"
        return (LoadWarning("legacy", "; ".join((text, *old.notes))),)


def was_saved(head: Head | None) -> bool:
    """Whether a session was ever acknowledged under this row: not one that only began to be made."""
    return head is not None and (head.state in ("live", "deleting") or head.rev > 0)


def content_of(backend: Backend, session_id: str) -> Content | None:
    """The bytes of a session's unsigned file; None if it is missing.

    Raises:
        UnsafeFileError: It is no ordinary file of ours.
    """
    log = backend.open(session_id + SUFFIX)
    if log is None:
        return None
    with closing(log):
        stamp, data = log.stamp(), read_capped(log.read)
        return Content(stamp, data, sha256(data).hexdigest())


def read_capped(read: Callable[[int, int], bytes]) -> bytes:
    """What `read(start, size)` gives from 0 on; of a file that is too long for version 1, one byte too many."""
    parts, at = [], 0
    while at <= MAX_LEGACY_BYTES and (part := read(at, min(_STEP_BYTES, MAX_LEGACY_BYTES + 1 - at))):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def take_inventory(backend: Backend) -> Iterator[InventoryEntry]:
    """Yield an entry for every unsigned file of a data directory: what is here now is taken as genuine."""
    for name, stamp in backend.scan():
        stem = name.removesuffix(SUFFIX)
        if stamp is None or stem == name or not is_id(stem):
            continue
        content = content_of(backend, stem)
        if content is not None and len(content.data) <= MAX_LEGACY_BYTES:
            yield entry_of(stem, content)


def entry_of(session_id: str, content: Content) -> InventoryEntry:
    """The entry that lists these bytes."""
    return InventoryEntry(session_id + SUFFIX, content.digest, len(content.data))
