"""Whether a file that takes no more lines is still what the ledger says of it."""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

from sessionstore.audit.examine import examine
from sessionstore.audit.lines import GoodLine, Lines, Place, split
from sessionstore.audit.shelf import MAX_BEHIND_BYTES, Shelf
from sessionstore.errors import UnsafeFileError
from sessionstore.ledger import AuditFile

Reason = Literal["changed", "missing", "unsafe_file", "unknown_file"]


class Damage(NamedTuple):
    """What is wrong with a file.

    Attributes:
        line: 1-based number of the first bad line, 0 if it is about the file as a whole.
        reason: Which kind.
    """

    line: int
    reason: Reason


class Closed(NamedTuple):
    """A file and its state.

    Attributes:
        data: Its bytes.
        good: The lines that verify, up to the row's end. For a file whose digest is right, all of its lines.
        damage: What is wrong, None if nothing is.
    """

    data: bytes
    good: list[GoodLine]
    damage: Damage | None


def look(shelf: Shelf, lines: Lines, row: AuditFile) -> Closed:
    """Compare a file with its row. Its digest decides; where that is another, its lines tell where it begins to differ.

    Raises:
        StoreUnavailableError: The kernel refused.
    """
    try:
        data = shelf.read(row.file, row.end + MAX_BEHIND_BYTES)
    except UnsafeFileError:
        return Closed(b"", [], Damage(0, "unsafe_file"))
    if data is None:
        return Closed(b"", [], Damage(0, "missing"))
    if row.digest and hashlib.sha256(data).digest() == row.digest:
        if row.state == "cut":  # its digest is also that of bytes which are no line
            return Closed(data, list(lines.walk(data, row.file, Place(row.start_seq, row.start_mac))), None)
        if row.state == "taken":
            return Closed(data, split(data)[max(0, row.first - 1) :][: row.lines], None)
        return Closed(data, split(data), None)
    verdict = examine(lines, data, row)
    good = [line for line in verdict.good if line.end <= row.end]
    if verdict.state != "whole":
        return Closed(data, good, Damage(verdict.bad_line, "changed"))
    # Bytes behind the end of a closed file are nobody's. Of one that was given up, they are what nobody adopted.
    behind = row.state == "closed" and len(data) > row.end
    return Closed(data, good, Damage(len(good) + 1, "changed") if behind else None)


def damage(shelf: Shelf, lines: Lines, row: AuditFile) -> Damage | None:
    """What is wrong with a file that takes no more lines, None if nothing is. Errors as `look`."""
    return look(shelf, lines, row).damage
