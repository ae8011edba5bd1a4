"""What SQLite reports, in our words. No `sqlite3.Error` leaves this room.

Rules: `unknown` is said only after a failed sync, where the commit may or may not survive a power cut; everything
else that fails was rolled back. A text of SQLite's is not repeated: it can hold names from a file that somebody else
made.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from sessionstore.errors import (
    AlreadyExistsError,
    LedgerCorruptError,
    SessionStoreError,
    StoreUnavailableError,
)

_TAKEN: dict[int, str] = {
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "id",
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: "key",
}
_SYNCS = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
_UNAVAILABLE: dict[int, str] = {
    sqlite3.SQLITE_BUSY: "another process keeps the ledger locked",
    sqlite3.SQLITE_LOCKED: "another process keeps the ledger locked",
    sqlite3.SQLITE_PROTOCOL: "another process keeps the ledger locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the ledger cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the ledger cannot be opened",
    sqlite3.SQLITE_PERM: "the ledger cannot be opened",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_INTERRUPT: "interrupted",
    sqlite3.SQLITE_IOERR: "the disk failed, or a limit for the size of a file was reached",
    sqlite3.SQLITE_NOLFS: "a limit for the size of a file was reached",
}


def unavailable(reason: str) -> StoreUnavailableError:
    """The error for what was refused before anything was written."""
    return StoreUnavailableError(reason=reason, outcome="not_written")


def translate(exc: sqlite3.Error | UnicodeDecodeError, path: str) -> SessionStoreError:
    """The error to raise for `exc`; `path` is the ledger's. Text that is not UTF-8 leaves the module as either kind."""
    # Errors that the module itself finds, such as text that is not UTF-8, carry no code.
    code: int = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code in _TAKEN:
        return AlreadyExistsError(what=_TAKEN[code])
    # The low byte is the primary code, the rest tells cases of it apart.
    reason = _UNAVAILABLE.get(code & 0xFF)
    if reason is None:
        return LedgerCorruptError(path=path, reason="it is damaged, or not a database")
    outcome: Literal["unknown", "not_written"] = "unknown" if code in _SYNCS else "not_written"
    return StoreUnavailableError(reason=reason, outcome=outcome)
