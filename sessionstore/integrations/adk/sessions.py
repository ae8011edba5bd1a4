"""`SealedSessionService`: what ADK asks of a session service.

The calls run on a few threads of the store's and never block the event loop. Cancelling one does not undo it; an event
that is appended again after that is there once. Nothing is given to ADK that was not verified before.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import copy
import time
from typing import Any
from uuid import uuid4

import msgspec
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig, ListSessionsResponse
from google.adk.sessions.session import Session

from sessionstore import errors
from sessionstore.aio.borrowed import pool_of
from sessionstore.integrations.adk.logs import APP_PREFIX, USER_PREFIX, Parted, SessionLog, StateLog
from sessionstore.integrations.adk.names import SessionName, StateName, check, in_config, in_key
from sessionstore.integrations.held import MAX_HELD_BYTES, Held, refuse_unreadable
from sessionstore.model import SessionSummary
from sessionstore.store import SessionStore

_STALE = "The session has been modified in storage since it was loaded. Get it again, and append to what it is now."


class SealedSessionService(BaseSessionService):
    """A session service over an open store: `Runner(…, session_service=SealedSessionService(store))`.

    Any number of runners, tasks and processes may use the same sessions at once. The store has to stay open as long as
    it is used; the service does not close it.

    All calls raise the store's errors: a `VerificationError` where a session is not what was saved, an
    `InvalidValueError` for names that are no text.

    Args:
        store: What `open_store` gave.
        max_held_bytes: About how much of the sessions used last is held in memory.
    """

    def __init__(self, store: SessionStore, *, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._store = store
        self._sessions: Held[SessionName, SessionLog] = Held(lambda name: SessionLog(store, name), max_held_bytes)
        self._states: Held[StateName, StateLog] = Held(lambda name: StateLog(store, name), max_held_bytes)

    async def create_session(
        self, *, app_name: str, user_id: str, state: dict[str, Any] | None = None, session_id: str | None = None
    ) -> Session:
        """Make a session, durable at once. Its id is taken as it is; a random one is made if it is None.

        Raises:
            AlreadyExistsError: The user has a session with this id; ADK's error of this name.
        """
        check(app_name, user_id, "" if session_id is None else session_id)
        name = SessionName(app_name, user_id, str(uuid4()) if session_id is None else session_id)
        change: dict[str, Any] = EventActions(state_delta=state or {}).model_dump(mode="json")["state_delta"]
        return await pool_of(self._store).call(self._create, name, Parted(change))

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """The session with its events, or the last of them; None if there is none."""
        check(app_name, user_id, session_id)
        return await pool_of(self._store).call(self._get, SessionName(app_name, user_id, session_id), config)

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """The sessions of a user, or of all users, without their events, the one used last at the end.

        Raises:
            VerificationError: One of them is not what was saved. It may be one that has too long a name to tell whose
                it is without reading it.
        """
        check(app_name, "" if user_id is None else user_id)
        return ListSessionsResponse(sessions=await pool_of(self._store).call(self._list, app_name, user_id))

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session, also a damaged one. One that does not exist is no error. The shared states stay."""
        check(app_name, user_id, session_id)
        await pool_of(self._store).call(self._delete, SessionName(app_name, user_id, session_id))

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The state that the sessions of a user share, without prefixes."""
        check(app_name, user_id)
        return await pool_of(self._store).call(self._state, StateName(app_name, user_id))

    async def append_event(self, session: Session, event: Event) -> Event:
        """Save an event durably, and add it to `session`. Costs what is new.

        A partial event is not saved. One that is saved already, equal in all, is not saved again.

        Raises:
            StaleSessionError: There are events that `session` does not have; ADK's error, as the next one.
            SessionNotFoundError: There is no such session.
        """
        if event.partial:
            return event
        check(session.app_name, session.user_id, session.id)
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        stored = event.model_dump(mode="json", exclude_none=True)
        await pool_of(self._store).call(self._append, session, event, stored)
        return event

    def _create(self, name: SessionName, change: Parted) -> Session:
        with self._sessions.use(name) as log:
            if log.read():
                raise AlreadyExistsError(f"Session with id {name.id} already exists.")
            self._change_states(name, change)
            if not log.make(change.session, time.time()) or not log.read():
                raise AlreadyExistsError(f"Session with id {name.id} already exists.")
            return self._session(name, log, self._shared(name))

    def _get(self, name: SessionName, config: GetSessionConfig | None) -> Session | None:
        with self._sessions.use(name) as log:
            if not log.read():
                return None
            session = self._session(name, log, self._shared(name))
            chosen = _chosen(log.events, config)
            session_id = log.session_id() or ""
        try:
            session.events = [Event.model_validate_json(msgspec.json.encode(event)) for event in chosen]
        except ValueError as exc:
            reason = "an event that ADK does not take: of another release, or a redaction took too much out of it"
            raise errors.MalformedError(session_id=session_id, reason=reason) from exc
        return session

    def _list(self, app: str, user: str | None) -> list[Session]:
        page = self._store.list()
        found = []
        shared: dict[str, dict[str, Any]] = {}
        for summary in page.sessions:
            name = in_key(summary.key, app, user)
            if name is True:
                name = self._said(summary, app, user)
            if not isinstance(name, SessionName):
                continue
            if name.user not in shared:
                shared[name.user] = self._shared(name)
            with self._sessions.use(name) as log:
                if log.read():
                    found.append(self._session(name, log, copy.deepcopy(shared[name.user])))
        refuse_unreadable(self._store, page, lambda key: in_key(key, app, user))
        return sorted(found, key=lambda session: (session.last_update_time, session.user_id, session.id))

    def _said(self, summary: SessionSummary, app: str, user: str | None) -> SessionName | bool:
        try:
            name = in_config(self._store.follow(summary.id).config)
        except errors.SessionNotFoundError:
            return False
        if name is not None and name.key != summary.key:
            raise errors.MalformedError(session_id=summary.id, reason="it is not the session that it says")
        return name if name is not None and name.app == app and user in (None, name.user) else False

    def _delete(self, name: SessionName) -> None:
        with self._sessions.use(name) as log:
            log.delete()

    def _append(self, session: Session, event: Event, stored: dict[str, Any]) -> None:
        name = SessionName(session.app_name, session.user_id, session.id)
        change = Parted(stored["actions"].get("state_delta", {}))
        is_changed = False
        with self._sessions.use(name) as log:
            while True:
                if not log.read():
                    raise SessionNotFoundError(f"Session {name.id} not found.")
                place = log.find(stored)
                if place is not None:
                    if session._storage_update_marker != log.marker(place):
                        return
                    marker = log.marker(place + 1)  # it was saved by a call whose answer got lost
                    break
                _refuse_stale(session, log)
                if not is_changed:
                    self._change_states(name, change)
                    is_changed = True
                appended = log.append(stored)
                if appended is not None:
                    marker = appended
                    break
            session.last_update_time = event.timestamp
            session._storage_update_marker = marker
            self._commit_event_to_session(session, event)

    def _change_states(self, name: SessionName, change: Parted) -> None:
        """Save what belongs to the shared states. Before the event: doing it again when that failed does no harm."""
        for state, part in ((StateName(name.app), change.app), (StateName(name.app, name.user), change.user)):
            if part:
                with self._states.use(state) as log:
                    log.change(part)

    def _state(self, name: StateName) -> dict[str, Any]:
        with self._states.use(name) as log:
            return log.now()

    def _shared(self, name: SessionName) -> dict[str, Any]:
        app, user = self._state(StateName(name.app)), self._state(StateName(name.app, name.user))
        return {**{APP_PREFIX + key: app[key] for key in app}, **{USER_PREFIX + key: user[key] for key in user}}

    def _session(self, name: SessionName, log: SessionLog, shared: dict[str, Any]) -> Session:
        session = Session(
            app_name=name.app,
            user_id=name.user,
            id=name.id,
            state={**log.state, **shared},
            last_update_time=log.updated_at,
        )
        session._storage_update_marker = log.marker()
        return session


def _chosen(events: list[dict[str, Any]], config: GetSessionConfig | None) -> list[dict[str, Any]]:
    """The events that a configuration asks for."""
    chosen = list(events)
    if config is not None and config.after_timestamp is not None:
        after = config.after_timestamp
        chosen = [event for event in chosen if event["timestamp"] >= after]
    if config is not None and config.num_recent_events is not None:
        chosen = chosen[max(0, len(chosen) - config.num_recent_events) :]
    return chosen


def _refuse_stale(session: Session, log: SessionLog) -> None:
    """Return if `session` has all events that are saved, as far as it can tell.

    Raises:
        StaleSessionError: It has not.
    """
    marker = session._storage_update_marker
    if marker is not None:
        if marker != log.marker():
            raise StaleSessionError(_STALE)
        return
    # A session that was made by hand, or went over a wire, has no marker: its last event has to be ours.
    last = log.events[-1].get("id") if log.events else None
    if (session.events[-1].id if session.events else None) != last and log.updated_at > session.last_update_time:
        raise StaleSessionError(_STALE)
