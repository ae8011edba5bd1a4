"""The strict way in for one line of a transcript: the value that it holds, exactly, or a refusal.

A lenient JSON reader changes what it reads without a word: of two equal members it keeps the last, a number with many
digits comes back rounded, `1e999` becomes an infinity, half a surrogate pair becomes a string that no file can hold.
What is accepted here comes back from the store as it was written; everything else is refused with a reason, and the
caller keeps the line as text.

Rules:

- One line is one JSON value in UTF-8 (RFC 8259). NaN, infinities and duplicate members are refused.
- Integers go from -2^63 to 2^64 - 1. A number that its nearest 64-bit float does not equal is refused, and `-0`, which
  would lose its sign. `1.10` is accepted: as a number it is 1.1, and its spelling is not kept.
- At most `MAX_RECORD_DEPTH` levels.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

MAX_RECORD_DEPTH = 124
"""Levels of nesting in a record. The store allows 128 in an entry; an entry here adds at most three to its record."""

_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
_MAX_INT_CHARS = 20
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class LineRefused(Exception):
    """A line that cannot be taken as a JSON value without changing it; `reason` says why. Never leaves this room."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_line(line: bytes) -> Any:
    """The JSON value of `line` (no line end).

    Raises:
        LineRefused: It is not JSON, not UTF-8, or holds something that would not come back as it was written.
    """
    try:
        # Not json.loads(bytes): that guesses UTF-16 and UTF-32 too.
        value = _decode(line.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise LineRefused(f"not UTF-8 at byte {exc.start}") from None
    except json.JSONDecodeError as exc:
        raise LineRefused(f"not JSON at character {exc.pos}: {exc.msg}") from None
    except RecursionError:
        raise LineRefused(f"nested deeper than {MAX_RECORD_DEPTH} levels") from None
    # Each level costs an opening bracket, so most lines are shallow at a glance.
    if line.count(b"{") + line.count(b"[") > MAX_RECORD_DEPTH and _is_deep(value):
        raise LineRefused(f"nested deeper than {MAX_RECORD_DEPTH} levels")
    if _SURROGATE_ESCAPE.search(line):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise LineRefused("half a surrogate pair is not text") from None
    return value


def _is_deep(value: Any) -> bool:
    """Level by level and not by recursion: how deep it is, is not known yet."""
    level: list[Any] = [value]
    for _ in range(MAX_RECORD_DEPTH + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        if not containers:
            return False
        level = [item for held in containers for item in (held.values() if isinstance(held, dict) else held)]
    return True


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise LineRefused("two members of one object have the same name")
    return members


def _exact_int(text: str) -> int:
    # The length first: a number of a million digits must not be converted to learn that it is too big.
    if len(text) > _MAX_INT_CHARS or not _MIN_INT <= (number := int(text)) <= _MAX_INT:
        raise LineRefused("an integer beyond 64 bit")
    if number == 0 and text != "0":
        raise LineRefused("the integer -0 would lose its sign")
    return number


def _exact_float(text: str) -> float:
    number = float(text)
    try:
        # repr is what will be written; Decimal compares it with the digits that stand here.
        exact = Decimal(text) == Decimal(repr(number))
    except InvalidOperation:
        exact = False
    if not exact:
        raise LineRefused("a number that 64-bit floating point cannot keep")
    return number


def _no_constant(name: str) -> NoReturn:
    raise LineRefused(f"{name} is not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=_exact_int,
    parse_float=_exact_float,
    parse_constant=_no_constant,
).decode
