"""The kinds of value that an event of the audit log may have, each a check that gives back what is written.

There is none for content, keys, tags, tokens or idempotency keys: there are words of ours, numbers, ids, and short
texts that are cut.
"""

from __future__ import annotations

import re

from sessionstore.model.ids import is_id

Value = str | int | None

# A cut text keeps both ends: the end of a path says more than its middle.
MAX_TEXT_BYTES = 720
CUT = "\u2026"

# In short parts: the hexadecimal digits of a key or a tag are no word, whatever letter they begin with.
_WORD = re.compile(r"(?=.{1,64}\Z)[a-z][a-z0-9]{0,23}(?:_[a-z0-9]{1,24})*")
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_COUNT = 2**53


def word(value: object) -> Value:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError("a short word of lower-case letters, digits and underscores is needed")
    return value


def count(value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_COUNT:
        raise ValueError("a whole number from 0 is needed")
    return value


def session(value: object) -> Value:
    if not isinstance(value, str) or not is_id(value):
        raise ValueError("an id is needed")
    return value


def key_id(value: object) -> Value:
    if not isinstance(value, str) or not _KEY_ID.fullmatch(value):
        raise ValueError("a key id is needed")
    return value


def digest(value: object) -> Value:
    """A SHA-256 digest in hex."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError("a SHA-256 digest in hex is needed")
    return value


def text(value: object) -> Value:
    if not isinstance(value, str):
        raise ValueError("text is needed")
    return cut(value.encode("utf-8", "backslashreplace").decode())


def cut(text: str) -> str:
    """`text`, or its two ends with a mark between them, so that it takes at most 720 bytes as ASCII JSON."""
    if len(text) * 12 <= MAX_TEXT_BYTES or spelled_bytes(text) <= MAX_TEXT_BYTES:
        return text
    half = (MAX_TEXT_BYTES - spelled_bytes(CUT)) // 2
    return f"{_start(text, half)}{CUT}{_start(text[::-1], half)[::-1]}"


def spelled_bytes(text: str) -> int:
    """How many bytes `text` takes as ASCII JSON, at most: six for what is escaped, twelve beyond U+FFFF."""
    return sum(1 if " " <= char <= "~" and char not in '"\\' else 6 if char <= "\uffff" else 12 for char in text)


def _start(text: str, size_bytes: int) -> str:
    # No more characters than bytes are needed, so a text of any length costs the same.
    left_bytes, text = size_bytes, text[:size_bytes]
    for at, char in enumerate(text):
        left_bytes -= spelled_bytes(char)
        if left_bytes < 0:
            return text[:at]
    return text
