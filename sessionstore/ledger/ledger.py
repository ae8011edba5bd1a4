"""The ledger: what this machine acknowledged, kept apart from the data, signed row by row.

It answers questions that the sealed files cannot answer about themselves: is this file the newest state that was saved
here (heads); does this data directory belong here (bindings); was this unsigned file here from the start (inventory);
where does the audit log end (audit); how often was something attempted lately (attempts).

First start, under the state lock, the key last:
`create` -> `bind` -> `take_inventory` -> `close`, all under another name; then the key is written, then `place`, then
the key gets its name. See `sessionstore.keystore.first_start`.

Not promised: noticing that the whole ledger, or a row of it, was put back in an older state together with the file.
After a power cut heads may be lost back to the last synced commit; their files are ahead then, which is accepted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from sessionstore.errors import LedgerCorruptError
from sessionstore.fs import Directory
from sessionstore.ledger import files, schema
from sessionstore.ledger.anchor import Anchors
from sessionstore.ledger.attempts import Attempts, AttemptTable
from sessionstore.ledger.audit import AuditRows
from sessionstore.ledger.database import Database
from sessionstore.ledger.generation import Generations
from sessionstore.ledger.heads import Cursor, Heads
from sessionstore.ledger.inventory import Inventory
from sessionstore.ledger.policy import PolicyFloor
from sessionstore.ledger.renewal import Renewal
from sessionstore.ledger.rows import Binding, Head, HeadState, InventoryEntry
from sessionstore.signing import Keyring


class Ledger:
    """The ledger as one data directory uses it. Made by `open` and `create`.

    Safe to use from several threads, by several processes, and on both sides of a fork. Every method that reads or
    writes rows can raise:

    * `LedgerCorruptError`: the file is damaged, or what was read was changed outside sessionstore.
    * `LedgerMissingError`: the file is gone.
    * `StoreUnavailableError`: it is closed, locked by others for longer than `timeout_s`, or the disk is full or
      failed. `unknown` is said after a failed sync only.

    Attributes:
        audit: What is known of the audit log.
        generations: Keeps keyring and ledger together when keys are changed.
        policy: What is not gone below.
        renewal: Makes rows anew after a change of keys.
    """

    def __init__(self, database: Database, keyring: Keyring, store_id: str, *, read_only: bool = False) -> None:
        self._database = database
        self.generations = Generations(database, keyring, read_only=read_only)
        self._anchors = Anchors(database, keyring)
        self._heads = Heads(database, self.generations, keyring, store_id)
        self._inventory = Inventory(database, self._anchors, keyring, store_id)
        self._attempts = AttemptTable(database, keyring, store_id)
        self.policy = PolicyFloor(database, self._anchors, keyring, store_id)
        self.renewal = Renewal(database, keyring)
        self.audit = AuditRows(database, self._anchors, self.generations, keyring, store_id)
        self._store_id = store_id

    @staticmethod
    def exists(state: Directory) -> bool:
        """Whether the state directory holds a ledger or a trace of one."""
        files.tidy(state)
        return files.exists(state)

    @classmethod
    def create(cls, state: Directory, keyring: Keyring, store_id: str) -> Ledger:
        """A new ledger under another name, for a first start under the state lock. Close it, then `place` it.

        What a killed first start left under that name is removed.

        Raises:
            StoreUnavailableError: There is a ledger already, or the file system refused.
        """
        files.start(state)
        schema.make(os.path.join(state.path, files.NEW))
        ledger = cls(Database(state, files.NEW), keyring, store_id)
        ledger.generations.write_first()
        ledger._anchors.write_first()
        return ledger

    @staticmethod
    def place(state: Directory) -> None:
        """Give the ledger that `create` made, closed by now, its name, durably; never in the place of another.

        Raises:
            StoreUnavailableError: There is a ledger already, it was not finished, or the file system refused.
        """
        files.place(state)

    @classmethod
    def open(
        cls,
        state: Directory,
        keyring: Keyring,
        store_id: str,
        *,
        read_only: bool = False,
        timeout_s: float = 5.0,
        sync_interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> Ledger:
        """The ledger of a state directory, which must stay open as long as the ledger.

        Args:
            state: Opened with `strict`.
            keyring: Verifies rows; its primary key signs new ones.
            store_id: The data directory whose heads and inventory are asked for.
            read_only: Refuse writes. In a directory that cannot be written SQLite writes nothing either; elsewhere it
                makes its two working files while it is open. Commits that a killed writer left in the log are seen only
                if the log's companion file is there too, or memory can stand in for it.
            timeout_s: How long to wait for other processes, 0 or more seconds.
            sync_interval_s: Longest time, in seconds, between two synced commits of a process that goes on committing.
            clock: Monotonic seconds.

        Raises:
            UnknownKeyError: The ledger is signed with a key that the keyring lacks.
            KeyUnavailableError: `older`: the keyring is older than the ledger.
            LedgerMissingError: There is none.
            LedgerCorruptError: It is unsafe, damaged, changed, or written by a newer release.
        """
        database = Database(
            state,
            files.NAME,
            read_only=read_only,
            timeout_s=timeout_s,
            sync_interval_s=sync_interval_s,
            clock=clock,
        )
        try:
            ledger = cls(database, keyring, store_id, read_only=read_only)
            ledger.generations.open()
            ledger._anchors.read()
        except BaseException:
            database.close()
            raise
        return ledger

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Sync what is not synced yet, and release the file. Calling it again does nothing.

        Raises:
            StoreUnavailableError: `unknown`: the last commits could not be synced. It is closed all the same.
        """
        try:
            if not self._database.synced:
                self.sync()
        finally:
            self._database.close()

    def sync(self) -> None:
        """Make every commit so far survive a power cut, also those of other processes."""
        self._anchors.touch()

    def changed_token(self) -> tuple[int, int, int]:
        """A value that differs from every earlier one if any process committed in between; compare it, no more."""
        return self._database.changed_token()

    def bind(self, store_id: str, device: int, inode: int) -> None:
        """Note which directory a store id belongs to, synced; a known one is bound anew (somebody claimed it)."""
        with self._database.transaction(durable=True) as connection:
            self._anchors.bind(connection, store_id, device, inode)

    def binding(self, store_id: str) -> Binding | None:
        """The directory that was bound to a store id."""
        return self._anchors.binding(store_id)

    def stores(self) -> tuple[Binding, ...]:
        """All bindings. A directory that is in here under another store id was exchanged or tampered with."""
        return self._anchors.read().stores

    # Heads

    def head(self, session_id: str) -> Head | None:
        """The newest acknowledged state of a session, verified; None if it was never begun here."""
        return self._heads.find(session_id)

    def find_key(self, key: str) -> Head | None:
        """The head of the session that has this external key, verified; deleted ones have given theirs back."""
        return self._heads.find_key(key)

    def commit(self, new: Head, *, old: Head | None, durable: bool = False, migrates: str | None = None) -> None:
        """Move a head from `old` to `new`, if `old` is what stands there; with None, begin a session.

        Args:
            new: The state to commit. The caller has synced the file it speaks of.
            old: What `head` returned, or None.
            durable: Sync before returning.
            migrates: Name of an unsigned file whose session this is; its inventory entry is marked in the same
                transaction.

        Raises:
            ConflictError: Another writer was first; `found` is the revision that stands there.
            AlreadyExistsError: `id`: begun before. `key`: another session has this external key.
        """
        if old is not None and migrates is None:
            self._heads.move(new, old, durable=durable)
            return
        with self._database.transaction(durable=durable) as connection:
            if old is None:
                self._anchors.count_head(connection, self._store_id)
                self._heads.insert_in(connection, new)
            else:
                self._heads.move_in(connection, new, old)
            if migrates is not None:
                self._inventory.mark_migrated(connection, migrates)

    def heads(
        self,
        *,
        states: Sequence[HeadState] = ("live",),
        newest_first: bool = True,
        after: Cursor | None = None,
        limit: int | None = None,
    ) -> list[Head]:
        """Verified heads in the order of `updated_at` and session id, from one consistent state.

        Args:
            states, newest_first: At least one state; descending in both, else ascending.
            after: `(updated_at, session_id)` of the last one already had.
            limit: At most so many. Without `after` and `limit` all are read at once: about 10 microseconds each.
        """
        return self._heads.listed(states, newest_first=newest_first, after=after, limit=limit)

    def count(self, states: Sequence[HeadState] = ("live",)) -> int:
        """How many sessions are in one of `states`: fast, not verified."""
        return self._heads.count(states)

    def ids(self) -> dict[str, HeadState]:
        """Every session ever begun here and its state, not verified: read the head before anything is concluded."""
        return self._heads.states()

    def lost_rows(self, *, proven: bool = False) -> int:
        """How many sessions were begun here whose row was taken away; `proven`: or made into another, which is slow."""
        return self._heads.lost(self._anchors.binding(self._store_id), proven=proven)

    def knows(self, session_id: str) -> bool:
        """Whether a session of that id was begun here and not deleted, or its unsigned file is listed."""
        return self._heads.knows(session_id) or self._inventory.find(f"{session_id}.json") is not None

    # Unsigned files

    def take_inventory(self, entries: Iterable[InventoryEntry]) -> None:
        """List unsigned files, synced. The first call takes the inventory, even an empty one; later ones add to it."""
        self._inventory.take(entries)

    def inventory_taken(self) -> bool:
        """Whether the inventory of this data directory was ever taken."""
        return (binding := self._anchors.binding(self._store_id)) is not None and binding.inventory is not None

    def inventory(self) -> dict[str, InventoryEntry]:
        """All entries by file name, verified one by one and as a set."""
        return self._inventory.read()

    def inventory_entry(self, name: str) -> InventoryEntry | None:
        """The entry of one file, verified; None if it is not listed."""
        return self._inventory.find(name)

    # Attempts

    @property
    def store_id(self) -> str:
        """The data directory whose heads, inventory and attempts these are."""
        return self._store_id

    def attempts(self) -> AbstractContextManager[Attempts]:
        """A block that alone, of all processes, reads and writes the attempts counted lately.

        What it wrote is committed when the block ends, and not synced: a power cut may forget attempts back to the last
        synced commit. An exception that leaves the block takes everything back.
        """
        return self._attempts.transaction()

    def check(self) -> None:
        """Verify everything: the database's own structure, every row, every index column, and that no row is missing.

        Raises:
            LedgerCorruptError: The first thing found.
        """
        if self._database.read("PRAGMA integrity_check(1)") != [("ok",)]:
            raise LedgerCorruptError(path=self._database.path, reason="it is damaged")
        binding = self._anchors.binding(self._store_id)
        self._heads.check(binding.heads if binding else 0)
        self._inventory.read()
        self._attempts.check()
        self.policy.read()
