"""One thread in a store: read on and held in memory, appended to, compacted, deleted.

Rules:

* A thread is one session. Its key is made of the thread's id, which also stands in the session's configuration.
* A record that leans on earlier ones is saved only if the session is where it was read; else it is made anew.
* A session that is full is compacted once before that is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sessionstore.errors import ConflictError, MalformedError, SessionNotFoundError, TooLargeError
from sessionstore.follow import Reading
from sessionstore.integrations.followed import Followed
from sessionstore.integrations.foreign import key_of
from sessionstore.integrations.langgraph.history import History, Place
from sessionstore.integrations.langgraph.records import Record, to_entry
from sessionstore.store import SessionStore

SDK = "langgraph"

MAX_CONFLICTS = 8
"""So often a record that leans on others is made anew; after that one is saved that leans on nothing."""

_NAME_CHARS = 160

Make = Callable[[History], Record]


class Thread(Followed):
    """A thread of a graph.

    Args:
        store: Where it is kept.
        name: The graph's id for it.
    """

    def __init__(self, store: SessionStore, name: str) -> None:
        super().__init__(store, key_of(SDK, name))
        self._name = name
        self._history = History()
        self._is_full = False

    def history(self) -> History | None:
        """What is known of the thread now; None if it does not exist. Errors as `read`."""
        return self._history if self.read() else None

    def forget(self) -> None:
        """Hold nothing any more."""
        super().forget()
        self._history = History()

    def _begin(self, reading: Reading) -> None:
        self._history = History(reading.session_id)
        self._is_full = False  # it is new here, or written anew: by whoever made it shorter
        if reading.config.get(SDK) != {"id": self._name}:
            raise MalformedError(session_id=reading.session_id, reason="it is no thread of this name")

    def _add(self, entry: dict[str, Any]) -> None:
        self._history.add(entry)

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
            history = self.history() if leans else None
            entry = to_entry(make(history or History()))
            expected_rev = self._reading.rev if history is not None and self._reading is not None else None
            session_id = self.session_id() or self._made()
            try:
                self._store.append(session_id, [entry], expected_rev=expected_rev)
            except ConflictError:
                conflicts += 1
            except SessionNotFoundError:
                self.forget()
            except TooLargeError as error:
                if error.what != "session" or has_made_room:
                    raise
                self.read()  # maybe somebody made it shorter since
                if self._is_full:
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
        while (history := self.history()) is not None and self._reading is not None:
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

    def copy_from(self, session_id: str, entries: list[dict[str, object]]) -> None:
        """Add the entries of another thread, all of them in one step.

        Args:
            session_id: Of the session they come from.
            entries: What it holds.
        """
        while True:
            target = self.session_id() or self._made(parent=session_id)
            try:
                self._store.append(target, entries)
            except SessionNotFoundError:
                self.forget()
                continue
            return

    def _make_room(self) -> None:
        history = self.history()
        if history is None or self._reading is None:
            return
        try:
            self._store.replace(self._reading.session_id, history.entries(), expected_rev=self._reading.rev)
        except (ConflictError, SessionNotFoundError):
            return
        self.read()
        # Where little was gained, the next turns must not each try it again.
        self._is_full = self.size_bytes * 4 > self._store.config.max_session_bytes * 3

    def _made(self, parent: str | None = None) -> str:
        shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in self._name)
        name = f"LangGraph thread {shown[:_NAME_CHARS]}".rstrip()
        config = {SDK: {"id": self._name}}  # a member of this name is left alone when secrets are taken out
        return self._store.get_or_create(self._key, name=name, config=config, parent=parent).id
