"""The threads of a store, by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from sessionstore.errors import InvalidValueError, MalformedError, SessionNotFoundError
from sessionstore.integrations.foreign import key_of
from sessionstore.integrations.held import Held, refuse_unreadable
from sessionstore.integrations.langgraph.thread import SDK, Thread
from sessionstore.model import SessionSummary
from sessionstore.store import SessionStore


class Threads(Held[str, Thread]):
    """The threads of one store, for any number of threads and tasks.

    Args:
        store: An open store.
        max_bytes: About how much is held in memory.
    """

    def __init__(self, store: SessionStore, max_bytes: int) -> None:
        super().__init__(lambda name: Thread(store, name), max_bytes)
        self._store = store
        self._names: dict[str, str] = {}

    def use(self, name: str) -> AbstractContextManager[Thread]:
        """A block that has the thread with this id to itself, as far as this process goes.

        Raises:
            InvalidValueError: The id is no text.
        """
        if not isinstance(name, str):
            raise InvalidValueError(what="thread", reason="thread_id has to be text")
        return super().use(name)

    def names(self) -> Iterator[str]:
        """Yield the id of every thread, the one saved last first.

        Raises:
            VerificationError: A thread is not what was saved; all good ones may have been given before.
        """
        page = self._store.list()
        for summary in page.sessions:
            if summary.key is not None and _is_a_threads(summary.key):
                name = self._name(summary)
                if name is not None:
                    yield name
        refuse_unreadable(self._store, page, _is_a_threads)

    def _name(self, summary: SessionSummary) -> str | None:
        """The id of the thread in a session; None if it was deleted since it was listed."""
        if summary.id in self._names:
            return self._names[summary.id]
        try:
            reading = self._store.follow(summary.id)
        except SessionNotFoundError:
            return None
        described = reading.config.get(SDK)
        name = described.get("id") if isinstance(described, dict) else None
        if not isinstance(name, str) or key_of(SDK, name) != summary.key:
            raise MalformedError(session_id=summary.id, reason="it has a thread's key and is none")
        with self.use(name) as thread:
            if thread.size_bytes == 0:
                thread.take(reading)
        self._names[summary.id] = name
        return name


def _is_a_threads(key: str) -> bool:
    return key.startswith((f'["{SDK}",', f"{SDK}:"))
