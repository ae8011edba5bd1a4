"""Reading the log: lines that verify, and a check of all of it. Nothing is decoded before its MAC was checked.

The newest file is read under the shared lock, together with the rows, so that a writer who is half way is no finding.
Older files do not change; one that was retired meanwhile is looked up again before it is called missing. A reader
changes nothing, and makes nothing.

Not promised: noticing that log and ledger were put back together in an older state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sessionstore.audit.closed import Closed, Damage, Reason, look
from sessionstore.audit.examine import examine
from sessionstore.audit.lines import GoodLine, Lines, Place, decode
from sessionstore.audit.shelf import LOCK, MAX_BEHIND_BYTES, Shelf, file_name
from sessionstore.errors import UnsafeFileError
from sessionstore.fs import Locks
from sessionstore.fs.boot import boot_id
from sessionstore.ledger import AuditFile, AuditHead, AuditRows
from sessionstore.model import AuditFinding, AuditRecord, AuditReport

_WORDS = {
    "changed": "changed outside this store, from line {line} on",
    "missing": "gone",
    "unsafe_file": "no ordinary file of this user alone; it was not read",
    "unknown_file": "the ledger does not know of it",
}


@dataclass(frozen=True)
class Moment:
    """The log as it was at one moment.

    Attributes:
        files: The rows of older files.
        head: The row of the newest, None if nothing was ever written.
        data: That file's bytes; what is missing is empty.
        problem: Why there are none.
        numbers: Of the files that are there.
        begun: The bytes of the file behind the newest, if there is one: a writer died before it had its row.
    """

    files: list[AuditFile]
    head: AuditHead | None
    data: bytes
    problem: Reason | None
    numbers: list[int]
    begun: bytes


class AuditReader:
    """Reads one store's log. Safe to use from several threads and beside writers.

    Args:
        shelf, lines, rows: See `Writer`.
        locks: Of the state directory.
        timeout_s: How long to wait for a writer.
    """

    def __init__(self, shelf: Shelf, lines: Lines, rows: AuditRows, locks: Locks, timeout_s: float) -> None:
        self._shelf = shelf
        self._lines = lines
        self._rows = rows
        self._locks = locks
        self._timeout_s = timeout_s
        # Rows of files that a lost ledger knew, until the new one has them.
        self.found: list[AuditFile] = []

    def records(self) -> Iterator[AuditRecord]:
        """Yield what the verified lines say, oldest first. Lines that do not verify are left out; `verify` names them.

        Raises:
            LedgerCorruptError, StoreUnavailableError, UnsafeFileError: The log cannot be read at all.
        """
        moment = self._moment()
        for row in moment.files:
            if row.state != "retired":
                found = self._closed(row)
                yield from _decoded(found.data, found.good)
        place, newest = _behind(moment.files)
        if moment.head is not None:
            good = examine(self._lines, moment.data, moment.head).good
            yield from _decoded(moment.data, good)
            newest = moment.head.file
            place = good[-1].place if good else Place(moment.head.seq, moment.head.mac)
        yield from self._unrecorded(moment.numbers, newest, place)

    def _unrecorded(self, numbers: list[int], newest: int, place: Place) -> Iterator[AuditRecord]:
        """Yield what is chained to the last recorded line in files that the ledger has no row of.

        A process died before it wrote the row, or an older ledger was put back, which must not make the log forget.
        """
        while (newest := newest + 1) in numbers:
            data, _ = self._bytes(newest, 0)
            good = list(self._lines.walk(data, newest, place))
            if not good:
                return
            yield from _decoded(data, good)
            place = good[-1].place

    def verify(self) -> AuditReport:
        """Check every line of every file, and that none is missing. What is wrong is in the report, not raised.

        Raises:
            LedgerCorruptError, StoreUnavailableError, UnsafeFileError: As `records`.
        """
        moment = self._moment()
        tally = _Tally()
        for row in moment.files:
            if row.state == "retired":
                tally.retired += 1
                continue
            found = self._closed(row)
            tally.add(row.file, len(found.good), found.damage)
            if found.damage is None and row.state == "cut":
                tally.notes.append(f"{file_name(row.file)}: its last lines were lost when the machine went down")
            elif found.damage is None and row.state == "damaged":
                tally.notes.append(f"{file_name(row.file)}: was damaged when the next file was begun, and is whole now")
            elif found.damage is None and row.state == "taken":
                some = f"only {row.lines:,} of its lines" if row.lines else "none of its lines"
                tally.notes.append(f"{file_name(row.file)}: when the ledger was made anew, {some} could be checked")
        self._newest(moment, tally)
        return AuditReport(
            lines=tally.lines,
            files=tally.files,
            retired=tally.retired,
            findings=tuple(tally.findings),
            notes=tuple(tally.notes),
        )

    def _newest(self, moment: Moment, tally: _Tally) -> None:
        head, (place, newest) = moment.head, _behind(moment.files)
        if head is not None:
            newest = head.file
            verdict = examine(self._lines, moment.data, head, boot=boot_id())
            damage = Damage(0, moment.problem) if moment.problem else None
            if damage is None and verdict.state == "damaged":
                damage = Damage(verdict.bad_line, "changed")
            elif damage is None and verdict.state == "cut":
                lost = head.lines - len(verdict.good)
                tally.notes.append(f"{file_name(newest)}: {lost} unsynced lines were lost when the machine went down")
            elif damage is None and b"\n" in moment.data[verdict.end :]:
                damage = Damage(len(verdict.good) + 1, "changed")
            elif damage is None and len(moment.data) > verdict.end:
                behind = len(moment.data) - verdict.end
                tally.notes.append(f"{file_name(newest)}: the next event sets {behind} bytes behind its end aside")
            tally.add(newest, len(verdict.good), damage)
            place = verdict.good[-1].place if damage is None and verdict.good else Place(head.seq, head.mac)
        known = {row.file for row in moment.files}
        for number in moment.numbers:
            if number > newest + 1 or (number < newest and number not in known):
                tally.add(number, 0, Damage(0, "unknown_file"))
            elif number == newest + 1:
                good = list(self._lines.walk(moment.begun, number, place))
                if good and good[-1].end == len(moment.begun):
                    tally.notes.append(
                        f"{file_name(number)}: begun by a process that died; the next event goes on in it"
                    )
                else:
                    tally.add(number, 0, Damage(len(good) + 1, "unknown_file"))

    def _moment(self) -> Moment:
        with self._locks.hold(LOCK, shared=True, timeout_s=self._timeout_s):
            head, files = self._rows.read()
            files = files or self.found
            begun, _ = self._bytes((len(files) if head is None else head.file) + 1, 0)
            data, problem = (b"", None) if head is None else self._bytes(head.file, head.end)
            return Moment(files, head, data, problem, self._shelf.numbers(), begun)

    def _bytes(self, number: int, size: int) -> tuple[bytes, Reason | None]:
        """A file as far as it is looked at, or why there is none."""
        try:
            data = self._shelf.read(number, size + MAX_BEHIND_BYTES)
        except UnsafeFileError:
            return b"", "unsafe_file"
        return data or b"", "missing" if data is None else None

    def _closed(self, row: AuditFile) -> Closed:
        found = look(self._shelf, self._lines, row)
        if found.damage is not None and found.damage.reason == "missing":
            with self._locks.hold(LOCK, shared=True, timeout_s=self._timeout_s):
                _, files = self._rows.read()
            if any(now.file == row.file and now.state == "retired" for now in files):
                return Closed(b"", [], None)
        return found


class _Tally:
    """What a check has found so far."""

    def __init__(self) -> None:
        self.lines = 0
        self.files = 0
        self.retired = 0
        self.findings: list[AuditFinding] = []
        self.notes: list[str] = []

    def add(self, number: int, lines: int, damage: Damage | None) -> None:
        """Count a file, or say what is wrong with it."""
        self.lines += lines
        if damage is None:
            self.files += 1
        else:
            text = _WORDS[damage.reason].format(line=damage.line)
            self.findings.append(AuditFinding(file_name(number), damage.line, damage.reason, text))


def _behind(files: list[AuditFile]) -> tuple[Place, int]:
    return (Place(files[-1].seq, files[-1].mac), files[-1].file) if files else (Place(), 0)


def _decoded(data: bytes, good: list[GoodLine]) -> Iterator[AuditRecord]:
    for line in good:
        yield decode(data[line.start : line.end], line.number)
