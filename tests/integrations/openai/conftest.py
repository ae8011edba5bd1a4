"""Everything here needs the OpenAI Agents SDK and no network: these tests have none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from sessionstore import SessionStore, open_store


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection, also one that tracing would make behind our back."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("this test connects to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")


@pytest.fixture
def store(home: Path) -> Iterator[SessionStore]:
    """An empty store of files."""
    with open_store(home) as opened:
        yield opened
