"""The way back: from an entry to the record that it was made of. It proves that an import loses nothing."""

from __future__ import annotations

import base64
from typing import Any

from sessionstore.importers import claude_code, codex, gemini

_REBUILD = {
    claude_code.FORMAT: claude_code.rebuild_message,
    codex.FORMAT: codex.rebuild_message,
    gemini.FORMAT: gemini.rebuild_message,
}


def rebuild(entry: dict[str, Any]) -> Any:
    """The record that `entry` was made of, equal in every key, string and number; members may stand in another order.

    For a line that could not be read as JSON it is the line itself, as `bytes` without its end.

    Args:
        entry: An entry as an import made it.

    Raises:
        KeyError: It is not such an entry, or it was changed.
    """
    if "source" in entry:
        return _REBUILD[entry["source"]["format"]](entry)
    if "text" in entry:
        return str(entry["text"]).encode("utf-8")
    if "base64" in entry:
        return base64.b64decode(entry["base64"])
    return entry["record"]


def unparsed_entry(kind: str, line: int, reason: str, raw: bytes) -> dict[str, Any]:
    """The entry of a line that cannot be taken as JSON: its text, or its bytes as base64 where it is not UTF-8."""
    entry: dict[str, Any] = {"type": kind, "line": line, "reason": reason}
    try:
        return {**entry, "text": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {**entry, "base64": base64.b64encode(raw).decode("ascii")}
