"""One SQLite file in the state directory: how it is opened, judged, locked, synced, and carried over a fork.

Rules:

* Only SQLite opens the file and those beside it (`-wal`, `-shm`). POSIX locks belong to the process, not the
  descriptor: if anybody in this process opened and closed such a file, SQLite's locks on it would be gone. Checks use
  `fstatat`.
* Kind, owner, mode and link count are judged before SQLite opens anything, and hard errors.
* One connection a process, one user at a time (a mutex); waiting for other processes is bounded.
* WAL. A commit is written at once. It is synced (`synchronous = FULL`) where the caller says `durable`, and where the
  last synced one is longer ago than `sync_interval_s`. A synced commit carries all earlier ones along.
* After a failed write the connection is closed, which rolls back what is left of it; the next use opens another.
* `fork()`: the connection is closed before, and opened again on either side when it is needed. A connection opened in
  a child beside an inherited one shares SQLite's record of the parent's locks and takes none itself: the parent's
  last close then deletes the log that the child writes to, and the child's commits are lost. A child that was forked
  behind Python's back is refused, and the inherited connection is kept for ever, so that nothing closes it.

Not promised: that the newest unsynced commits survive a power cut; that a network file system keeps SQLite's locks.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sessionstore.errors import LedgerMissingError, StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.ledger import schema
from sessionstore.ledger.failures import translate, unavailable
from sessionstore.ledger.files import WAL, judge_files

Rows = list[tuple[Any, ...]]


class Database:
    """See the module. Safe to use from several threads and across `fork`.

    Attributes:
        at_begin: Called in every transaction as soon as no other process can write any more.

    Args:
        state: The state directory; it must stay open as long as this.
        name: File name of the database in it.
        read_only: Refuse writes. Where the directory cannot be written, nothing is written by SQLite either; where it
            can, SQLite makes its two working files while it is open and removes them at the end.
        timeout_s: How long to wait for other processes, 0 or more seconds.
        sync_interval_s: Longest time between two synced commits of a process that goes on committing.
        clock: Monotonic seconds.

    Raises:
        LedgerMissingError: There is no such file.
        LedgerCorruptError: It is unsafe, damaged, no ledger, or of a newer release.
        StoreUnavailableError: It is locked for too long, or cannot be opened.
    """

    def __init__(
        self,
        state: Directory,
        name: str,
        *,
        read_only: bool = False,
        timeout_s: float = 5.0,
        sync_interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = os.path.join(state.path, name)
        self._state = state
        self._name = name
        self._read_only = read_only
        self._timeout_s = timeout_s
        self._sync_interval_s = sync_interval_s
        self._clock = clock
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._closed = False
        self._full = False
        self._synced = True
        self._synced_at = clock()
        self._opened = 0
        self._writes = 0
        self.at_begin: Callable[[sqlite3.Connection], None] = lambda connection: None
        with _registry:
            if any(other.is_inherited() for other in _databases):
                raise _forked()
            self._connect()
            _databases.add(self)

    @property
    def synced(self) -> bool:
        """Whether no commit of this process waits for a sync, or can be synced here any more."""
        return self._synced or self._closed or self._pid != os.getpid()

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> Rows:
        """All rows of a query, from one consistent state.

        Raises:
            LedgerMissingError, LedgerCorruptError, StoreUnavailableError: As the constructor; also if it is closed.
        """
        self._refuse_inherited()
        with self._lock:
            try:
                return (self._connection or self._connect()).execute(sql, parameters).fetchall()
            except (sqlite3.Error, UnicodeDecodeError) as exc:
                raise translate(exc, self.path) from exc

    def write(self, sql: str, parameters: tuple[Any, ...], *, durable: bool) -> int:
        """Run one statement as its own transaction; how many rows it changed.

        Raises:
            AlreadyExistsError: An id or external key is taken.
            StoreUnavailableError: As `read`; also a full disk. `unknown` only after a failed sync.
        """
        self._refuse_inherited()
        with self._lock:
            connection = self._ready(durable)
            try:
                changed = connection.execute(sql, parameters).rowcount
            except sqlite3.Error as exc:
                self._drop()
                raise translate(exc, self.path) from exc
            self._committed()
            return changed

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """A block that writes everything or, if an exception leaves it, nothing. Errors as `write`."""
        with self.writing(durable=durable) as connection:
            connection.execute("BEGIN IMMEDIATE")
            self.at_begin(connection)
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """A block for what SQLite does outside of transactions. Errors as `write`."""
        self._refuse_inherited()
        with self._lock:
            connection = self._ready(durable)
            try:
                yield connection
            except (sqlite3.Error, UnicodeDecodeError) as exc:
                self._drop()
                raise translate(exc, self.path) from exc
            except BaseException:
                self._drop()
                raise
            self._committed()

    def changed_token(self) -> tuple[int, int, int]:
        """A value that differs from every earlier one if any process committed in between."""
        with self._lock:
            ((version,),) = self.read("PRAGMA data_version")
            return self._opened, version, self._writes

    def close(self) -> None:
        """Close the connection. Calling it again does nothing."""
        if self._pid != os.getpid():
            _kept.append(self._connection)
            return
        with self._lock:
            self._closed = True
            self._drop()

    def is_inherited(self) -> bool:
        """Whether another process opened this, and its connection is still here."""
        return self._pid != os.getpid() and self._connection is not None

    def _refuse_inherited(self) -> None:
        # Before the mutex: whoever held it when the process was forked is not here to release it.
        if self._pid != os.getpid():
            _kept.append(self._connection)
            raise _forked()

    def _ready(self, durable: bool) -> sqlite3.Connection:
        if self._read_only:
            raise unavailable("the store was opened read-only")
        connection = self._connection or self._connect()
        status = self._state.stat(self._name)
        if status is None:
            raise LedgerMissingError(path=self.path)
        if (status.st_dev, status.st_ino) != self._identity:
            # A restored backup: what is written here would go into a file that has no name any more.
            raise unavailable("the ledger was replaced while it was open")
        full = durable or self._clock() - self._synced_at > self._sync_interval_s
        if full is not self._full:
            # SQLite ignores this inside a transaction; every transaction begins after it.
            connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full
        # From here on something may have been committed, however this ends.
        self._writes += 1
        self._synced = False
        return connection

    def _committed(self) -> None:
        if self._full:
            self._synced = True
            self._synced_at = self._clock()

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise unavailable("the ledger is closed")
        status = judge_files(self._state, self._name)
        try:
            connection = sqlite3.connect(
                _uri(self.path, self._mode()),
                uri=True,
                timeout=self._timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as exc:
            raise translate(exc, self.path) from exc
        try:
            self._set_up(connection)
            self._identity = (status.st_dev, status.st_ino)
            self._check_place()
        except (sqlite3.Error, UnicodeDecodeError) as exc:
            connection.close()
            raise translate(exc, self.path) from exc
        except BaseException:
            connection.close()
            raise
        self._full = False
        self._opened += 1
        self._connection = connection
        return connection

    def _mode(self) -> str:
        if not self._read_only:
            return "mode=rw"
        if self._state.stat(self._name + WAL) is not None:
            return "mode=ro"
        # Without a log SQLite wants to make one, also to read. Told that the file never changes, it needs none.
        writable = os.access(".", os.W_OK, dir_fd=self._state.fd, effective_ids=True)
        return "mode=rw" if writable else "mode=ro&immutable=1"

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        schema.check(connection, self.path)
        if self._read_only:
            connection.execute("PRAGMA query_only = ON")
            return
        schema.use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")

    def _check_place(self) -> None:
        """SQLite opens by path alone: what it opened must be in the directory that is held open."""
        status = None
        with suppress(OSError):
            status = os.stat(self.path, follow_symlinks=False)
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise unavailable("the state directory was moved or replaced while it was open")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _uri(path: str, mode: str) -> str:
    return "file://" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23") + "?" + mode


def _forked() -> StoreUnavailableError:
    return unavailable("this process was forked behind Python's back while the ledger was open")


_registry = threading.Lock()
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_kept: list[sqlite3.Connection | None] = []
_at_fork: list[Database] = []


def _before_fork() -> None:
    _registry.acquire()
    for database in _databases:
        database._lock.acquire()
        _at_fork.append(database)
        database._drop()


def _after_fork() -> None:
    # The thread that forked took all of these, so it may release them, also in the child.
    for database in _at_fork:
        database._pid = os.getpid()
        database._lock.release()
    _at_fork.clear()
    _registry.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
