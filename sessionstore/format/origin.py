"""Signed files of format version 1: checked with the key of the tool that wrote them, then read like unsigned ones.

The signature is the member `signature`: standard base64 of HMAC-SHA256 over the text of the object without it, members
sorted, indented by two blanks. The file itself may be written in any way; what is checked is the text that the tool
would make of it again. There are two spellings of that text:

* the documented one: `json.dumps(obj, indent=2, sort_keys=True, ensure_ascii=False)`;
* that of the tool's own encoder, which writes other exponents (`1.5e-5`; a number is taken as the file spells it) and
  control characters in capitals (`\\u001B`). Without it, a genuine file with a terminal escape or a very small cost
  would be called forged.

Both are JSON texts of the same object, so whoever made a tag over either has signed that object.

Who has salt, secret and host can sign. A file that verifies is what that machine's tool wrote, and is imported under a
new id; it never takes the place of a session.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from sessionstore.errors import InvalidSignatureError, MalformedError
from sessionstore.format.legacy import SIGNATURE, LegacySession, interpret, parse_file, told_of
from sessionstore.model.ids import check_id, is_id
from sessionstore.signing import MAC_BYTES, OriginKey, TagMismatch

_HINT = "either the file was changed, or salt, secret or host are not those that it was signed with"
_ESCAPE = re.compile(r"\\(?:u(00[01][0-9a-f])|.)")


class _Number(str):
    """A number as it is spelled in the file."""

    __slots__ = ()


def read_signed(data: bytes, *, key: OriginKey, file_stem: str | None = None) -> LegacySession:
    """The session in a file with the other tool's signature, verified before it is looked at.

    Args:
        data: The whole file.
        key: Made by `origin_key`.
        file_stem: The name of the file without `.json`; None where the file has a name of its own.

    Raises:
        InvalidIdError: `file_stem` is no session id.
        InvalidSignatureError: The file was changed, or `key` is not the one.
        MalformedError: It has no signature, or not in the form that the tool writes; or as `read_legacy`.
        TooLargeError, TooDeepError, UnsupportedVersionError, WrongSessionError: As `read_legacy`.
    """
    value = parse_file(data, "" if file_stem is None else check_id(file_stem))
    session_id = file_stem or (value["id"] if is_id(value.get("id")) else "")
    with told_of(session_id):
        tag = _tag(value)
        if not any(_fits(key, tag, text) for text in _texts(value, data)):
            raise InvalidSignatureError(session_id=session_id, line=1, last_good_rev=0, hint=_HINT)
        return interpret(value, file_stem)


def _tag(value: dict[str, Any]) -> bytes:
    """The tag in a file, from base64 that has only one way to write it."""
    if SIGNATURE not in value:
        raise MalformedError(session_id="", reason="it has no signature")
    written = value[SIGNATURE]
    if type(written) is not str:
        raise MalformedError(session_id="", reason="signature must be text")
    try:
        raw = base64.b64decode(written)
    except ValueError:
        raw = b""
    # Written again, it must be the same text: nothing is skipped or left over, and there is one spelling a signature.
    if len(raw) != MAC_BYTES or base64.b64encode(raw).decode() != written:
        raise MalformedError(session_id="", reason=f"signature must be {MAC_BYTES} bytes in standard base64")
    return raw


def _fits(key: OriginKey, tag: bytes, text: str) -> bool:
    try:
        key.verify(tag, text.encode())
    except TagMismatch:
        return False
    return True


def _texts(value: dict[str, Any], data: bytes) -> Iterator[str]:
    """What may have been signed: the documented spelling, then the tool's own."""
    signed = {name: held for name, held in value.items() if name != SIGNATURE}
    yield json.dumps(signed, indent=2, sort_keys=True, ensure_ascii=False)
    spelled = json.loads(data.decode(), parse_float=_Number)
    del spelled[SIGNATURE]
    yield "".join(_spelled(spelled, "\n"))


def _spelled(value: Any, line: str) -> Iterator[str]:
    """The pieces of the tool's own text; `line` is a line feed and the indentation of the line that we are in."""
    if isinstance(value, _Number):
        yield str(value)
    elif isinstance(value, str):
        yield _quoted(value)
    elif isinstance(value, dict | list) and value:
        is_object = isinstance(value, dict)
        yield "{" if is_object else "["
        for index, item in enumerate(sorted(value) if is_object else value):
            yield f"{',' if index else ''}{line}  "
            if is_object:
                yield f"{_quoted(item)}: "
            yield from _spelled(value[item] if is_object else item, f"{line}  ")
        yield f"{line}{'}' if is_object else ']'}"
    else:
        yield json.dumps(value)


def _quoted(text: str) -> str:
    # A backslash is taken together with what it escapes: one that stands in the text itself begins no escape.
    written = json.dumps(text, ensure_ascii=False)
    return _ESCAPE.sub(lambda found: f"\\u{found[1].upper()}" if found[1] else found[0], written)
