"""The unsigned files of a data directory that may be opened: listed once, by digest, and never by their name alone.

Rules:

* The set is taken as a whole and bound in the anchor. A file that is not in it was not here, whatever its date says.
* One entry is good on its own (its tag binds store, name and digest). The whole is compared with the anchor, so that
  no entry can be added or taken away by hand; an entry taken away only makes its file unknown, which is refused.
* Taking again adds: that is how a file is adopted later, by consent.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from sessionstore.ledger.anchor import Anchors
from sessionstore.ledger.database import Database
from sessionstore.ledger.rows import InventoryEntry, InventorySummary
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring

_ALL = "SELECT name, key_id, payload, mac FROM inventory WHERE store_id = ?"
_ONE = _ALL + " AND name = ?"
_PUT = "INSERT OR REPLACE INTO inventory (store_id, name, key_id, payload, mac) VALUES (?, ?, ?, ?, ?)"


class Inventory:
    """The inventory of one data directory. Safe to use from several threads."""

    def __init__(self, database: Database, anchors: Anchors, keyring: Keyring, store_id: str) -> None:
        self._database = database
        self._anchors = anchors
        self._store_id = store_id
        self._seal = RowSeal(keyring, "inventory", b"sessionstore/inventory/2", store_id, InventoryEntry, database.path)

    def take(self, entries: Iterable[InventoryEntry]) -> None:
        """Add `entries`, replacing those of the same names, and bind the set, in one synced transaction."""
        with self._database.transaction(durable=True) as connection:
            binding = self._anchors.bound(connection, self._store_id)
            known = self._open_all(connection.execute(_ALL, (self._store_id,)).fetchall())
            self._compare(known, binding.inventory)
            for entry in entries:
                known[entry.name] = entry
                self._put(connection, entry)
            self._anchors.set_inventory(connection, self._store_id, _summary(known))

    def read(self) -> dict[str, InventoryEntry]:
        """Every entry by name, verified one by one and as a set; empty if the inventory was not taken.

        Raises:
            LedgerCorruptError: Entries were changed, added or taken away outside sessionstore.
        """
        binding = self._anchors.binding(self._store_id)
        known = self._open_all(self._database.read(_ALL, (self._store_id,)))
        self._compare(known, binding.inventory if binding else None)
        return known

    def find(self, name: str) -> InventoryEntry | None:
        """The entry of that file name, verified on its own; None if it is not listed."""
        return self._open_all(self._database.read(_ONE, (self._store_id, name))).get(name)

    def mark_migrated(self, connection: sqlite3.Connection, name: str) -> None:
        """Note, inside a transaction, that the session of this file was saved signed.

        Raises:
            LedgerCorruptError: The file is not listed.
        """
        entry = self._open_all(connection.execute(_ONE, (self._store_id, name)).fetchall()).get(name)
        if entry is None:
            raise self._seal.corrupt("a file that was never listed cannot be migrated")
        self._put(connection, msgspec.structs.replace(entry, state="migrated"))

    def _open_all(self, rows: list[tuple[Any, ...]]) -> dict[str, InventoryEntry]:
        return {name: self._seal.open(name, key_id, payload, mac) for name, key_id, payload, mac in rows}

    def _compare(self, known: dict[str, InventoryEntry], bound: InventorySummary | None) -> None:
        if bound != (_summary(known) if bound or known else None):
            raise self._seal.corrupt("the list of unsigned files was changed outside sessionstore")

    def _put(self, connection: sqlite3.Connection, entry: InventoryEntry) -> None:
        payload = self._seal.payload(entry)
        key_id, mac = self._seal.sign(entry.name, payload)
        connection.execute(_PUT, (self._store_id, entry.name, key_id, payload, mac))


def _summary(known: dict[str, InventoryEntry]) -> InventorySummary:
    # Without the state: it changes at every migration, and each entry's own tag covers it.
    rows = [(name, known[name].digest, known[name].size) for name in sorted(known)]
    return InventorySummary(len(rows), hashlib.sha256(msgspec.msgpack.encode(rows)).hexdigest())
