"""The one row every ledger has: which data directories belong to it, and what would be missed if rows were taken away.

Rules:

* There is exactly one row, from the first start on. No row, or one that does not verify, is a damaged ledger and
  never a new one: a ledger that forgot its directories would list unsigned files a second time, and take in whatever
  lies there by then.
* It is read and written inside the transaction that changes what it counts.

Not promised: noticing a whole ledger that was put back in an older state.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from sessionstore.ledger.database import Database
from sessionstore.ledger.rows import Anchor, Binding, InventorySummary
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring

_READ = "SELECT key_id, payload, mac FROM anchor"
_WRITE = "INSERT OR REPLACE INTO anchor (id, key_id, payload, mac) VALUES (1, ?, ?, ?)"
_ROW = "anchor"


class Anchors:
    """Reads and changes the anchor of one ledger. Safe to use from several threads."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._seal = RowSeal(keyring, "store", b"sessionstore/store/2", "", Anchor, database.path)

    def read(self) -> Anchor:
        """The anchor as it is committed."""
        return self._open(self._database.read(_READ))

    def write_first(self) -> None:
        """Give a new ledger its anchor."""
        with self._database.transaction(durable=True) as connection:
            self._put(connection, Anchor())

    def touch(self) -> None:
        """A synced commit that changes nothing but a count. It carries every earlier commit along."""
        with self._database.transaction(durable=True) as connection:
            self._put(connection, self._load(connection))

    def binding(self, store_id: str) -> Binding | None:
        """The binding of a data directory, None if it was never bound."""
        return _find(self.read(), store_id)

    def bind(self, connection: sqlite3.Connection, store_id: str, device: int, inode: int) -> None:
        """Bind a data directory, or bind a known one anew, inside a transaction."""
        anchor = self._load(connection)
        known = _find(anchor, store_id) or Binding(store_id, device, inode)
        self._put(connection, _with(anchor, msgspec.structs.replace(known, device=device, inode=inode)))

    def bound(self, connection: sqlite3.Connection, store_id: str) -> Binding:
        """The binding of a data directory, inside a transaction.

        Raises:
            LedgerCorruptError: It has none, so nothing may be saved in it.
        """
        return self._bound(self._load(connection), store_id)

    def count_head(self, connection: sqlite3.Connection, store_id: str) -> None:
        """Note, inside a transaction, that one more session was begun. Errors as `bound`."""
        anchor = self._load(connection)
        binding = self._bound(anchor, store_id)
        self._put(connection, _with(anchor, msgspec.structs.replace(binding, heads=binding.heads + 1)))

    def set_inventory(self, connection: sqlite3.Connection, store_id: str, inventory: InventorySummary) -> None:
        """Bind the set of unsigned files, inside a transaction. Errors as `bound`."""
        anchor = self._load(connection)
        binding = self._bound(anchor, store_id)
        self._put(connection, _with(anchor, msgspec.structs.replace(binding, inventory=inventory)))

    def set_audit_file(self, connection: sqlite3.Connection, store_id: str, file: int) -> None:
        """Note, inside a transaction, that a file of the audit log was begun. Errors as `bound`."""
        anchor = self._load(connection)
        binding = self._bound(anchor, store_id)
        self._put(connection, _with(anchor, msgspec.structs.replace(binding, audit_file=file)))

    def count_policy(self, connection: sqlite3.Connection, store_id: str, number: int) -> None:
        """Note, inside a transaction, how often the policy was changed. Errors as `bound`."""
        anchor = self._load(connection)
        binding = self._bound(anchor, store_id)
        self._put(connection, _with(anchor, msgspec.structs.replace(binding, policies=number)))

    def _bound(self, anchor: Anchor, store_id: str) -> Binding:
        binding = _find(anchor, store_id)
        if binding is None:
            raise self._seal.corrupt("it does not know this data directory")
        return binding

    def _load(self, connection: sqlite3.Connection) -> Anchor:
        return self._open(connection.execute(_READ).fetchall())

    def _open(self, rows: list[tuple[Any, ...]]) -> Anchor:
        if len(rows) != 1:
            raise self._seal.corrupt("its first row is gone")
        return self._seal.open(_ROW, *rows[0])

    def _put(self, connection: sqlite3.Connection, anchor: Anchor) -> None:
        payload = self._seal.payload(msgspec.structs.replace(anchor, writes=anchor.writes + 1))
        key_id, mac = self._seal.sign(_ROW, payload)
        connection.execute(_WRITE, (key_id, payload, mac))


def _with(anchor: Anchor, binding: Binding) -> Anchor:
    others = tuple(other for other in anchor.stores if other.store_id != binding.store_id)
    return msgspec.structs.replace(anchor, stores=(*others, binding))


def _find(anchor: Anchor, store_id: str) -> Binding | None:
    return next((binding for binding in anchor.stores if binding.store_id == store_id), None)
