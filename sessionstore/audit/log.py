"""`AuditLog`: one call an event. What it promises when the log cannot be written is in the table of events.

Safe to use from several threads and processes at once, and on both sides of a fork. The lock is the kernel's, named
`audit`, and the innermost but the ledger's: never record inside a transaction of the ledger.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from datetime import datetime

from sessionstore.audit.events import EVENTS, Ready, prepare
from sessionstore.audit.found import rows_of
from sessionstore.audit.kinds import Value
from sessionstore.audit.lines import Lines, key_ids
from sessionstore.audit.read import AuditReader
from sessionstore.audit.retire import Retirement
from sessionstore.audit.shelf import LOCK, MAX_READ_BYTES, Shelf
from sessionstore.audit.to_logging import tell, tell_failure, tell_trouble
from sessionstore.audit.write import Writer
from sessionstore.config import Config
from sessionstore.errors import (
    InvalidValueError,
    KeyringError,
    SessionStoreError,
    StoreError,
    StoreUnavailableError,
)
from sessionstore.fs import Directory, Locks
from sessionstore.ledger import AuditFile, Ledger
from sessionstore.model import AuditRecord, AuditReport, format_time, utc_now
from sessionstore.signing import Keyring

# How long a refusal waits for the log at most; it has its own answer to give.
LONGEST_WAIT_BESIDE_S = 2.0
_MOST_REMEMBERED = 4096


class AuditLog:
    """The audit log of one store.

    Args:
        state: The state directory, opened with `strict`; it must stay open as long as this.
        keyring: Its primary key signs.
        store_id: Id of the store whose log it is.
        ledger: Holds the head row; close the log first.
        locks: Of the state directory.
        config: `audit_max_file_bytes`, `audit_retention_days`, `lock_timeout_s`, `sync_interval_s`.
        now: The wall clock.
        clock: Monotonic seconds.
        read_only: Write nothing; events go to `logging` only.
    """

    def __init__(
        self,
        state: Directory,
        keyring: Keyring,
        store_id: str,
        ledger: Ledger,
        locks: Locks,
        config: Config,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
        read_only: bool = False,
    ) -> None:
        self._locks = locks
        self._config = config
        self._keyring = keyring
        self._rows = ledger.audit
        self._clock = clock
        self._read_only = read_only
        self._shelf = Shelf(state, make=not read_only)
        self._now = now
        self._lines = lines = Lines(keyring, store_id)
        retirement = Retirement(self._shelf, lines, ledger.audit, config.audit_retention_days)
        self._writer = Writer(
            self._shelf,
            lines,
            keyring,
            ledger.audit,
            retirement,
            max_file_bytes=config.audit_max_file_bytes,
            now=now,
        )
        self._reader = AuditReader(self._shelf, lines, ledger.audit, locks, config.lock_timeout_s)
        self._unsynced = False
        self._synced_at = clock()
        # When an event was last written that is not to be repeated. Single operations on it are atomic.
        self._told_at: dict[tuple[object, ...], float] = {}

    def record(self, event: str, *, session_id: str | None = None, **fields: Value) -> None:
        """Write one event, and log it to the logger `sessionstore`.

        Args:
            event: One of the table `EVENTS`.
            session_id: The session it is about.
            **fields: Its particulars; those of the event's row and no other. One that is left out is null.

        Raises:
            InvalidValueError: The table has no such event or field, or a value is not of the field's kind.
            StoreUnavailableError, LedgerMissingError, LedgerCorruptError, KeyringError: The event grants something and
                could not be written: do not grant it. Other events never raise these; the failure is logged.
        """
        ready = prepare(event, session_id, fields)
        if self._is_repeated(ready):
            return
        try:
            if not self._read_only:
                self._write(ready)
        except SessionStoreError as error:
            tell_failure(ready, error)
            if not ready.row.grants:
                return
            if isinstance(error, (StoreError, KeyringError)):
                raise
            reason = f"the audit log cannot be written: {error}"
            raise StoreUnavailableError(reason=reason, outcome="not_written") from error
        tell(ready)

    def renew(self) -> bool:
        """Close a file with lines under an old key, and begin the next; whether that was done.

        A closed file is anchored by its digest, in a row under the primary key: its lines need no key of their own.

        Raises:
            StoreError, KeyringError, UnsafeFileError: It could not be done; see the classes.
        """
        with self._locks.hold(LOCK, timeout_s=self._config.lock_timeout_s):
            stored = self._rows.head()
            if stored is None or not self._writer.needs_renewal(stored):
                return False
            ready = prepare("key_promoted", None, {"key_id": self._keyring.primary.id})
            self._writer.write(ready, sync=True, anew=True)
        tell(ready)
        return True

    def take_over(self) -> tuple[AuditFile, ...]:
        """Go on behind the files of a log whose ledger was lost, with a new ledger that has no row of them.

        From now on they are read as far as they can be checked. The next event begins another file, and in the same
        step the ledger gets their rows. Nothing else may have been recorded.

        Returns:
            What the rows say; see `sessionstore.audit.found`.

        Raises:
            StoreUnavailableError, UnsafeFileError: The log cannot be read.
        """
        with self._locks.hold(LOCK, shared=True, timeout_s=self._config.lock_timeout_s):
            today = format_time(self._now())[:10]
            rows = rows_of(self._shelf, self._lines, self._keyring.primary.id, today)
        self._reader.found = self._writer.found = rows
        return tuple(rows)

    def under(self, key_id: str) -> int:
        """How many files hold lines that can be verified with that key only: the newest, and those cut by a crash.

        Raises:
            LedgerCorruptError, StoreUnavailableError, UnsafeFileError: The log cannot be read.
        """
        with self._locks.hold(LOCK, shared=True, timeout_s=self._config.lock_timeout_s):
            head, files = self._rows.read()
            open_ones = [row.file for row in files if row.state == "cut"] + ([] if head is None else [head.file])
            return sum(key_id in key_ids(self._shelf.read(number, MAX_READ_BYTES) or b"") for number in open_ones)

    def records(
        self,
        *,
        events: Collection[str] = (),
        session_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditRecord]:
        """Yield what the verified lines say, the newest last. Others are left out; `verify` names the first of them.

        Args:
            events: Only these; empty for all.
            session_id: Only about this session.
            since, until: From this moment on; before that one. Aware times.
            limit: Only the newest so many.

        Raises:
            InvalidValueError: The table has no such event, a time is naive, or `limit` is below 1.
            LedgerCorruptError, StoreUnavailableError: The log cannot be read.
        """
        if not set(events) <= EVENTS.keys():
            raise InvalidValueError(what="audit event", reason=f"only these are known: {', '.join(EVENTS)}")
        if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
            raise InvalidValueError(what="time", reason="a time without a zone means nothing here")
        if limit is not None and limit < 1:
            raise InvalidValueError(what="limit", reason="at least 1 is needed")
        found = (
            record
            for record in self._reader.records()
            if (not events or record.event in events)
            and (session_id is None or record.session_id == session_id)
            and (since is None or record.at >= since)
            and (until is None or record.at < until)
        )
        return found if limit is None else iter(deque(found, limit))

    def verify(self) -> AuditReport:
        """Check every line, and that none is missing. What is wrong is in the report, not raised.

        Raises:
            LedgerCorruptError, StoreUnavailableError: The log cannot be read.
        """
        return self._reader.verify()

    def sync(self) -> None:
        """Make every line of this process survive a power cut.

        Raises:
            StoreError, KeyringError, UnsafeFileError: It could not be done; see the classes.
        """
        if self._unsynced:
            with self._locks.hold(LOCK, timeout_s=self._config.lock_timeout_s):
                self._writer.sync()
                self._unsynced = False

    def close(self) -> None:
        """Sync, and release the directory; a failure to sync is logged. Calling it again does nothing."""
        try:
            self.sync()
        except SessionStoreError as error:
            self._unsynced = False
            tell_trouble("the last lines of the audit log were not synced", error)
        finally:
            self._shelf.close()

    def _write(self, ready: Ready) -> None:
        timeout_s = self._config.lock_timeout_s
        if not ready.row.grants:
            timeout_s = min(timeout_s, LONGEST_WAIT_BESIDE_S)
        sync = ready.row.synced or self._clock() - self._synced_at >= self._config.sync_interval_s
        with self._locks.hold(LOCK, timeout_s=timeout_s):
            self._unsynced = True
            self._writer.write(ready, sync=sync)
            if sync:
                self._unsynced = False
                self._synced_at = self._clock()

    def _is_repeated(self, ready: Ready) -> bool:
        if not ready.row.quiet_s:
            return False
        known = (ready.name, ready.session_id, ready.fields.get("code"), ready.fields.get("setting"))
        told_at, now = self._told_at.get(known), self._clock()
        if told_at is not None and now - told_at < ready.row.quiet_s:
            return True
        if len(self._told_at) >= _MOST_REMEMBERED:
            self._told_at = {}
        self._told_at[known] = now
        return False
