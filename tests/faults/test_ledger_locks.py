"""SQLite's locks belong to the process: whoever opens and closes one of its files drops them. Our checks do not."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import open_store
from sessionstore.config import load_config
from sessionstore.ledger import schema
from sessionstore.wiring import claim_store

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
    print("in")
except sqlite3.OperationalError as exc:
    print(exc)
"""


def other_process(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", OTHER, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class TestLocks:
    def test_a_second_process_stays_locked_out_while_this_one_checks_everything(self, tmp_path: Path) -> None:
        root = tmp_path / "store"
        path = root / "state" / "ledger.db"
        with open_store(root, environ={}) as store:
            session_id = store.create(name="atlas").id
            with closing(sqlite3.connect(path, isolation_level=None)) as writing:
                writing.execute("BEGIN IMMEDIATE")
                assert other_process(path) == "database is locked"
                for _ in range(3):
                    with open_store(root, environ={}, read_only=True) as again:
                        again.load(session_id)
                        again.list()
                        assert [result.ok for result in again.verify()] == [True]
                    with open_store(root, environ={}) as again:
                        again.load(session_id)
                        again.stats()
                        again.inspect(session_id)
                    store._ground.ledger.check()
                    assert other_process(path) == "database is locked"
                writing.execute("ROLLBACK")
            assert other_process(path) == "in"
            assert claim_store(load_config(root=root, environ={}).config) == store.store_id

    def test_the_test_would_notice(self, tmp_path: Path) -> None:
        """What the checks must not do, done once."""
        path = tmp_path / "ledger.db"
        schema.make(str(path))
        with closing(sqlite3.connect(path, isolation_level=None)) as writing:
            writing.execute("BEGIN IMMEDIATE")
            assert other_process(path) == "database is locked"
            for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
                (tmp_path / name).open("rb").close()
            if other_process(path) != "in":
                pytest.skip("the locks of this system do not belong to the process")
