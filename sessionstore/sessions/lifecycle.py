"""The beginning and the end of a session, each in an order that a crash cannot turn into a lie.

* create: see `sessionstore.sessions.making`
* delete: row `deleting` (synced) -> unlink, directory fsync -> `deleted`, which stays as a tombstone

What a dead process left in `creating` or `deleting` is finished by `finish`, when a store is opened for writing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from typing import Any, Literal

import msgspec

from sessionstore.errors import (
    AlreadyRunningError,
    ConflictError,
    KeyringError,
    SessionLimitError,
    SessionNotFoundError,
    StoreUnavailableError,
    TooLargeError,
    UnsafeFileError,
    VerificationError,
)
from sessionstore.format.lines import State
from sessionstore.format.log import Summary
from sessionstore.ledger import Head, HeadState
from sessionstore.model import Message, Provenance, check_id, format_time, new_id
from sessionstore.sessions.ground import Ground, file_name, new_head
from sessionstore.sessions.look import Found
from sessionstore.sessions.making import tombstone
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import SUFFIX, content_of, was_saved
from sessionstore.sessions.write import Writer

_COUNTED: tuple[HeadState, ...] = ("creating", "live")


class Lifecycle:
    """Creates and deletes the sessions of one store. Safe for many threads and processes."""

    def __init__(self, ground: Ground, reader: Reader, writer: Writer) -> None:
        self._ground = ground
        self._reader = reader
        self._writer = writer
        self._maker = writer.maker

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
        self._ground.refuse_read_only()
        session_id = new_id() if session_id is None else check_id(session_id)
        plan = self._maker.plan(
            session_id, state, entries, key=key, parent=parent, origin=origin, provenance=provenance
        )
        with self._ground.locked(session_id):
            before = self._maker.free(session_id)
            self._make_room(parent)
            self._maker.make(plan, before)
        return session_id

    def migrate(self, session_id: str, *, dry_run: bool = False) -> Literal["migrated", "put_away", "sealed"]:
        """Seal a session that is in an unsigned file, as its next save would; what was done, or would be.

        Returns:
            `put_away`: it was sealed before, and its file is out of the way now. `sealed`: there was nothing to do.

        Raises:
            SessionNotFoundError: There is no such session.
            VerificationError, TooLargeError: The file may not be opened, cannot be read, or cannot be kept.
        """
        check_id(session_id)
        if not dry_run:
            self._ground.refuse_read_only()
        with self._ground.locked(session_id, shared=dry_run):
            head = self._ground.ledger.head(session_id)
            if head is not None and was_saved(head):
                if head.state != "live":
                    raise SessionNotFoundError
                left = self._maker.left(session_id) if dry_run else self._maker.put_away(session_id)
                return "put_away" if left else "sealed"
            if dry_run:
                self._maker.rehearse(session_id, head)
            elif self._maker.migrate(session_id, head, by_command=True) is None:
                raise SessionNotFoundError
            return "migrated"

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
            head = self._maker.settled(self._ground.ledger.head(session_id))
            if not was_saved(head) and self._delete_unsigned(session_id, head, expected_rev):
                return
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
                if head.closed_at is not None and head.session_id != parent and not _only_migrated(head):
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
        head = self._ground.ledger.head(session_id)
        if head is None or head.state not in ("creating", "deleting"):
            return 0
        if head.state == "deleting":
            self._remove(head)
            return 1
        self._maker.finish(head)
        return 1

    def _delete_unsigned(self, session_id: str, head: Head | None, expected_rev: int | None) -> bool:
        """Delete a session that is in an unsigned file; whether it is.

        Its tombstone has revision 1, as if it had been migrated: the file must not count when it comes back.
        """
        content = content_of(self._ground.backend, session_id)
        if content is not None:
            self._reader.unsigned.judge(session_id, content.digest, head)  # what it holds, and how much, is no matter
        elif not self._reader.unsigned.is_listed(session_id):
            return False
        if expected_rev not in (None, 0):
            raise ConflictError(session_id=session_id, expected=expected_rev, found=0)
        now = format_time(self._ground.now())
        gone = Summary(
            name="",
            tags=(),
            project=None,
            place=None,
            provenance="legacy-adopted",
            created_at=now,
            updated_at=now,
            closed_at=None,
        )
        row = new_head(session_id, gone, key=None, parent=None, origin=None)
        deleting = msgspec.structs.replace(row, state="deleting", rev=1)
        self._ground.ledger.commit(deleting, old=head, durable=True, migrates=session_id + SUFFIX)
        self._remove(deleting)
        return True

    def _remove(self, head: Head) -> None:
        ledger, backend = self._ground.ledger, self._ground.backend
        self._writer.logs.forget(head.session_id)
        deleting = msgspec.structs.replace(head, state="deleting")
        if head.state != "deleting":
            ledger.commit(deleting, old=head, durable=True)
        try:
            # What may fail comes before the first thing that cannot be taken back.
            if head.provenance == "legacy-adopted":
                self._maker.put_away(head.session_id)
            backend.delete(file_name(head.session_id))
        except (StoreUnavailableError, UnsafeFileError) as error:
            if head.state != "deleting" and getattr(error, "outcome", "not_written") == "not_written":
                ledger.commit(head, old=deleting, durable=True)  # nothing was removed: the session is what it was
            raise
        if head.provenance == "legacy-adopted":
            backend.drop_retired(head.session_id + SUFFIX)  # if this fails it stays `deleting`, to be finished
        ledger.commit(tombstone(deleting), old=deleting, durable=True)

    def _found(self, session_id: str) -> Found:
        """What `Reader.find` says, its log closed."""
        found = self._reader.find(session_id)
        found.log.close()
        return found


def _only_migrated(head: Head) -> bool:
    """Whether nobody saved the session here since it was migrated: then an unsigned file alone says that it is closed.

    All of those say so, and a migration may bring more than the limit: the next session made would delete the rest.
    """
    return head.provenance == "legacy-adopted" and head.rev == 1
