"""Writing one event: log and head row brought together, the line appended, the head moved; or the next file begun.

The order, under the log's lock:

1. The file must have the stamp that the head remembers, else it is read and verified. Complete lines behind the head,
   under the primary key, are adopted (their writer died before it moved the head). Other bytes there are set aside.
2. A file that is not what was committed is left as it is. The next file's first line says so, and its chain goes on
   from the head: nobody stops the log by damaging it.
3. A file is closed, verified and anchored by its digest when it is full or the UTC day is another.
4. The line is written, synced if its event says so, and then the head is moved. A kill in between leaves a line that is
   adopted; it may tell of an act that was refused because the head could not be moved.

Not promised: that lines which were not synced survive a power cut; what is missing then is said in the log.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from sessionstore.audit.events import Ready, prepare
from sessionstore.audit.examine import examine
from sessionstore.audit.lines import MAX_LINE_BYTES, Lines, Place, key_ids
from sessionstore.audit.retire import Retirement
from sessionstore.audit.shelf import MAX_BEHIND_BYTES, Shelf, file_name
from sessionstore.errors import UnsafeFileError
from sessionstore.fs import File
from sessionstore.fs.boot import boot_id
from sessionstore.ledger import AuditFile, AuditFileState, AuditHead, AuditRows
from sessionstore.model import format_time
from sessionstore.signing import Keyring

replace = msgspec.structs.replace


@dataclass
class End:
    """Where the next line goes.

    Attributes:
        head: The last line, adopted ones included.
        file: Its file, open to be written; None if that takes no more lines.
        closed: The row of a file that takes no more lines.
        events: What has to be told first.
    """

    head: AuditHead
    file: File | None = None
    closed: AuditFile | None = None
    events: list[Ready] = field(default_factory=list)


class Writer:
    """Writes events. The caller holds the log's lock.

    Args:
        shelf: The files.
        lines: Of this store, signing with its primary key.
        keyring: Tells which key that is.
        rows: The ledger's rows.
        retirement: Removes old files.
        max_file_bytes: From which size on a file is closed.
        now: The wall clock.
    """

    def __init__(
        self,
        shelf: Shelf,
        lines: Lines,
        keyring: Keyring,
        rows: AuditRows,
        retirement: Retirement,
        *,
        max_file_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        self._shelf = shelf
        self._lines = lines
        self._keyring = keyring
        self._rows = rows
        self._retirement = retirement
        self._max_file_bytes = max_file_bytes
        self._now = now
        # Rows of files that a lost ledger knew; they are committed with the first event.
        self.found: list[AuditFile] = []

    def needs_renewal(self, stored: AuditHead) -> bool:
        """Whether the newest file holds a line under another key than the primary one."""
        data = self._shelf.read(stored.file, stored.end + MAX_BEHIND_BYTES) or b""
        return any(key_id != self._keyring.primary.id for key_id in key_ids(data))

    def write(self, event: Ready, *, sync: bool, anew: bool = False) -> None:
        """Append one event, and whatever has to be told before it.

        Args:
            event: What happened.
            sync: On the disk when this returns.
            anew: Close the newest file, and begin the next with this event.

        Raises:
            StoreError, KeyringError, UnsafeFileError: It could not be written; see the classes.
        """
        now = self._now()
        stored = self._rows.head()
        if stored is None:
            self._begin(None, None, [event], now)
            return
        end = self._settled(stored)
        try:
            size = end.head.end + MAX_LINE_BYTES * (1 + len(end.events))
            due = size > self._max_file_bytes or end.head.day != _day(now) or self._shelf.has(stored.file + 1) or anew
            if end.file is not None and due:
                self._close(end, end.file)
            if end.file is not None:
                self._append(stored, end.head, end.file, [*end.events, event], now, sync=sync)
        finally:
            if end.file is not None:
                end.file.close()
        if end.closed is not None:
            retired = self._retirement.due(now)
            self._begin(stored, end, [*end.events, *retired.events, event], now)
            self._retirement.carry_out(retired)

    def sync(self) -> None:
        """Make every line so far survive a power cut. Errors as `write`."""
        stored = self._rows.head()
        if stored is None or stored.synced_end == stored.end:
            return
        end = self._settled(stored)
        if end.file is not None:
            with end.file:
                self._append(stored, end.head, end.file, end.events, self._now(), sync=True)

    def _settled(self, stored: AuditHead) -> End:
        try:
            file = self._shelf.open(stored.file, writable=True)
        except UnsafeFileError:
            return self._given_up(stored, 0, "unsafe_file")
        if file is None:
            return self._given_up(stored, 0, "missing")
        try:
            status = file.stat()
            if _stamp(status) == (stored.inode, stored.size, stored.mtime_ns, stored.ctime_ns):
                return End(stored, file)
            return self._examined(stored, file, status.st_size)
        except BaseException:
            file.close()
            raise

    def _examined(self, stored: AuditHead, file: File, size: int) -> End:
        data = file.read(0, min(size, stored.end + MAX_BEHIND_BYTES))
        verdict = examine(self._lines, data, stored, boot=boot_id())
        if verdict.state != "whole":
            file.close()
            if verdict.state == "damaged":
                return self._given_up(stored, verdict.bad_line, "changed")
            lost = {"file": stored.file, "lines": stored.lines - len(verdict.good)}
            row = _row(stored, "cut", hashlib.sha256(data).digest())
            return End(stored, closed=row, events=[prepare("audit_lost", None, lost)])
        head = stored
        for line in verdict.good:
            if line.end > stored.end:
                if line.key_id != self._keyring.primary.id:
                    break
                head = replace(head, seq=line.place.seq, mac=line.place.mac, end=line.end, lines=line.number)
        end = End(head, file)
        if size > head.end:
            kept_as = self._shelf.set_aside(head.file, head.end, data[head.end :])
            file.cut(head.end)
            aside = {"file": head.file, "bytes": size - head.end, "kept_as": kept_as}
            end.events.append(prepare("audit_set_aside", None, aside))
        return end

    def _given_up(self, stored: AuditHead, line: int, reason: str) -> End:
        found = {"file": stored.file, "line": line, "reason": reason}
        return End(stored, closed=_row(stored, "damaged", b""), events=[prepare("audit_damaged", None, found)])

    def _close(self, end: End, file: File) -> None:
        """Close the file for good. What is anchored was verified: a digest of damaged lines would vouch for them."""
        data = file.read(0, end.head.end)
        verdict = examine(self._lines, data, end.head)
        if verdict.state == "whole":
            file.append(end.head.end, (b"",))
            end.closed = _row(end.head, "closed", hashlib.sha256(data).digest())
        else:
            given_up = self._given_up(end.head, verdict.bad_line, "changed")
            end.closed, end.events = given_up.closed, [*end.events, *given_up.events]
        file.close()
        end.file = None

    def _append(
        self, stored: AuditHead, head: AuditHead, file: File, events: list[Ready], now: datetime, *, sync: bool
    ) -> None:
        data, place = self._made(head.file, Place(head.seq, head.mac), events, now)
        status = file.append(head.end, (data,), sync=sync)
        moved = self._at(replace(head, lines=head.lines + len(events)), place, status, synced=sync)
        self._rows.move(moved, stored)

    def _begin(self, stored: AuditHead | None, end: End | None, events: list[Ready], now: datetime) -> None:
        """Make the next file with these events as its first lines, and its head."""
        number = len(self.found) + 1 if stored is None else stored.file + 1
        closed = self.found if stored is None else []
        before = Place(closed[-1].seq, closed[-1].mac) if closed else Place()
        if end is not None:
            before = Place(end.head.seq, end.head.mac)
            closed = [] if end.closed is None else [end.closed]
        new = AuditHead(
            file=number,
            seq=before.seq,
            mac=before.mac,
            end=0,
            lines=0,
            start_seq=before.seq,
            start_mac=before.mac,
            day=_day(now),
            inode=0,
            size=0,
            mtime_ns=0,
            ctime_ns=0,
            synced_end=0,
            boot=boot_id(),
        )
        left = self._left_behind(new)
        head, file, events = (new, None, events) if left is None else (left.head, left.file, [*left.events, *events])
        data, place = self._made(number, Place(head.seq, head.mac), events, now)
        if file is not None:
            with file:
                status = file.append(head.end, (data,))
        else:
            status = self._shelf.made().write_atomic(file_name(number), (data,), replace=left is not None)
        head = self._at(replace(head, lines=head.lines + len(events)), place, status, synced=True)
        self._rows.begin(head, stored, *closed)

    def _left_behind(self, new: AuditHead) -> End | None:
        """What has the name of the next file already, None if nothing has.

        A writer may have died between the file and its row: what it wrote there is chained to what we would chain to.
        """
        try:
            file = self._shelf.open(new.file, writable=True)
        except UnsafeFileError:
            aside = {"file": new.file, "bytes": 0, "kept_as": None}
            return End(new, events=[prepare("audit_set_aside", None, aside)])
        return None if file is None else self._examined(new, file, file.stat().st_size)

    def _made(self, number: int, before: Place, events: Iterable[Ready], now: datetime) -> tuple[bytes, Place]:
        at, pid, made = format_time(now), os.getpid(), []
        for event in events:
            line, before = self._lines.make(number, before, at, pid, event)
            made.append(line)
        return b"".join(made), before

    def _at(self, head: AuditHead, place: Place, status: os.stat_result, *, synced: bool) -> AuditHead:
        inode, size, mtime_ns, ctime_ns = _stamp(status)
        return replace(
            head,
            seq=place.seq,
            mac=place.mac,
            end=size,
            inode=inode,
            size=size,
            mtime_ns=mtime_ns,
            ctime_ns=ctime_ns,
            synced_end=size if synced else head.synced_end,
            boot=boot_id(),
        )


def _row(head: AuditHead, state: AuditFileState, digest: bytes) -> AuditFile:
    return AuditFile(
        file=head.file,
        state=state,
        start_seq=head.start_seq,
        start_mac=head.start_mac,
        seq=head.seq,
        mac=head.mac,
        end=head.end,
        lines=head.lines,
        day=head.day,
        digest=digest,
    )


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _day(now: datetime) -> str:
    return format_time(now)[:10]
