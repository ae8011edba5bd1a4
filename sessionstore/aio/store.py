"""`AsyncSessionStore`: the calls of `SessionStore`, awaited.

There is one implementation, the blocking one. Each method here is made from the method of the same name there: it takes
the same arguments, returns the same values, raises the same errors, and runs in a thread of a private pool.

Cancelling an awaited call does not undo it: a call that has begun goes on to its end, and nobody hears of its result.
Retry a cancelled `append` with the same `idempotency_key`; it is then saved once.

What you hand in is used in another thread: an iterable of entries is read there, so do not change it before the call
returns.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sessionstore.aio.pool import Pool
from sessionstore.aio.run import Resuming
from sessionstore.config import Config
from sessionstore.errors import InvalidValueError, StoreUnavailableError
from sessionstore.model import Session
from sessionstore.store import SessionStore

DEFAULT_WORKERS = 4
MAX_WORKERS = 64

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    method: Callable[Concatenate[SessionStore, P], T],
) -> Callable[Concatenate[AsyncSessionStore, P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: AsyncSessionStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._pool.call(method, self._opened, *args, **kwargs)

    return call


def _streamed(
    method: Callable[Concatenate[SessionStore, P], Iterator[T]],
) -> Callable[Concatenate[AsyncSessionStore, P], AsyncGenerator[T, None]]:
    @functools.wraps(method)
    def call(self: AsyncSessionStore, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        store = self._opened
        return self._pool.stream(lambda: method(store, *args, **kwargs))

    return call


class AsyncSessionStore:
    """A session store for asyncio. Made by `open_async_store`; an async context manager that opens and closes it.

    Use it from one event loop, in any number of tasks. At most `workers` calls run at once, more wait in order; calls
    of one session wait for each other as they do between processes.

    Methods that yield are async generators. They read at most one small piece ahead. Leaving one early releases its
    file when Python gets to it, or at once under `contextlib.aclosing`.

    Args:
        opener: Opens the store; runs in the pool, at `async with`.
        workers: Number of threads, 1 to 64.

    Raises:
        InvalidValueError: `workers` is out of range.
    """

    def __init__(self, opener: Callable[[], SessionStore], *, workers: int = DEFAULT_WORKERS) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise InvalidValueError(what="workers", reason=f"1 to {MAX_WORKERS} are allowed")
        self._opener = opener
        self._pool = Pool(workers)
        self._store: SessionStore | None = None
        self._closing: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._pool.call(self._open)
        except BaseException:
            # Also when cancelled: the opening may have begun, and what it opened has to be closed again.
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the calls that have begun, then release the store. Calling it again does nothing more.

        Cancelling it stops the waiting, not the closing.
        """
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._pool.close(self._release))
        await asyncio.shield(self._closing)

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._opened.config

    @property
    def store_id(self) -> str:
        """Id of this store, bound by every signature in it."""
        return self._opened.store_id

    @property
    def notices(self) -> tuple[str, ...]:
        """What was worth telling when the store was opened."""
        return self._opened.notices

    create = _awaited(SessionStore.create)
    take_in = _awaited(SessionStore.take_in)
    fork = _awaited(SessionStore.fork)

    append = _awaited(SessionStore.append)
    save = _awaited(SessionStore.save)
    rename = _awaited(SessionStore.rename)
    tag = _awaited(SessionStore.tag)
    close_session = _awaited(SessionStore.close_session)
    rewind = _awaited(SessionStore.rewind)
    pop = _awaited(SessionStore.pop)
    clear = _awaited(SessionStore.clear)
    replace = _awaited(SessionStore.replace)
    redact = _awaited(SessionStore.redact)
    compact = _awaited(SessionStore.compact)
    migrate = _streamed(SessionStore.migrate)
    delete = _awaited(SessionStore.delete)

    load = _awaited(SessionStore.load)
    entries = _streamed(SessionStore.entries)
    newest = _streamed(SessionStore.newest)
    saved_under = _awaited(SessionStore.saved_under)
    follow = _awaited(SessionStore.follow)
    list = _awaited(SessionStore.list)
    summary = _awaited(SessionStore.summary)
    find = _awaited(SessionStore.find)
    recorded = _awaited(SessionStore.recorded)
    id_of = _awaited(SessionStore.id_of)
    keys = _awaited(SessionStore.keys)
    inside = _awaited(SessionStore.inside)
    search = _streamed(SessionStore.search)
    stats = _awaited(SessionStore.stats)
    verify = _streamed(SessionStore.verify)
    inspect = _awaited(SessionStore.inspect)

    audit = _streamed(SessionStore.audit)
    verify_audit = _awaited(SessionStore.verify_audit)

    export = _awaited(SessionStore.export)
    refuse_resume = _awaited(SessionStore.refuse_resume)
    rebind = _awaited(SessionStore.rebind)
    adopt = _awaited(SessionStore.adopt)
    lower_policy = _awaited(SessionStore.lower_policy)
    raise_policy = _awaited(SessionStore.raise_policy)
    policy = _awaited(SessionStore.policy)
    bound_below = _streamed(SessionStore.bound_below)

    list_keys = _awaited(SessionStore.list_keys)
    verify_keys = _awaited(SessionStore.verify_keys)
    rotate_keys = _awaited(SessionStore.rotate_keys)
    export_key = _awaited(SessionStore.export_key)
    take_over = _awaited(SessionStore.take_over)
    retire_key = _awaited(SessionStore.retire_key)

    import_document = _awaited(SessionStore.import_document)
    import_legacy = _awaited(SessionStore.import_legacy)
    cleanup = _awaited(SessionStore.cleanup)

    repair = _awaited(SessionStore.repair)
    restore = _awaited(SessionStore.restore)
    rebase_heads = _awaited(SessionStore.rebase_heads)
    adopt_sealed = _awaited(SessionStore.adopt_sealed)

    async def get_or_create(self, key: str, **create_args: Any) -> Session:
        """As `SessionStore.get_or_create`. Written out because type checkers cannot carry open keywords over."""
        return await self._pool.call(self._opened.get_or_create, key, **create_args)

    def resume(self, id: str) -> Resuming:
        """As `SessionStore.resume`, for `async with`; see `sessionstore.aio.run` for what cancelling means."""
        return Resuming(self._opened.resume(id), self._pool)

    @property
    def _opened(self) -> SessionStore:
        if self._store is None:
            raise StoreUnavailableError(
                reason="this store is not open", outcome="not_written", hint="use it inside `async with`"
            )
        return self._store

    def _open(self) -> None:
        self._store = self._opener()

    def _release(self) -> None:
        if self._store is not None:
            self._store.close()
