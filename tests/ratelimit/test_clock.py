"""The own time of the attempts against clocks that are set, frozen, restarted, shifted, or not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory

from sessionstore import SessionStore
from sessionstore.errors import RateLimitError
from sessionstore.fs import boot
from sessionstore.ledger import AttemptClock
from sessionstore.ratelimit import RateLimiter, clock
from sessionstore.ratelimit.clock import REPLACED, moved_on

Make = Callable[..., RateLimiter]
Refusal = Callable[..., RateLimitError]

ONE = "00000000-0000-4000-8000-000000000001"
S = 1_000_000
DAY_S = 86_400
# Less than any clock is moved by here, more than passes by itself.
SLACK_S = 1800
HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)

on_linux = pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the system has no such clock")


@pytest.fixture
def full(limiter: Make, opened: SessionStore) -> RateLimiter:
    """A limiter that has no room for one session, for a day: longer than any test takes."""
    made = limiter(resume_limit=1, resume_window_seconds=DAY_S)
    made.hit("resume", ONE)
    return made


class TestAllClocksMoved:
    """freezegun moves the running time together with the wall clock, as no system does."""

    def test_back_by_an_hour_locks_for_the_window_and_no_longer(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        tight = limiter(resume_limit=1)
        tight.hit("resume", ONE)
        frozen.tick(-HOUR)
        assert refusal(tight, ONE).retry_after_s == 60
        frozen.tick(59)
        assert refusal(tight, ONE).retry_after_s == 1
        frozen.tick(1)
        tight.hit("resume", ONE)

    def test_forward_by_a_year_and_back_locks_for_the_window_and_no_longer(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        tight = limiter(resume_limit=1)
        frozen.tick(YEAR)
        tight.hit("resume", ONE)
        frozen.tick(-YEAR)
        assert refusal(tight, ONE).retry_after_s == 60
        frozen.tick(60)
        tight.hit("resume", ONE)

    def test_back_and_forth_never_makes_time_pass_twice(
        self, limiter: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        tight = limiter(resume_limit=1)
        tight.hit("resume", ONE)
        for _ in range(3):
            frozen.tick(10)
            refusal(tight, ONE)
            frozen.tick(-10)
            refusal(tight, ONE)
        # 30 seconds went by between attempts, whatever the clock shows.
        assert refusal(tight, ONE).retry_after_s == 30


@on_linux
class TestWallClockAlone:
    """What an administrator, or time synchronisation, does while the system runs."""

    @pytest.mark.parametrize("by", [YEAR, HOUR, -HOUR, -YEAR])
    def test_setting_it_unlocks_nothing_and_locks_nothing(
        self, full: RateLimiter, refusal: Refusal, monkeypatch: pytest.MonkeyPatch, by: timedelta
    ) -> None:
        shifted = time.time_ns() + int(by.total_seconds()) * 10**9
        monkeypatch.setattr(time, "time_ns", lambda: shifted)
        assert refusal(full, ONE).retry_after_s > DAY_S - SLACK_S
        monkeypatch.undo()
        assert refusal(full, ONE).retry_after_s > DAY_S - SLACK_S


def hours_before(now: AttemptClock, running_h: int, wall_h: int, boot: str) -> AttemptClock:
    """A reading at some own time, so many hours before `now` by either clock."""
    return AttemptClock(100 * S, boot, now.running_us - running_h * 3600 * S, now.wall_us - wall_h * 3600 * S)


def passed(last: AttemptClock) -> int:
    """How many whole hours pass between that reading and the next one."""
    return (moved_on(last).now_us - last.now_us) // (3600 * S)


@on_linux
class TestMovedOn:
    """One reading after another, with what the clocks would have shown before."""

    @pytest.fixture
    def now(self) -> AttemptClock:
        return moved_on(None)

    def before(self, now: AttemptClock, *, running_h: int, wall_h: int, boot: str | None = None) -> AttemptClock:
        return hours_before(now, running_h, wall_h, now.boot if boot is None else boot)

    def test_the_first_attempt_is_at_0(self, now: AttemptClock) -> None:
        assert now.now_us == 0
        assert now.boot

    def test_suspended_time_counts(self, now: AttemptClock) -> None:
        assert now.running_us <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        assert now.running_us > time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 - 60 * S

    @pytest.mark.parametrize("wall_h", [7, -1, 50, 10**5])
    def test_while_the_system_runs_the_wall_clock_has_no_part(self, now: AttemptClock, wall_h: int) -> None:
        assert passed(self.before(now, running_h=7, wall_h=wall_h)) == 7

    def test_a_running_time_that_went_back_is_nothing(self, now: AttemptClock) -> None:
        assert passed(self.before(now, running_h=-500, wall_h=500)) == 0

    @pytest.mark.parametrize("running_h", [5, -1000])
    def test_after_a_restart_the_wall_clock_counts(self, now: AttemptClock, running_h: int) -> None:
        last = self.before(now, running_h=running_h, wall_h=45, boot="another boot")
        assert passed(last) == 45
        assert moved_on(last).boot == now.boot

    def test_a_restart_with_the_clock_set_back_costs_the_window_at_most(self, now: AttemptClock) -> None:
        last = self.before(now, running_h=5, wall_h=-1, boot="another boot")
        again = moved_on(last)
        assert again.now_us == last.now_us
        # From here on the system runs.
        assert again.boot == now.boot and abs(again.wall_us - now.wall_us) < 60 * S

    def test_another_time_namespace_is_another_start(self, now: AttemptClock) -> None:
        boot, _, namespace = now.boot.partition(" ")
        if not namespace:
            pytest.skip("the kernel has no time namespaces")
        assert passed(self.before(now, running_h=10**4, wall_h=3, boot=f"{boot} time:[1]")) == 3

    def test_a_kernel_without_time_namespaces_has_a_boot_id_all_the_same(
        self, now: AttemptClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clock, "TIME_NAMESPACE", "/nowhere")
        assert moved_on(None).boot == now.boot.partition(" ")[0]


@on_linux
class TestWithoutABootId:
    @pytest.fixture(autouse=True)
    def hidden(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        monkeypatch.setattr(boot, "_BOOT_ID", str(tmp_path / "missing"))
        boot.boot_id.cache_clear()
        yield
        boot.boot_id.cache_clear()

    @pytest.mark.parametrize(
        ("running_h", "wall_h", "passed_h"),
        [(7, 7, 7), (7, 500, 7), (500, 7, 7), (7, -500, 0), (-500, 45, 45), (-500, -45, 0)],
    )
    def test_the_smaller_difference_counts_unless_a_restart_is_certain(
        self, running_h: int, wall_h: int, passed_h: int
    ) -> None:
        now = moved_on(None)
        assert now.boot == ""
        assert passed(hours_before(now, running_h, wall_h, "")) == passed_h

    def test_without_the_kernels_clocks_pythons_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(time, "CLOCK_BOOTTIME")
        before_us = time.monotonic_ns() // 1000
        assert before_us <= moved_on(None).running_us <= time.monotonic_ns() // 1000


@on_linux
class TestFrozenBesideReal:
    def test_a_frozen_process_unlocks_nothing_for_itself_or_others(self, full: RateLimiter, refusal: Refusal) -> None:
        for moment in ("2000-01-01", "2020-01-01", "2200-01-01"):
            with freeze_time(moment) as frozen:
                assert refusal(full, ONE).retry_after_s > DAY_S - SLACK_S
                frozen.tick(1)
                refusal(full, ONE)
            assert refusal(full, ONE).retry_after_s > DAY_S - SLACK_S

    def test_it_is_told_by_its_clock(self) -> None:
        with freeze_time("2200-01-01"):
            assert moved_on(None).boot == REPLACED
        assert moved_on(None).boot != REPLACED

    def test_time_goes_on_among_frozen_attempts(self, full: RateLimiter) -> None:
        with freeze_time("2200-01-01") as frozen:
            with pytest.raises(RateLimitError):
                full.hit("resume", ONE)
            frozen.tick(DAY_S)
            full.hit("resume", ONE)
