"""The lines of a session file, except the seal: open, entry, state.

Every line is one JSON object with exactly one member, which says what the line is, and ends with byte 0x0A. The frame
around the value is fixed bytes: a line is recognised and cut by its frame, never searched, and nothing but 0x0A splits
lines (U+2028 and its kin are ordinary text). Reading assumes bytes that a seal has vouched for: what it refuses was
sealed by another release, or by a fault of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from sessionstore.errors import MalformedError, TooLargeError, UnsupportedVersionError
from sessionstore.format.strict import decode_object, encode_object
from sessionstore.model import ProjectRecord, Todo

FORMAT_VERSION: Final = 2

OPEN = b'{"open":'
ENTRY = b'{"entry":'
STATE = b'{"state":'
CLOSE = b"}"


class Open(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: what never changes about a session.

    Attributes:
        format: 2.
        id: The session id.
        store: Id of the store it was made in.
        created_at: RFC 3339 text.
        key: The embedder's external key.
        parent: Id of the session it comes from.
        origin: Id it had in another store or tool.
    """

    format: int = FORMAT_VERSION
    id: str
    store: str
    created_at: str
    key: str | None = None
    parent: str | None = None
    origin: str | None = None


class StateChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state line: the members that changed, each replacing its whole old value."""

    name: str | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    config: dict[str, Any] | UnsetType = UNSET
    todos: tuple[Todo, ...] | UnsetType = UNSET
    project: ProjectRecord | UnsetType | None = UNSET
    closed_at: str | UnsetType | None = UNSET

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return self == _NO_CHANGE


_NO_CHANGE = StateChange()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All state members merged, in the order of their lines."""

    name: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    todos: tuple[Todo, ...] = ()
    project: ProjectRecord | None = None
    closed_at: str | None = None

    def merged(self, change: StateChange) -> State:
        """The state after `change`."""
        fields = {name: getattr(change, name) for name in change.__struct_fields__}
        return msgspec.structs.replace(self, **{name: value for name, value in fields.items() if value is not UNSET})

    def as_change(self) -> StateChange:
        """One change that makes this state out of an empty one."""
        return StateChange(**{name: getattr(self, name) for name in self.__struct_fields__})


_encode = msgspec.json.Encoder().encode
_decode_open = msgspec.json.Decoder(Open).decode
_decode_state = msgspec.json.Decoder(StateChange).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def open_line(value: Open) -> bytes:
    """The first line of a session file, with its line end.

    Raises:
        MalformedError: A member is not what it must be.
    """
    return OPEN + _encoded("open", value, _decode_open) + CLOSE + b"\n"


def entry_line(entry: dict[str, Any], *, max_bytes: int) -> bytes:
    """One entry as a line, with its line end.

    Raises:
        MalformedError, TooDeepError, TooLargeError: As `strict.encode_object` says.
    """
    return ENTRY + encode_object(entry, max_bytes=max_bytes) + CLOSE + b"\n"


def state_line(change: StateChange, *, max_bytes: int) -> bytes:
    """One state change as a line, with its line end.

    Raises:
        MalformedError, TooDeepError, TooLargeError: A member holds what cannot be kept, or the line is over
            `max_bytes`.
    """
    if change.config is not UNSET:
        encode_object(change.config, max_bytes=max_bytes, what="config")
    encoded = _encoded("state", change, _decode_state)
    if len(encoded) > max_bytes:
        raise TooLargeError(what="state", size_bytes=len(encoded), limit_bytes=max_bytes, setting="max_entry_bytes")
    return STATE + encoded + CLOSE + b"\n"


def _encoded(what: str, value: msgspec.Struct, decode: Callable[[bytes], object]) -> bytes:
    """`value` as JSON that `decode` takes back: a struct that was built with other types encodes without complaint."""
    try:
        encoded = _encode(value)
        decode(encoded)
    except (msgspec.MsgspecError, TypeError, OverflowError, UnicodeEncodeError) as exc:
        raise MalformedError(session_id="", reason=f"{what}: {_reason(exc)}") from None
    return encoded


def read_lines(body: bytes) -> Iterator[bytes]:
    """The lines of verified bytes, without their line ends."""
    lines = body.split(b"\n")
    if lines.pop():
        raise MalformedError(session_id="", reason="the last line has no end")
    yield from lines


def decode_open(line: bytes) -> Open:
    """The first line of a session.

    Raises:
        MalformedError: It is no open line.
        UnsupportedVersionError: It is one of another format version.
    """
    if not (line.startswith(OPEN) and line.endswith(CLOSE)):
        raise MalformedError(session_id="", reason="the first line is no open line")
    try:
        opened = _decode_open(line[len(OPEN) : -len(CLOSE)])
    except _UNREADABLE as exc:
        raise MalformedError(session_id="", reason=f"open line: {_reason(exc)}") from None
    if opened.format != FORMAT_VERSION:
        raise UnsupportedVersionError(session_id=opened.id, version=opened.format)
    return opened


def decode_state(line: bytes) -> StateChange:
    """A state line as the change it stands for.

    Raises:
        MalformedError: It is no state line of this format.
    """
    if not (line.startswith(STATE) and line.endswith(CLOSE)):
        raise MalformedError(session_id="", reason="a sealed line is neither entry nor state")
    try:
        return _decode_state(line[len(STATE) : -len(CLOSE)])
    except _UNREADABLE as exc:
        raise MalformedError(session_id="", reason=f"state line: {_reason(exc)}") from None


def decode_entry(line: bytes | memoryview) -> dict[str, Any]:
    """The entry in a line that begins as an entry line; a view spares a copy, which costs a third of the decoding.

    Raises:
        MalformedError: It holds no object that this format knows.
    """
    if line[-1] != CLOSE[0]:
        raise MalformedError(session_id="", reason="an entry line has no end")
    try:
        return decode_object(line[len(ENTRY) : -len(CLOSE)])
    except _UNREADABLE as exc:
        raise MalformedError(session_id="", reason=f"entry line: {_reason(exc)}") from None


def _reason(exc: Exception) -> str:
    """What is wrong, without the value: the codec repeats words, and text with half a surrogate pair."""
    if isinstance(exc, UnicodeError):
        return "not UTF-8 text"
    message, at, place = str(exc).rpartition(" - at ")
    return f"{'an unknown word' if message.startswith('Invalid enum value') else message}{at}{place}"
