from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore.errors import LedgerCorruptError, StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger, schema

OpenLedger = Callable[..., Ledger]


@pytest.fixture
def file(state: Directory, open_ledger: OpenLedger, make_head: Callable[..., Head]) -> Path:
    """The file of a closed ledger with some sessions in it."""
    with open_ledger() as ledger:
        for number in range(1, 50):
            ledger.commit(make_head(number), old=None)
    return Path(state.path) / "ledger.db"


class TestVersion:
    def test_a_newer_release_is_refused_and_its_file_left_alone(
        self, file: Path, tamper: Callable[..., None], open_ledger: OpenLedger
    ) -> None:
        tamper("PRAGMA user_version = 2")
        tamper("ALTER TABLE heads ADD COLUMN something_new TEXT")
        before = file.read_bytes()
        with pytest.raises(LedgerCorruptError, match="written by a newer release") as caught:
            open_ledger()
        assert "newer" in caught.value.hint
        assert file.read_bytes() == before

    @pytest.mark.parametrize(
        "change",
        [
            "PRAGMA user_version = 0",
            "CREATE TRIGGER roll_back AFTER UPDATE ON heads BEGIN DELETE FROM heads; END",
            "CREATE TRIGGER heads AFTER UPDATE ON heads BEGIN DELETE FROM heads; END",
            "CREATE TRIGGER sqlitelike AFTER UPDATE ON heads BEGIN DELETE FROM heads; END",
            "CREATE VIEW more AS SELECT 1",
            "DROP INDEX heads_by_key",
            "ALTER TABLE inventory ADD COLUMN more TEXT",
            "CREATE TABLE more (x)",
        ],
    )
    def test_tables_that_are_not_ours_to_the_letter_are_refused(
        self, file: Path, tamper: Callable[..., None], open_ledger: OpenLedger, change: str
    ) -> None:
        tamper(change)
        with pytest.raises(LedgerCorruptError, match="tables were changed"):
            open_ledger()


class TestAFileThatIsNoLedger:
    @pytest.mark.parametrize("content", [b"", b"x", b"not a database, but long enough to be one" * 200])
    def test_is_refused_and_left_alone(self, file: Path, open_ledger: OpenLedger, content: bytes) -> None:
        file.write_bytes(content)
        with pytest.raises(LedgerCorruptError):
            open_ledger()
        assert file.read_bytes() == content

    def test_is_refused_when_it_was_cut(self, file: Path, open_ledger: OpenLedger) -> None:
        os.truncate(file, file.stat().st_size // 4096 // 2 * 4096)
        with pytest.raises(LedgerCorruptError):
            open_ledger().check()

    def test_is_refused_wherever_a_page_was_overwritten(self, file: Path, open_ledger: OpenLedger) -> None:
        good = file.read_bytes()
        for page in range(1, len(good) // 4096):
            bad = bytearray(good)
            bad[page * 4096 : page * 4096 + 2048] = bytes(2048)
            file.write_bytes(bad)
            with pytest.raises(LedgerCorruptError):
                open_ledger().check()

    def test_text_that_is_not_utf_8_is_damage(
        self, file: Path, tamper: Callable[..., None], open_ledger: OpenLedger
    ) -> None:
        tamper("UPDATE heads SET state = CAST(x'ff' AS TEXT)")
        with pytest.raises(LedgerCorruptError, match="damaged"):
            open_ledger().check()


class TestUseWal:
    def test_a_copy_made_without_a_log_gets_one_again(
        self, file: Path, tamper: Callable[..., None], open_ledger: OpenLedger, make_head: Callable[..., Head]
    ) -> None:
        tamper("PRAGMA journal_mode = DELETE")
        ledger = open_ledger()
        ledger.commit(make_head(1, rev=2), old=make_head(1))
        assert Path(f"{file}-wal").exists()

    def test_a_place_that_cannot_share_memory_is_refused(self) -> None:
        with (
            closing(sqlite3.connect(":memory:")) as connection,
            pytest.raises(StoreUnavailableError, match="cannot share the ledger"),
        ):
            schema.use_wal(connection)


class TestMake:
    def test_what_the_file_system_refuses_is_told_in_our_words(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailableError, match="cannot be opened"):
            schema.make(str(tmp_path / "missing" / "ledger.db"))

    def test_a_log_left_without_its_database_is_a_trace(self, state: Directory, file: Path) -> None:
        file.rename(f"{file}-wal")
        assert Ledger.exists(state)
