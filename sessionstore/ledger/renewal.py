"""Rows made anew under the primary key, page by page, and how many still name another.

Rules:

* A row is verified before it is signed again, and its content stays what it is to the byte. So whoever compares
  content, such as a writer who moves a head, is not disturbed.
* A page is one transaction. A kill leaves whole pages, and the next call goes on with the rest.
* All data directories of the ledger are covered, whichever it was opened for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from sessionstore.ledger.database import Database
from sessionstore.ledger.rows import Anchor, AttemptClock, AuditFile, AuditHead, Bucket, Head, InventoryEntry, PolicyRow
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring, Purpose

PAGE_ROWS = 500


class _Table(NamedTuple):
    """A table, or the rows of one kind in it.

    Attributes:
        name: Of the table.
        where: Which of its rows.
        store, row: The columns that tell whose row it is, and which; "" for none.
        purpose, context, kind: See `RowSeal`.
        row_name: The name in the tag, from what stands in the column `row`.
    """

    name: str
    where: str
    store: str
    row: str
    purpose: Purpose
    context: bytes
    kind: type[Any]
    row_name: Callable[[Any], str]


_TABLES = (
    _Table("heads", "1", "store_id", "session_id", "head", b"sessionstore/head/2", Head, str),
    _Table("inventory", "1", "store_id", "name", "inventory", b"sessionstore/inventory/2", InventoryEntry, str),
    _Table(
        "attempts",
        "1",
        "store_id",
        "bucket",
        "attempts",
        b"sessionstore/attempts/1",
        Bucket,
        lambda row: f"bucket/{row}",
    ),
    _Table(
        "attempts_clock",
        "1",
        "store_id",
        "store_id",
        "attempts",
        b"sessionstore/attempts/1",
        AttemptClock,
        lambda row: "clock",
    ),
    _Table("audit", "file = 0", "store_id", "file", "audit", b"sessionstore/auditrow/2", AuditHead, lambda row: "head"),
    _Table(
        "audit",
        "file <> 0",
        "store_id",
        "file",
        "audit",
        b"sessionstore/auditrow/2",
        AuditFile,
        lambda row: f"file {row}",
    ),
    _Table("policy", "1", "store_id", "store_id", "policy", b"sessionstore/policy/2", PolicyRow, lambda row: "policy"),
    _Table("anchor", "1", "''", "id", "store", b"sessionstore/store/2", Anchor, lambda row: "anchor"),
)
_NAMES = sorted({table.name for table in _TABLES})


class Renewal:
    """Makes the rows of one ledger anew. Safe to use from several threads and beside writers. Errors as in `Ledger`."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    def left(self) -> int:
        """How many rows are not under the primary key."""
        return self._count("<>", self._keyring.primary.id)

    def under(self, key_id: str) -> int:
        """How many rows name that key."""
        return self._count("=", key_id)

    def page(self, rows: int = PAGE_ROWS) -> int:
        """Sign up to `rows` rows anew, synced; how many were.

        Raises:
            LedgerCorruptError: One of them does not verify. It stays as it is, and so do the others of the page.
        """
        with self._database.transaction(durable=True) as connection:
            done = 0
            for table in _TABLES:
                done += self._renewed(connection, table, rows - done)
            return done

    def _renewed(self, connection: sqlite3.Connection, table: _Table, limit: int) -> int:
        select = (
            f"SELECT {table.store}, {table.row}, key_id, payload, mac FROM {table.name}"  # noqa: S608 - constants only
            f" WHERE {table.where} AND key_id <> ? LIMIT ?"
        )
        of = "" if table.store == "''" else f" AND {table.store} = ?"
        update = (
            f"UPDATE {table.name} SET key_id = ?, mac = ?"  # noqa: S608 - constants only
            f" WHERE {table.row} = ? AND payload = ?{of}"
        )
        seals: dict[str, RowSeal[Any]] = {}
        found = connection.execute(select, (self._keyring.primary.id, limit)).fetchall()
        for store, row, key_id, payload, mac in found:
            if store not in seals:
                seals[store] = RowSeal(
                    self._keyring, table.purpose, table.context, store, table.kind, self._database.path
                )
            name = table.row_name(row)
            seals[store].open(name, key_id, payload, mac)
            signed = seals[store].sign(name, payload)
            connection.execute(update, (*signed, row, payload, *((store,) if of else ())))
        return len(found)

    def _count(self, comparison: str, key_id: str) -> int:
        sql = " + ".join(f"(SELECT count(*) FROM {name} WHERE key_id {comparison} ?)" for name in _NAMES)  # noqa: S608
        return int(self._database.read(f"SELECT {sql}", (key_id,) * len(_NAMES))[0][0])
