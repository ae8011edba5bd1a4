"""Which names a log may have, and the session a name speaks of. Both backends of this package ask here."""

from __future__ import annotations

from sessionstore.errors import InvalidValueError
from sessionstore.fs import check_name, is_hidden
from sessionstore.model.ids import is_id

LOG = ".jsonl"


def check_log_name(name: str) -> str:
    """The name itself, if a log may have it.

    Raises:
        InvalidValueError: It is not one file's name, or one that the store keeps for itself.
    """
    if is_hidden(check_name(name)):
        raise InvalidValueError(what="file name", reason="it is one that the store uses itself")
    return name


def session_of(name: str) -> str:
    """The session id that `name` begins with, "" if it begins with none."""
    stem = name.split(".", 1)[0]
    return stem if is_id(stem) else ""


def is_beside(name: str, session_id: str) -> bool:
    """Whether `name` begins with that session's id, and is not its log."""
    return name.startswith(f"{session_id}.") and name != f"{session_id}{LOG}"
