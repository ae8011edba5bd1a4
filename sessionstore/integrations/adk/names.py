"""What ADK calls its sessions and states, and the keys of the store for it.

An app's state and a user's state are sessions of the store too: they are shared by sessions and outlive them. Every
one of ours says in its configuration what it is, because a long name cannot be read back from its key. It says so in a
member `id`, which is left alone when secrets are taken out.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from sessionstore.errors import InvalidValueError
from sessionstore.integrations.foreign import key_of

SDK = "adk"

_SESSION = f'["{SDK}","session",'
_LONG = f"{SDK}:"
_NAME_CHARS = 160


class SessionName(NamedTuple):
    """A session of a user of an app."""

    app: str
    user: str
    id: str

    @property
    def key(self) -> str:
        """Its key in the store."""
        return key_of(SDK, "session", *self)

    @property
    def config(self) -> dict[str, Any]:
        """What its configuration says of it."""
        return {"kind": "session", "id": json.dumps(self)}

    @property
    def title(self) -> str:
        """What people see in a list."""
        return _title(f"ADK {self.app}: {self.user}: {self.id}")


class StateName(NamedTuple):
    """The state of an app, or of a user of it."""

    app: str
    user: str | None = None

    @property
    def key(self) -> str:
        """Its key in the store."""
        return key_of(SDK, "app", self.app) if self.user is None else key_of(SDK, "user", self.app, self.user)

    @property
    def config(self) -> dict[str, Any]:
        """What its configuration says of it."""
        return {"kind": "state", "id": json.dumps(self)}

    @property
    def title(self) -> str:
        """What people see in a list."""
        return _title(f"ADK state of {self.app}" + ("" if self.user is None else f": {self.user}"))


def check(*parts: object) -> None:
    """Return if ADK's names are text.

    Raises:
        InvalidValueError: One is not.
    """
    if not all(isinstance(part, str) for part in parts):
        raise InvalidValueError(what="name", reason="app_name, user_id and session_id have to be text")


def in_key(key: str | None, app: str, user: str | None) -> SessionName | bool:
    """The session that a key is of, if it is one of this app and user; True if only its configuration can tell."""
    if key is None or not key.startswith((_SESSION, _LONG)):
        return False
    if key.startswith(_LONG):
        return True
    name = _name(*json.loads(key)[2:])
    return name if name is not None and name.app == app and user in (None, name.user) else False


def in_config(config: dict[str, Any]) -> SessionName | None:
    """The session that a configuration is of, None if it is of something else."""
    said = config.get(SDK)
    if not isinstance(said, dict) or said.get("kind") != "session":
        return None
    return _name(*json.loads(said["id"]))


def _name(*parts: object) -> SessionName | None:
    texts = [part for part in parts if isinstance(part, str)]
    return SessionName(*texts) if len(parts) == len(texts) == len(SessionName._fields) else None


def _title(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:_NAME_CHARS]).rstrip()
