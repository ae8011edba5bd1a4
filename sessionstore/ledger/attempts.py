"""What was attempted lately, counted in buckets: one row a bucket, and one row that says what time it is.

Rules:

* Everything is read and written inside one transaction that begins by locking out every other writer, so that nobody
  can attempt between the look at a bucket and the note in it.
* Rows hold integers. What they mean, and how long an attempt counts, is decided above this room.
* A row that does not verify, or whose column differs from its content, is a damaged ledger: nothing is let through.
* A bucket goes when the newest of its attempts counts no more, so that the table holds what counts and little else.

Not promised: noticing a row that was removed, or put back as it was earlier. Whoever can write the file can make
attempts forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sessionstore.ledger.database import Database
from sessionstore.ledger.rows import AttemptClock, Bucket
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring

_CLOCK = "SELECT key_id, payload, mac FROM attempts_clock WHERE store_id = ?"
_PUT_CLOCK = "INSERT OR REPLACE INTO attempts_clock (store_id, key_id, payload, mac) VALUES (?, ?, ?, ?)"
_ALL = "SELECT bucket, leaves_at, key_id, payload, mac FROM attempts WHERE store_id = ?"
_ONE = "SELECT leaves_at, key_id, payload, mac FROM attempts WHERE store_id = ? AND bucket = ?"
_PUT = "INSERT OR REPLACE INTO attempts (store_id, bucket, leaves_at, key_id, payload, mac) VALUES (?, ?, ?, ?, ?, ?)"
_SWEEP = "DELETE FROM attempts WHERE store_id = ? AND leaves_at <= ?"
_FORGET = "DELETE FROM attempts WHERE store_id = ?"

_CONTEXT = b"sessionstore/attempts/1"
# Rows of both kinds share a context, so no bucket may have the name of the clock.
_ROW = "clock"
_BUCKET = "bucket/"


class AttemptTable:
    """The attempts of one data directory. Safe to use from several threads."""

    def __init__(self, database: Database, keyring: Keyring, store_id: str) -> None:
        self._database = database
        self._store_id = store_id
        self._buckets = RowSeal(keyring, "attempts", _CONTEXT, store_id, Bucket, database.path)
        self._clocks = RowSeal(keyring, "attempts", _CONTEXT, store_id, AttemptClock, database.path)

    @contextmanager
    def transaction(self) -> Iterator[Attempts]:
        """See `Ledger.attempts`."""
        with self._database.transaction(durable=False) as connection:
            yield Attempts(connection, self._buckets, self._clocks, self._store_id)

    def check(self) -> None:
        """Verify every row."""
        for bucket, *row in self._database.read(_ALL, (self._store_id,)):
            _open_bucket(self._buckets, bucket, row)
        for clock in self._database.read(_CLOCK, (self._store_id,)):
            self._clocks.open(_ROW, *clock)


class Attempts:
    """The attempts inside a transaction; not to be used after it, or by another thread.

    Every method raises `LedgerCorruptError` for a row that was changed outside sessionstore.
    """

    def __init__(
        self, connection: sqlite3.Connection, buckets: RowSeal[Bucket], clocks: RowSeal[AttemptClock], store_id: str
    ) -> None:
        self._connection = connection
        self._buckets = buckets
        self._clocks = clocks
        self._store_id = store_id

    def clock(self) -> AttemptClock | None:
        """The time at the last attempt, None before the first. Where it is gone, so are the attempts it dated."""
        rows = self._connection.execute(_CLOCK, (self._store_id,)).fetchall()
        if rows:
            return self._clocks.open(_ROW, *rows[0])
        self._connection.execute(_FORGET, (self._store_id,))
        return None

    def set_clock(self, clock: AttemptClock) -> None:
        """Note what time it is, and remove every bucket that nothing in counts any more."""
        payload = self._clocks.payload(clock)
        key_id, mac = self._clocks.sign(_ROW, payload)
        self._connection.execute(_PUT_CLOCK, (self._store_id, key_id, payload, mac))
        self._connection.execute(_SWEEP, (self._store_id, clock.now_us))

    def entries(self, bucket: str) -> tuple[int, ...]:
        """When the attempts of a bucket were made, oldest first; empty if there is no such bucket."""
        rows = self._connection.execute(_ONE, (self._store_id, bucket)).fetchall()
        return _open_bucket(self._buckets, bucket, rows[0]).entries if rows else ()

    def put(self, bucket: str, entries: Sequence[int], *, leaves_at: int) -> None:
        """Note the attempts of a bucket in place of what it held, and when the newest of them counts no more."""
        payload = self._buckets.payload(Bucket(leaves_at, tuple(entries)))
        key_id, mac = self._buckets.sign(_BUCKET + bucket, payload)
        self._connection.execute(_PUT, (self._store_id, bucket, leaves_at, key_id, payload, mac))


def _open_bucket(seal: RowSeal[Bucket], name: object, row: Sequence[Any]) -> Bucket:
    leaves_at, key_id, payload, mac = row
    bucket = seal.open(f"{_BUCKET}{name}", key_id, payload, mac)
    if bucket.leaves_at != leaves_at:
        raise seal.corrupt("two columns of a row disagree")
    return bucket
