"""The beginning and the end of a session, each in an order that a crash cannot turn into a lie.

* create: ledger row `creating` (synced) -> whole file, fsync, rename without replacing, directory fsync -> `live`
* delete: row `deleting` (synced) -> unlink, directory fsync -> `deleted`, which stays as a tombstone

What a dead process left in `creating` or `deleting` is finished by `finish`, when a store is opened for writing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from itertools import chain
from typing import Any, get_args

import msgspec

from sessionstore.errors import (
    AlreadyExistsError,
    AlreadyRunningError,
    ConflictError,
    InvalidValueError,
    KeyringError,
    SessionLimitError,
    SessionNotFoundError,
    StoreUnavailableError,
    TooLargeError,
    UnsafeFileError,
    VerificationError,
)
from sessionstore.format.lines import Open, State, StateChange, entry_line, open_line, state_line
from sessionstore.format.log import Batch, Summary
from sessionstore.ledger import Head, HeadState
from sessionstore.model import Message, Provenance, check_id, format_time, new_id
from sessionstore.model.session import as_entry
from sessionstore.sessions.ground import Ground, file_name, head_after, new_head
from sessionstore.sessions.look import Found
from sessionstore.sessions.read import Reader
from sessionstore.sessions.write import Writer

_COUNTED: tuple[HeadState, ...] = ("creating", "live")


class Lifecycle:
    """Creates and deletes the sessions of one store. Safe for many threads and processes."""

    def __init__(self, ground: Ground, reader: Reader, writer: Writer) -> None:
        self._ground = ground
        self._reader = reader
        self._writer = writer

    def create(
        self,
        state: State,
        *,
        entries: Iterable[dict[str, Any] | Message] = (),
        session_id: str | None = None,
        key: str | None = None,
        parent: str | None = None,
        origin: str | None = None,
        provenance: Provenance = "native",
    ) -> str:
        """Make a session with its first entries, durable at once and whole or absent; return its id.

        Raises:
            AlreadyExistsError: The id or the key is taken; an id stays taken after its session was deleted.
            SessionLimitError: The store is full, and no session may be evicted.
            InvalidValueError, MalformedError, TooDeepError, TooLargeError: Something given cannot be kept.
            StoreUnavailableError: The store refused; nothing was made.
        """
        ground = self._ground
        self._ground.refuse_read_only()
        if provenance not in get_args(Provenance):
            raise InvalidValueError(what="provenance", reason=f"one of {', '.join(get_args(Provenance))} is needed")
        session_id = new_id() if session_id is None else check_id(session_id)
        now = format_time(ground.now())
        nothing = Summary(
            name=state.name,
            tags=state.tags,
            project=None,
            place=None,
            provenance=provenance,
            created_at=now,
            updated_at=now,
            closed_at=state.closed_at,
        )
        summary = nothing.changed(StateChange(project=state.project), now)
        opened = Open(id=session_id, store=ground.store_id, created_at=now, key=key, parent=parent, origin=origin)
        max_bytes = ground.config.max_entry_bytes
        first = [open_line(opened), state_line(state.as_change(), max_bytes=max_bytes)]
        more = (entry_line(as_entry(entry), max_bytes=max_bytes) for entry in entries)
        batch = Batch(ground.sealer(session_id), None, summary, max_session_bytes=ground.config.max_session_bytes)
        with ground.locked(session_id):
            before = ground.ledger.head(session_id)
            # A tombstone of revision 0 is what a failed create left: that id never stood for a session.
            if (before is not None and (before.state, before.rev) != ("deleted", 0)) or self._has_file(session_id):
                raise AlreadyExistsError(what="id")
            self._make_room(parent)
            creating = new_head(session_id, summary, key=key, parent=parent, origin=origin)
            ground.ledger.commit(creating, old=before, durable=True)
            try:
                stamp = ground.backend.write(file_name(session_id), batch.chunks(chain(first, more)), replace=False)
            except BaseException as error:
                if getattr(error, "outcome", "not_written") == "not_written":
                    ground.ledger.commit(_tombstone(creating), old=creating, durable=True)
                raise
            self._writer.commit(head_after(creating, batch.sealed, stamp), creating, durable=True)
        return session_id

    def delete(self, session_id: str, *, expected_rev: int | None = None) -> None:
        """Remove a session's file and leave a tombstone, so that the file coming back is noticed.

        Works for sessions that no longer verify too; a second call raises `SessionNotFoundError`.

        Raises:
            AlreadyRunningError: Somebody runs it, and be it the caller. Nobody can begin to while it is deleted.
            ConflictError: The session is not at `expected_rev`.
            VerificationError: `expected_rev` was given, and there is no telling.
            UnsafeFileError: A directory has its name; the session stays as it was.
        """
        check_id(session_id)
        self._ground.refuse_read_only()
        with self._ground.backend.at_rest(session_id), self._ground.locked(session_id):
            head = self._ground.ledger.head(session_id)
            if head is None or head.state == "deleted":
                head = self._found(session_id).head  # raises the error that says what stands there
            # Of the log: its last save may be acknowledged by nobody yet, and still be the newest.
            if expected_rev is not None and expected_rev != (rev := self._found(session_id).sealed.seal.rev):
                raise ConflictError(session_id=session_id, expected=expected_rev, found=rev)
            self._remove(head)

    def finish(self) -> int:
        """Finish what dead processes left half made or half deleted; return how many.

        A session whose lock is held belongs to a living process and is left alone. So is one that is not what its maker
        wrote: it must not keep the store from opening, and the list shows it.
        """
        finished = 0
        for head in list(self._ground.ledger.heads(states=("creating", "deleting"))):
            try:
                with self._ground.backend.lock(head.session_id, timeout_s=0):
                    finished += self._finish_one(head.session_id)
            except (StoreUnavailableError, VerificationError, KeyringError, TooLargeError):
                continue
        return finished

    def settle(self, session_id: str) -> None:
        """Wait for whoever is creating this session, and finish it if its maker is dead.

        Raises:
            VerificationError, KeyringError, TooLargeError: What its maker left cannot be used.
        """
        with self._ground.locked(session_id):
            self._finish_one(session_id)

    def _make_room(self, parent: str | None) -> None:
        """Return if one more session may be made; where the setting says so, evict closed ones until it may."""
        ground, limit = self._ground, self._ground.config.max_sessions
        if ground.ledger.count(_COUNTED) < limit:
            return
        if ground.config.when_full == "evict":
            # Oldest first. No other session's maker waits for the id that is being made: its lock may be held here.
            for head in ground.ledger.heads(newest_first=False):
                if head.closed_at is not None and head.session_id != parent:
                    self._evict(head)
                    if ground.ledger.count(_COUNTED) < limit:
                        return
        raise SessionLimitError(limit=limit)

    def _evict(self, listed: Head) -> None:
        """Delete a session if it verifies, is still closed as it was listed, and is not running; else leave it."""
        ground, session_id = self._ground, listed.session_id
        with suppress(AlreadyRunningError), ground.backend.at_rest(session_id), ground.locked(session_id):
            found = self._verified(session_id)
            if found is None or found.sealed.seal.closed_at is None or found.sealed.seal.rev != listed.rev:
                return
            # Before anything is lost: what cannot be written down is not done.
            ground.audit.record("eviction", session_id=session_id, rev=listed.rev, limit=ground.config.max_sessions)
            self._remove(found.head)

    def _verified(self, session_id: str) -> Found | None:
        """What `Reader.find` says, every byte verified, its log closed; None if there is anything wrong with it."""
        try:
            found = self._reader.find(session_id)
            with closing(found.log):
                self._reader.verify(found)
        except (VerificationError, KeyringError, TooLargeError, SessionNotFoundError):
            return None
        return found

    def _finish_one(self, session_id: str) -> int:
        ledger = self._ground.ledger
        head = ledger.head(session_id)
        if head is None or head.state not in ("creating", "deleting"):
            return 0
        if head.state == "deleting":
            self._remove(head)
            return 1
        if self._ground.backend.stamp(file_name(session_id)) is None:
            ledger.commit(_tombstone(head), old=head, durable=True)
            return 1
        found = self._reader.find(session_id)
        with closing(found.log):
            self._reader.verify(found)
            ledger.commit(head_after(head, found.sealed, found.stamp), old=head, durable=True)
        return 1

    def _remove(self, head: Head) -> None:
        ledger = self._ground.ledger
        self._writer.forget(head.session_id)
        deleting = msgspec.structs.replace(head, state="deleting")
        if head.state != "deleting":
            ledger.commit(deleting, old=head, durable=True)
        try:
            self._ground.backend.delete(file_name(head.session_id))
        except (StoreUnavailableError, UnsafeFileError) as error:
            if head.state != "deleting" and getattr(error, "outcome", "not_written") == "not_written":
                ledger.commit(head, old=deleting, durable=True)  # nothing was removed: the session is what it was
            raise
        ledger.commit(_tombstone(deleting), old=deleting, durable=True)

    def _found(self, session_id: str) -> Found:
        """What `Reader.find` says, its log closed."""
        found = self._reader.find(session_id)
        found.log.close()
        return found

    def _has_file(self, session_id: str) -> bool:
        log = self._ground.backend.open(file_name(session_id))
        if log is not None:
            log.close()
        return log is not None


def _tombstone(head: Head) -> Head:
    """What stays of a deleted session: its id and its last seal; nothing that describes it."""
    return msgspec.structs.replace(head, state="deleted", key=None, name="", project=None, place=None, tags=())
