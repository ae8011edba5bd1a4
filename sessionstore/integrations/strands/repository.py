"""A `SessionRepository` of Strands Agents, kept in a store.

A session of that SDK is two sessions of the store: a register that holds the session, its agents and its orchestrators
as they are now, and a log of the messages of all agents.

- A message is an append, whatever the length of the conversation; so is a change to one, as a later record.
- A message is an entry that reads like one: its own members, and one more, `strands`, that says whose and which it is.
- Every step names what it builds on. Two programs that go on with the same conversation do not overwrite each other's
  messages: whoever is second gets a `SessionException`.
- What is asked for and not there is None; what is made twice, or changed and not there, is a `SessionException`.
- What the store refuses is raised as it is.

The SDK calls a repository from its event loop and does not wait elsewhere: a call takes as long as the disk takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from strands.session.session_repository import SessionRepository  # pyright: ignore[reportMissingImports]
from strands.types.exceptions import SessionException  # pyright: ignore[reportMissingImports]
from strands.types.session import (  # pyright: ignore[reportMissingImports]
    Session,
    SessionAgent,
    SessionMessage,
    decode_bytes_values,
    encode_bytes_values,
)

from sessionstore.errors import InvalidValueError
from sessionstore.integrations.strands.messages import Messages
from sessionstore.integrations.strands.register import Register, plain
from sessionstore.model import check_name
from sessionstore.store import SessionStore

if TYPE_CHECKING:
    from strands.multiagent import MultiAgentBase  # pyright: ignore[reportMissingImports]

Members = dict[str, Any]
SDK = "strands"


class SealedSessionRepository(SessionRepository):
    """Sessions of Strands Agents, sealed: `RepositorySessionManager(id, SealedSessionRepository(store))`.

    One object serves all sessions, and any number of threads. Session, agent and orchestrator ids may be any text;
    different texts are different things, to the byte.

    All methods raise `VerificationError` for a session that is not what was saved, and `StoreUnavailableError` where
    the store refuses. `SessionException` stands with each method.

    Args:
        store: An open store. It stays open.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def create_session(self, session: Session, **kwargs: Any) -> Session:
        """Make a session.

        Raises:
            SessionException: There is one with this id.
        """

        def made(members: Members | None) -> Members:
            if members is not None:
                raise SessionException(f"Session {session.session_id!r} already exists")
            return {"session": session.to_dict(), "agents": {}, "multi_agents": {}}

        self._change(session.session_id, made)
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        """The session, None if there is none."""
        members = self._members(session_id)
        return None if members is None else Session.from_dict(members["session"])

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        """Delete a session and all that belongs to it, also where it is not what was saved.

        The SDK's own repositories have this method too.

        Raises:
            SessionException: There is none.
        """
        self._messages(session_id).remove()  # first: without its register a session is not there
        if not self._register(session_id).remove():
            raise _no("Session", session_id)

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Make an agent of a session.

        Raises:
            SessionException: There is no such session, or it has an agent with this id.
        """
        if self._one(session_id, "agents", session_agent.agent_id) is None and self._members(session_id) is not None:
            # First: an agent that is there can be given messages.
            self._messages(session_id).admit(session_agent.agent_id)
        self._add(session_id, "agents", session_agent.agent_id, session_agent.to_dict())

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """The agent, None if there is none."""
        found = self._one(session_id, "agents", agent_id)
        return None if found is None else SessionAgent.from_dict(found)

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Put the agent in the place of what it was; the time it was made stays.

        Raises:
            SessionException: There is none.
        """

        def changed(before: Members) -> Members:
            session_agent.created_at = before["created_at"]
            return session_agent.to_dict()

        self._replace(session_id, "agents", session_agent.agent_id, changed)

    def create_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Keep the state of an orchestrator.

        Raises:
            SessionException: There is no such session, or it has an orchestrator with this id.
        """
        self._add(session_id, "multi_agents", multi_agent.id, encode_bytes_values(multi_agent.serialize_state()))

    def read_multi_agent(self, session_id: str, multi_agent_id: str, **kwargs: Any) -> dict[str, Any] | None:
        """The state of an orchestrator, None if there is none."""
        found: Members | None = decode_bytes_values(self._one(session_id, "multi_agents", multi_agent_id))
        return found

    def update_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Put the state of an orchestrator in the place of what it was.

        Raises:
            SessionException: There is none.
        """
        state = encode_bytes_values(multi_agent.serialize_state())
        self._replace(session_id, "multi_agents", multi_agent.id, lambda before: state)

    def create_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Add a message of an agent: one append.

        Raises:
            SessionException: There is no such agent, or it has a message with this id.
        """
        self._messages(session_id).add(agent_id, session_message.to_dict())

    def read_message(self, session_id: str, agent_id: str, message_id: int, **kwargs: Any) -> SessionMessage | None:
        """The message, None if there is none."""
        found = self._messages(session_id).one(agent_id, message_id)
        return None if found is None else SessionMessage.from_dict(found)

    def update_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Put the message in the place of what it was; the time it was made stays. What it was stays in the file.

        Raises:
            SessionException: There is none.
        """

        def changed(before: Members) -> Members:
            session_message.created_at = before["created_at"]
            fields: Members = session_message.to_dict()
            return fields

        self._messages(session_id).change(agent_id, session_message.message_id, changed)

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        """Messages of an agent by id, as they are now. Costs those from `offset` on, not those before it.

        Raises:
            SessionException: There is no such agent.
        """
        found = self._messages(session_id).some(agent_id, offset, limit)
        return [SessionMessage.from_dict(message) for message in found]

    def _add(self, session_id: str, kind: str, member_id: str, fields: Members) -> None:
        def added(members: Members | None) -> Members:
            if members is None:
                raise _no("Session", session_id)
            if member_id in members[kind]:
                raise SessionException(f"{_KINDS[kind]} {member_id!r} already exists in session {session_id!r}")
            return {**members, kind: {**members[kind], member_id: fields}}

        self._change(session_id, added)

    def _replace(self, session_id: str, kind: str, member_id: str, make: Callable[[Members], Members]) -> None:
        def replaced(members: Members | None) -> Members:
            if members is None:
                raise _no("Session", session_id)
            if member_id not in members[kind]:
                raise _no(_KINDS[kind], member_id)
            return {**members, kind: {**members[kind], member_id: make(members[kind][member_id])}}

        self._change(session_id, replaced)

    def _one(self, session_id: str, kind: str, member_id: str) -> Members | None:
        members = self._members(session_id)
        found: Members | None = None if members is None else members[kind].get(member_id)
        return found

    def _members(self, session_id: str) -> Members | None:
        value = self._register(session_id).read()
        return None if value is None else value[0]

    def _change(self, session_id: str, make: Callable[[Members | None], Members]) -> None:
        self._register(session_id).change(lambda value: [plain(make(None if value is None else value[0]))])

    def _register(self, session_id: str) -> Register:
        return Register(self._store, SDK, session_id, name=_name(session_id, "state"))

    def _messages(self, session_id: str) -> Messages:
        return Messages(self._store, session_id, name=_name(session_id, "messages"))


_KINDS = {"agents": "Agent", "multi_agents": "Orchestrator"}


def _no(what: str, name: str) -> SessionException:
    return SessionException(f"{what} {name!r} does not exist")


def _name(session_id: str, what: str) -> str | None:
    """What people call a session of the store, None where the id can be no name."""
    try:
        return check_name(f"{session_id} ({what})")
    except InvalidValueError:
        return None
