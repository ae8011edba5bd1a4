"""The threads of a store, the ones used last held in memory.

What is held is bounded in bytes; a thread that was let go is read and verified whole when it is used again. A process
that was forked begins with nothing: locks and worker threads of its parent do not come along.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from sessionstore.aio.pool import Pool
from sessionstore.errors import MalformedError, SessionNotFoundError
from sessionstore.integrations.foreign import key_of
from sessionstore.integrations.langgraph.thread import SDK, Thread
from sessionstore.model import SessionSummary
from sessionstore.model.ids import is_id
from sessionstore.store import SessionStore

MAX_HELD_BYTES = 64 * 1024 * 1024
MAX_HELD = 256

WORKERS = 8

# What stands in a list without ever having been a session of this store: it can be no thread.
_STRANGERS = ("legacy", "legacy_modified", "unsigned_unknown", "unanchored", "resurrected", "invalid_id")


class Threads:
    """The threads of one store, for any number of threads and tasks.

    Args:
        store: An open store.
        max_held_bytes: About how much is held in memory.
    """

    def __init__(self, store: SessionStore, max_held_bytes: int) -> None:
        self._store = store
        self._max_held_bytes = max_held_bytes
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Thread] = OrderedDict()
        self._names: dict[str, str] = {}
        self._pool = Pool(WORKERS)

    @property
    def pool(self) -> Pool:
        """Where blocking calls run for an event loop."""
        if self._process != os.getpid():
            self._begin()
        return self._pool

    @contextmanager
    def use(self, name: str) -> Iterator[Thread]:
        """A block that has the thread with this id to itself, as far as this process goes.

        Raises:
            InvalidValueError: The id is no text.
        """
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            thread = self._held.get(name) if isinstance(name, str) else None
            if thread is None:
                thread = Thread(self._store, name)
                self._held[name] = thread
            self._held.move_to_end(name)
        try:
            with thread.lock:
                yield thread
        finally:
            with self._lock:
                self._let_go()

    def names(self) -> Iterator[str]:
        """Yield the id of every thread, the one saved last first.

        Raises:
            VerificationError: A thread is not what was saved; when all good ones were given, also for a session that
                is so damaged that there is no telling whether it is a thread.
        """
        page = self._store.list()
        for summary in page.sessions:
            if summary.key is not None and summary.key.startswith((f'["{SDK}",', f"{SDK}:")):
                name = self._name(summary)
                if name is not None:
                    yield name
        for line in page.unreadable:
            if line.code not in _STRANGERS and is_id(line.name):
                self._store.load(line.name)

    def _name(self, summary: SessionSummary) -> str | None:
        """The id of the thread in a session; None if it was deleted since it was listed."""
        if summary.id in self._names:
            return self._names[summary.id]
        try:
            reading = self._store.follow(summary.id)
        except SessionNotFoundError:
            return None
        described = reading.config.get(SDK)
        name = described.get("thread_id") if isinstance(described, dict) else None
        if not isinstance(name, str) or key_of(SDK, name) != summary.key:
            raise MalformedError(session_id=summary.id, reason="it has a thread's key and is none")
        with self.use(name) as thread:
            if thread.size_bytes == 0:
                thread.take(reading)
        self._names[summary.id] = name
        return name

    def _let_go(self) -> None:
        size = sum(thread.size_bytes for thread in self._held.values())
        while len(self._held) > 1 and (size > self._max_held_bytes or len(self._held) > MAX_HELD):
            size -= self._held.popitem(last=False)[1].size_bytes
