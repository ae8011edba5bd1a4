"""An agent and a client of the SDK, connected by pipes, over a store in an empty place."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

if find_spec("acp") is None:

    class Skipped(pytest.Module):
        """A module of tests that cannot even be imported."""

        def collect(self) -> Iterator[pytest.Item]:
            def needs_the_sdk() -> None:
                pytest.skip("pip install sessionstore[acp]")

            yield pytest.Function.from_parent(self, name="needs_the_sdk", callobj=needs_the_sdk)

        def _getobj(self) -> object:
            return object()  # not the module: importing it fails

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
        """Skip every module here, each with the reason."""
        return Skipped.from_parent(parent, path=module_path)


class Ends(NamedTuple):
    """Both ends of a connection.

    Attributes:
        agent: The agent that is tested.
        client: The client's side of the connection: it has the agent's methods.
        seen: Every update that reached the client, as (session id, update as JSON), in order.
    """

    agent: Any
    client: Any
    seen: list[tuple[str, dict[str, Any]]]


Connect = Callable[..., AbstractAsyncContextManager[Ends]]


@pytest.fixture
def connect(home: Path) -> Connect:
    """Opens the store, connects an agent to a client, and closes everything."""
    from acp import PromptResponse, update_agent_message_text
    from acp.agent.connection import AgentSideConnection
    from acp.client.connection import ClientSideConnection

    from sessionstore import Config, open_async_store
    from sessionstore.integrations.acp import SealedSessions

    class Echo(SealedSessions):
        """Says what it hears."""

        cancelled: str | None = None

        async def prompt(self, session_id: str, prompt: list[Any], **kwargs: Any) -> PromptResponse:
            async with self.turn(session_id, prompt) as turn:
                for block in prompt:
                    await turn.update(update_agent_message_text(f"you said: {block.text}"))
            return PromptResponse(stop_reason="end_turn")

        async def cancel(self, session_id: str, **kwargs: Any) -> None:
            self.cancelled = session_id

    class Client:
        def __init__(self) -> None:
            self.seen: list[tuple[str, dict[str, Any]]] = []

        async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
            self.seen.append((session_id, update.model_dump(mode="json", by_alias=True, exclude_none=True)))

    @asynccontextmanager
    async def opened(agent_class: type[SealedSessions] = Echo, **settings: Any) -> AsyncIterator[Ends]:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.3, **settings)
        async with AsyncExitStack() as held:
            store = await held.enter_async_context(open_async_store(config=config))
            agent = await held.enter_async_context(agent_class(store))
            (agent_reader, client_writer), (client_reader, agent_writer) = await _pipe(held), await _pipe(held)
            there = AgentSideConnection(agent, agent_writer, agent_reader, use_unstable_protocol=True)  # type: ignore[arg-type]
            held.push_async_callback(there.close)
            client = Client()
            here = ClientSideConnection(client, client_writer, client_reader, use_unstable_protocol=True)  # type: ignore[arg-type]
            held.push_async_callback(here.close)
            yield Ends(agent, here, client.seen)

    return opened


async def _pipe(held: AsyncExitStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    read_fd, write_fd = os.pipe()
    reader = asyncio.StreamReader(limit=1 << 26)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb"))
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(write_fd, "wb")
    )
    held.callback(reading.close)
    held.callback(transport.close)
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project directory."""
    path = tmp_path.resolve() / "project"
    path.mkdir()
    return path


@pytest.fixture
def flip(home: Path) -> Callable[[str], None]:
    """Changes one byte in the middle of a session's file."""

    def change(session_id: str) -> None:
        path = home / "data" / "sessions" / f"{session_id}.jsonl"
        data = bytearray(path.read_bytes())
        data[data.index(b'"entry"') + 12] ^= 1
        path.write_bytes(data)

    return change


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries to reach somebody else fails."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("this test has no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
