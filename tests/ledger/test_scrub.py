"""A ledger made anew: what no row holds is in none of its files, and who is in the way is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import errors, open_store
from sessionstore.ledger import Ledger, scrub

SECRET = b"the old name of a session"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a store whose ledger still has the bytes of rows that are gone."""
    with open_store(tmp_path) as store:
        store.create(name="a", key="k")
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA secure_delete = OFF")
        for number in range(50):
            row = (f"x{number}", SECRET * 20)
            raw.execute("INSERT INTO heads VALUES (?, '', '', '', NULL, '', ?, '')", row)
        raw.execute("DELETE FROM heads WHERE store_id LIKE 'x%'")
    assert SECRET in everything(tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def ledger(state: Path) -> Iterator[Ledger]:
    with open_store(state.parent, environ={"SESSIONSTORE_LOCK_TIMEOUT_S": "0"}) as store:
        yield store._ground.ledger


def everything(state: Path) -> bytes:
    return b"".join(path.read_bytes() for path in state.glob("ledger.db*"))


class TestScrub:
    def test_what_no_row_holds_is_gone_and_every_row_is_there(self, state: Path, ledger: Ledger) -> None:
        before = ledger.heads()
        size = (state / "ledger.db").stat().st_size
        scrub(ledger)
        assert SECRET not in everything(state)
        assert ledger.heads() == before
        assert ledger.find_key("k") == before[0]
        ledger.check()
        assert (state / "ledger.db").stat().st_size < size

    def test_nothing_is_written_beside_it(self, state: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        # Where SQLite would put a copy that does not fit into memory.
        monkeypatch.setenv("SQLITE_TMPDIR", "/nonexistent")
        scrub(ledger)
        connection = ledger._database._connection
        assert connection is not None
        assert connection.execute("PRAGMA temp_store").fetchone() == (2,)

    @pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN"])
    def test_who_reads_or_writes_meanwhile_is_in_the_way_and_told(
        self, state: Path, ledger: Ledger, begin: str
    ) -> None:
        before = ledger.heads()
        with closing(sqlite3.connect(state / "ledger.db", isolation_level=None)) as other:
            other.execute(begin)
            other.execute("SELECT count(*) FROM heads").fetchall()
            with pytest.raises(errors.StoreUnavailableError, match="another process") as caught:
                scrub(ledger)
            assert caught.value.outcome == "not_written"
            assert ledger.heads() == before
        scrub(ledger)
        assert SECRET not in everything(state)

    def test_read_only_it_is_refused(self, state: Path) -> None:
        with open_store(state.parent, read_only=True) as store, pytest.raises(errors.StoreUnavailableError):
            scrub(store._ground.ledger)
