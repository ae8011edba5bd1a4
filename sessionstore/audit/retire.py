"""Old files leave: closed ones, whole, after a number of days, and their rows stay and say so.

The order: the line that tells of it, the rows, the files. A kill in between leaves files whose rows say `retired`; the
next time removes them. A file that is not what was closed is evidence: it is called damaged, and stays for good.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from sessionstore.audit.closed import damage
from sessionstore.audit.events import Ready, prepare
from sessionstore.audit.lines import Lines
from sessionstore.audit.shelf import Shelf
from sessionstore.audit.to_logging import tell_failure
from sessionstore.errors import SessionStoreError
from sessionstore.ledger import AuditFile, AuditRows
from sessionstore.model import format_time


@dataclass
class Due:
    """What is to be retired.

    Attributes:
        events: What has to be told of it.
        rows: What is to be committed.
        files: Numbers of the files to be removed.
    """

    events: list[Ready] = field(default_factory=list)
    rows: list[AuditFile] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


class Retirement:
    """Finds and removes old files. The caller holds the log's lock.

    Args:
        shelf, lines, rows: See `Writer`.
        days: How old the day of a file must be, None to keep all.
    """

    def __init__(self, shelf: Shelf, lines: Lines, rows: AuditRows, days: int | None) -> None:
        self._shelf = shelf
        self._lines = lines
        self._rows = rows
        self._days = days

    def due(self, now: datetime) -> Due:
        """What is old enough at `now`.

        Raises:
            LedgerCorruptError: The rows were changed.
        """
        due = Due()
        if self._days is None:
            return due
        before = format_time(now - timedelta(days=self._days))[:10]
        _, files = self._rows.read()
        retired = [row for row in files if row.state in ("closed", "cut", "taken") and row.day < before]
        for row in retired:
            found = damage(self._shelf, self._lines, row)
            if found is None:
                due.rows.append(msgspec.structs.replace(row, state="retired"))
                due.files.append(row.file)
            else:
                line, reason = found
                due.rows.append(msgspec.structs.replace(row, state="damaged"))
                due.events.append(prepare("audit_damaged", None, {"file": row.file, "line": line, "reason": reason}))
        if due.files:
            due.events.append(prepare("audit_retired", None, {"first": due.files[0], "last": due.files[-1]}))
        left = set(self._shelf.numbers()) & {row.file for row in files if row.state == "retired"}
        due.files += sorted(left)
        return due

    def carry_out(self, due: Due) -> None:
        """Commit the rows and remove the files. What cannot be removed now is removed next time, and is logged."""
        try:
            if due.rows:
                self._rows.change(*due.rows)
            for number in due.files:
                self._shelf.remove(number)
        except SessionStoreError as error:
            for event in due.events:
                tell_failure(event, error)
