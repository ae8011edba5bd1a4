"""Heads: one row a session, read, listed, and moved by compare-and-set.

Rules:

* A row is used only after its tag was checked and the columns it was found by equal its payload, and the id that was
  asked for: in a tree whose order was changed by hand a search ends on another session's genuine row.
* A head moves only from exactly the state the caller read: the statement itself compares the whole payload. It moves
  only to a seal of the primary key, and only while that key is primary: the statement compares the generation too.
* Rows are never removed. A deleted session leaves its row, so that its file is known when it comes back.

Not promised: that a list is complete. A row taken away by hand is missed by `Ledger.check` only; its file has no head
then, and is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sessionstore.errors import ConflictError, KeyDisabledError, KeyringError, LedgerCorruptError
from sessionstore.ledger.database import Database
from sessionstore.ledger.generation import Generations
from sessionstore.ledger.rows import Binding, Head, HeadState
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring

_COLUMNS = "session_id, state, updated_at, ext_key, key_id, payload, mac"
_EVERY = f"SELECT {_COLUMNS} FROM heads WHERE store_id = ?"  # noqa: S608 - constants only
_ONE = f"SELECT (SELECT payload FROM generation), {_COLUMNS} FROM heads WHERE store_id = ? AND session_id = ?"  # noqa: S608
_BY_KEY = _EVERY + " AND ext_key = ?"
_ALL = "SELECT session_id, state, key_id, payload, mac FROM heads WHERE store_id = ? AND +state IN ({states})"
_PAGE = _EVERY + " AND state {states}{after} ORDER BY updated_at {order}, session_id {order} LIMIT ?"
_INSERT = f"INSERT INTO heads (store_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_MOVE = (
    "UPDATE heads SET updated_at = ?, key_id = ?, payload = ?, mac = ?"
    " WHERE store_id = ? AND session_id = ? AND payload = ? AND (SELECT payload FROM generation) = ?"
)
_CHANGE = (
    "UPDATE heads SET state = ?, ext_key = ?, updated_at = ?, key_id = ?, payload = ?, mac = ?"
    " WHERE store_id = ? AND session_id = ? AND payload = ? AND (SELECT payload FROM generation) = ?"
)

Cursor = tuple[str, str]
_MOST_VERIFIED = 1024
_order = attrgetter("updated_at", "session_id")


class Heads:
    """The heads of one data directory. Safe to use from several threads."""

    def __init__(self, database: Database, generations: Generations, keyring: Keyring, store_id: str) -> None:
        self._database = database
        self._generations = generations
        self._keyring = keyring
        self._store_id = store_id
        self._seal = RowSeal(keyring, "head", b"sessionstore/head/2", store_id, Head, database.path)
        # Rows that were verified, to the byte: the same bytes need no second check. Replaced whole, so never half made.
        self._verified: dict[str, tuple[tuple[Any, ...], Head]] = {}
        self._verified_in = b""
        self._begun: set[str] = set()

    def find(self, session_id: str) -> Head | None:
        """The head of a session, None if it was never begun here."""
        rows = self._database.read(_ONE, (self._store_id, session_id))
        if not rows:
            return None
        if rows[0][0] != self._verified_in:
            self._new_generation(rows[0][0])
        row, known = rows[0][1:], self._verified.get(session_id)
        if known is not None and known[0] == row:
            return known[1]
        head = self._open(row)
        if head.session_id != session_id:
            raise self._disagree()
        self._remember(session_id, row, head)
        return head

    def find_key(self, key: str) -> Head | None:
        """The head of the session that has this external key now."""
        rows = self._database.read(_BY_KEY, (self._store_id, key))
        return self._open(rows[0]) if rows else None

    def move(self, new: Head, old: Head, *, durable: bool) -> None:
        """Commit `new` where `old` stands, on its own."""
        while self._database.write(*self._statement(new, old), durable=durable) == 0:
            if not self._generations.settle():
                raise self._conflict(old)

    def move_in(self, connection: sqlite3.Connection, new: Head, old: Head) -> None:
        """The same inside a transaction."""
        if connection.execute(*self._statement(new, old)).rowcount == 0:
            raise self._conflict(old)

    def insert_in(self, connection: sqlite3.Connection, new: Head) -> None:
        """Begin a session, inside a transaction."""
        payload = self._seal.payload(new)
        signed = self._seal.sign(new.session_id, payload)
        columns = (new.session_id, new.state, new.updated_at, new.taken_key)
        connection.execute(_INSERT, (self._store_id, *columns, signed[0], payload, signed[1]))

    def listed(
        self, states: Sequence[HeadState], *, newest_first: bool, after: Cursor | None, limit: int | None
    ) -> list[Head]:
        """See `Ledger.heads`."""
        if after is None and limit is None:
            # In the order of the table and sorted here: half the time of going to each row through the index.
            return sorted(self._scan(states), key=_order, reverse=newest_first)
        comparison = "<" if newest_first else ">"
        sql = _PAGE.format(
            states=f"IN ({_marks(states)})" if len(states) > 1 else "= ?",
            after=f" AND (updated_at, session_id) {comparison} (?, ?)" if after else "",
            order="DESC" if newest_first else "ASC",
        )
        # SQLite takes -1 for no limit.
        parameters = (self._store_id, *states, *(after or ()), -1 if limit is None else limit)
        return [self._open(row) for row in self._database.read(sql, parameters)]

    def count(self, states: Sequence[HeadState]) -> int:
        """How many rows are marked with one of `states`; not verified."""
        sql = f"SELECT count(*) FROM heads WHERE store_id = ? AND state IN ({_marks(states)})"  # noqa: S608 - only marks
        return int(self._database.read(sql, (self._store_id, *states))[0][0])

    def lost(self, binding: Binding | None, *, proven: bool) -> int:
        """How many rows are gone. `binding` was read first: who begins a session meanwhile adds to the rows alone.

        Args:
            binding: Says how many sessions were begun.
            proven: Count no row that was changed: one under another id fills the place of the one that is gone.
        """
        begun = 0 if binding is None else binding.heads
        if proven:
            return max(0, begun - self._proven())
        (found,) = self._database.read("SELECT count(*) FROM heads WHERE store_id = ?", (self._store_id,))[0]
        return max(0, begun - int(found))

    def states(self) -> dict[str, HeadState]:
        """What each row is marked with, by session id; not verified."""
        return dict(self._database.read("SELECT session_id, state FROM heads WHERE store_id = ?", (self._store_id,)))

    def knows(self, session_id: str) -> bool:
        """Whether there is a row of that id that is not marked as deleted; not verified."""
        sql = "SELECT 1 FROM heads WHERE store_id = ? AND session_id = ? AND state != 'deleted'"
        return bool(self._database.read(sql, (self._store_id, session_id)))

    def check(self, begun: int) -> None:
        """Verify every row and all of its columns, and that there are as many as were ever begun."""
        rows = self._database.read(_EVERY, (self._store_id,))
        for row in rows:
            self._open(row)
        if len(rows) != begun:
            raise self._seal.corrupt(f"{begun} sessions were begun here, but there are {len(rows)} rows")

    def _proven(self) -> int:
        """How many rows stand for sessions that were begun here; each was verified once in this process."""
        rows = self._database.read(
            "SELECT session_id, key_id, payload, mac FROM heads WHERE store_id = ?", (self._store_id,)
        )
        found = 0
        for session_id, *row in rows:
            if session_id not in self._begun:
                try:
                    self._seal.open(session_id, *row)
                except (LedgerCorruptError, KeyringError):
                    continue
                self._begun.add(session_id)
            found += 1
        return found

    def _scan(self, states: Sequence[HeadState]) -> list[Head]:
        found = []
        opened = self._seal.open
        sql = _ALL.format(states=_marks(states))
        for session_id, state, key_id, payload, mac in self._database.read(sql, (self._store_id, *states)):
            head = opened(session_id, key_id, payload, mac)
            if head.state != state:
                raise self._disagree()
            found.append(head)
        return found

    def _open(self, row: tuple[Any, ...]) -> Head:
        session_id, state, updated_at, ext_key, key_id, payload, mac = row
        head = self._seal.open(session_id, key_id, payload, mac)
        if (head.state, head.updated_at, head.taken_key) != (state, updated_at, ext_key):
            raise self._disagree()
        return head

    def _new_generation(self, payload: object) -> None:
        """Keys were changed: what was verified with those before may count no more."""
        if payload != self._generations.known:
            self._generations.settle()
        self._verified_in, self._verified = self._generations.known, {}

    def _remember(self, session_id: str, row: tuple[Any, ...], head: Head) -> None:
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified = {}
        self._verified[session_id] = (row, head)

    def _statement(self, new: Head, old: Head) -> tuple[str, tuple[Any, ...]]:
        # First: whoever changes keys changes this last, so the two never pass together with the old key's tag.
        generation = self._generations.known
        if new.tag not in ("", old.tag) and (signer := new.tag[4:20]) != self._keyring.primary.id:
            known = self._keyring.find(signer)
            raise KeyDisabledError(key_id=signer, status="unknown" if known is None else known.status)
        payload = self._seal.payload(new)
        key_id, mac = self._seal.sign(new.session_id, payload)
        row = (new.session_id, new.state, new.updated_at, new.taken_key, key_id, payload, mac)
        self._remember(new.session_id, row, new)  # what we sign needs no check; it counts only if it comes back so
        where = (self._store_id, new.session_id, self._seal.payload(old), generation)
        if new.state == old.state and new.key == old.key:
            # SQLite rewrites every index whose columns are named, changed or not: an ordinary save names one.
            return _MOVE, (new.updated_at, key_id, payload, mac, *where)
        return _CHANGE, (new.state, new.taken_key, new.updated_at, key_id, payload, mac, *where)

    def _conflict(self, old: Head) -> ConflictError:
        now = self.find(old.session_id)
        return ConflictError(session_id=old.session_id, expected=old.rev, found=now.rev if now else 0)

    def _disagree(self) -> Exception:
        return self._seal.corrupt("two columns of a row disagree")


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
