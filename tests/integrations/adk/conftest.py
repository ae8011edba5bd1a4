"""A session service over a store in an empty place, and no network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

try:
    import google.adk.sessions  # noqa: F401
except ImportError:
    # These cannot even be imported. `test_sdk.py` is skipped instead, and says why.
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_sdk.py"]

if TYPE_CHECKING:
    from sessionstore import SessionStore
    from sessionstore.integrations.adk import SealedSessionService


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection, also one that tracing would make behind our back."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("this test connects to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def store(home: Path) -> Iterator[SessionStore]:
    """An empty store of files."""
    from sessionstore import open_store

    with open_store(home) as opened:
        yield opened


@pytest.fixture
def service(store: SessionStore) -> SealedSessionService:
    """A session service over the store."""
    from sessionstore.integrations.adk import SealedSessionService

    return SealedSessionService(store)
