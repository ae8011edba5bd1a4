from __future__ import annotations

import sqlite3

import pytest

from sessionstore.errors import AlreadyExistsError, LedgerCorruptError, StoreUnavailableError
from sessionstore.ledger.failures import translate


def reported(code: int | None) -> sqlite3.Error:
    exc = sqlite3.OperationalError("the text of SQLite's own")
    if code is not None:
        exc.sqlite_errorcode = code
    return exc


class TestTranslate:
    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (sqlite3.SQLITE_BUSY, "another process keeps the ledger locked"),
            (sqlite3.SQLITE_BUSY_RECOVERY, "another process keeps the ledger locked"),
            (sqlite3.SQLITE_BUSY_SNAPSHOT, "another process keeps the ledger locked"),
            (sqlite3.SQLITE_LOCKED, "another process keeps the ledger locked"),
            (sqlite3.SQLITE_FULL, "the disk is full"),
            (sqlite3.SQLITE_READONLY_DIRECTORY, "the ledger cannot be written"),
            (sqlite3.SQLITE_CANTOPEN_ISDIR, "the ledger cannot be opened"),
            (sqlite3.SQLITE_IOERR_WRITE, "the disk failed, or a limit for the size of a file was reached"),
        ],
    )
    def test_what_was_refused_was_not_written(self, code: int, reason: str) -> None:
        error = translate(reported(code), "ledger.db")
        assert isinstance(error, StoreUnavailableError)
        assert error.fields == {"reason": reason, "outcome": "not_written"}

    @pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC])
    def test_after_a_failed_sync_nobody_knows(self, code: int) -> None:
        assert translate(reported(code), "ledger.db").fields["outcome"] == "unknown"

    @pytest.mark.parametrize(
        ("code", "what"),
        [(sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, "id"), (sqlite3.SQLITE_CONSTRAINT_UNIQUE, "key")],
    )
    def test_what_is_taken_is_named(self, code: int, what: str) -> None:
        error = translate(reported(code), "ledger.db")
        assert isinstance(error, AlreadyExistsError)
        assert error.fields == {"what": what}

    @pytest.mark.parametrize(
        "code",
        [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CORRUPT_INDEX, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, None],
    )
    def test_the_rest_is_damage_and_the_database_is_not_quoted(self, code: int | None) -> None:
        error = translate(reported(code), "ledger.db")
        assert isinstance(error, LedgerCorruptError)
        assert "SQLite" not in str(error)
