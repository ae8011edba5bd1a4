"""What stands in the store for ADK: a log of events, and logs of the state that sessions share.

Rules:

* A session's own state is what it was made with and the changes that its events carry: it is not kept twice.
* An app's or a user's state is a log of changes, the later one counts; it is compacted from time to time.
* An event is appended only where its writer has seen all events before it.
* An event whose whole content was taken out by a redaction is no event any more.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sessionstore.errors import ConflictError, MalformedError, SessionNotFoundError, TooLargeError
from sessionstore.follow import Reading
from sessionstore.integrations.adk.names import SDK, SessionName, StateName
from sessionstore.integrations.followed import Followed
from sessionstore.redaction import BLANK
from sessionstore.store import SessionStore

EVENT, STATE = "adk/event", "adk/state"

APP_PREFIX, USER_PREFIX, TEMP_PREFIX = "app:", "user:", "temp:"

COMPACT_CHANGES = 256
"""So many changes of a shared state are kept before one entry takes their place."""


class Parted:
    """A change of state, parted by where it belongs. What is temporary belongs nowhere.

    Attributes:
        app, user: Changes of the shared states, without prefixes.
        session: Changes of the session's own.
    """

    def __init__(self, change: dict[str, Any]) -> None:
        self.app = {k.removeprefix(APP_PREFIX): v for k, v in change.items() if k.startswith(APP_PREFIX)}
        self.user = {k.removeprefix(USER_PREFIX): v for k, v in change.items() if k.startswith(USER_PREFIX)}
        elsewhere = (APP_PREFIX, USER_PREFIX, TEMP_PREFIX)
        self.session = {k: v for k, v in change.items() if not k.startswith(elsewhere)}


class _Log(Followed):
    def __init__(self, store: SessionStore, name: SessionName | StateName) -> None:
        super().__init__(store, name.key)
        self._name = name

    def _begin(self, reading: Reading) -> None:
        said = reading.config.get(SDK)
        if not isinstance(said, dict) or not self._name.config.items() <= said.items():
            raise MalformedError(session_id=reading.session_id, reason="it is not what its key says")

    def _made(self, entries: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
        """Make the session, if there is none; what its configuration says."""
        config = {SDK: {**self._name.config, **more}}
        made = self._store.get_or_create(self._key, name=self._name.title, config=config, entries=entries)
        said: dict[str, Any] = made.config.get(SDK, {})
        return said


class StateLog(_Log):
    """The state of an app or a user."""

    def __init__(self, store: SessionStore, name: StateName) -> None:
        super().__init__(store, name)
        self._state: dict[str, Any] = {}
        self._changes = 0

    def now(self) -> dict[str, Any]:
        """A copy of the state as it is now."""
        return copy.deepcopy(self._state) if self.read() else {}

    def change(self, change: dict[str, Any]) -> None:
        """Save a change, if it is one. Errors as `SessionStore.append`."""
        has_made_room = False
        while change:
            session_id = self.session_id()
            if session_id is None:
                self._made()
                continue
            try:
                self._store.append(session_id, [{"type": STATE, "change": change}])
            except SessionNotFoundError:
                self.forget()
                continue
            except TooLargeError as error:
                if has_made_room or error.what != "session":
                    raise
                has_made_room = True
                self._compact()
                continue
            if self.read() and self._changes >= COMPACT_CHANGES:
                self._compact()
            return

    def _compact(self) -> None:
        if not self.read() or self._reading is None:
            return
        entry = {"type": STATE, "change": self._state}
        try:
            self._store.replace(self._reading.session_id, [entry], expected_rev=self._reading.rev)
        except (ConflictError, SessionNotFoundError):
            return  # the next change comes to it again

    def _begin(self, reading: Reading) -> None:
        super()._begin(reading)
        self._state, self._changes = {}, 0

    def _add(self, entry: dict[str, Any]) -> None:
        if entry.get("type") == STATE:
            self._state.update(_dict(self._reading, entry, "change"))
            self._changes += 1


class SessionLog(_Log):
    """A session of ADK.

    Attributes:
        events: Its events as JSON, in order.
        updated_at: Time of the last event, or of its making, in seconds.
    """

    def __init__(self, store: SessionStore, name: SessionName) -> None:
        super().__init__(store, name)
        self.events: list[dict[str, Any]] = []
        self.updated_at = 0.0
        self._state: dict[str, Any] = {}
        self._places: dict[str, list[int]] = {}

    @property
    def state(self) -> dict[str, Any]:
        """A copy of its own state."""
        return copy.deepcopy(self._state)

    def marker(self, count: int | None = None) -> str:
        """What tells this session with its first `count` events (None: all) from itself with others."""
        count = len(self.events) if count is None else count
        return self._marker(count, self.events[count - 1] if count else {})

    def _marker(self, count: int, last: dict[str, Any]) -> str:
        # With the last one's id: after a rewind there may be as many events, and others.
        return f"{self.session_id()}:{count}:{last.get('id')}"

    def make(self, state: dict[str, Any], created_at: float) -> bool:
        """Make the session; False if there is one already. Errors as `SessionStore.create`."""
        token = str(uuid4())
        entries = [{"type": STATE, "change": state}] if state else []
        return self._made(entries, created_at=created_at, made_as=token).get("made_as") == token

    def find(self, event: dict[str, Any]) -> int | None:
        """The place of an event that is equal to this one, None if there is none."""
        places = self._places.get(str(event.get("id")), ())
        return next((place for place in places if self.events[place] == event), None)

    def append(self, event: dict[str, Any]) -> str | None:
        """Save an event behind those that were read; the marker with it. None if that was not possible: read again.

        Errors as `SessionStore.append`.
        """
        if self._reading is None:
            return None
        session_id, rev = self._reading.session_id, self._reading.rev
        entry = {"type": EVENT, "event": event}
        try:
            try:
                self._store.append(session_id, [entry], expected_rev=rev)
            except TooLargeError as error:
                if error.what != "session" or not self._store.compact(session_id):
                    raise
                return None
        except ConflictError:
            return None
        except SessionNotFoundError:
            self.forget()
            return None
        return self._marker(len(self.events) + 1, event)

    def forget(self) -> None:
        """Hold nothing any more."""
        super().forget()
        self.events, self._state, self._places = [], {}, {}

    def _begin(self, reading: Reading) -> None:
        super()._begin(reading)
        self.events, self._state, self._places = [], {}, {}
        created_at = reading.config[SDK].get("created_at")
        self.updated_at = float(created_at) if isinstance(created_at, int | float) else 0.0

    def _add(self, entry: dict[str, Any]) -> None:
        if entry.get("type") == STATE:
            self._state.update(_dict(self._reading, entry, "change"))
        elif entry.get("type") == EVENT and entry.get("event") != BLANK:
            event = _dict(self._reading, entry, "event")
            self._places.setdefault(str(event.get("id")), []).append(len(self.events))
            self.events.append(event)
            change = event.get("actions", {}).get("state_delta", {})
            self._state.update(Parted(change).session)
            self.updated_at = float(event["timestamp"])


def _dict(reading: Reading | None, entry: dict[str, Any], member: str) -> dict[str, Any]:
    value = entry.get(member)
    if value == BLANK:
        return {}
    if not isinstance(value, dict):
        session_id = "" if reading is None else reading.session_id
        raise MalformedError(session_id=session_id, reason="an entry of another release")
    return value
