"""Attempts hammered, dated and counted anew by hand: no limit is got around without the key or without root."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from sessionstore import Config, SessionStore
from sessionstore.config import Secret
from sessionstore.errors import ConfigError, LedgerCorruptError, RateLimitError
from sessionstore.ledger import Attempts, Ledger
from sessionstore.model import new_id
from sessionstore.ratelimit import RateLimiter

Make = Callable[..., RateLimiter]

DAY_S = 86_400

# One attempt in a process of its own; the arguments are the home and the session.
ATTEMPT = """
import sys
from sessionstore import open_store
from sessionstore.config import load_config
from sessionstore.errors import RateLimitError
from sessionstore.ratelimit import RateLimiter
environ = {"SESSIONSTORE_RESUME_WINDOW_SECONDS": "86400"}
config = load_config(root=sys.argv[1], environ=environ).config
with open_store(config=config) as store:
    try:
        RateLimiter(store._ground.ledger, config).hit("resume", sys.argv[2])
        print("through")
    except RateLimitError as error:
        print(error.retry_after_s)
"""


@pytest.fixture
def limiter(store: SessionStore) -> Make:
    def make(**settings: Any) -> RateLimiter:
        places = {"data_dir": store._ground.config.data_dir, "state_dir": store._ground.config.state_dir}
        settings.setdefault("resume_window_seconds", DAY_S)
        return RateLimiter(store._ground.ledger, Config(**places, **settings))

    return make


def through(limiter: RateLimiter, session_id: str | None, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            limiter.hit("resume", session_id)
            count += 1
        except RateLimitError:
            pass
    return count


class TestHammering:
    def test_threads_at_one_session_get_its_limit_and_leave_the_others_theirs(
        self, limiter: Make, store: SessionStore
    ) -> None:
        session_id = new_id()
        one = limiter()
        got: list[int] = []
        threads = [threading.Thread(target=lambda: got.append(through(one, session_id, 20))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(got) == 5
        assert sum(through(limiter(), new_id(), 5) for _ in range(11)) == 55

    def test_ids_that_are_made_up_are_limited_together_and_fill_nothing(
        self, limiter: Make, store: SessionStore
    ) -> None:
        assert sum(through(limiter(), new_id(), 1) for _ in range(300)) == 60
        assert through(limiter(), None, 5) == 0
        ((rows,),) = store._ground.ledger._database.read("SELECT count(*) FROM attempts")
        assert rows == 61


class TestClocks:
    def test_a_wall_clock_that_is_set_unlocks_nothing(self, limiter: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        import time

        if not hasattr(time, "CLOCK_BOOTTIME"):
            pytest.skip("the system has no such clock")
        session_id = new_id()
        assert through(limiter(), session_id, 5) == 5
        now_ns = time.time_ns()
        for years in (-10, 1, 0):
            monkeypatch.setattr(time, "time_ns", lambda ns=now_ns + years * 365 * DAY_S * 10**9: ns)
            assert through(limiter(), session_id, 2) == 0

    def test_a_frozen_process_beside_real_ones_unlocks_nothing(self, limiter: Make) -> None:
        session_id = new_id()
        assert through(limiter(), session_id, 5) == 5
        with freeze_time("2200-01-01"):
            assert through(limiter(), session_id, 2) == 0
        assert through(limiter(), session_id, 2) == 0

    def test_a_time_namespace_that_runs_for_years_unlocks_nothing(self, store: SessionStore, root: Path) -> None:
        """It needs no privilege to be made, and shifts every clock of the kernel but the wall clock."""
        command = ["unshare", "--user", "--map-root-user", "--time", "--fork"]
        command += [f"--{clock}={10**8}" for clock in ("monotonic", "boottime")]
        if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
            pytest.skip("no time namespace can be made here")
        session_id = new_id()

        def attempt(*prefix: str) -> str:
            arguments = [*prefix, sys.executable, "-c", ATTEMPT, os.fspath(root), session_id]
            done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
            return done.stdout.strip()

        assert [attempt() for _ in range(3)] + [attempt(*command) for _ in range(2)] == ["through"] * 5
        for prefix in ((), command, (), command):
            assert int(attempt(*prefix)) > DAY_S - 3600

    def test_waiting_for_the_ledger_makes_no_time_pass_twice(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A clock that was read before the wait is older than the one that was noted meanwhile."""
        import time

        order: list[str] = []
        real_ns = time.time_ns

        class Watched(Ledger):
            @contextmanager
            def attempts(self) -> Iterator[Attempts]:
                with Ledger.attempts(self) as attempts:
                    order.append("locked")
                    yield attempts
                order.append("free")

        ledger = store._ground.ledger
        watched = Watched(ledger._database, store._ground.keyring, store.store_id)
        monkeypatch.setattr(time, "time_ns", lambda: (order.append("clock"), real_ns())[1])
        RateLimiter(watched, store._ground.config).hit("resume", None)
        assert order == ["locked", "clock", "free"]


class TestRows:
    @pytest.fixture
    def path(self, root: Path) -> Path:
        return root / "state" / "ledger.db"

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE attempts SET payload = zeroblob(5)",
            "UPDATE attempts SET mac = zeroblob(32)",
            "UPDATE attempts SET leaves_at = leaves_at + 1",
            "UPDATE attempts SET key_id = '0000000000000000'",
            "UPDATE attempts_clock SET payload = zeroblob(5)",
            "UPDATE attempts_clock SET mac = zeroblob(32)",
        ],
    )
    def test_one_that_was_changed_lets_nobody_through(
        self, limiter: Make, path: Path, store: SessionStore, change: str
    ) -> None:
        assert through(limiter(), new_id(), 1) == 1
        with closing(sqlite3.connect(path)) as connection, connection:
            assert connection.execute(change).rowcount
        for session_id in (new_id(), None):
            with pytest.raises(LedgerCorruptError):
                limiter().hit("resume", session_id)
        with pytest.raises(LedgerCorruptError):
            store._ground.ledger.check()

    def test_one_of_a_quiet_session_in_the_place_of_a_full_one_is_refused(self, limiter: Make, path: Path) -> None:
        full, quiet = new_id(), new_id()
        assert through(limiter(), full, 5) == 5
        assert through(limiter(), quiet, 1) == 1
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM attempts WHERE bucket = ?", (f"resume/session/{full}",))
            connection.execute(
                "UPDATE attempts SET bucket = ? WHERE bucket = ?", (f"resume/session/{full}", f"resume/session/{quiet}")
            )
        with pytest.raises(LedgerCorruptError):
            limiter().hit("resume", full)

    def test_the_older_time_put_back_makes_no_time_pass_twice(self, limiter: Make, path: Path) -> None:
        session_id = new_id()
        assert through(limiter(), session_id, 1) == 1
        with closing(sqlite3.connect(path)) as connection:
            row = connection.execute("SELECT payload, mac FROM attempts_clock").fetchone()
        assert through(limiter(), session_id, 5) == 4
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE attempts_clock SET payload = ?, mac = ?", row)
        assert through(limiter(), session_id, 5) == 0


class TestAddress:
    def test_a_password_in_it_is_in_no_error(self, limiter: Make) -> None:
        counted = limiter(resume_storage_uri=Secret("nothing://:hunter2@host"))
        with pytest.raises(ConfigError) as caught:
            counted.hit("resume", None)
        assert caught.value.__cause__ is None and caught.value.__context__ is None
        assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.fields} {counted!r}"
