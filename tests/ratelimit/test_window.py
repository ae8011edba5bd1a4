"""What counts, for how long, and what the refused one is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory

from sessionstore import SessionStore, open_store
from sessionstore.errors import InvalidValueError, LedgerCorruptError, RateLimitError, StoreUnavailableError
from sessionstore.ledger import AttemptClock
from sessionstore.model import new_id
from sessionstore.ratelimit import RateLimiter
from sessionstore.ratelimit.window import LedgerStorage, Window

Make = Callable[..., RateLimiter]
Refusal = Callable[..., RateLimitError]

ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"


def hit(limiter: RateLimiter, times: int, session_id: str | None = ONE, operation: str = "resume") -> None:
    for _ in range(times):
        limiter.hit(operation, session_id)


def buckets(store: SessionStore) -> list[str]:
    return [name for (name,) in store._ground.ledger._database.read("SELECT bucket FROM attempts ORDER BY bucket")]


@pytest.mark.usefixtures("frozen")
class TestLimits:
    def test_five_attempts_at_a_session_pass_and_the_sixth_is_told_when_to_come_back(
        self, limiter: Make, refusal: Refusal
    ) -> None:
        hit(limiter(), 5)
        error = refusal(limiter(), ONE)
        assert error.fields == {
            "operation": "resume",
            "scope": "session",
            "limit": 5,
            "window_s": 60,
            "retry_after_s": 60,
        }

    def test_sixty_attempts_at_different_sessions_pass(self, limiter: Make, refusal: Refusal) -> None:
        for _ in range(60):
            hit(limiter(), 1, new_id())
        error = refusal(limiter(), new_id())
        assert (error.scope, error.limit, error.retry_after_s) == ("global", 60, 60)

    def test_sessions_are_counted_apart(self, limiter: Make, refusal: Refusal) -> None:
        hit(limiter(), 5)
        hit(limiter(), 5, TWO)
        assert refusal(limiter(), ONE).scope == refusal(limiter(), TWO).scope == "session"

    def test_operations_are_counted_apart(self, limiter: Make, refusal: Refusal) -> None:
        tight = limiter(resume_global_limit=5)
        hit(tight, 5)
        hit(tight, 5, operation="pair")
        for operation in ("resume", "pair"):
            assert refusal(tight, ONE, operation).operation == operation
        hit(tight, 1, operation="resume_global")

    @pytest.mark.parametrize("session_id", [None, "", "latest", ONE + "\n", ONE.upper() + "X", "../x", "\ud800"])
    def test_what_is_no_session_counts_for_all_sessions_only(
        self, limiter: Make, refusal: Refusal, session_id: str | None
    ) -> None:
        hit(limiter(resume_global_limit=7), 7, session_id)
        assert refusal(limiter(resume_global_limit=7), session_id).scope == "global"
        hit(limiter(), 5)

    def test_a_refused_attempt_counts_for_nothing(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        hit(limiter(), 5)
        for _ in range(100):
            frozen.tick(timedelta(seconds=0.5))
            refusal(limiter(), ONE)
        # Neither for all sessions: 55 are left of 60.
        for _ in range(55):
            hit(limiter(), 1, new_id())
        untouched = new_id()
        assert refusal(limiter(), untouched).scope == "global"
        frozen.tick(10)
        # Nor for the session, when it is the other limit that refused.
        hit(limiter(), 5, untouched)

    def test_if_both_are_reached_the_one_that_takes_longer_is_told(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        tight = limiter(resume_limit=2, resume_global_limit=3)
        hit(tight, 1, TWO)
        frozen.tick(10)
        hit(tight, 2)
        assert (refusal(tight, ONE).scope, refusal(tight, ONE).retry_after_s) == ("session", 60)
        assert (refusal(tight, TWO).scope, refusal(tight, TWO).retry_after_s) == ("global", 50)

    @pytest.mark.parametrize("operation", ["", "Resume", "resume/global", "a" * 33, "re sume", "résumé", "_x"])
    def test_an_operation_is_a_plain_word(self, limiter: Make, operation: str) -> None:
        with pytest.raises(InvalidValueError):
            limiter().hit(operation, ONE)


class TestSettings:
    @pytest.mark.usefixtures("frozen")
    def test_without_a_limit_for_sessions_only_all_are_limited(
        self, limiter: Make, refusal: Refusal, opened: SessionStore
    ) -> None:
        hit(limiter(resume_limit=0), 60)
        assert refusal(limiter(resume_limit=0), ONE).scope == "global"
        assert buckets(opened) == ["resume/global"]

    @pytest.mark.usefixtures("frozen")
    def test_without_a_limit_for_all_only_sessions_are_limited(
        self, limiter: Make, refusal: Refusal, opened: SessionStore
    ) -> None:
        free = limiter(resume_global_limit=0)
        for _ in range(70):
            hit(free, 1, new_id())
        hit(free, 100, None)
        hit(free, 5)
        assert refusal(free, ONE).scope == "session"
        assert "resume/global" not in buckets(opened)

    def test_without_limits_nothing_is_counted(self, limiter: Make, opened: SessionStore) -> None:
        token = opened._ground.ledger.changed_token()
        hit(limiter(resume_limit=0, resume_global_limit=0), 100)
        assert opened._ground.ledger.changed_token() == token

    def test_another_window(self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory) -> None:
        long = limiter(resume_limit=1, resume_window_seconds=3600)
        hit(long, 1)
        frozen.tick(3599)
        error = refusal(long, ONE)
        assert (error.window_s, error.retry_after_s) == (3600, 1)
        frozen.tick(1)
        hit(long, 1)

    def test_a_changed_limit_keeps_what_was_counted(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        for _ in range(5):
            hit(limiter(), 1)
            frozen.tick(10)
        hit(limiter(resume_limit=6), 1)  # at 50, the sixth
        # With 3, all but two have to leave: the one of 40 is the last of them.
        lower = limiter(resume_limit=3)
        assert (refusal(lower, ONE).limit, refusal(lower, ONE).retry_after_s) == (3, 40)
        frozen.tick(39)
        assert refusal(lower, ONE).retry_after_s == 1
        frozen.tick(1)
        hit(lower, 1)


class TestEdges:
    def test_an_attempt_counts_until_it_is_exactly_as_old_as_the_window(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        hit(limiter(), 5)
        frozen.tick(timedelta(seconds=59, microseconds=999_999))
        assert refusal(limiter(), ONE).retry_after_s == 1
        frozen.tick(timedelta(microseconds=1))
        hit(limiter(), 5)
        assert refusal(limiter(), ONE).retry_after_s == 60

    @pytest.mark.parametrize(
        ("passed", "wait"),
        [(0.0, 60), (0.000001, 60), (0.5, 60), (1.0, 59), (1.000001, 59), (30.0, 30), (58.5, 2), (59.0, 1), (59.9, 1)],
    )
    def test_the_wait_is_rounded_up_and_after_it_one_attempt_passes(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory, passed: float, wait: int
    ) -> None:
        hit(limiter(), 5)
        frozen.tick(timedelta(seconds=passed))
        assert refusal(limiter(), ONE).retry_after_s == wait
        if wait > 1:
            frozen.tick(wait - 1)
            # Still a fraction of a second too early: it is not rounded up by more than it needs.
            assert refusal(limiter(), ONE).retry_after_s == 1
            frozen.tick(1)
        else:
            frozen.tick(wait)
        hit(limiter(), 1)

    def test_the_window_slides(self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory) -> None:
        for _ in range(5):  # at 0, 10, 20, 30, 40
            hit(limiter(), 1)
            frozen.tick(10)
        assert refusal(limiter(), ONE).retry_after_s == 10
        frozen.tick(10)
        hit(limiter(), 1)  # in the place of the first; a fixed window would allow five
        assert refusal(limiter(), ONE).retry_after_s == 10
        frozen.tick(10)
        hit(limiter(), 1)
        assert refusal(limiter(), ONE).retry_after_s == 10

    def test_never_more_than_the_limit_within_any_window(self, limiter: Make, frozen: FrozenDateTimeFactory) -> None:
        passed: list[float] = []
        for step in range(400):
            frozen.tick(timedelta(seconds=(step * 7919 % 97) / 20))
            try:
                limiter().hit("resume", ONE)
            except RateLimitError:
                continue
            passed.append(frozen().timestamp())
        assert len(passed) > 50
        # The sixth of any six is at least a window after the first.
        assert all(later - first >= 60 for first, later in zip(passed, passed[5:], strict=False))


class TestSweep:
    def test_buckets_of_quiet_sessions_go_and_attempts_that_are_over_too(
        self, limiter: Make, opened: SessionStore, frozen: FrozenDateTimeFactory
    ) -> None:
        for _ in range(59):
            hit(limiter(), 1, new_id())
        frozen.tick(30)
        hit(limiter(), 1)
        assert len(buckets(opened)) == 61
        frozen.tick(30)
        hit(limiter(), 1, TWO)
        assert buckets(opened) == ["resume/global", f"resume/session/{ONE}", f"resume/session/{TWO}"]
        with opened._ground.ledger.attempts() as attempts:
            assert len(attempts.entries("resume/global")) == 2

    def test_refused_attempts_sweep_too(
        self, limiter: Make, refusal: Refusal, opened: SessionStore, frozen: FrozenDateTimeFactory
    ) -> None:
        tight = limiter(resume_global_limit=2)
        hit(tight, 1)
        frozen.tick(59)
        hit(tight, 1, TWO)
        refusal(tight, TWO)
        frozen.tick(1)
        hit(tight, 1, TWO)
        refusal(tight, TWO)
        assert buckets(opened) == ["resume/global", f"resume/session/{TWO}"]


class TestFailure:
    @pytest.mark.parametrize("table", ["attempts", "attempts_clock"])
    def test_a_changed_row_lets_nothing_through(self, limiter: Make, opened: SessionStore, table: str) -> None:
        hit(limiter(), 1)
        database = opened._ground.ledger._database
        database.write(f"UPDATE {table} SET mac = zeroblob(32)", (), durable=False)
        for _ in range(2):
            with pytest.raises(LedgerCorruptError):
                limiter().hit("resume", TWO)

    def test_a_store_that_is_only_read_lets_nothing_through(self, opened: SessionStore) -> None:
        config = opened._ground.config
        with open_store(config=config, read_only=True) as reader:
            with pytest.raises(StoreUnavailableError, match="read-only"):
                RateLimiter(reader._ground.ledger, config).hit("resume", ONE)
            assert buckets(reader) == []


class TestLedgerStorage:
    def test_limits_finds_no_other_strategy_in_it(self, opened: SessionStore) -> None:
        with opened._ground.ledger.attempts() as attempts:
            storage = LedgerStorage(attempts, 0)
            assert storage.check()
            for call in (
                lambda: storage.incr("key", 60),
                lambda: storage.get("key"),
                lambda: storage.get_expiry("key"),
                lambda: storage.clear("key"),
                storage.reset,
            ):
                with pytest.raises(NotImplementedError):
                    call()

    def test_limits_reads_its_own_figures_out_of_it(self, opened: SessionStore) -> None:
        from limits.strategies import MovingWindowRateLimiter

        with opened._ground.ledger.attempts() as attempts:
            attempts.set_clock(AttemptClock(0, "", 0, 0))
            limiter = MovingWindowRateLimiter(LedgerStorage(attempts, 2_500_000))
            window = Window(5, 60)
            assert limiter.get_window_stats(window, "a") == (62.5, 5)
            assert limiter.hit(window, "a", cost=3)
            assert not limiter.hit(window, "a", cost=3)
            assert MovingWindowRateLimiter(LedgerStorage(attempts, 3_000_000)).get_window_stats(window, "a") == (
                62.5,
                2,
            )

    def test_no_address_leads_to_it(self) -> None:
        from limits.storage import storage_from_string

        with pytest.raises(Exception, match="unknown storage scheme"):
            storage_from_string("ledger://")


class TestLoading:
    def test_limits_is_loaded_by_the_first_attempt_that_is_counted(self, unmeasured: dict[str, str]) -> None:
        script = """
import sys, tempfile
import sessionstore.store, sessionstore.ratelimit
from sessionstore import open_store
from sessionstore.ratelimit import RateLimiter
from sessionstore.config import load_config
with tempfile.TemporaryDirectory() as root:
    config = load_config(root=root, environ={}).config
    off = {"SESSIONSTORE_RESUME_LIMIT": "0", "SESSIONSTORE_RESUME_GLOBAL_LIMIT": "0"}
    with open_store(config=config) as store:
        RateLimiter(store._ground.ledger, load_config(root=root, environ=off).config).hit("resume", None)
        limiter = RateLimiter(store._ground.ledger, config)
        print("limits" in sys.modules)
        limiter.hit("resume", None)
        print("limits" in sys.modules)
"""
        child = subprocess.run(
            [sys.executable, "-c", script], env=unmeasured, capture_output=True, text=True, check=True, timeout=60
        )
        assert child.stdout.split() == ["False", "True"]
