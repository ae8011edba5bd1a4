"""An audit log on a state directory of its own, with a clock in the test's hand, and its files to be tampered with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config
from sessionstore.audit import AuditLog
from sessionstore.fs import Directory, Locks
from sessionstore.ledger import Ledger
from sessionstore.model import AuditRecord, AuditReport
from sessionstore.signing import Keyring, new_key

STORE = "5f0c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
SESSION = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Place:
    """A state directory, and audit logs on it.

    Attributes:
        home: Its parent.
        keyring: Of every log here.
        now: What the wall clock says; a test may change it.
        ticks: What the monotonic clock says.
    """

    session = SESSION

    def __init__(self, home: Path, keyring: Keyring) -> None:
        self.home = home
        self.keyring = keyring
        self.now = START
        self.ticks = 0.0
        self.opened = ExitStack()
        self.state = self.opened.enter_context(Directory.open(home / "state", create=True, strict=True))
        with Ledger.create(self.state, keyring, STORE) as ledger:
            ledger.bind(STORE, 1, 2)
        Ledger.place(self.state)
        self.ledger = self.opened.enter_context(Ledger.open(self.state, keyring, STORE, timeout_s=0.05))

    @property
    def directory(self) -> Path:
        return self.home / "state" / "audit"

    def log(self, *, read_only: bool = False, keyring: Keyring | None = None, **settings: Any) -> AuditLog:
        """Another log on the same files, as another process has it."""
        config = Config(
            data_dir=self.home / "data", state_dir=self.home / "state", **{"lock_timeout_s": 0.2, **settings}
        )
        locks = Locks(self.opened.enter_context(self.state.sub("locks", create=True, strict=True)), make=not read_only)
        self.opened.callback(locks.close)
        log = AuditLog(
            self.state,
            keyring or self.keyring,
            STORE,
            self.ledger,
            locks,
            config,
            now=lambda: self.now,
            clock=lambda: self.ticks,
            read_only=read_only,
        )
        self.opened.callback(log.close)
        return log

    def pass_days(self, days: int) -> None:
        self.now += timedelta(days=days)

    def file(self, number: int = 1) -> Path:
        return self.directory / f"{number:06d}.jsonl"

    def lines(self, number: int = 1) -> list[bytes]:
        return self.file(number).read_bytes().splitlines(keepends=True)

    def put(self, lines: list[bytes], number: int = 1) -> None:
        """Write a file past every lock, in place, as somebody else does."""
        self.file(number).write_bytes(b"".join(lines))

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.name != ".gitignore")

    def report(self) -> AuditReport:
        """What a reader that begins anew finds."""
        return self.log(read_only=True).verify()

    def found(self) -> list[tuple[str, int, str]]:
        """File, line and kind of each finding."""
        return [(finding.file, finding.line, finding.kind) for finding in self.report().findings]

    def records(self, **only: Any) -> list[AuditRecord]:
        return list(self.log(read_only=True).records(**only))

    def events(self) -> list[str]:
        return [record.event for record in self.records()]

    def is_unbroken(self) -> bool:
        """Whether every event has the next number, over all files."""
        numbers = [record.seq for record in self.records()]
        return numbers == list(range(1, len(numbers) + 1))


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring([new_key("2026-01-31T12:00:00.000000Z")], generation=1)


@pytest.fixture
def place(home: Path, keyring: Keyring) -> Iterator[Place]:
    made = Place(home, keyring)
    with made.opened:
        yield made


@pytest.fixture
def log(place: Place) -> AuditLog:
    return place.log()


@pytest.fixture
def small(place: Place, log: AuditLog) -> Place:
    """A log of six lines."""
    log.record("resume_attempt", session_id=SESSION)
    log.record("rate_limited", session_id=SESSION, operation="resume", scope="session", retry_after_s=7)
    log.record("resume_refused", session_id=SESSION, code="project_path_security_violation", verdict="symlink")
    log.record("rebind", session_id=SESSION, before="/srv/a", after="/srv/b", consent="the owner", trust="")
    log.record("resume_committed", session_id=SESSION, rev=3)
    log.record("resume_ended", session_id=SESSION, status=0)
    return place


@pytest.fixture
def two_files(place: Place, log: AuditLog) -> Place:
    """A closed file of three lines, and one of two."""
    for number in range(3):
        log.record("resume_committed", rev=number)
    place.pass_days(1)
    for number in range(2):
        log.record("resume_committed", rev=number)
    return place


@pytest.fixture
def child_command(place: Place) -> Callable[[str], list[str]]:
    """The command line of a process that runs `script` with `log`, an audit log on the same files, at hand."""
    begin = f"""
import os, sys
from pathlib import Path
from sessionstore import Config
from sessionstore.audit import AuditLog
from sessionstore.fs import Directory, Locks
from sessionstore.ledger import Ledger
from sessionstore.signing import Key, Keyring
home = Path(sys.argv[1])
keyring = Keyring([Key(bytes.fromhex(sys.argv[2]), "primary", "2026-01-31T12:00:00.000000Z")], generation=1)
state = Directory.open(home / "state", strict=True)
ledger = Ledger.open(state, keyring, {STORE!r}, timeout_s=20)
locks = Locks(state.sub("locks", create=True, strict=True))
config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=20, audit_max_file_bytes=16384)
log = AuditLog(state, keyring, {STORE!r}, ledger, locks, config)
"""

    def command(script: str) -> list[str]:
        secret = place.keyring.primary.secret.hex()
        return [sys.executable, "-W", "error", "-c", f"{begin}{script}\nledger.close()\n", str(place.home), secret]

    return command
