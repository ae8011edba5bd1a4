"""A store's ledger, limiters over it, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory

from sessionstore import Config, SessionStore, open_store
from sessionstore.errors import RateLimitError
from sessionstore.ratelimit import RateLimiter

NOON = "2026-01-31T12:00:00"


@pytest.fixture
def opened(home: Path) -> Iterator[SessionStore]:
    """A new store in files."""
    with open_store(home, environ={}) as store:
        yield store


@pytest.fixture
def limiter(opened: SessionStore) -> Callable[..., RateLimiter]:
    """Makes a limiter over the store's ledger with the settings given."""

    def make(**settings: Any) -> RateLimiter:
        config = opened._ground.config
        return RateLimiter(
            opened._ground.ledger, Config(data_dir=config.data_dir, state_dir=config.state_dir, **settings)
        )

    return make


@pytest.fixture
def frozen(opened: SessionStore) -> Iterator[FrozenDateTimeFactory]:
    """Noon, until the test moves it."""
    with freeze_time(NOON) as clock:
        assert isinstance(clock, FrozenDateTimeFactory)
        yield clock


@pytest.fixture
def refusal() -> Callable[..., RateLimitError]:
    """The refusal of an attempt that must be refused."""

    def of(limiter: RateLimiter, session_id: str | None, operation: str = "resume") -> RateLimitError:
        with pytest.raises(RateLimitError) as caught:
            limiter.hit(operation, session_id)
        return caught.value

    return of
