"""Blocking work for an event loop: a private pool of a few threads, calls in it, and iterators read through it.

Rules:

* The threads are ours alone: a busy application cannot starve the store, and a busy store cannot starve it.
* Cancelling never stops a call that has begun; one that still waits for a thread is dropped. Which of the two it was,
  the caller cannot know.
* An iterator runs at most one piece ahead of its reader, and pieces are small: memory stays bounded.
* Nothing begins once closing has begun; what has begun is waited for.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, ParamSpec, TypeVar

from sessionstore.errors import StoreUnavailableError

# A piece ends at whichever comes first. The time stands in for a size: what is large takes long to read and decode.
MAX_PIECE_ITEMS = 64
MAX_PIECE_S = 0.01

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """A bounded number of threads for one store.

    Args:
        workers: How many calls run at once; more wait in order.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sessionstore")
        self._is_closing = False

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises, run in a thread with the caller's context variables.

        Raises:
            StoreUnavailableError: The pool is closing or closed; nothing was begun.
        """
        return await self.begin(function, *args, **kwargs)

    async def finish(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `call`, but it is over when this is left: a cancellation waits for it and goes on then.

        Raises:
            StoreUnavailableError: The pool is closing or closed; nothing was begun.
        """
        outcome = self.begin(function, *args, **kwargs)
        cancelled = await finished(outcome)
        if cancelled is None:
            return outcome.result()
        outcome.exception()  # looked at: nobody else will
        raise cancelled

    @property
    def is_closing(self) -> bool:
        """Whether nothing new is begun any more."""
        return self._is_closing

    async def stream(self, make: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """Yield what the iterator yields. `make` and every step of it run in a thread, one at a time.

        Everything yielded before a failure is handed out before the failure is raised. Leaving early closes the
        iterator; `contextlib.aclosing` does it at once.
        """
        pieces = Pieces(make)
        ahead = self.begin(pieces.take)
        try:
            while piece := await ahead:
                ahead = self.begin(pieces.take)
                for item in piece:
                    yield item
        finally:
            # Nobody will look at the piece that was read ahead; its failure is not a failure of what was asked for.
            if not ahead.cancel() and not ahead.cancelled():
                ahead.exception()
            if self._is_closing:
                pieces.close()
            else:
                await asyncio.shield(self.begin(pieces.close))

    async def close(self, last: Callable[[], None]) -> None:
        """Refuse new calls, wait for those begun, then run `last` in a thread. Does not block the loop."""
        self._is_closing = True
        # Not one of our threads: they are what is waited for.
        with ThreadPoolExecutor(1, thread_name_prefix="sessionstore-close") as closer:
            await asyncio.get_running_loop().run_in_executor(closer, self._end, last)

    def begin(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run `function` in a thread with the caller's context variables; its outcome. No task: nothing cancels it.

        Raises:
            StoreUnavailableError: The pool is closing or closed; nothing was begun.
        """
        if self._is_closing:
            raise StoreUnavailableError(reason="this store is closed", outcome="not_written")
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, lambda: context.run(function, *args, **kwargs))

    def _end(self, last: Callable[[], None]) -> None:
        self._threads.shutdown(wait=True)
        last()


async def finished(outcome: asyncio.Future[T]) -> asyncio.CancelledError | None:
    """Wait for it, however often this task is cancelled meanwhile; the last cancellation, for later."""
    cancelled = None
    while not outcome.done():
        try:
            await asyncio.wait({outcome})
        except asyncio.CancelledError as exc:
            cancelled = exc
    return cancelled


class Pieces(Generic[T]):
    """An iterator in pieces. The lock keeps a closing thread out while another still reads."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make
        self._iterator: Iterator[T] | None = None
        self._failure: Exception | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def take(self) -> list[T]:
        """The next items, at least one; none at the end."""
        with self._lock:
            if self._failure is not None:
                failure, self._failure, self._is_over = self._failure, None, True
                raise failure
            return [] if self._is_over else self._read()

    def close(self) -> None:
        with self._lock:
            self._is_over = True
            # Only generators have something to close; other iterators hold nothing.
            close = getattr(self._iterator, "close", None)
            if close is not None:
                close()

    def _read(self) -> list[T]:
        piece: list[T] = []
        until = time.monotonic() + MAX_PIECE_S
        try:
            if self._iterator is None:
                self._iterator = self._make()
            for item in self._iterator:
                piece.append(item)
                if len(piece) >= MAX_PIECE_ITEMS or time.monotonic() >= until:
                    return piece
        except Exception as exc:
            if not piece:
                self._is_over = True
                raise
            self._failure = exc  # for the next piece: the items before it are good
            return piece
        self._is_over = True
        return piece
