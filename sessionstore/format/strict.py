"""Which JSON values may be stored, and the strict way in for JSON text.

A session must come back exactly as it was given. JSON codecs are lenient in ways that would change it in silence: they
write NaN as null, keep the last of two equal members, write number keys as text, take integers they later refuse.
So a value is checked before it is encoded, and what was encoded is decoded once, by the decoder that load uses, before
it is sealed.

Allowed: dict with str keys, list, tuple (comes back as a list), str without lone surrogates, bool, None, int from -2^63
to 2^64 - 1, finite float; nested at most 128 levels. Anything else is refused, with the way to the value in the reason:
member names and indexes, cut to a readable length, and never the value itself.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn

import msgspec

from sessionstore.errors import MalformedError, TooDeepError, TooLargeError

MAX_DEPTH = 128
MIN_INT = -(2**63)
MAX_INT = 2**64 - 1
MAX_SHOWN_NAME_CHARS = 40
MAX_SHOWN_STEPS = 8

_encode = msgspec.json.Encoder().encode
decode_object = msgspec.json.Decoder(dict[str, Any]).decode
"""The one decoder of entries: bytes of one JSON object to a dict."""


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.way: list[str] = []  # innermost step first

    def text(self, what: str) -> str:
        steps, half = self.way[::-1], MAX_SHOWN_STEPS // 2
        if len(steps) > MAX_SHOWN_STEPS:
            steps = [*steps[:half], "…", *steps[-half:]]
        return f"{what}{''.join(steps)}: {self.reason}"


class _Deep(Exception):
    pass


def encode_object(value: dict[str, Any], *, max_bytes: int, what: str = "entry") -> bytes:
    """`value` as one line of compact JSON without the line end; no byte below 0x20.

    Args:
        value: The object to store.
        max_bytes: Cap on the encoded size, in bytes.
        what: What to call it in an error.

    Raises:
        MalformedError: It is no dict, or holds something that JSON or this format cannot keep; `reason` says where.
        TooDeepError: It is nested deeper than 128 levels.
        TooLargeError: It is longer than `max_bytes` when encoded.
    """
    if type(value) is not dict:
        raise MalformedError(session_id="", reason=f"{what} must be a JSON object (dict), not {type(value).__name__}")
    try:
        _check(value, 1)
        encoded = _encode(value)
    except _Refused as refused:
        raise MalformedError(session_id="", reason=refused.text(what)) from None
    except _Deep:
        raise TooDeepError(session_id="", limit=MAX_DEPTH) from None
    if len(encoded) > max_bytes:
        raise TooLargeError(what=what, size_bytes=len(encoded), limit_bytes=max_bytes, setting="max_entry_bytes")
    decode_object(encoded)
    return encoded


def parse_json(text: bytes) -> Any:
    """The value of JSON `text` (UTF-8), refusing everything that a lenient reader would change.

    Raises:
        MalformedError: Not JSON, not UTF-8, NaN or an infinity, a duplicate member, a lone surrogate, an integer beyond
            64 bit or with more digits than Python reads.
        TooDeepError: Nested deeper than 128 levels.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_members, parse_constant=_no_constant)
        _check(value, 1)
    except _Refused as refused:
        raise MalformedError(session_id="", reason=refused.text("value")) from None
    except (_Deep, RecursionError):
        raise TooDeepError(session_id="", limit=MAX_DEPTH) from None
    except UnicodeDecodeError as exc:
        raise MalformedError(session_id="", reason=f"not UTF-8 at byte {exc.start}") from None
    except json.JSONDecodeError as exc:
        raise MalformedError(session_id="", reason=f"not JSON at character {exc.pos}: {exc.msg}") from None
    except ValueError:
        raise MalformedError(session_id="", reason="a number has too many digits") from None
    return value


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is str:
        # A flag on the string object: only text that can hold a surrogate is looked through.
        if not value.isascii():
            _check_text(value)
    elif kind is dict:
        if depth > MAX_DEPTH:
            raise _Deep
        for key, member in value.items():
            if type(key) is not str:
                raise _Refused(f"a member name must be text, not {type(key).__name__}")
            if not key.isascii():
                _check_text(key)
            if type(member) is str and member.isascii():
                continue  # most of what is stored; a call would cost five times the check
            try:
                _check(member, depth + 1)
            except _Refused as refused:
                refused.way.append(f".{_shown(key)}")
                raise
    elif kind is list or kind is tuple:
        if depth > MAX_DEPTH:
            raise _Deep
        for index, item in enumerate(value):
            try:
                _check(item, depth + 1)
            except _Refused as refused:
                refused.way.append(f"[{index}]")
                raise
    elif kind is int:
        if not MIN_INT <= value <= MAX_INT:
            raise _Refused("an integer beyond 64 bit")
    elif kind is float:
        if not isfinite(value):
            raise _Refused("NaN and infinities are not JSON")
    elif value is not None and kind is not bool:
        raise _Refused(f"{kind.__name__} is not JSON")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Refused("half a surrogate pair is not text") from None


def _shown(name: str) -> str:
    # A name comes from outside: it may be megabytes long, or hold terminal escapes.
    short = name[:MAX_SHOWN_NAME_CHARS] + "…" * (len(name) > MAX_SHOWN_NAME_CHARS)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in short)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("two members of one object have the same name")
    return members


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")
