"""A session that an adapter holds in memory: brought up to date before every use, forgotten when it goes.

What is held was verified when it was read. Bringing it up to date costs what is new, also where another process saved
it; see `SessionStore.follow`. One thread of execution at a time uses one of these, under its lock; processes may be any
number: what depends on what was read is saved with the revision that was read.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any

import msgspec

from sessionstore.errors import SessionNotFoundError, VerificationError
from sessionstore.follow import Reading
from sessionstore.model.ids import is_id
from sessionstore.store import SessionStore


class Followed(ABC):
    """A session by its key, and what an adapter makes of its entries.

    Args:
        store: Where it is kept.
        key: Its key, by `sessionstore.integrations.foreign.key_of`.

    Attributes:
        lock: Held by whoever uses it.
    """

    def __init__(self, store: SessionStore, key: str) -> None:
        self.lock = threading.Lock()
        self._store = store
        self._key = key
        self._reading: Reading | None = None

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        reading = self._reading  # once: another thread may use this one while its size is asked for
        return 0 if reading is None else reading.size_bytes

    def read(self) -> bool:
        """Bring it up to date; whether it exists.

        Raises:
            VerificationError: It is not what was saved.
            MalformedError: It holds what this adapter does not know.
        """
        while True:
            session_id = self.session_id()
            if session_id is None:
                return False
            try:
                self.take(self._store.follow(session_id, self._reading))
            except SessionNotFoundError:
                self.forget()  # somebody deleted it; by now there may be another one
                continue
            return True

    def take(self, reading: Reading) -> None:
        """Take what a look at the session gave. Errors as `read`."""
        try:
            if reading.is_whole:
                self._begin(reading)
            for entry in reading.entries:
                self._add(entry)
        except BaseException:
            self.forget()
            raise
        self._reading = msgspec.structs.replace(reading, entries=())

    def session_id(self) -> str | None:
        """Id of the session, None if there is none."""
        if self._reading is not None:
            return self._reading.session_id
        found = self._store.find(self._key)
        return None if found is None else found.id

    def delete(self) -> None:
        """Delete the session, also one that is damaged. One that does not exist is no error."""
        try:
            session_id = self.session_id()
        except VerificationError as error:
            session_id = getattr(error, "session_id", "")
            if not is_id(session_id):
                raise
        self.forget()
        if session_id is not None:
            try:
                self._store.delete(session_id)
            except SessionNotFoundError:
                return  # somebody else was faster

    def forget(self) -> None:
        """Hold nothing any more."""
        self._reading = None

    @abstractmethod
    def _begin(self, reading: Reading) -> None:
        """Begin anew: the entries that follow are all there are. May refuse the session by raising."""

    @abstractmethod
    def _add(self, entry: dict[str, Any]) -> None:
        """Take the next entry."""
