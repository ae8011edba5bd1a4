"""Where the audit log ends, and what became of its older files: the rows that its lines are compared with.

Rules:

* Row 0 is the head: the newest file, its last line, and the stamp the file had. It moves only from exactly the state
  the caller read. Rows from 1 up are the files that take no more lines, one each; they are never removed.
* A closed file is anchored by the SHA-256 of its bytes and the MAC of its last line. Its lines need no key of their own
  any more: a rotation of keys makes these rows anew and leaves the files.
* Each file begins where the one before ended. Rows that do not fit together, or are fewer than were begun (the anchor
  counts them), are a damaged ledger.

Not promised: noticing rows and files that were put back together in an older state. Callers hold the audit log's lock.
"""

from __future__ import annotations

import sqlite3

from sessionstore.ledger.anchor import Anchors
from sessionstore.ledger.database import Database
from sessionstore.ledger.failures import unavailable
from sessionstore.ledger.generation import Generations
from sessionstore.ledger.rows import AuditFile, AuditHead
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring

_HEAD = "SELECT key_id, payload, mac FROM audit WHERE store_id = ? AND file = 0"
_FILES = "SELECT file, key_id, payload, mac FROM audit WHERE store_id = ? AND file <> 0 ORDER BY file"
_PUT = "INSERT OR REPLACE INTO audit (store_id, file, key_id, payload, mac) VALUES (?, ?, ?, ?, ?)"
_MOVE = (
    "UPDATE audit SET key_id = ?, payload = ?, mac = ?"
    " WHERE store_id = ? AND file = 0 AND payload = ? AND (SELECT payload FROM generation) = ?"
)
_CONTEXT = b"sessionstore/auditrow/2"


class AuditRows:
    """The rows of one data directory's audit log. Safe to use from several threads. Errors as in `Ledger`."""

    def __init__(
        self, database: Database, anchors: Anchors, generations: Generations, keyring: Keyring, store_id: str
    ) -> None:
        self._database = database
        self._anchors = anchors
        self._generations = generations
        self._store_id = store_id
        self._heads = RowSeal(keyring, "audit", _CONTEXT, store_id, AuditHead, database.path)
        self._files = RowSeal(keyring, "audit", _CONTEXT, store_id, AuditFile, database.path)

    def head(self) -> AuditHead | None:
        """The end of the log, None if nothing was ever written.

        Raises:
            LedgerCorruptError: The row was changed, or it is gone.
        """
        rows = self._database.read(_HEAD, (self._store_id,))
        if rows:
            return self._heads.open("head", *rows[0])
        binding = self._anchors.binding(self._store_id)
        if binding is not None and binding.audit_file:
            raise self._heads.corrupt("it does not say where the audit log ends")
        return None

    def read(self) -> tuple[AuditHead | None, list[AuditFile]]:
        """The head, and the row of every older file in order.

        Raises:
            LedgerCorruptError: A row was changed or is gone, or they do not fit together.
        """
        head = self.head()
        files = []
        for file, key_id, payload, mac in self._database.read(_FILES, (self._store_id,)):
            files.append(self._files.open(f"file {file}", key_id, payload, mac))
        binding = self._anchors.binding(self._store_id)
        begins = [(row.start_seq, row.start_mac) for row in (*files, head) if row is not None]
        ends = [(0, bytes(32)), *((row.seq, row.mac) for row in files)][: len(begins)]
        newest = 0 if head is None else head.file
        counted = newest if binding is None else binding.audit_file
        if [row.file for row in files] != list(range(1, newest)) or counted != newest or begins != ends:
            raise self._heads.corrupt("what it says of the audit log does not fit together")
        return head, files

    def move(self, new: AuditHead, old: AuditHead) -> None:
        """Commit `new` where `old` stands; the same file goes on.

        Raises:
            StoreUnavailableError: Something else stands there: somebody wrote without the lock.
        """
        while self._database.write(_MOVE, self._statement(new, old), durable=False) == 0:
            if not self._generations.settle():
                raise _moved()

    def begin(self, new: AuditHead, old: AuditHead | None, *closed: AuditFile) -> None:
        """Commit the head of a new file together with the rows of files before it, synced. Errors as `move`."""
        with self._database.transaction(durable=True) as connection:
            if old is None:
                connection.execute(_PUT, (self._store_id, 0, *self._signed(new)))
            else:
                if connection.execute(_MOVE, self._statement(new, old)).rowcount == 0:
                    raise _moved()
            for file in closed:
                self._put(connection, file)
            self._anchors.set_audit_file(connection, self._store_id, new.file)

    def change(self, *files: AuditFile) -> None:
        """Commit what became of older files, synced."""
        with self._database.transaction(durable=True) as connection:
            for file in files:
                self._put(connection, file)

    def _put(self, connection: sqlite3.Connection, file: AuditFile) -> None:
        payload = self._files.payload(file)
        key_id, mac = self._files.sign(f"file {file.file}", payload)
        connection.execute(_PUT, (self._store_id, file.file, key_id, payload, mac))

    def _statement(self, new: AuditHead, old: AuditHead) -> tuple[object, ...]:
        generation = self._generations.known  # before the tag is made; see `Heads`
        return (*self._signed(new), self._store_id, self._heads.payload(old), generation)

    def _signed(self, head: AuditHead) -> tuple[str, bytes, bytes]:
        payload = self._heads.payload(head)
        key_id, mac = self._heads.sign("head", payload)
        return key_id, payload, mac


def _moved() -> Exception:
    return unavailable("the audit log was written without its lock")
