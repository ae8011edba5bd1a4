"""The protocol's session updates as entries of a session, and back.

What a client was shown is what is kept: each entry is one update as JSON, the way it goes over the wire, such as
`{"sessionUpdate": "agent_message_chunk", "content": …}`. A replay sends the same updates again.

Entries of other origin that are plain messages (`role` and text) are replayed as chunks, so that a session which was
made or imported with the command line can be opened. Other entries have no form in the protocol and are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from acp.helpers import (  # pyright: ignore[reportMissingImports]
    update_agent_message_text,
    update_user_message,
    update_user_message_text,
)
from acp.schema import SessionNotification  # pyright: ignore[reportMissingImports]

from sessionstore.errors import InvalidValueError, MalformedError, TooDeepError
from sessionstore.format.lines import entry_line
from sessionstore.model import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

# Any of the models that `Client.session_update` takes; the SDK has no name for all of them.
Update = Any

KIND = "sessionUpdate"


def entry_of(update: Update) -> dict[str, Any]:
    """The update as an entry."""
    entry: dict[str, Any] = update.model_dump(mode="json", by_alias=True, exclude_none=True)
    return entry


def check_kept(entry: dict[str, Any], *, max_bytes: int) -> None:
    """Return if the store can keep the entry.

    Raises:
        InvalidValueError: It says what JSON of the store cannot, such as half a surrogate pair.
        TooLargeError: It has more than `max_bytes`.
    """
    try:
        entry_line(entry, max_bytes=max_bytes)
    except (MalformedError, TooDeepError) as exc:
        raise InvalidValueError(what="update", reason=str(exc)) from exc


def entries_of_prompt(prompt: Iterable[Any]) -> list[dict[str, Any]]:
    """What the user says, block by block, as entries."""
    return [entry_of(update_user_message(block)) for block in prompt]


def update_of(session_id: str, entry: dict[str, Any]) -> Update | None:
    """The update that an entry stands for, None if it has no form in the protocol.

    Raises:
        ValueError: It says that it is an update, and is none that this release of the SDK knows.
    """
    if KIND in entry:
        return SessionNotification.model_validate({"sessionId": session_id, "update": entry}).update
    message = Message.from_entry(entry)
    if message is None or not isinstance(message.content, str):
        return None
    if message.role == "user":
        return update_user_message_text(message.content)
    return update_agent_message_text(message.content) if message.role == "assistant" else None
