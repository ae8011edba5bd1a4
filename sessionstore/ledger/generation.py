"""Which generation of the keyring this ledger is written with: what tells a running process that its copy is old.

Rules:

* One row, MACed by the primary key of that generation, and written after the keyring was. A process whose keyring is
  newer than the row writes it anew: whoever changed the keyring was killed in between.
* Its content is read with every head and compared with what was verified last, byte for byte. Where it differs, the
  keyring is loaded again before anything is signed.
* Every transaction begins with that comparison, and a statement that commits on its own names the content it relies
  on. So no row is ever written under a key that is not primary any more.
* A keyring that is older than the row, also after loading it again, is refused: an older copy was put back.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sessionstore.errors import KeyUnavailableError, UnknownKeyError
from sessionstore.ledger.database import Database
from sessionstore.ledger.rows import Generation
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring

_READ = "SELECT key_id, payload, mac FROM generation"
_WRITE = "INSERT OR REPLACE INTO generation (id, key_id, payload, mac) VALUES (1, ?, ?, ?)"
_ROW = "generation"
_HINT = "restore the newest copy of the keyring; an older one cannot take over from a newer"


class Generations:
    """The generation row of one ledger. Safe to use from several threads.

    Args:
        database: The ledger's.
        keyring: In use; what is stored of it may be newer.
        read_only: The row is not written.

    Attributes:
        known: The content of the row that goes with `keyring`, as it was verified last; empty if there is none yet.
    """

    def __init__(self, database: Database, keyring: Keyring, *, read_only: bool = False) -> None:
        self._database = database
        self._keyring = keyring
        self._read_only = read_only
        self._seal = RowSeal(keyring, "store", b"sessionstore/generation/1", "", Generation, database.path)
        self.known = b""

    def write_first(self) -> None:
        """Give a new ledger its row."""
        with self._database.transaction(durable=True) as connection:
            self._put(connection)
        self._database.at_begin = self._check

    def open(self) -> None:
        """Compare row and keyring when the ledger is opened, and from now on at the begin of every transaction.

        A change of keys that was killed between keyring and row is finished here.

        Raises:
            UnknownKeyError: The ledger names a key that the keyring lacks: another installation's.
            KeyUnavailableError: `older`: the keyring is older than the ledger.
            LedgerCorruptError: The row is gone or was changed.
        """
        self._database.at_begin = self._check
        self.settle()

    def settle(self) -> bool:
        """Bring keyring and row together; whether there was anything to do. Errors as `open`."""
        before = self.known
        if self._is_behind(self._database.read(_READ)) and not self._read_only:
            with self._database.transaction(durable=True):
                pass  # its begin does it
        return self.known != before

    def follow(self, newer: Keyring) -> None:
        """Go on with a newer keyring, which is stored: here and, by the row, in every other process. Synced."""
        with self._database.transaction(durable=True) as connection:
            # Not earlier: a row under the new key beside the old generation would be none to other processes.
            self.known = b""
            self._keyring.take(newer)
            self._put(connection)

    def _check(self, connection: sqlite3.Connection) -> None:
        """At the begin of a transaction: nobody can change the row until it ends."""
        rows = connection.execute(_READ).fetchall()
        if (not rows or rows[0][1] != self.known) and self._is_behind(rows):
            self._put(connection)

    def _is_behind(self, rows: list[tuple[Any, ...]]) -> bool:
        """Whether the row is older than the keyring, which was loaded again if it had to be."""
        if len(rows) != 1:
            raise self._seal.corrupt("it does not say which keyring it goes with")
        key_id, payload, mac = rows[0]
        if self._keyring.find(key_id) is None and not (self._keyring.reload() and self._keyring.find(key_id)):
            raise UnknownKeyError(key_id=key_id)
        generation = self._seal.open(_ROW, key_id, payload, mac).generation
        if generation > self._keyring.generation:
            self._keyring.reload()
        if generation > self._keyring.generation:
            raise KeyUnavailableError(reason="older", path="", hint=_HINT)
        behind = generation < self._keyring.generation
        self.known = b"" if behind and not self._read_only else payload
        return behind

    def _put(self, connection: sqlite3.Connection) -> None:
        payload = self._seal.payload(Generation(self._keyring.generation))
        key_id, mac = self._seal.sign(_ROW, payload)
        connection.execute(_WRITE, (key_id, payload, mac))
        self.known = payload
