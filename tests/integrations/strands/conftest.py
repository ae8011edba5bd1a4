"""Everything here needs Strands Agents and no network: these tests have none."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sessionstore import SessionStore, open_store


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("this test connects to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def store(home: Path) -> Iterator[SessionStore]:
    """An empty store of files."""
    with open_store(home) as opened:
        yield opened


@pytest.fixture
def flip(home: Path) -> Callable[[bytes, bytes], None]:
    """Changes the session on the disk that holds some bytes."""

    def change(old: bytes, new: bytes) -> None:
        found = [path for path in (home / "data" / "sessions").glob("*.jsonl") if old in path.read_bytes()]
        assert found
        for path in found:
            path.write_bytes(path.read_bytes().replace(old, new))

    return change


@pytest.fixture
def scripted() -> Callable[..., Any]:
    """Makes a model that gives texts from a list, and keeps what it was asked."""
    from strands.models import Model

    class Scripted(Model):
        def __init__(self, *texts: str) -> None:
            self.texts = list(texts)
            self.asked: list[Any] = []

        def update_config(self, **_: Any) -> None: ...

        def get_config(self) -> dict[str, Any]:
            return {}

        def structured_output(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def stream(self, messages: Any, *_: Any, **__: Any) -> Any:
            self.asked.append([dict(message) for message in messages])
            yield {"messageStart": {"role": "assistant"}}
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": self.texts.pop(0)}}}
            yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "end_turn"}}

    return Scripted
