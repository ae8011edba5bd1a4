"""The tables of the ledger, and the refusal of a file that does not have exactly these.

Rules:

* `user_version` is the version of the schema and of the payloads. A newer one is refused before anything else is
  read, and nothing is written into it: an older release would drop what it does not know.
* The schema must be the text below, to the letter. A trigger or view put in by hand would run in our own statements.

Columns that are not in a payload serve as keys and for indexes only. Rows of `heads` are never removed.
"""

from __future__ import annotations

import sqlite3

from sessionstore.errors import LedgerCorruptError
from sessionstore.ledger.failures import translate, unavailable

VERSION = 1

_OBJECTS = {
    "anchor": """CREATE TABLE anchor (
    id INTEGER PRIMARY KEY CHECK (id = 1), key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL)""",
    "attempts": """CREATE TABLE attempts (
    store_id TEXT NOT NULL, bucket TEXT NOT NULL, leaves_at INTEGER NOT NULL,
    key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL,
    PRIMARY KEY (store_id, bucket)) WITHOUT ROWID""",
    "attempts_by_time": "CREATE INDEX attempts_by_time ON attempts (store_id, leaves_at)",
    "attempts_clock": """CREATE TABLE attempts_clock (
    store_id TEXT PRIMARY KEY, key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID""",
    "audit": """CREATE TABLE audit (
    store_id TEXT NOT NULL, file INTEGER NOT NULL, key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL,
    PRIMARY KEY (store_id, file)) WITHOUT ROWID""",
    "generation": """CREATE TABLE generation (
    id INTEGER PRIMARY KEY CHECK (id = 1), key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL)""",
    "heads": """CREATE TABLE heads (
    store_id TEXT NOT NULL, session_id TEXT NOT NULL, state TEXT NOT NULL, updated_at TEXT NOT NULL, ext_key TEXT,
    key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL,
    PRIMARY KEY (store_id, session_id)) WITHOUT ROWID""",
    "heads_by_key": "CREATE UNIQUE INDEX heads_by_key ON heads (store_id, ext_key) WHERE ext_key IS NOT NULL",
    "heads_by_time": "CREATE INDEX heads_by_time ON heads (store_id, state, updated_at, session_id)",
    "inventory": """CREATE TABLE inventory (
    store_id TEXT NOT NULL, name TEXT NOT NULL, key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL,
    PRIMARY KEY (store_id, name)) WITHOUT ROWID""",
    "policy": """CREATE TABLE policy (
    store_id TEXT PRIMARY KEY, key_id TEXT NOT NULL, payload BLOB NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID""",
}


def make(path: str) -> None:
    """Make the tables in an empty file that nobody else uses, synced, and set the mode it keeps.

    Raises:
        StoreUnavailableError: The file system refused.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            use_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _OBJECTS.values():
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc


def use_wal(connection: sqlite3.Connection) -> None:
    """Keep commits in a log. The file remembers it; this changes something only in a copy that a tool made without.

    Raises:
        StoreUnavailableError: The file system has no memory that processes share.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise unavailable("this file system cannot share the ledger between processes")


def check(connection: sqlite3.Connection, path: str) -> None:
    """Return if the database is a ledger that this release reads and writes.

    Raises:
        LedgerCorruptError: It is from a newer release, or is not a ledger, or its schema was changed.
    """
    version = refuse_newer(connection, path)
    found = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name, sql").fetchall()
    if version != VERSION or found != sorted(_OBJECTS.items()):
        raise LedgerCorruptError(path=path, reason="it is not a ledger, or its tables were changed")


def refuse_newer(connection: sqlite3.Connection, path: str) -> int:
    """The version of the schema. Errors as `check`, of a newer release only."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise LedgerCorruptError(
            path=path,
            reason="written by a newer release",
            hint="use the release that wrote it, or a newer one; nothing was changed",
        )
    return int(version)
