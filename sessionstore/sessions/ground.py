"""What every operation on a session stands on: key, ledger, logs, limits, clock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sessionstore.audit import AuditLog
from sessionstore.config import Config
from sessionstore.errors import LedgerCorruptError, StoreUnavailableError
from sessionstore.format.log import Summary
from sessionstore.format.seal import Sealed, Sealer
from sessionstore.keystore import KeyChanges
from sessionstore.ledger import Head, Ledger
from sessionstore.model import SessionSummary, parse_time
from sessionstore.signing import Keyring
from sessionstore.storage import Backend, Stamp


@dataclass(frozen=True)
class Ground:
    """The parts of an opened store that reading and writing need.

    Attributes:
        store_id: Id that every signature binds.
        keyring, ledger, backend, config, audit: See their rooms.
        keys: Changes the stored keyring.
        now: The wall clock.
        read_only: Nothing may be written.
        close: Releases everything.
    """

    store_id: str
    keyring: Keyring
    ledger: Ledger
    backend: Backend
    config: Config
    audit: AuditLog
    keys: KeyChanges
    now: Callable[[], datetime]
    read_only: bool = False
    close: Callable[[], None] = lambda: None

    def refuse_read_only(self) -> None:
        """Return if the store may be changed.

        Raises:
            StoreUnavailableError: It was opened read-only.
        """
        if self.read_only:
            raise StoreUnavailableError(reason="the store was opened read-only", outcome="not_written")

    def sealer(self, session_id: str) -> Sealer:
        """The maker and judge of seals for one session."""
        return Sealer(self.keyring, self.store_id, session_id)

    def locked(self, session_id: str, *, shared: bool = False) -> AbstractContextManager[None]:
        """Hold the session's write lock, waiting at most the configured time."""
        return self.backend.lock(session_id, shared=shared, timeout_s=self.config.lock_timeout_s)


def file_name(session_id: str) -> str:
    """Name of a session's log."""
    return f"{session_id}.jsonl"


def head_after(old: Head, sealed: Sealed, stamp: Stamp) -> Head:
    """The head that says `sealed` is the last seal of the log with `stamp`."""
    seal = sealed.seal
    return Head(
        session_id=old.session_id,
        state="live",
        rev=seal.rev,
        tag=sealed.signature,
        end=sealed.end,
        seal_at=seal.at,
        inode=stamp.inode,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        ctime_ns=stamp.ctime_ns,
        key=old.key,
        name=seal.name,
        project=seal.project,
        place=seal.place,
        parent=old.parent,
        origin=old.origin,
        created_at=seal.created_at,
        updated_at=seal.updated_at,
        closed_at=seal.closed_at,
        entries=seal.entries,
        tags=seal.tags,
        provenance=seal.provenance,
        last_key=seal.idempotency_key,
    )


def new_head(session_id: str, summary: Summary, *, key: str | None, parent: str | None, origin: str | None) -> Head:
    """The head of a session that is being created."""
    return Head(
        session_id=session_id,
        state="creating",
        rev=0,
        tag="",
        end=0,
        seal_at=0,
        inode=0,
        size=0,
        mtime_ns=0,
        ctime_ns=0,
        key=key,
        name=summary.name,
        project=summary.project,
        place=summary.place,
        parent=parent,
        origin=origin,
        created_at=summary.created_at,
        updated_at=summary.updated_at,
        closed_at=summary.closed_at,
        entries=0,
        tags=summary.tags,
        provenance=summary.provenance,
        last_key=None,
    )


def refuse_lost(ground: Ground, *, proven: bool = False) -> None:
    """Say nothing of what was never saved here if rows of the ledger are gone: that could be one of them.

    Args:
        ground: The store.
        proven: Before anything is accepted for want of a row: look at each row, not only at how many they are.

    Raises:
        LedgerCorruptError: They are.
    """
    lost = ground.ledger.lost_rows(proven=proven)
    if lost:
        path = str(ground.config.state_dir / "ledger.db")
        what = "the row of 1 session was" if lost == 1 else f"the rows of {lost:,} sessions were"
        raise LedgerCorruptError(path=path, reason=f"{what} taken away")


def stamp_of(head: Head) -> Stamp:
    """The stamp the log had when the head was committed."""
    return Stamp(head.inode, head.size, head.mtime_ns, head.ctime_ns)


def summary_of(head: Head) -> SessionSummary:
    """The line of a list that a head stands for."""
    return SessionSummary(
        id=head.session_id,
        key=head.key,
        name=head.name,
        project=head.project,
        parent=head.parent,
        created_at=parse_time(head.created_at),
        updated_at=parse_time(head.updated_at),
        closed_at=None if head.closed_at is None else parse_time(head.closed_at),
        entries=head.entries,
        size_bytes=head.end,
        rev=head.rev,
        tags=head.tags,
        provenance=head.provenance,
    )
