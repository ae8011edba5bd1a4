"""The policy that a data directory will not go below: one signed row, and a count in the anchor.

Rules:

* No row means the default, and only as long as the anchor says that it was never changed: taking the row away, or
  putting an older one back, is a damaged ledger and no way to a lower policy.
* What stands there is compared in the same transaction: of two who change it at once, one is told.

Not promised: noticing that row and anchor were put back together in an older state.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sessionstore.ledger.anchor import Anchors
from sessionstore.ledger.database import Database
from sessionstore.ledger.failures import unavailable
from sessionstore.ledger.rows import PolicyRow
from sessionstore.ledger.tag import RowSeal
from sessionstore.model import Policy
from sessionstore.signing import Keyring

DEFAULT: Policy = "warn"

_ROW = "policy"
_READ = "SELECT key_id, payload, mac FROM policy WHERE store_id = ?"
_PUT = "INSERT OR REPLACE INTO policy (store_id, key_id, payload, mac) VALUES (?, ?, ?, ?)"


class PolicyFloor:
    """The policy of one data directory. Safe to use from several threads. Errors as in `Ledger`."""

    def __init__(self, database: Database, anchors: Anchors, keyring: Keyring, store_id: str) -> None:
        self._database = database
        self._anchors = anchors
        self._store_id = store_id
        self._seal = RowSeal(keyring, "policy", b"sessionstore/policy/2", store_id, PolicyRow, database.path)

    def read(self) -> Policy:
        """The policy.

        Raises:
            LedgerCorruptError: The row was changed, taken away, or is an older one.
        """
        binding = self._anchors.binding(self._store_id)
        rows = self._database.read(_READ, (self._store_id,))
        return self._checked(rows, 0 if binding is None else binding.policies).floor

    def change(self, new: Policy, *, old: Policy) -> None:
        """Commit `new` where `old` is in force, synced.

        Raises:
            StoreUnavailableError: Somebody else changed it meanwhile.
            LedgerCorruptError: As `read`.
        """
        with self._database.transaction(durable=True) as connection:
            binding = self._anchors.bound(connection, self._store_id)
            rows = connection.execute(_READ, (self._store_id,)).fetchall()
            before = self._checked(rows, binding.policies)
            if before.floor != old:
                raise unavailable("somebody else changed the policy in this moment")
            self._put(connection, PolicyRow(new, before.number + 1))

    def _checked(self, rows: list[tuple[Any, ...]], number: int) -> PolicyRow:
        row = self._seal.open(_ROW, *rows[0]) if rows else PolicyRow(DEFAULT, 0)
        if row.number != number:
            raise self._seal.corrupt("the policy was changed outside sessionstore")
        return row

    def _put(self, connection: sqlite3.Connection, row: PolicyRow) -> None:
        payload = self._seal.payload(row)
        key_id, mac = self._seal.sign(_ROW, payload)
        connection.execute(_PUT, (self._store_id, key_id, payload, mac))
        self._anchors.count_policy(connection, self._store_id, row.number)
