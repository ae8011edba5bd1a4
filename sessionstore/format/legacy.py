"""Session files of format version 1: one JSON object a session, written by the tool that this store follows.

Reading one gives the values that a sealed session is made of. Rules:

* Nothing is lost and nothing guessed. A message becomes an entry as it stands, unknown members included. What has no
  place in a sealed session is kept verbatim in the member `legacy` of the config.
* Nothing is repaired. Whatever the tool cannot have written is refused, each shape with its own reason; the tool's own
  reader refuses the same. The reason names members and places, never values.
* An unsigned file carries no signature. One that has the member at all, even null or empty, is no unsigned file:
  otherwise emptying a signature would be a way around checking it. Signed ones are for `sessionstore.format.origin`.

Whether an unsigned file may be believed is not decided here but by the inventory. A time in it is what the tool's clock
said, and its project is a path that nobody has opened.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import MAXYEAR, datetime
from itertools import count
from typing import Any, NoReturn

import msgspec

from sessionstore.errors import MalformedError, TooDeepError, TooLargeError, UnsupportedVersionError, WrongSessionError
from sessionstore.format.lines import State
from sessionstore.format.strict import encode_object, parse_json
from sessionstore.model import ProjectRecord, Todo, check_id, format_time, parse_time
from sessionstore.model.ids import MAX_NAME_CHARS, is_id

LEGACY_VERSION = 1
MAX_LEGACY_BYTES = 10 * 1024 * 1024
SIGNATURE = "signature"
KEPT = "legacy"
"""Member of the config for what has no other place."""

YOUNGER = ("language", "prompt_history", "usage", "cumulative_usage")
"""Members that the tool began to write after it began to sign: a file with one of them was signed once."""

ROLES = ("user", "assistant", "system", "tool")
STATUSES = ("pending", "in_progress", "completed")
HINT = "the file is left as it is; the tool that wrote it may still read it"

_Kinds = dict[str, type]
_FILE: _Kinds = {
    "id": str,
    "name": str,
    "project_path": str,
    "config": dict,
    "created_at": str,
    "updated_at": str,
    "closed_at": str,
    "conversation": list,
    "todos": list,
}
_MESSAGE: _Kinds = {"id": str, "role": str, "content": str, "timestamp": str}
_TODO: _Kinds = {"content": str, "status": str, "active_form": str}
_KIND_NAMES: dict[type, str] = {str: "text", dict: "an object", list: "a list"}

_FINER_THAN_MICROSECONDS = re.compile(r"[.,]\d{7}")
_NO_CAP = 2**63


class LegacySession(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of format version 1 holds, in the values that a sealed session is made of.

    Attributes:
        id: The session id, which is also the name of its file.
        state: Name, config, todos, project (a stated path without identity) and the time it was closed; no tags.
        entries: The messages as they stand in the file, in the order of their timestamps; equal ones in the order of
            the file.
        created_at, updated_at: According to the tool; UTC.
        notes: Sentences for people about what was changed on the way, such as a name that was cut.
    """

    id: str
    state: State
    entries: tuple[dict[str, Any], ...]
    created_at: datetime
    updated_at: datetime
    notes: tuple[str, ...]


def read_legacy(data: bytes, *, file_stem: str) -> LegacySession:
    """The session in an unsigned file. Nothing is verified: the caller has compared the digest with the inventory.

    Args:
        data: The whole file; one byte over the cap is enough to have it refused.
        file_stem: Its name without `.json`, which is the session id that was asked for.

    Raises:
        InvalidIdError: `file_stem` is no session id.
        TooLargeError: Over 10 MiB.
        MalformedError: Not JSON, or not a file that the tool wrote; `reason` says why.
        TooDeepError: Nested deeper than 128 levels, or so deep that it would be in a sealed session.
        UnsupportedVersionError: A version that is a number and not 1.
        WrongSessionError: It holds another session than its name says.
    """
    check_id(file_stem)
    value = parse_file(data, file_stem)
    with told_of(file_stem):
        if SIGNATURE in value:
            _refuse(_unchecked(value[SIGNATURE]))
        for name in YOUNGER:
            if name in value:
                _refuse(f"{name} is younger than signing: no unsigned file can have it")
        session = interpret(value, file_stem)
        for index, message in enumerate(value["conversation"]):
            if "usage" in message:
                _refuse(f"conversation[{index}].usage is younger than signing: no unsigned file can have it")
        return session


def parse_file(data: bytes, session_id: str) -> dict[str, Any]:
    """The JSON object of a file of version 1, its members not looked at but for the version.

    Raises:
        TooLargeError, MalformedError, TooDeepError, UnsupportedVersionError: As `read_legacy`.
    """
    if len(data) > MAX_LEGACY_BYTES:
        raise TooLargeError(what="file", size_bytes=len(data), limit_bytes=MAX_LEGACY_BYTES, setting="", hint=HINT)
    with told_of(session_id):
        value = parse_json(data)
        if type(value) is not dict:
            _refuse("the file must hold one object")
        version = value.get("version")
        if type(version) is not int:
            _refuse("version must be the number 1" if "version" in value else "version is missing")
        if version != LEGACY_VERSION:
            raise UnsupportedVersionError(session_id=session_id, version=version)
        return value


def interpret(value: dict[str, Any], file_stem: str | None) -> LegacySession:
    """The session that the object of a file stands for; its signature is the caller's affair.

    Raises:
        MalformedError, TooDeepError, WrongSessionError: As `read_legacy`.
    """
    _require(value, _FILE, "")
    session_id = value["id"]
    if file_stem is not None and session_id != file_stem:
        raise WrongSessionError(session_id=file_stem)
    if not is_id(session_id):
        _refuse("id must be a lower-case UUID")
    # What is left of the file's own members goes into the config as it stands.
    kept = {name: held for name, held in value.items() if name not in ("version", SIGNATURE, *_FILE)}
    notes: list[str] = []
    times = {name: _time(value[name], name) for name in ("created_at", "updated_at", "closed_at")}
    if times["updated_at"].year == MAXYEAR:
        # Each save is later than the one before: there would be no time left for one.
        _refuse(f"updated_at must be before the year {MAXYEAR}")
    kept |= {name: value[name] for name in times if _FINER_THAN_MICROSECONDS.search(value[name])}
    name = _name(value["name"]) or f"Session of {format_time(times['created_at'])[:19]}Z"
    if name != value["name"]:
        kept["name"] = value["name"]
        notes.append("its name was changed to one of 1 to 200 characters without control characters")
    todos = [_todo(todo, f"todos[{index}].") for index, todo in enumerate(value["todos"])]
    if any(todo.keys() != _TODO.keys() for todo in value["todos"]):
        kept["todos"] = value["todos"]
    messages = [(_moment(each, f"conversation[{at}]."), each) for at, each in enumerate(value["conversation"])]
    state = State(
        name=name,
        config=_config(value["config"], kept),
        todos=tuple(todos),
        project=_project(value["project_path"]),
        closed_at=format_time(times["closed_at"]),
    )
    if kept:
        notes.append(f"what has no place in a sealed session is kept in its config: {len(kept)} members")
    return LegacySession(
        id=session_id,
        state=state,
        entries=tuple(message for _, message in sorted(messages, key=lambda pair: pair[0])),
        created_at=times["created_at"],
        updated_at=times["updated_at"],
        notes=tuple(notes),
    )


@contextmanager
def told_of(session_id: str) -> Iterator[None]:
    """Say in every refusal which session it is about, and that there is nothing to mend in its file."""
    try:
        yield
    except MalformedError as error:
        raise MalformedError(session_id=session_id, reason=error.reason, hint=HINT) from None
    except TooDeepError as error:
        raise TooDeepError(session_id=session_id, limit=error.limit, hint=HINT) from None


def _refuse(reason: str) -> NoReturn:
    raise MalformedError(session_id="", reason=reason)


def _unchecked(signature: Any) -> str:
    """Why a file with this member is not read as an unsigned one."""
    if signature is None:
        return "signature is null: an unsigned file does not have that member"
    if type(signature) is not str:
        return "signature must be text"
    if not signature:
        return "signature is empty: an unsigned file does not have that member"
    return "it has a signature, which can only be checked by an import with the salt, the secret and the host"


def _require(value: Any, kinds: _Kinds, where: str) -> None:
    """Refuse `value` unless it is an object with members of these kinds; others may be beside them."""
    if type(value) is not dict:
        _refuse(f"{where.removesuffix('.')} must be an object")
    for name, kind in kinds.items():
        if name not in value:
            _refuse(f"{where}{name} is missing")
        if type(value[name]) is not kind:
            _refuse(f"{where}{name} must be {_KIND_NAMES[kind]}")


def _time(text: str, where: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        _refuse(f"{where} must be a time with a zone")


def _moment(message: Any, where: str) -> datetime:
    """When this message was said, once it is known to be one."""
    _require(message, _MESSAGE, where)
    if message["role"] not in ROLES:
        _refuse(f"{where}role must be one of {', '.join(ROLES)}")
    return _time(message["timestamp"], f"{where}timestamp")


def _todo(todo: Any, where: str) -> Todo:
    _require(todo, _TODO, where)
    if todo["status"] not in STATUSES:
        _refuse(f"{where}status must be one of {', '.join(STATUSES)}")
    return Todo(todo["content"], todo["status"], todo["active_form"])


def _name(name: str) -> str:
    """`name` as one that a session may have; "" where it is empty."""
    odd = ("Cc", "Zl", "Zp")
    shown = "".join(" " if unicodedata.category(char) in odd else char for char in name[: MAX_NAME_CHARS + 1])
    return shown if len(shown) <= MAX_NAME_CHARS else shown[: MAX_NAME_CHARS - 1] + "…"


def _project(path: str) -> ProjectRecord | None:
    if "\0" in path:
        _refuse("project_path must not hold a NUL character")
    stated = path.encode()
    return ProjectRecord(path=stated, given_path=stated) if stated else None


def _config(config: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    # The tool writes a provider or model that is not set as "".
    unset = {name: None for name in ("provider", "model") if config.get(name) == ""}
    whole = config | unset
    if kept:
        names = (KEPT if not number else f"{KEPT}_{number}" for number in count())
        whole[next(name for name in names if name not in config)] = kept
        encode_object(whole, max_bytes=_NO_CAP, what="config")  # a level deeper than it was: it may be one too many
    return whole
