"""Text from data, made safe for a terminal.

A session's name, a message or a file name may hold terminal escapes, a carriage return that overwrites the line before,
a bidirectional override that makes a path read as another one, or invisible characters. All of them are shown as the
escape a Python string would have (`\\x1b`, `\\u202e`); nothing is dropped. A backslash itself stays as it is, so the
result is for reading, not for decoding: programs use `--json`.
"""

from __future__ import annotations

import re

# C0, DEL, C1 · soft hyphen, Arabic letter mark, Mongolian vowel separator · zero-width space, direction marks
# (but not the joiners U+200C and U+200D, which emoji and several scripts need) · line and paragraph separators,
# bidirectional overrides · word joiner, invisible operators, isolates · surrogates · BOM, interlinear marks · tags.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def escape(text: str) -> str:
    """`text` on one line, with every control, invisible and direction-changing character written out."""
    return _UNSAFE.sub(_spell, text)


def escape_lines(text: str) -> list[str]:
    """The lines of `text`, each escaped; only LF and CR LF end a line, and a tab becomes four spaces."""
    return [escape(line.removesuffix("\r").replace("\t", "    ")) for line in text.split("\n")]


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _spell(match: re.Match[str]) -> str:
    char = match.group()
    if char in _SHORT:
        return _SHORT[char]
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
