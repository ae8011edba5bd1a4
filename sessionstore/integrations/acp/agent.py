"""`SealedSessions`: the part of an agent of the Agent Client Protocol that has to do with sessions.

It takes an `AsyncSessionStore`: the SDK is asyncio only, and a run is entered and left without blocking the loop.

* `session/load` and `session/resume` are a resume of ours: counted, exclusive, everything verified, the project
  directory pinned; a loaded session is replayed before the answer. The run ends with `session/close` or with the agent.
* A session of another store, another agent or the command line may be loaded if it has a project.
* The ids of the protocol are the ids of the store: one form, letter by letter. Nothing has to be mapped.

Not promised: that a new session is kept from being loaded by another process before it was loaded here; that the agent
stays in its directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from acp.interfaces import Client  # pyright: ignore[reportMissingImports]
from acp.meta import AGENT_METHODS, PROTOCOL_VERSION  # pyright: ignore[reportMissingImports]
from acp.router import MessageRouter  # pyright: ignore[reportMissingImports]
from acp.schema import (  # pyright: ignore[reportMissingImports]
    AgentCapabilities,
    CloseSessionResponse,
    DeleteSessionRequest,
    DeleteSessionResponse,
    ForkSessionResponse,
    InitializeResponse,
    ListSessionsResponse,
    LoadSessionResponse,
    NewSessionResponse,
    ResumeSessionResponse,
    SessionCapabilities,
    SessionCloseCapabilities,
    SessionDeleteCapabilities,
    SessionForkCapabilities,
    SessionListCapabilities,
    SessionResumeCapabilities,
)
from acp.utils import normalize_result  # pyright: ignore[reportMissingImports]

from sessionstore.aio import AsyncSessionStore
from sessionstore.aio.run import AsyncRun
from sessionstore.errors import (
    InvalidIdError,
    InvalidValueError,
    RunStateError,
    SessionNotFoundError,
)
from sessionstore.fs.project import ProjectRoot
from sessionstore.integrations.acp.listing import page_of
from sessionstore.integrations.acp.refusals import refusals
from sessionstore.integrations.acp.turns import Entries, Turn
from sessionstore.integrations.acp.updates import Update, entries_of_prompt, update_of
from sessionstore.integrations.acp.working_directory import check_absolute, check_same
from sessionstore.model import Session


@dataclass(eq=False)
class Active:
    """A session that the client works with.

    Attributes:
        run: Its run, None for a session that was made here and not loaded.
        held: Ends the run.
        turns: How many turns go on.
    """

    run: AsyncRun | None
    held: AsyncExitStack
    turns: int = 0


class SealedSessions:
    """A mixin that answers new, load, resume, list, delete, close and fork; one object for one connection.

    Add `prompt`, and run it: `await run_agent(MyAgent(store), use_unstable_protocol=True)`. Without that argument the
    SDK does not pass on resume, close and fork. Use it as an async context manager, so that its runs end with it. An
    `on_connect` of your own has to call this one.

    What the store refuses is a `RequestError` whose `__cause__` is the store's own error.

    Args:
        store: An open store. It is not closed here.
        allowed_roots, trust: As `create` of the store, for the working directories of new sessions.

    Attributes:
        client: The other end, once it is connected.
    """

    client: Client

    def __init__(
        self, store: AsyncSessionStore, *, allowed_roots: Iterable[str] = (), trust: Iterable[str] = ()
    ) -> None:
        self._store = store
        self._allowed_roots, self._trust = tuple(allowed_roots), tuple(trust)
        self._active: dict[str, Active] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as ending:
            while self._active:
                ending.push_async_callback(self._active.popitem()[1].held.aclose)

    def on_connect(self, conn: Client) -> None:
        """Keep the other end, and answer `session/delete`, which the SDK (0.12) has no route for."""
        self.client = conn
        router: Any = getattr(getattr(conn, "_conn", None), "_handler", None)
        if isinstance(router, MessageRouter):
            method = AGENT_METHODS["session_delete"]
            router.route_request(method, DeleteSessionRequest, self, "delete_session", adapt_result=normalize_result)

    def session_capabilities(self) -> SessionCapabilities:
        """What an agent says of itself in `initialize`, beside `load_session=True`."""
        return SessionCapabilities(
            list=SessionListCapabilities(),
            delete=SessionDeleteCapabilities(),
            resume=SessionResumeCapabilities(),
            close=SessionCloseCapabilities(),
            fork=SessionForkCapabilities(),
        )

    async def initialize(self, protocol_version: int, **kwargs: Any) -> InitializeResponse:
        """The answer of an agent that can do what stands here and no more."""
        capabilities = AgentCapabilities(load_session=True, session_capabilities=self.session_capabilities())
        return InitializeResponse(
            protocol_version=min(protocol_version, PROTOCOL_VERSION), agent_capabilities=capabilities
        )

    async def new_session(self, cwd: str, **kwargs: Any) -> NewSessionResponse:
        """Make a session with `cwd` as its project, durable at once."""
        with refusals():
            check_absolute(cwd)
            session = await self._store.create(project=cwd, allowed_roots=self._allowed_roots, trust=self._trust)
        self._active[session.id] = Active(None, AsyncExitStack())
        return NewSessionResponse(session_id=session.id)

    async def load_session(self, cwd: str, session_id: str, **kwargs: Any) -> LoadSessionResponse:
        """Resume a session and send all of it to the client, before this returns."""
        with refusals():
            await self._resume(session_id, cwd, replay=True)
        return LoadSessionResponse()

    async def resume_session(self, session_id: str, cwd: str, **kwargs: Any) -> ResumeSessionResponse:
        """Resume a session; nothing of it is sent."""
        with refusals():
            await self._resume(session_id, cwd, replay=False)
        return ResumeSessionResponse()

    async def list_sessions(
        self, cwd: str | None = None, cursor: str | None = None, **kwargs: Any
    ) -> ListSessionsResponse:
        """A page of the sessions that have a project, newest first. Broken ones say so in `_meta`."""
        with refusals():
            return await page_of(self._store, cwd, cursor)

    async def delete_session(self, session_id: str, **kwargs: Any) -> DeleteSessionResponse:
        """Delete a session, whether it verifies or not. One that is not there is no error."""
        with refusals():
            await self._leave(session_id)
            try:
                await self._store.delete(session_id)
            except (SessionNotFoundError, InvalidIdError):
                return DeleteSessionResponse()
        return DeleteSessionResponse()

    async def close_session(self, session_id: str, **kwargs: Any) -> CloseSessionResponse:
        """Cancel what goes on, end the run and mark the session as closed. It can be loaded again."""
        cancel = getattr(self, "cancel", None)
        if cancel is not None and session_id in self._active:
            await cancel(session_id=session_id)
        with refusals():
            active = self._active.pop(session_id, None)
            if active is not None:
                await active.held.aclose()
            await self._store.close_session(session_id)
        return CloseSessionResponse()

    async def fork_session(self, session_id: str, cwd: str, **kwargs: Any) -> ForkSessionResponse:
        """Make a copy of a session, active afterwards like a resumed one. The session itself may be running."""
        with refusals():
            check_absolute(cwd)
            fork = await self._store.fork(session_id)
            try:
                await self._resume(fork.id, cwd, replay=False)
            except BaseException:
                await self._store.delete(fork.id)
                raise
        return ForkSessionResponse(session_id=fork.id)

    def project(self, session_id: str) -> ProjectRoot | None:
        """The pinned directory of a session that was loaded, resumed or forked; None for a new one.

        Start tools in it, not in the text of `cwd`, which may lead elsewhere by now.
        """
        active = self._active.get(session_id)
        return None if active is None or active.run is None else active.run.project

    def turn(self, session_id: str, prompt: Iterable[Any] = ()) -> Turn:
        """A block in which the agent answers a prompt; see `Turn`.

        Args:
            session_id: A session that was made, loaded, resumed or forked over this connection.
            prompt: The blocks that `prompt` was given.
        """

        @contextmanager
        def counted() -> Iterator[None]:
            active = self._active.get(session_id)
            if active is None:
                raise InvalidValueError(what="session", reason="it is not active here: load or resume it first")
            active.turns += 1
            try:
                yield
            finally:
                active.turns -= 1  # of this one: the session may have been closed and loaded again meanwhile

        async def save(entries: Entries, key: str) -> None:
            active = self._active.get(session_id)
            if active is None or active.run is None:
                await self._store.append(session_id, entries, idempotency_key=key)
            else:
                await active.run.append(entries, idempotency_key=key)

        async def send(update: Update) -> None:
            await self.client.session_update(session_id=session_id, update=update)

        max_bytes = self._store.config.max_entry_bytes
        return Turn(entries_of_prompt(prompt), save=save, send=send, counted=counted(), max_bytes=max_bytes)

    async def _resume(self, session_id: str, cwd: str, *, replay: bool) -> None:
        """Make the session active by a resume. Refused at any point, nothing of it is left behind."""
        check_absolute(cwd)
        await self._leave(session_id)
        async with AsyncExitStack() as held:
            run = await held.enter_async_context(self._store.resume(session_id))
            check_same(run.session, cwd, run.warnings)
            if replay:
                await self._replay(run.session)
            await run.commit()
            self._active[session_id] = Active(run, held.pop_all())

    async def _replay(self, session: Session) -> None:
        for index, entry in enumerate(session.entries):
            try:
                update = update_of(session.id, entry)
            except ValueError as exc:
                reason = f"entry {index} is an update that this release of the SDK does not know"
                raise InvalidValueError(what="session", reason=reason) from exc
            if update is not None:
                await self.client.session_update(session_id=session.id, update=update)

    async def _leave(self, session_id: str) -> None:
        """End what this connection has of the session.

        Raises:
            RunStateError: A turn goes on.
        """
        active = self._active.get(session_id)
        if active is None:
            return
        if active.turns:
            raise RunStateError(session_id=session_id, state="committed", reason="a turn goes on")
        del self._active[session_id]
        await active.held.aclose()
