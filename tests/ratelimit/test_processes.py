"""Real processes on one store: together never more than the limit, one after the other, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import Config, SessionStore, open_store
from sessionstore.errors import RateLimitError
from sessionstore.ratelimit import RateLimiter

ONE = "00000000-0000-4000-8000-000000000001"

# Its arguments are the home and the limits: of a session, of all, and the window.
_CHILD = """
import os, sys
from sessionstore import open_store
from sessionstore.config import load_config
from sessionstore.errors import RateLimitError
from sessionstore.model import new_id
from sessionstore.ratelimit import RateLimiter
names = ("RESUME_LIMIT", "RESUME_GLOBAL_LIMIT", "RESUME_WINDOW_SECONDS")
environ = {f"SESSIONSTORE_{name}": value for name, value in zip(names, sys.argv[2:5])}
config = load_config(root=sys.argv[1], environ=environ | {"SESSIONSTORE_LOCK_TIMEOUT_S": "60"}).config
def admitted(times, session_id):
    with open_store(config=config) as store:
        limiter = RateLimiter(store._ground.ledger, config)
        count = 0
        for _ in range(times):
            try:
                limiter.hit("resume", session_id)
                count += 1
            except RateLimitError:
                pass
        return count
"""

# Thirty-two processes that wait until all of them are there, and each with a store of its own.
_TOGETHER = """
import limits.strategies
ready, go = os.pipe(), os.pipe()
children = []
for number in range(32):
    child = os.fork()
    if child == 0:
        os.close(go[1])
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(admitted(4, {session}))
    children.append(child)
for _ in children:
    os.read(ready[0], 1)
os.close(go[1])
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.fixture
def run(opened: SessionStore, home: Path) -> Callable[..., str]:
    """Runs a script with a store in `home`, and returns what it printed."""

    def run(script: str, *limits: int) -> str:
        command = [sys.executable, "-c", _CHILD + script, str(home), *map(str, limits)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


class TestTogether:
    def test_32_processes_at_one_session_get_exactly_its_limit(self, run: Callable[..., str]) -> None:
        counts = [int(count) for count in run(_TOGETHER.format(session=repr(ONE)), 5, 60, 3600).split()]
        assert len(counts) == 32
        assert sum(counts) == 5

    def test_32_processes_at_different_sessions_get_exactly_the_limit_of_all(self, run: Callable[..., str]) -> None:
        counts = [int(count) for count in run(_TOGETHER.format(session="new_id()"), 5, 60, 3600).split()]
        assert len(counts) == 32
        assert sum(counts) == 60


class TestOneAfterTheOther:
    def test_attempts_are_remembered_by_the_next_process(self, run: Callable[..., str], home: Path) -> None:
        assert run(f"print(admitted(3, {ONE!r}))", 5, 60, 3600) == "3"
        assert run(f"print(admitted(3, {ONE!r}), admitted(1, {ONE!r}), admitted(1, None))", 5, 60, 3600) == "2 0 1"
        with open_store(home, environ={}) as store, pytest.raises(RateLimitError) as caught:
            config = store._ground.config
            long = Config(data_dir=config.data_dir, state_dir=config.state_dir, resume_window_seconds=3600)
            RateLimiter(store._ground.ledger, long).hit("resume", ONE)
        assert 1800 < caught.value.retry_after_s <= 3600


class TestKilled:
    def test_what_was_let_through_is_counted_whenever_the_process_dies(self, opened: SessionStore, home: Path) -> None:
        script = f"""
with open_store(config=config) as store:
    limiter = RateLimiter(store._ground.ledger, config)
    while True:
        limiter.hit("resume", {ONE!r})
        os.write(1, b"x")
"""
        let_through = 0
        for attempts in (1, 30, 7):
            command = [sys.executable, "-c", _CHILD + script, str(home), "10000", "10000", "3600"]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                let_through += len(os.read(process.stdout.fileno(), 1))
                for _ in range(attempts):
                    let_through += len(os.read(process.stdout.fileno(), 1))
                process.send_signal(signal.SIGKILL)
                let_through += len(process.stdout.read())
            with opened._ground.ledger.attempts() as counted:
                entries = counted.entries(f"resume/session/{ONE}")
                assert counted.entries("resume/global") == entries
            # The one that it died in may be counted although nobody was told.
            assert let_through <= len(entries) <= let_through + 1
            let_through = len(entries)
            opened._ground.ledger.check()
