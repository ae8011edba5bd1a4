"""`AsyncRun`: the run of a resumed session, its blocking calls awaited.

Entering and leaving the block, `commit` and `append` run in the store's pool. A run holds no thread between them.

Cancelled while it enters, the block is not entered and what was had by then is given back before the cancellation goes
on. Cancelled while it leaves, it leaves all the same. Rollback hooks run in a thread of the pool, or in the event
loop's own where the store was closed inside the block.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from sessionstore.aio.pool import Pool, finished
from sessionstore.fs.project import ProjectRoot
from sessionstore.model import LoadWarning, Session
from sessionstore.resume import Run


class AsyncRun:
    """See `sessionstore.resume.Run`; it has the same attributes, and takes no others."""

    __slots__ = ("_pool", "_run")

    def __init__(self, run: Run, pool: Pool) -> None:
        self._run = run
        self._pool = pool

    def __repr__(self) -> str:
        return f"Async{self._run!r}"

    @property
    def session(self) -> Session:
        """The session as it was loaded."""
        return self._run.session

    @property
    def project(self) -> ProjectRoot | None:
        """The pinned directory. Its own calls block: hand `run` to a thread, or give `cwd` to asyncio's subprocess."""
        return self._run.project

    @property
    def state(self) -> str:
        """As `Run.state`."""
        return self._run.state

    @property
    def exit_status(self) -> int | None:
        """As `Run.exit_status`."""
        return self._run.exit_status

    @exit_status.setter
    def exit_status(self, status: int | None) -> None:
        self._run.exit_status = status

    @property
    def warnings(self) -> tuple[LoadWarning, ...]:
        """As `Run.warnings`."""
        return self._run.warnings

    def on_rollback(self, hook: Callable[[], object]) -> None:
        """As `Run.on_rollback`; the hook runs in a thread of the pool."""
        self._run.on_rollback(hook)

    async def commit(self) -> None:
        """As `Run.commit`. Cancelling it does not undo it: look at `state`."""
        await self._pool.call(self._run.commit)

    async def append(self, *args: Any, **kwargs: Any) -> int:
        """As `Run.append`. Cancelling it does not undo it: retry with the same `idempotency_key`."""
        return await self._pool.call(self._run.append, *args, **kwargs)


class Resuming:
    """The block of a run, for `async with`; used once."""

    def __init__(self, block: AbstractContextManager[Run], pool: Pool) -> None:
        self._block = block
        self._pool = pool

    async def __aenter__(self) -> AsyncRun:
        entering = self._pool.begin(self._block.__enter__)
        cancelled = await finished(entering)
        if cancelled is None:
            return AsyncRun(entering.result(), self._pool)
        # What the thread got has to be given back, or the session would run without anybody.
        if entering.exception() is None:
            await self._leave(type(cancelled), cancelled, cancelled.__traceback__)
        raise cancelled

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._leave(kind, exc, tb)

    async def _leave(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._pool.is_closing:
            self._block.__exit__(kind, exc, tb)
            return
        leaving = self._pool.begin(self._block.__exit__, kind, exc, tb)
        cancelled = await finished(leaving)
        leaving.result()
        if cancelled is not None and cancelled is not exc:
            raise cancelled
