"""The parts of a session: messages, todos, and the record of its project directory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from sessionstore.errors import InvalidValueError
from sessionstore.model.times import parse_time

TodoStatus = Literal["pending", "in_progress", "completed"]


class Message(msgspec.Struct, frozen=True, kw_only=False):
    """One turn of a conversation, as a typed view on an entry.

    Attributes:
        role: Who speaks: `user`, `assistant`, `system`, `tool`, or what the embedding tool calls it.
        content: Text, or the tool's own list of content blocks.
        id: The tool's id of this message, if it has one.
        timestamp: When it was said, according to the tool. The time that is signed stands in the seal.
    """

    role: str
    content: Any
    id: str | None = None
    timestamp: datetime | None = None

    @classmethod
    def from_entry(cls, entry: dict[str, Any]) -> Message | None:
        """The message that `entry` holds, or None where it is not one (no text `role`, or no `content`)."""
        role = entry.get("role")
        if not isinstance(role, str) or "content" not in entry:
            return None
        given_id = entry.get("id")
        return cls(role, entry["content"], given_id if isinstance(given_id, str) else None, _time_of(entry))


class Todo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One item of the agent's task list.

    Attributes:
        content: What is to be done.
        status: `pending`, `in_progress` or `completed`.
        active_form: How it is called while it is being done.
    """

    content: str
    status: TodoStatus = "pending"
    active_form: str = ""

    def __post_init__(self) -> None:
        if self.status not in ("pending", "in_progress", "completed"):
            raise InvalidValueError(what="todo status", reason="pending, in_progress or completed is needed")


def check_todos(todos: Iterable[Todo]) -> tuple[Todo, ...]:
    """The todos themselves, each of the kinds that its members must be.

    Raises:
        InvalidValueError: One is no `Todo`, or holds what is no text.
    """
    given = tuple(todos)  # what the iterable itself raises comes through
    try:
        return msgspec.json.decode(msgspec.json.encode(given), type=tuple[Todo, ...])
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError):
        raise InvalidValueError(what="todos", reason="each must be a Todo of text that can be stored") from None


class ProjectRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """What the kernel said of the project directory when it was opened; signed with the session.

    Paths are bytes (base64 in the file), because they need not be UTF-8. A record without `inode` carries no identity:
    the session came from elsewhere, or its directory could not be opened; such a project cannot be resumed before
    somebody binds it.

    Attributes:
        path: Canonical path, read back from the open descriptor; without identity, the path that was stated.
        given_path: The spelling the caller used.
        inode: Inode number, None without identity.
        handle: File handle of `name_to_handle_at(2)`, None where the file system gives none.
        handle_type: Its type number.
        birth_time_ns: Birth time in nanoseconds since 1970, None where the file system keeps none.
        fs_type: File-system magic of `statfs(2)`.
        device, fsid: Hints only: both may change when a volume is mounted again.
        owner_uid, owner_gid, mode: Ownership and permission bits (12 bits).
        allowed_roots: Canonical directories that the project must lie in; empty means only itself.
        trust: What the caller vouched for: `foreign_owner`, `world_writable`.
        capability: How firmly this platform could pin it: `full`, `leaf_only` or `none`.
    """

    path: bytes
    given_path: bytes
    inode: int | None = None
    handle: bytes | None = None
    handle_type: int | None = None
    birth_time_ns: int | None = None
    fs_type: int | None = None
    device: int | None = None
    fsid: int | None = None
    owner_uid: int | None = None
    owner_gid: int | None = None
    mode: int | None = None
    allowed_roots: tuple[bytes, ...] = ()
    trust: tuple[str, ...] = ()
    capability: Literal["full", "leaf_only", "none"] = "none"

    @property
    def display_path(self) -> str:
        """The canonical path as text for people. Do not open it: what stands under the name may have changed."""
        return self.path.decode("utf-8", "backslashreplace")

    @property
    def has_identity(self) -> bool:
        """Whether a directory was opened for this record."""
        return self.inode is not None


def _time_of(entry: dict[str, Any]) -> datetime | None:
    text = entry.get("timestamp")
    if not isinstance(text, str):
        return None
    try:
        return parse_time(text)
    except ValueError:
        return None
