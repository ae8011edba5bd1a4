"""What a new ledger says of the files of a log whose own was lost: a row for each, in the place of the lost ones.

Rules:

* No file is changed, and each one that is there is anchored by its digest as it is found. What could not be checked is
  said, and counts as no line of the log.
* A line is checked under its own key, behind the line before. One under a key that is not primary any more counts only
  if a line of the primary key follows it in the same chain: whoever made that one has the key, and it binds all before.
* The first line behind a gap cannot be checked, for what it is chained to is gone. Nor can lines whose key was given
  up: what vouched for them was a digest, in the lost ledger.
* A file that is not there was retired if the log says that it, or a later one, was. Else it is missing.

Not promised: noticing that the newest lines, or the newest files, were taken away together with the ledger.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from sessionstore.audit.lines import MAX_LINE_BYTES, Lines, Place, claimed, decode
from sessionstore.audit.shelf import MAX_READ_BYTES, Shelf
from sessionstore.errors import UnsafeFileError
from sessionstore.ledger import AuditFile, AuditFileState

# A number that is further from the one before is that of no file of this log: each one in between gets a row.
MAX_GAP = 100_000


class _Line(NamedTuple):
    """Something that has the form of a line.

    Attributes:
        end: Offset behind it.
        by: `primary` or `old`: checked, under such a key; `nobody`: it could not be.
        retired: The newest file that it says was removed, 0 if it speaks of none.
    """

    end: int
    by: str = "nobody"
    retired: int = 0


@dataclass
class _File:
    """A file as it was found.

    Attributes:
        number: Of the file.
        state: What its row will say.
        start, end: The places before its first line and of its last, as far as they are known.
        lines: What has the form of lines, up to the first that is none, or is not what was written.
        day: UTC date of the first line.
        size, digest: Of its bytes.
    """

    number: int
    state: AuditFileState
    start: Place
    end: Place
    lines: list[_Line] = field(default_factory=list)
    day: str = ""
    size: int = 0
    digest: bytes = b""


def rows_of(shelf: Shelf, lines: Lines, primary: str, today: str) -> list[AuditFile]:
    """The row of each file from 1 to the newest that is there.

    Args:
        shelf, lines: Of the log.
        primary: Id of the primary key.
        today: UTC date; what could not be checked is taken to be as young as that.

    Raises:
        StoreUnavailableError: The kernel refused.
    """
    files: list[_File] = []
    for number in shelf.numbers():
        before = files[-1].end if files else Place()
        if number - len(files) > MAX_GAP:
            break
        for missing in range(len(files) + 1, number):
            files.append(_File(missing, "damaged", before, before))
        files.append(_found(shelf, lines, primary, number, files))
    _vouch(files)
    retired = max((line.retired for file in files for line in file.lines if line.by != "nobody"), default=0)
    for file in files:
        if file.number <= retired and not shelf.has(file.number):
            file.state = "retired"
    return [_row(file, today) for file in files]


def _found(shelf: Shelf, lines: Lines, primary: str, number: int, files: list[_File]) -> _File:
    """A file, compared with those before it; what it proves of the one before is noted there."""
    before = files[-1].end if files else Place()
    try:
        data = shelf.read(number, MAX_READ_BYTES) or b""
    except UnsafeFileError:
        return _File(number, "damaged", before, before)
    file = _File(number, "closed", before, before, size=len(data), digest=hashlib.sha256(data).digest())
    first = claimed(data[:MAX_LINE_BYTES])
    if first is None or not files or (first.place.seq == before.seq + 1 and files[-1].digest):
        return _walked(file, data, before, lines, primary)
    # What it is chained to is not there: lines are gone, or whole files.
    file.start = file.end = Place(max(0, first.place.seq - 1))
    _walked(file, data, None, lines, primary)
    if files[-1].digest and all(line.by == "nobody" for line in file.lines):
        # It proves nothing, so nothing against the file before either.
        return _File(number, "damaged", before, before, size=file.size, digest=file.digest)
    files[-1].state, files[-1].end = "damaged", file.start
    return file


def _walked(file: _File, data: bytes, known: Place | None, lines: Lines, primary: str) -> _File:
    """The file with its lines. `known`: what its first line is chained to, None if that is gone."""
    start = 0
    while (end := data.find(b"\n", start, start + MAX_LINE_BYTES) + 1) > 0:
        claim = claimed(data[start:end])
        if claim is None or claim.file != file.number or claim.place.seq != file.end.seq + 1:
            break
        line = _Line(end)
        if known is not None and lines.can_check(claim.key_id):
            if lines.verified(data[start:end], file.number, known) is None:
                break
            line = _Line(end, "primary" if claim.key_id == primary else "old", _retired(data[start:end]))
        file.day = file.day or claim.day
        known = file.end = claim.place
        file.lines.append(line)
        start = end
    if b"\n" in data[start:]:
        file.state = "damaged"
    return file


def _retired(line: bytes) -> int:
    said = decode(line, 0)
    last = said.fields.get("last") if said.event == "audit_retired" else None
    return last if isinstance(last, int) else 0


def _vouch(files: list[_File]) -> None:
    """Let no line of an old key count that no line of the primary key stands behind."""
    vouched = False
    for at in range(len(files) - 1, -1, -1):
        file = files[at]
        if file.state == "damaged" and at < len(files) - 1:
            vouched = False
        for number in range(len(file.lines) - 1, -1, -1):
            line = file.lines[number]
            vouched = vouched or line.by == "primary"
            if line.by == "old" and not vouched:
                file.lines[number] = line._replace(by="nobody")


def _row(file: _File, today: str) -> AuditFile:
    first, count = _longest(file.lines)
    state, reached = file.state, file.lines[-1].end if file.lines else 0
    if state == "closed" and (count < len(file.lines) or reached < file.size or not count):
        state = "taken"
    end, digest = file.size, file.digest
    if state == "damaged":
        # Behind what is good of it something is missing, or wrong: so its row names a place that nothing fits.
        count = count if first == 1 else 0
        end, digest, first = (file.lines[count - 1].end if count else 0) + 1, b"", 0
    return AuditFile(
        file=file.number,
        state=state,
        start_seq=file.start.seq,
        start_mac=file.start.mac,
        seq=file.end.seq,
        mac=file.end.mac,
        end=end,
        lines=count,
        day=file.day if state == "closed" else today,
        digest=digest,
        first=first if state == "taken" else 0,
    )


def _longest(lines: list[_Line]) -> tuple[int, int]:
    """The longest run of checked lines: the number of its first, and how many they are."""
    best, first, count = (0, 0), 0, 0
    for number, line in enumerate(lines, 1):
        first, count = (0, 0) if line.by == "nobody" else (first or number, count + 1)
        best = max(best, (first, count), key=lambda run: run[1])
    return best
