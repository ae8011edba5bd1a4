"""A checkpointer over a store in an empty place, and no network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

try:
    import langgraph.checkpoint.base  # noqa: F401
except ImportError:
    # These cannot even be imported. `test_sdk.py` is skipped instead, and says why.
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_sdk.py"]

if TYPE_CHECKING:
    from sessionstore import SessionStore
    from sessionstore.integrations.langgraph import SealedSaver


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection, also one that tracing would make behind our back."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("this test connects to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.setenv(name, "false")


@pytest.fixture
def store(home: Path) -> Iterator[SessionStore]:
    """An empty store of files."""
    from sessionstore import open_store

    with open_store(home) as opened:
        yield opened


@pytest.fixture
def saver(store: SessionStore) -> SealedSaver:
    """A checkpointer over the store."""
    from sessionstore.integrations.langgraph import SealedSaver

    return SealedSaver(store)
