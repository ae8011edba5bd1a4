"""Parts of a store deleted, each alone and in every pair: a named error and what to do, never silent acceptance."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, open_store

SEALED = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
UNSIGNED = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
MIGRATED = "2f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
SESSIONS = (SEALED, UNSIGNED, MIGRATED)


def unsigned(id: str, name: str = "genuine") -> bytes:
    times = dict.fromkeys(("created_at", "updated_at", "closed_at"), "2025-12-08T09:00:00Z")
    more = {"name": name, "project_path": "", "config": {}, "conversation": [], "todos": []}
    return json.dumps({"version": 1, "id": id, **times, **more}).encode()


def emptied(table: str) -> Callable[[Path], None]:
    def delete(root: Path) -> None:
        ledger = root / "state" / "ledger.db"
        if ledger.exists():
            with closing(sqlite3.connect(ledger)) as connection, connection:
                connection.execute(f"DELETE FROM {table}")

    return delete


def removed(*patterns: str) -> Callable[[Path], None]:
    def delete(root: Path) -> None:
        found = [path for pattern in patterns for path in root.glob(pattern)]
        for path in found:
            path.unlink()

    return delete


PARTS: dict[str, Callable[[Path], None]] = {
    "key": removed("state/keyring"),
    "ledger": removed("state/ledger.db*"),
    "heads": emptied("heads"),
    "inventory": emptied("inventory"),
    "policy": emptied("policy"),
    "session file": removed("data/sessions/*.jsonl"),
    "unsigned file": removed("data/sessions/*.json"),
}

# What opening the store says, or else loading the sealed, the unsigned and the migrated session.
OPENING = {"key": "key_unavailable", "ledger": "ledger_missing"}
LOADING: dict[str, tuple[str, str, str]] = {
    "heads": ("unanchored", "ledger_corrupt", "unanchored"),
    "inventory": ("ok", "ledger_corrupt", "ok"),
    "policy": ("ok", "ledger_corrupt", "ok"),
    "session file": ("missing", "ok", "missing"),
    "unsigned file": ("ok", "missing", "ok"),
    "heads + inventory": ("unanchored", "ledger_corrupt", "unanchored"),
    "heads + policy": ("unanchored", "ledger_corrupt", "unanchored"),
    "heads + session file": ("ledger_corrupt", "ledger_corrupt", "ledger_corrupt"),
    "heads + unsigned file": ("unanchored", "missing", "unanchored"),
    "inventory + policy": ("ok", "ledger_corrupt", "ok"),
    "inventory + session file": ("missing", "ledger_corrupt", "missing"),
    "inventory + unsigned file": ("ok", "ledger_corrupt", "ok"),
    "policy + session file": ("missing", "ledger_corrupt", "missing"),
    "policy + unsigned file": ("ok", "missing", "ok"),
    "session file + unsigned file": ("missing", "missing", "missing"),
}
CASES = [*((part,) for part in PARTS), *itertools.combinations(PARTS, 2)]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with a sealed, an unsigned and a migrated session."""
    root = tmp_path_factory.mktemp("used") / "store"
    sessions = root / "data" / "sessions"
    sessions.mkdir(parents=True, mode=0o700)
    for directory in (root, root / "data"):
        directory.chmod(0o700)
    for id in (UNSIGNED, MIGRATED):
        (sessions / f"{id}.json").write_bytes(unsigned(id))
    with open_store(root, environ={}) as store:
        store.create(id=SEALED, entries=[{"n": 1}])
        store.append(MIGRATED, [{"n": 1}])
        store.raise_policy("strict")
        store.lower_policy("warn", consent="test")
    return root


@pytest.fixture
def root(used: Path, tmp_path: Path) -> Path:
    """The same directories under the same inodes: a copy would be another store."""
    saved = tmp_path / "saved"
    shutil.copytree(used, saved, symlinks=True)
    return used


@pytest.fixture(autouse=True)
def put_back(root: Path, tmp_path: Path) -> Any:
    yield
    for directory in ("state", "data/sessions", "data/retired"):
        for path in (root / directory).iterdir():
            if path.is_file():
                path.unlink()
        for path in (tmp_path / "saved" / directory).iterdir():
            if path.is_file():
                shutil.copy2(path, root / directory / path.name)


def told(call: Callable[[], object]) -> str:
    """The code of what a call raises, which says what to do; `ok` if it raises nothing."""
    try:
        call()
    except errors.SessionStoreError as error:
        assert error.hint
        return error.code
    return "ok"


class TestDeletedParts:
    @pytest.mark.parametrize("parts", CASES, ids=" + ".join)
    def test_each_alone_and_in_every_pair_is_a_named_error(self, root: Path, parts: tuple[str, ...]) -> None:
        for part in parts:
            PARTS[part](root)
        before = {path: path.read_bytes() for path in (root / "data").rglob("*.json*")}
        opening = next((code for part, code in OPENING.items() if part in parts), None)
        if opening is not None:
            for read_only in (False, True):
                assert told(lambda: open_store(root, environ={}, read_only=read_only)) == opening  # noqa: B023
        else:
            expected = LOADING[" + ".join(parts)]
            with open_store(root, environ={}) as store:
                assert tuple(told(lambda id=id: store.load(id)) for id in SESSIONS) == expected  # type: ignore[misc]
                results = {result.session_id: result.code for result in store.verify()}
                page = store.list()
                shown = {line.id: "ok" for line in page.sessions} | {line.name: line.code for line in page.unreadable}
                for id, code in zip(SESSIONS, expected, strict=True):
                    # What no file and no row is left of is told once, about the ledger as a whole.
                    assert {results.get(id), shown.get(id, shown.get("ledger.db"))} <= {code, None}
                assert "ok" not in {shown.get(id) for id, code in zip(SESSIONS, expected, strict=True) if code != "ok"}
                assert set(expected) - {"ok"} and (page.unreadable or "policy" in parts)
        assert before == {path: path.read_bytes() for path in (root / "data").rglob("*.json*")}

    def test_a_session_that_was_never_here_is_not_said_to_be_so_while_rows_are_gone(self, root: Path) -> None:
        PARTS["heads"](root)
        with open_store(root, environ={}) as store, pytest.raises(errors.LedgerCorruptError, match="taken away"):
            store.load("3f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")


class TestRowsOfOthers:
    @pytest.fixture
    def relabelled(self, root: Path) -> Path:
        """The state before a migration: its row gone, another put in its place, so that there are as many as before."""
        with closing(sqlite3.connect(root / "state" / "ledger.db")) as connection, connection:
            before = connection.execute("SELECT * FROM inventory WHERE name = ?", (f"{UNSIGNED}.json",)).fetchone()
        with open_store(root, environ={}) as store:
            store.append(UNSIGNED, [{"n": 1}])
        with closing(sqlite3.connect(root / "state" / "ledger.db")) as connection, connection:
            connection.execute(f"INSERT OR REPLACE INTO inventory VALUES ({', '.join('?' * len(before))})", before)
            other = "3f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
            sql = "UPDATE heads SET session_id = ?, state = 'deleted' WHERE session_id = ?"
            connection.execute(sql, (other, UNSIGNED))
        (root / "data" / "sessions" / f"{UNSIGNED}.jsonl").unlink()
        (root / "data" / "sessions" / f"{UNSIGNED}.json").write_bytes(unsigned(UNSIGNED))
        return root

    def test_a_row_under_another_id_is_no_row(self, relabelled: Path) -> None:
        with open_store(relabelled, environ={}) as store:
            for _ in range(2):
                append = lambda: store.append(UNSIGNED, [{"n": 1}])  # noqa: E731
                for call in (lambda: store.load(UNSIGNED), append, lambda: list(store.migrate())):
                    with pytest.raises(errors.LedgerCorruptError, match="taken away"):
                        call()
            assert [(line.name, line.code) for line in store.list().unreadable] == [(UNSIGNED, "ledger_corrupt")]
            assert (store.load(SEALED).rev, store.load(MIGRATED).rev) == (1, 2)

    def test_nor_is_a_file_adopted_for_want_of_one(self, relabelled: Path) -> None:
        other = "4f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        (relabelled / "data" / "sessions" / f"{other}.json").write_bytes(unsigned(other))
        with open_store(relabelled, environ={}) as store, pytest.raises(errors.LedgerCorruptError, match="taken away"):
            store.adopt(other, consent="test")


class TestWipedStores:
    def test_a_key_is_not_made_anew_beside_what_was_sealed_and_put_away(self, root: Path) -> None:
        for part in ("key", "ledger", "session file"):
            PARTS[part](root)
        shutil.rmtree(root / "state" / "audit")
        assert told(lambda: open_store(root, environ={})) == "key_unavailable"

    def test_a_lower_policy_is_not_had_by_taking_its_row_away(self, root: Path) -> None:
        with open_store(root, environ={}) as store:
            store.raise_policy("require")
        PARTS["policy"](root)
        with open_store(root, environ={}) as store:
            for call in (lambda: store.load(UNSIGNED), store.policy, lambda: store.raise_policy("strict")):
                with pytest.raises(errors.LedgerCorruptError):
                    call()
            assert store.load(SEALED)
