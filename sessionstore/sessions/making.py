"""How a session comes into being: made, migrated from an unsigned file, or finished after its maker died.

* make: ledger row `creating` (synced) -> whole file, fsync, rename without replacing, directory fsync -> `live`
* migrate: the digest of the unsigned file equals the inventory's -> the same steps with what it holds; the step to
  `live` and the mark `migrated` of its entry are one synced transaction -> the file is moved into `retired`

A crash at any point loses nothing. Before `live` the unsigned file is the session, and what was made beside it is
undone or finished by whoever comes next; from then on it is the sealed one. A file that was not moved any more is shown
by the list, and moved by the next migration. Every function here is for holders of the session's write lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

import msgspec

from sessionstore.errors import (
    AlreadyExistsError,
    InvalidValueError,
    SessionNotFoundError,
    TooLargeError,
    UnsafeFileError,
)
from sessionstore.format.lines import Open, State, StateChange, entry_line, open_line, state_line
from sessionstore.format.log import Batch, Summary
from sessionstore.ledger import Head
from sessionstore.model import Message, Provenance, format_time
from sessionstore.model.session import as_entry
from sessionstore.sessions.anchor import anchor
from sessionstore.sessions.ground import Ground, file_name, head_after, new_head
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import SUFFIX, Unsigned, content_of, was_saved


@dataclass(frozen=True)
class Plan:
    """A session that is to be made: its lines are encoded, but for the entries that come one by one."""

    opened: Open
    summary: Summary
    first: list[bytes]
    entries: Iterable[dict[str, Any] | Message]


class Maker:
    """Makes the sessions of one store. Safe for many threads and processes."""

    def __init__(self, ground: Ground, reader: Reader) -> None:
        self._ground = ground
        self._reader = reader

    def plan(
        self,
        session_id: str,
        state: State,
        entries: Iterable[dict[str, Any] | Message],
        *,
        key: str | None = None,
        parent: str | None = None,
        origin: str | None = None,
        provenance: Provenance,
        created_at: str | None = None,
        updated_at: str | None = None,
    ) -> Plan:
        """The session of that state; without times, one of now. Nothing is written, and no lock is needed.

        Raises:
            InvalidValueError, MalformedError, TooDeepError, TooLargeError: Something given cannot be kept.
        """
        if provenance not in get_args(Provenance):
            raise InvalidValueError(what="provenance", reason=f"one of {', '.join(get_args(Provenance))} is needed")
        now = format_time(self._ground.now())
        created_at, updated_at = created_at or now, updated_at or now
        nothing = Summary(
            name=state.name,
            tags=state.tags,
            project=None,
            place=None,
            provenance=provenance,
            created_at=created_at,
            updated_at=updated_at,
            closed_at=state.closed_at,
        )
        store_id = self._ground.store_id
        opened = Open(id=session_id, store=store_id, created_at=created_at, key=key, parent=parent, origin=origin)
        max_bytes = self._ground.config.max_entry_bytes
        first = [open_line(opened), state_line(state.as_change(), max_bytes=max_bytes)]
        return Plan(opened, nothing.changed(StateChange(project=state.project), updated_at), first, entries)

    def free(self, session_id: str) -> Head | None:
        """The row of an id that no session has: None, or what a failed attempt left.

        Raises:
            AlreadyExistsError: The id is taken; it stays taken after its session was deleted, and an unsigned file that
                may be opened has it too.
        """
        ground = self._ground
        before = ground.ledger.head(session_id)
        # A tombstone of revision 0 is what a failed create left: that id never stood for a session.
        if (before is not None and (before.state, before.rev) != ("deleted", 0)) or self._has_file(session_id):
            raise AlreadyExistsError(what="id")
        if ground.ledger.inventory_entry(session_id + SUFFIX) is not None:
            raise AlreadyExistsError(what="id")
        return before

    def make(self, plan: Plan, before: Head | None, *, migrates: str | None = None) -> Head:
        """Make a session, durable at once and whole or absent; its row.

        Args:
            plan: What it holds.
            before: The row of its id, see `free`.
            migrates: File name of the unsigned file that it comes from.

        Raises:
            AlreadyExistsError: The key is taken.
            MalformedError, TooDeepError, TooLargeError: An entry cannot be kept; nothing was made.
            StoreUnavailableError: The store refused; see its `outcome`.
        """
        ground, opened = self._ground, plan.opened
        creating = new_head(opened.id, plan.summary, key=opened.key, parent=opened.parent, origin=opened.origin)
        max_bytes = ground.config.max_entry_bytes
        batch = Batch(ground.sealer(opened.id), None, plan.summary, max_session_bytes=ground.config.max_session_bytes)
        more = (entry_line(as_entry(entry), max_bytes=max_bytes) for entry in plan.entries)
        ground.ledger.commit(creating, old=before, durable=True)
        try:
            stamp = ground.backend.write(file_name(opened.id), batch.chunks(chain(plan.first, more)), replace=False)
        except BaseException as error:
            # An interrupt may come when the file has its name already: then it is finished, not undone.
            untouched = isinstance(error, AlreadyExistsError) or ground.backend.stamp(file_name(opened.id)) is None
            if untouched and getattr(error, "outcome", "not_written") == "not_written":
                ground.ledger.commit(tombstone(creating), old=creating, durable=True)
            raise
        head, _ = anchor(ground, batch.sealed, stamp, creating, durable=True, migrates=migrates)
        return head

    def migrate(self, session_id: str, head: Head | None, *, by_command: bool = False) -> Head | None:
        """Seal what stands in the unsigned file of a session that was never saved here; None if there is none.

        The limit on the number of sessions does not count: the session was here before.

        Raises:
            VerificationError: The file may not be opened or cannot be read; the class says why.
            TooLargeError: It holds something that is over a limit of this store.
            StoreError: The store, or the audit log, refused.
        """
        head = self.settled(head)
        if head is not None and head.state == "live":
            return head
        if was_saved(head):
            return None
        unsigned = self._reader.unsigned.find(session_id, head, by_command=by_command)
        if unsigned is None:
            return None
        if self._has_file(session_id):
            self._reader.find(session_id).log.close()  # raises the error that says what stands there
        plan = self._plan_of(unsigned)
        self._ground.audit.record("migration", session_id=session_id, digest=unsigned.content.digest)
        live = self.make(plan, head, migrates=session_id + SUFFIX)
        self._ground.backend.retire(session_id + SUFFIX)
        return live

    def rehearse(self, session_id: str, head: Head | None) -> None:
        """Refuse what `migrate` would refuse, as far as that can be told without writing and sealing."""
        unsigned = self._reader.unsigned.find(session_id, head, by_command=True)
        if unsigned is None:
            raise SessionNotFoundError
        config, plan = self._ground.config, self._plan_of(unsigned)
        lines = (entry_line(as_entry(entry), max_bytes=config.max_entry_bytes) for entry in plan.entries)
        size = sum(map(len, chain(plan.first, lines)))
        if size > config.max_session_bytes:
            limit = config.max_session_bytes
            raise TooLargeError(what="session", size_bytes=size, limit_bytes=limit, setting="max_session_bytes")

    def settled(self, head: Head | None) -> Head | None:
        """The row, after a migration that died was finished or undone. Errors as `finish`."""
        if head is None or head.state != "creating" or not self._reader.unsigned.is_listed(head.session_id):
            return head
        return self.finish(head)

    def put_away(self, session_id: str) -> bool:
        """Retire the unsigned file that a migration did not live to move; whether there was one."""
        return self.left(session_id) and self._ground.backend.retire(session_id + SUFFIX) is not None

    def left(self, session_id: str) -> bool:
        """Whether there is such a file: the one that was migrated, to the byte. A stray one is left alone."""
        entry = self._ground.ledger.inventory_entry(session_id + SUFFIX)
        if entry is None or entry.state != "migrated":
            return False
        try:
            content = content_of(self._ground.backend, session_id)
        except UnsafeFileError:
            return False  # whatever was put there, it is not what was migrated, and keeps nobody from anything
        return content is not None and content.digest == entry.digest

    def finish(self, head: Head) -> Head:
        """Finish a session whose maker died, or undo it; the row as it is then, `live` or `deleted`.

        Raises:
            VerificationError, KeyringError, TooLargeError: What the maker left cannot be used.
        """
        ground = self._ground
        if ground.backend.stamp(file_name(head.session_id)) is None:
            gone = tombstone(head)
            ground.ledger.commit(gone, old=head, durable=True)
            return gone
        found = self._reader.find(head.session_id)
        with closing(found.log):
            self._reader.verify(found)
            live = head_after(head, found.sealed, found.stamp)
            # No other session of that id can have been begun while the file is listed.
            listed = ground.ledger.inventory_entry(head.session_id + SUFFIX) is not None
            migrates = head.session_id + SUFFIX if listed else None
            ground.ledger.commit(live, old=head, durable=True, migrates=migrates)
        self.put_away(head.session_id)
        return live

    def _plan_of(self, unsigned: Unsigned) -> Plan:
        old = unsigned.read()
        return self.plan(
            old.id,
            old.state,
            old.entries,
            provenance="legacy-adopted",
            created_at=format_time(old.created_at),
            updated_at=format_time(old.updated_at),
        )

    def _has_file(self, session_id: str) -> bool:
        log = self._ground.backend.open(file_name(session_id))
        if log is not None:
            log.close()
        return log is not None


def tombstone(head: Head) -> Head:
    """What stays of a deleted session: its id and its last seal; nothing that describes it."""
    return msgspec.structs.replace(head, state="deleted", key=None, name="", project=None, place=None, tags=())
