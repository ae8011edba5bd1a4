"""One thread in a store: read on and held in memory, appended to, compacted, deleted.

Rules:

* A thread is one session. Its key is made of the thread's id, which also stands in the session's configuration.
* What is held is brought up to date before every use. That costs what is new, also where another process saved it.
* A record that leans on earlier ones is saved only if the session is where it was read; else it is made anew.
* A session that is full is compacted once before that is an error.

One thread of execution at a time uses one of these, under its lock; processes may be any number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

import msgspec

from sessionstore.errors import (
    ConflictError,
    MalformedError,
    SessionNotFoundError,
    TooLargeError,
    VerificationError,
)
from sessionstore.follow import Reading
from sessionstore.integrations.foreign import key_of
from sessionstore.integrations.langgraph.history import History, Place
from sessionstore.integrations.langgraph.records import Record, to_entry
from sessionstore.model.ids import is_id
from sessionstore.store import SessionStore

SDK = "langgraph"

MAX_CONFLICTS = 8
"""So often a record that leans on others is made anew; after that one is saved that leans on nothing."""

_NAME_CHARS = 160

Make = Callable[[History], Record]


class Thread:
    """A thread of a graph.

    Args:
        store: Where it is kept.
        name: The graph's id for it.

    Attributes:
        lock: Held by whoever uses the thread.
        size_bytes: About what it takes in memory.
    """

    def __init__(self, store: SessionStore, name: str) -> None:
        self.lock = threading.Lock()
        self._store = store
        self._name = name
        self._key = key_of(SDK, name)
        self._reading: Reading | None = None
        self._history = History()
        self._is_full = False

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return 0 if self._reading is None else self._reading.size_bytes

    def read(self) -> History | None:
        """What is known of the thread now; None if it does not exist.

        Raises:
            VerificationError: It is not what was saved.
            MalformedError: It holds records of another release.
        """
        while True:
            session_id = self._session_id()
            if session_id is None:
                return None
            try:
                self.take(self._store.follow(session_id, self._reading))
            except SessionNotFoundError:
                self._forget()  # somebody deleted it; by now there may be another one
                continue
            return self._history

    def take(self, reading: Reading) -> None:
        """Take what a look at the session gave. Errors as `read`."""
        try:
            if reading.is_whole:
                self._history = History(reading.session_id)
                if reading.config.get(SDK) != {"thread_id": self._name}:
                    raise MalformedError(session_id=reading.session_id, reason="it is no thread of this name")
            for entry in reading.entries:
                self._history.add(entry)
        except BaseException:
            self._forget()
            raise
        self._reading = msgspec.structs.replace(reading, entries=())

    def append(self, record: Record) -> None:
        """Save a record that leans on nothing. Errors as `SessionStore.append`."""
        self._save(lambda _: record, leans=False)

    def append_leaning(self, make: Make) -> None:
        """Save a record that is made of what is known. Errors as `SessionStore.append`."""
        self._save(make, leans=True)

    def _save(self, make: Make, *, leans: bool) -> None:
        conflicts, has_made_room = 0, False
        while True:
            leans = leans and conflicts < MAX_CONFLICTS
            history = self.read() if leans else None
            entry = to_entry(make(history or History()))
            expected_rev = self._reading.rev if history is not None and self._reading is not None else None
            session_id = self._session_id() or self._made()
            try:
                self._store.append(session_id, [entry], expected_rev=expected_rev)
            except ConflictError:
                conflicts += 1
            except SessionNotFoundError:
                self._forget()
            except TooLargeError as error:
                if error.what != "session" or has_made_room or self._is_full:
                    raise
                has_made_room = True
                self._make_room()
            else:
                return

    def keep(self, choose: Callable[[History], Collection[Place]]) -> None:
        """Keep only some checkpoints with their writes, and compact the rest away; a thread of none is deleted.

        Raises:
            VerificationError: It is not what was saved; nothing was changed.
        """
        while (history := self.read()) is not None and self._reading is not None:
            keep = choose(history)
            if len(keep) == len(history.points()):
                return
            session_id, rev = self._reading.session_id, self._reading.rev
            entries = history.entries(keep)
            try:
                if entries:
                    self._store.replace(session_id, entries, expected_rev=rev)
                else:
                    self._store.delete(session_id, expected_rev=rev)
            except (ConflictError, SessionNotFoundError):
                continue
            self._is_full = False
            return

    def delete(self) -> None:
        """Delete the thread, also one that is damaged. One that does not exist is no error."""
        try:
            session_id = self._session_id()
        except VerificationError as error:
            session_id = getattr(error, "session_id", "")
            if not is_id(session_id):
                raise
        self._forget()
        if session_id is not None:
            try:
                self._store.delete(session_id)
            except SessionNotFoundError:
                return  # somebody else was faster

    def copy_from(self, session_id: str, entries: list[dict[str, object]]) -> None:
        """Add the entries of another thread, all of them in one step.

        Args:
            session_id: Of the session they come from.
            entries: What it holds.
        """
        while True:
            target = self._session_id() or self._made(parent=session_id)
            try:
                self._store.append(target, entries)
            except SessionNotFoundError:
                self._forget()
                continue
            return

    def _make_room(self) -> None:
        history = self.read()
        if history is None or self._reading is None:
            return
        try:
            self._store.replace(self._reading.session_id, history.entries(), expected_rev=self._reading.rev)
        except (ConflictError, SessionNotFoundError):
            return
        self.read()
        # Where little was gained, the next turns must not each try it again.
        self._is_full = self.size_bytes * 4 > self._store.config.max_session_bytes * 3

    def _session_id(self) -> str | None:
        if self._reading is not None:
            return self._reading.session_id
        found = self._store.find(self._key)
        return None if found is None else found.id

    def _made(self, parent: str | None = None) -> str:
        shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in self._name)
        name = f"LangGraph thread {shown[:_NAME_CHARS]}".rstrip()
        config = {SDK: {"thread_id": self._name}}
        return self._store.get_or_create(self._key, name=name, config=config, parent=parent).id

    def _forget(self) -> None:
        self._reading = None
        self._history = History()
