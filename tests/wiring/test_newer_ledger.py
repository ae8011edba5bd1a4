"""A ledger from a newer release: refused by everything, and not a byte of the store is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import Config, errors, open_store
from sessionstore.cli import main
from sessionstore.wiring import claim_store, recover_ledger


@pytest.fixture
def newer(home: Path) -> Path:
    """A store whose ledger was written by a newer release, which is closed."""
    with open_store(home, environ={}) as store:
        store.create(entries=[{"n": 1}])
        store._ground.audit.record("resume_attempt")
    with closing(sqlite3.connect(home / "state" / "ledger.db")) as connection, connection:
        connection.execute("CREATE TABLE something_new (x)")
        connection.execute("PRAGMA user_version = 2")
    return home


def contents(home: Path) -> dict[Path, bytes]:
    """What is in the store, but for the empty files that locks are held on."""
    found = (path for path in home.rglob("*") if path.is_file() and path.parent.name != "locks")
    return {path: path.read_bytes() for path in found}


def config_of(home: Path) -> Config:
    return Config(data_dir=home / "data", state_dir=home / "state")


CALLS: dict[str, Callable[[Path], object]] = {
    "open": lambda home: open_store(home, environ={}),
    "open to read": lambda home: open_store(home, environ={}, read_only=True),
    "claim": lambda home: claim_store(config_of(home)),
}


class TestNewer:
    @pytest.mark.parametrize("call", ["open", "open to read", "claim"])
    def test_is_refused_by_name_and_not_rewritten(self, newer: Path, call: str) -> None:
        before = contents(newer)
        with pytest.raises(errors.LedgerCorruptError, match="written by a newer release") as caught:
            CALLS[call](newer)
        assert "newer one; nothing was changed" in caught.value.hint
        assert contents(newer) == before

    def test_no_other_is_made_in_its_place(self, newer: Path) -> None:
        before = contents(newer)
        with pytest.raises(errors.StoreUnavailableError, match="there is a ledger"):
            recover_ledger(config_of(newer), consent="test")
        assert contents(newer) == before

    def test_moved_away_it_is_not_read_as_if_it_were_ours(self, newer: Path) -> None:
        moved = (newer / "state" / "ledger.db").rename(newer / "old.db")
        before = contents(newer)
        with pytest.raises(errors.LedgerCorruptError, match="written by a newer release"):
            recover_ledger(config_of(newer), consent="test", old=moved)
        assert contents(newer) == before

    @pytest.mark.parametrize(
        "arguments",
        [
            ["list"],
            ["new"],
            ["verify"],
            ["doctor"],
            ["keys", "list"],
            ["keys", "rotate"],
            ["recover-ledger", "--confirm"],
        ],
        ids=" ".join,
    )
    def test_nor_by_a_command(
        self, newer: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("SESSIONSTORE_HOME", str(newer))
        monkeypatch.setattr("sys.argv", ["sessionstore", *arguments])
        before = contents(newer)
        assert main() == (1 if arguments == ["doctor"] else 8)
        said = capsys.readouterr()
        assert "newer release" in said.out + said.err or "there is a ledger" in said.err
        assert contents(newer) == before
