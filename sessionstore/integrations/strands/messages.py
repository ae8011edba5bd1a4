"""The messages of one Strands session: a log of all its agents' messages, each with what is needed to find it again.

An entry is the message itself with one member more, `strands`; a message that has such a member itself stands in it:

    {"role": …, "content": […], "strands": {"agent": {"id": …}, "n": 7, "most": 7, "in_order": true, "record": {…}}}
    {"strands": {"agent": {"id": …}, "n": 8, …, "record": {…}, "message": {…}}}
    {"role": …, "content": […], "type": "strands/change", "strands": {"agent": {"id": …}, "record": {…}}}
    {"strands": {"agent": {"id": …}}}

The third is a change to a message before it; the last says that an agent begins.

`n` counts the agent's messages before it, `most` is the highest id so far, and `in_order` says that every id was the
highest when it came. So the newest entry of an agent tells whether an id is taken, and a page of messages at the end is
found from the end. `record` is the rest of what the SDK keeps with a message: id and times.

A message whose whole content was taken out by a redaction is no message any more. A change without its content stops
the conversation: what it took the place of must not come back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from strands.types.exceptions import SessionException  # pyright: ignore[reportMissingImports]

from sessionstore.errors import ConflictError, InvalidValueError, MalformedError, SessionNotFoundError
from sessionstore.integrations.foreign import key_of
from sessionstore.integrations.strands.register import MARK, append_surely, newest, plain
from sessionstore.redaction import BLANK
from sessionstore.store import SessionStore

CHANGE = "strands/change"

T = TypeVar("T")
Fields = dict[str, Any]


class Record(NamedTuple):
    """One entry of an agent, read.

    Attributes:
        meta: What stands in the mark.
        id: Id of the message, None where the agent begins.
        fields: The message as the SDK's dict.
    """

    meta: Fields
    id: int | None
    fields: Fields

    @property
    def is_change(self) -> bool:
        """Whether it is a change to a message that stands before it."""
        return self.id is not None and "n" not in self.meta


class Messages:
    """The log. Safe for threads and processes; making one costs nothing.

    Args:
        store: Where it is.
        session_id: The SDK's id of the session.
        name: For people, of the store's session.
    """

    def __init__(self, store: SessionStore, session_id: str, *, name: str | None = None) -> None:
        self._store = store
        self._key = key_of("strands", session_id, "messages")
        self._name = name

    def admit(self, agent_id: str) -> None:
        """Let an agent begin, if it has not."""
        self._store.get_or_create(self._key, name=self._name)

        def mark(session_id: str) -> Fields | None:
            with self._records(session_id, agent_id) as records:
                return None if next(records, None) else {MARK: {"agent": {"id": agent_id}}}

        self._append(agent_id, mark)

    def add(self, agent_id: str, fields: Fields) -> None:
        """Add a message, given as the SDK's dict.

        Raises:
            SessionException: There is no such agent, or it has a message with this id.
        """
        message_id = _checked(fields["message_id"])

        def made(session_id: str) -> Fields:
            with self._records(session_id, agent_id) as records:
                last = next((record for record in records if not record.is_change), None)
            if last is None:
                raise no_agent(agent_id)
            n, most, in_order = 0, message_id, True
            if last.id is not None:
                n, most, in_order = last.meta["n"] + 1, last.meta["most"], last.meta["in_order"]
                if message_id <= most:
                    in_order = False
                    if self._found(session_id, agent_id, message_id) is not None:
                        raise SessionException(f"Message {message_id} of agent {agent_id!r} already exists")
            position = {"n": n, "most": max(most, message_id), "in_order": in_order}
            return _entry(agent_id, plain(fields), position)

        self._append(agent_id, made)

    def change(self, agent_id: str, message_id: int, make: Callable[[Fields], Fields]) -> None:
        """Put what `make` makes of a message into its place.

        Raises:
            SessionException: There is none with this id.
        """

        def made(session_id: str) -> Fields:
            before = self._found(session_id, agent_id, _checked(message_id))
            if before is None:
                raise SessionException(f"Message {message_id} of agent {agent_id!r} does not exist")
            return _entry(agent_id, plain(make(before)), None)

        self._append(agent_id, made)

    def one(self, agent_id: str, message_id: int) -> Fields | None:
        """The message with this id as it is now, None if there is none."""
        return self._reading(lambda session_id: self._found(session_id, agent_id, _checked(message_id)))

    def some(self, agent_id: str, offset: int, limit: int | None) -> list[Fields]:
        """The messages by id, cut like a list. Costs those from `offset` on where ids came in order.

        Raises:
            SessionException: There is no such agent.
        """

        def read(session_id: str) -> list[Fields]:
            changed: dict[int, Fields] = {}
            found: list[tuple[int, Fields]] = []
            in_order = None
            with self._records(session_id, agent_id) as records:
                for record in records:
                    if record.id is None:
                        in_order = bool(in_order is None or in_order)
                        break
                    if record.is_change:
                        changed.setdefault(record.id, record.fields)
                        continue
                    if in_order is None:
                        in_order = record.meta["in_order"] and offset >= 0
                    if in_order and record.meta["n"] < offset:
                        break
                    found.append((record.id, changed.pop(record.id, record.fields)))
                else:
                    if in_order is None:
                        raise no_agent(agent_id)
            if in_order:
                return [fields for _, fields in found[::-1]][:limit]
            by_id = [fields for _, fields in sorted(found, key=lambda pair: pair[0])]
            return by_id[offset:] if limit is None else by_id[offset : offset + limit]

        result = self._reading(read)
        if result is None:
            raise no_agent(agent_id)
        return result

    def remove(self) -> None:
        """Delete them all."""
        self._reading(self._store.delete)

    def _reading(self, use: Callable[[str], T]) -> T | None:
        """What `use` makes of the log, None if there is none."""
        while True:
            session_id = self._store.id_of(self._key)
            if session_id is None:
                return None
            try:
                return use(session_id)
            except SessionNotFoundError:
                continue

    def _append(self, agent_id: str, make: Callable[[str], Fields | None]) -> None:
        """Append what `make` makes of the log as it is, if anything."""
        while True:
            session_id = self._store.id_of(self._key)
            if session_id is None:
                raise no_agent(agent_id)
            try:
                rev = self._store.summary(session_id).rev
                entry = make(session_id)
                if entry is not None:
                    append_surely(self._store, session_id, [entry], rev)
                return
            except (ConflictError, SessionNotFoundError):
                continue  # somebody saved, or the session was deleted

    def _found(self, session_id: str, agent_id: str, message_id: int) -> Fields | None:
        with self._records(session_id, agent_id) as records:
            changed = None
            for record in records:
                if record.id == message_id:
                    if not record.is_change:
                        return changed or record.fields
                    changed = changed or record.fields
                elif record.id is None or (not record.is_change and record.meta["most"] < message_id):
                    return None
        return None

    def _records(self, session_id: str, agent_id: str) -> closing[Generator[Record, None, None]]:
        return closing(self._read(session_id, agent_id))

    def _read(self, session_id: str, agent_id: str) -> Generator[Record, None, None]:
        """What stands in the log of this agent, the newest first."""
        with closing(newest(self._store, session_id)) as entries:
            for entry in entries:
                if entry.get(MARK) == BLANK and entry.get("type") != CHANGE:
                    continue
                record = _record(entry)
                if record is None:
                    raise MalformedError(session_id=session_id, reason="an entry is no message of an agent")
                if record.meta["agent"]["id"] == agent_id:
                    yield record


def no_agent(agent_id: str) -> SessionException:
    """What to raise where an agent is missing."""
    return SessionException(f"Agent {agent_id!r} does not exist in this session")


def _checked(message_id: object) -> int:
    if not isinstance(message_id, int) or isinstance(message_id, bool):
        raise InvalidValueError(what="message id", reason="a whole number is needed")
    return message_id


def _entry(agent_id: str, fields: Fields, position: Fields | None) -> Fields:
    """The entry of a message, or of a change to one that has its position already."""
    message = fields["message"]
    record = {name: fields[name] for name in fields if name != "message"}
    meta = {"agent": {"id": agent_id}, **(position or {}), "record": record}
    kind = {"type": CHANGE} if position is None else {}
    if isinstance(message, dict) and not message.keys() & {MARK, "type"}:
        return {**message, **kind, MARK: meta}
    return {**kind, MARK: {**meta, "message": message}}


def _record(entry: Fields) -> Record | None:
    """The entry read, None if it is none of ours."""
    meta = entry.get(MARK)
    if not isinstance(meta, dict):
        return None
    match meta:
        case {"agent": {"id": str()}} if len(meta) == len(entry) == 1:
            return Record(meta, None, {})
        case {"agent": {"id": str()}, "record": {"message_id": int(message_id)} as record}:
            placed = isinstance(meta.get("n"), int) and isinstance(meta.get("most"), int) and "in_order" in meta
            if not placed and entry.get("type") != CHANGE:
                return None
            message = meta.get("message", {name: entry[name] for name in entry if name not in (MARK, "type")})
            return Record(meta, message_id, {"message": message, **record})
    return None
