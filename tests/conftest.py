"""What every test stands on: surroundings of its own, a store, child processes, the repository, the samples."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from sessionstore import SessionStore

# The same examples in every run, and no verdict that depends on how busy the machine is.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")

# A new backend gets every test of the store by its name here.
BACKENDS = ("file", "memory")

_MEMORY = Path("/dev/shm")

_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_DIRS")


@pytest.fixture(scope="session", autouse=True)
def ordinary_signals() -> None:
    """Heed signals that whoever started the tests ignores: `nohup` does, and children would inherit it."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the tester's own sessions, settings and home out of reach, here and in child processes."""
    for name in list(os.environ):
        if name.startswith("SESSIONSTORE_") or name in _PLACES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def unmeasured(no_surroundings: None) -> dict[str, str]:
    """The environment for a child process that must not measure coverage.

    It is asked what it has loaded, and measuring loads modules too; or it becomes a user who may not write the results.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout that these tests lie in."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def samples(repository: Path) -> Path:
    """The directory of real sample transcripts, which lies beside the repository and is not part of it."""
    found = repository.parent / "shared" / "samples"
    if not found.is_dir():
        pytest.skip("no sample transcripts: put them into ../shared/samples beside the repository")
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a store keeps everything; nothing is there yet.

    It lies in memory where the system has a place there: every test syncs often, and what a disk does to files is not
    what these tests are about (those of the file system and of faults stay on the disk).
    """
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path / "store"
        return
    with tempfile.TemporaryDirectory(prefix="sessionstore-tests-", dir=_MEMORY) as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name) / "store"


@pytest.fixture(params=BACKENDS)
def make_store(request: pytest.FixtureRequest, home: Path) -> Iterator[Callable[..., SessionStore]]:
    """Opens a store in `home` with the settings given, once with every backend; closed at the end."""
    from sessionstore import Config, open_store

    with ExitStack() as opened:

        def make(**settings: Any) -> SessionStore:
            config = Config(data_dir=home / "data", state_dir=home / "state", **settings)
            return opened.enter_context(open_store(backend=request.param, config=config))

        yield make


@pytest.fixture
def store(make_store: Callable[..., SessionStore]) -> SessionStore:
    """An empty store, once with every backend."""
    return make_store()


@pytest.fixture
def stored() -> Callable[[SessionStore, str], bytes]:
    """Reads the bytes of a session's log, whatever the backend."""

    def read(store: SessionStore, session_id: str) -> bytes:
        log = store._ground.backend.open(f"{session_id}.jsonl")
        assert log is not None
        with closing(log):
            return log.read(0, 1 << 40)

    return read


@pytest.fixture
def ledger_locked(home: Path) -> Callable[[], AbstractContextManager[None]]:
    """A block in which somebody else keeps the ledger locked: what is written is on the disk, its head is refused."""

    @contextmanager
    def locked() -> Iterator[None]:
        other = sqlite3.connect(home / "state" / "ledger.db", isolation_level=None, check_same_thread=False)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()

    return locked


@pytest.fixture
def child() -> Callable[..., str]:
    """Runs a script in a Python of its own and returns what it printed."""

    def run(script: str, *args: object, stdin: str = "") -> str:
        command = [sys.executable, "-W", "error", "-c", script, *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, input=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def directory(home: Path) -> Path:
    """The directory of session files, before the store is first opened."""
    found = home / "data" / "sessions"
    found.mkdir(parents=True, mode=0o700)
    (home / "data").chmod(0o700)
    return found


@pytest.fixture
def unsigned() -> Callable[..., bytes]:
    """Makes a file of format version 1, newest message first as the tool writes it."""

    def make(session_id: str, /, messages: int = 2, **members: Any) -> bytes:
        conversation = [
            {
                "id": f"m{number}",
                "role": ("user", "assistant", "tool", "system")[number % 4],
                "content": f"said {number}",
                "timestamp": f"2025-12-08T09:0{number}:00.000000Z",
            }
            for number in reversed(range(messages))
        ]
        whole = {
            "version": 1,
            "id": session_id,
            "name": "Atlas",
            "project_path": "/srv/demo/atlas",
            "config": {"provider": "anthropic", "model": "", "temperature": 1, "extra": {"kept": [1, 2.5]}},
            "created_at": "2025-12-08T09:00:00.000001Z",
            "updated_at": "2025-12-08T09:30:00.000000Z",
            "closed_at": "2025-12-08T10:00:00.123456Z",
            "conversation": conversation,
            "todos": [{"content": "Read", "status": "in_progress", "active_form": "Reading"}],
            **members,
        }
        return json.dumps(whole, indent=2, sort_keys=True).encode()

    return make
