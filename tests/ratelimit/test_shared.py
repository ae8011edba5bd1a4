"""Attempts counted in another storage of `limits`, and an address that stays hidden whatever goes wrong."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar

import pytest
from freezegun.api import FrozenDateTimeFactory
from limits.storage import MemoryStorage

from sessionstore import SessionStore
from sessionstore.config import Secret
from sessionstore.errors import ConfigError, RateLimitError, SessionStoreError, StoreUnavailableError
from sessionstore.ratelimit import RateLimiter

Make = Callable[..., RateLimiter]
Refusal = Callable[..., RateLimitError]

ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"
PASSWORD = "hunter2-7b1e"


class FailingStorage(MemoryStorage):
    """A server that cannot be reached, with a driver that says all it knows."""

    STORAGE_SCHEME = ["failing"]  # noqa: RUF012 - as limits declares it

    def __init__(self, uri: str) -> None:
        super().__init__()
        self.uri = uri

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        raise ConnectionRefusedError(f"{self.uri} refused, for {key}")


class CuttingStorage(MemoryStorage):
    """Says whole seconds, as releases of `limits` before 4 did."""

    STORAGE_SCHEME = ["cutting"]  # noqa: RUF012 - as limits declares it

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        start, count = super().get_moving_window(key, limit, expiry)
        return int(start), count


class WatchedStorage(MemoryStorage):
    """Remembers under which names it was asked to count."""

    STORAGE_SCHEME = ["watched"]  # noqa: RUF012 - as limits declares it
    keys: ClassVar[list[str]] = []

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        self.keys.append(key)
        return super().acquire_entry(key, limit, expiry, amount)


class OvertakenStorage(MemoryStorage):
    """Somebody else takes the last place between the look and the note."""

    STORAGE_SCHEME = ["overtaken"]  # noqa: RUF012 - as limits declares it

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        if key.endswith("global"):
            super().acquire_entry(key, limit, expiry)
        return super().acquire_entry(key, limit, expiry, amount)


@pytest.fixture
def shared(limiter: Make) -> Callable[..., RateLimiter]:
    def make(uri: str = "memory://", **settings: int) -> RateLimiter:
        return limiter(resume_storage_uri=Secret(uri), **settings)

    return make


class TestShared:
    def test_the_limits_hold_there_and_the_ledger_is_left_alone(
        self, shared: Make, refusal: Refusal, opened: SessionStore, frozen: FrozenDateTimeFactory
    ) -> None:
        token = opened._ground.ledger.changed_token()
        counted = shared(resume_limit=2, resume_global_limit=3)
        counted.hit("resume", ONE)
        counted.hit("resume", ONE)
        assert refusal(counted, ONE).scope == "session"
        counted.hit("resume", TWO)
        assert refusal(counted, TWO).scope == "global"
        counted.hit("pair", ONE)
        assert opened._ground.ledger.changed_token() == token

    @pytest.mark.parametrize("uri", ["memory://", "cutting://"])
    @pytest.mark.parametrize("started_s", [0.0, 0.25, 0.75])
    @pytest.mark.parametrize("passed_s", [0.0, 10.5, 59.0])
    def test_after_the_time_that_is_told_one_attempt_passes(
        self,
        shared: Make,
        refusal: Refusal,
        frozen: FrozenDateTimeFactory,
        uri: str,
        started_s: float,
        passed_s: float,
    ) -> None:
        frozen.tick(timedelta(seconds=started_s))
        counted = shared(uri, resume_limit=1)
        counted.hit("resume", ONE)
        frozen.tick(timedelta(seconds=passed_s))
        wait_s = refusal(counted, ONE).retry_after_s
        assert 60 - passed_s <= wait_s <= 60 - passed_s + 2
        frozen.tick(wait_s)
        counted.hit("resume", ONE)

    def test_stores_that_share_it_are_counted_apart(self, shared: Make, opened: SessionStore) -> None:
        WatchedStorage.keys.clear()
        shared("watched://").hit("resume", ONE)
        place = f"sessionstore/{opened.store_id}/resume"
        assert WatchedStorage.keys == [f"{place}/session/{ONE}", f"{place}/global"]

    def test_one_that_is_overtaken_is_refused(
        self, shared: Make, refusal: Refusal, frozen: FrozenDateTimeFactory
    ) -> None:
        assert refusal(shared("overtaken://", resume_global_limit=1), ONE).scope == "global"

    @pytest.mark.parametrize(
        "uri",
        [
            f"nothing://:{PASSWORD}@host",
            f"redis://:{PASSWORD}@host:{PASSWORD}/1",
            f"memcached://{PASSWORD}",
            f"async+memory://{PASSWORD}",
        ],
    )
    def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(self, shared: Make, uri: str) -> None:
        counted = shared(uri)
        with pytest.raises(ConfigError) as caught:
            counted.hit("resume", ONE)
        assert caught.value.setting == "resume_storage_uri"
        assert hidden(caught.value, counted)

    def test_a_storage_that_cannot_be_reached_refuses_and_its_error_goes_no_further(self, shared: Make) -> None:
        counted = shared(f"failing://:{PASSWORD}@host")
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="ConnectionRefusedError") as caught:
                counted.hit("resume", ONE)
            assert caught.value.outcome == "not_written"
            assert hidden(caught.value, counted)


def hidden(error: SessionStoreError, *others: object) -> bool:
    """Whether the password is in nothing that hangs on the error."""
    assert error.__cause__ is None and error.__context__ is None
    texts = [
        repr(error),
        str(error),
        error.hint,
        str(error.fields),
        str(vars(error)),
        *traceback.format_exception(error),
    ]
    return PASSWORD not in "\n".join([*texts, *map(repr, others), repr(pickle.dumps(error))])
