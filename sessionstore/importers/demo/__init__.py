"""Small transcripts of our own making, one of each format, for `sessionstore demo` and for trying an import.

They hold what real ones hold: titles, tool calls and results, side chains and abandoned branches, replaced and rewound
messages, and record types that no importer knows. Nothing in them happened.
"""

from __future__ import annotations

from importlib.resources import files

from sessionstore.errors import InvalidValueError
from sessionstore.importers.detect import FORMATS


def demo_transcript(format: str) -> bytes:
    """The transcript of that format, a few kilobytes of JSON Lines.

    Raises:
        InvalidValueError: There is none of that format.
    """
    if format not in FORMATS:
        raise InvalidValueError(what="format", reason=f"one of {', '.join(FORMATS)} is needed")
    return files(__name__).joinpath(f"{format}.jsonl").read_bytes()
