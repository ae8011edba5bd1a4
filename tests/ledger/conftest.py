"""A state directory, a key, and ledgers in it; hands for tampering; and Python processes that open the same ledger."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger
from sessionstore.signing import Keyring, new_key

STORE = "5f0c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
CREATED_AT = "2026-01-31T12:00:00.000000Z"

# What every child process begins with; its arguments are the state directory and the secret of the primary key.
_CHILD = f"""
import os, signal, sys
from sessionstore.errors import *
from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger
from sessionstore.signing import Key, Keyring
from msgspec.structs import replace
state = Directory.open(sys.argv[1], strict=True)
keyring = Keyring([Key(bytes.fromhex(sys.argv[2]), "primary", {CREATED_AT!r})], generation=1)
def open_ledger(**options): return Ledger.open(state, keyring, {STORE!r}, **options)
def bump(ledger, session_id, **options):
    while True:
        old = ledger.head(session_id)
        try:
            ledger.commit(replace(old, rev=old.rev + 1), old=old, **options)
            return old.rev + 1
        except ConflictError:
            pass
"""


@pytest.fixture
def store_id() -> str:
    return STORE


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring([new_key(CREATED_AT)], generation=1)


@pytest.fixture(scope="session")
def fresh(keyring: Keyring, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a new ledger. Making one syncs many times; most tests begin with a copy."""
    path = tmp_path_factory.mktemp("fresh") / "state"
    with Directory.open(path, create=True, strict=True) as directory:
        with Ledger.create(directory, keyring, STORE) as ledger:
            ledger.bind(STORE, 1, 2)
        Ledger.place(directory)
    return (path / "ledger.db").read_bytes()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Directory]:
    (tmp_path / "state").mkdir(mode=0o700)
    with Directory.open(tmp_path / "state", strict=True) as directory:
        yield directory


@pytest.fixture
def make_head() -> Callable[..., Head]:
    """A live head; `number` tells sessions apart and orders them in time."""

    def make(number: int = 1, **changes: Any) -> Head:
        head = Head(
            session_id=f"00000000-0000-4000-8000-{number:012d}",
            state="live",
            rev=1,
            tag=f"ss2.{'0' * 16}.{'1' * 64}",
            end=2000,
            seal_at=1800,
            inode=77,
            size=2000,
            mtime_ns=1,
            ctime_ns=2,
            key=None,
            name="An ordinary name",
            project="/srv/demo/atlas",
            place=(1, 2),
            parent=None,
            origin=None,
            created_at=CREATED_AT,
            updated_at=f"2026-01-31T12:00:00.{number:06d}Z",
            closed_at=None,
            entries=3,
            tags=("work",),
            provenance="native",
            last_key=None,
        )
        return msgspec.structs.replace(head, **changes)

    return make


@pytest.fixture
def open_ledger(state: Directory, keyring: Keyring, fresh: bytes) -> Iterator[Callable[..., Ledger]]:
    """Opens the ledger of `state`, put there at the first call; closes at the end what the test did not."""
    opened: list[Ledger] = []

    def open_one(*, with_keyring: Keyring = keyring, store_id: str = STORE, **options: Any) -> Ledger:
        if not Ledger.exists(state):
            os.close(os.open("ledger.db", os.O_CREAT | os.O_EXCL, 0o600, dir_fd=state.fd))
            Path(state.path, "ledger.db").write_bytes(fresh)
        ledger = Ledger.open(state, with_keyring, store_id, **options)
        opened.append(ledger)
        return ledger

    yield open_one
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Callable[..., Ledger]) -> Ledger:
    return open_ledger()


@pytest.fixture
def tamper(state: Directory) -> Callable[..., None]:
    """Runs SQL on the ledger's file as somebody with an ordinary SQLite shell would."""

    def run(sql: str, *parameters: Any) -> None:
        with closing(sqlite3.connect(f"{state.path}/ledger.db")) as connection, connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(sql, parameters)

    return run


@pytest.fixture
def child_command(state: Directory, keyring: Keyring) -> Callable[[str], list[str]]:
    """The command line of a Python process that runs `script`, with `state`, `keyring` and `open_ledger` at hand."""

    def command(script: str) -> list[str]:
        return [sys.executable, "-c", _CHILD + script, state.path, keyring.primary.secret.hex()]

    return command


@pytest.fixture
def run_child(child_command: Callable[[str], list[str]]) -> Callable[[str], str]:
    """Runs such a process to its end and returns what it printed."""

    def run(script: str) -> str:
        done = subprocess.run(child_command(script), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
