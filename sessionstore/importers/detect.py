"""Which tool wrote a transcript: the first record that only one of the tools writes decides.

Files begin with whatever the tool had to say first, so the first line alone does not tell. A file of none of the tools
is refused with what it seems to be instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sessionstore.errors import ImportFormatError
from sessionstore.importers import claude_code, codex, gemini
from sessionstore.importers.strict_json import LineRefused, parse_line

FORMATS = (claude_code.FORMAT, codex.FORMAT, gemini.FORMAT)
MAX_LINES_LOOKED_AT = 200
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_LOOKS_LIKE = {
    codex.FORMAT: codex.looks_like,
    gemini.FORMAT: gemini.looks_like,
    claude_code.FORMAT: claude_code.looks_like,
}
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\xfd7zXZ", b"BZh")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_NO_ADVICE = "claude-code, codex and gemini transcripts can be imported: JSON Lines files as those tools write them"


def detect(lines: Iterable[bytes]) -> str:
    """The format of a transcript, from its first lines.

    Args:
        lines: The lines in order, with or without their ends; at most 200 of them are looked at.

    Raises:
        ImportFormatError: None of them is a record that Claude Code, Codex or Gemini CLI writes; `reason` says what
            the file seems to be.
    """
    first = b""
    for number, line in enumerate(lines, 1):
        first = first or line
        try:
            found = identify(parse_line(line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line))
        except LineRefused:
            found = None
        if found is not None:
            return found
        if number >= MAX_LINES_LOOKED_AT:
            break
    raise unknown_format(first)


def identify(record: Any, wanted: str | None = None) -> str | None:
    """The format that `record` belongs to, None where it does not tell; `wanted` is asked first."""
    if not isinstance(record, dict):
        return None
    if wanted is not None and _LOOKS_LIKE[wanted](record):
        return wanted
    return next((format for format, looks_like in _LOOKS_LIKE.items() if looks_like(record)), None)


def unknown_format(first_line: bytes, format: str = "supported") -> ImportFormatError:
    """The refusal of a file that starts with `first_line` and holds no record that is known."""
    return ImportFormatError(format=format, line=0, reason=_seems_to_be(first_line), hint=_NO_ADVICE)


def wrong_format(format: str, found: str, line: int) -> ImportFormatError:
    """The refusal of a file that is of another format than was said."""
    return ImportFormatError(
        format=format, line=line, reason=f"this is a {found} record", hint=f"import it with --format {found}"
    )


def _seems_to_be(first_line: bytes) -> str:
    if not first_line.strip():
        return "the file is empty"
    if first_line.startswith(_COMPRESSED):
        return "the file is compressed: unpack it first"
    if first_line.startswith(_UTF_16):
        return "the file is UTF-16: transcripts are UTF-8"
    try:
        record = parse_line(first_line)
    except LineRefused:
        if b"\0" in first_line or not _is_text(first_line):
            return "the file is binary data"
        if first_line.lstrip().startswith((b"{", b"[")):
            return "the first line is no whole JSON value: this is not JSON Lines, or its only line is torn"
        return "the first line is not JSON"
    if isinstance(record, dict) and isinstance(record.get("open"), dict):
        return "this is a session file of this program: use `export` there and `import` here"
    return "it holds no record of such a transcript"


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
