"""Logs as files of one directory: the backend that a person's machine uses.

Rules:

* The checks are those of `fs`: no links followed, no foreign files, modes repaired on writing, offsets exact.
* One turn is one `pwrite`, one `fdatasync` and four small system calls; nothing here grows with the log.
* A stamp comes from the opened file where it can; `scan` and `stamp(name)` take it from the name, for listing only.
* The lock file for writing is `<session id>.write` in the directory of the `Locks` given; for runs see
  `sessionstore.storage.runs`.

Not promised: that two machines may write the same directory. See docs/reference/filesystem.md for network mounts.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from sessionstore.errors import AlreadyExistsError, SessionStoreError, UnsafeFileError
from sessionstore.fs import Directory, File, Locks
from sessionstore.fs.moving import move
from sessionstore.model.times import utc_now
from sessionstore.storage.names import check_log_name, session_of
from sessionstore.storage.protocol import Holder, Purged, Stamp
from sessionstore.storage.purge import purge
from sessionstore.storage.runs import FileRuns

_LONG_NAME_BYTES = 200
_SETTLED_NS = 2_000_000_000
_STEP_BYTES = 1024 * 1024


class FileLog:
    """One opened file; see `sessionstore.storage.protocol.Log`."""

    __slots__ = ("_directory", "_file", "_identity", "_name")

    def __init__(self, directory: Directory, name: str, file: File) -> None:
        self._directory = directory
        self._name = name
        self._file = file
        status = file.stat()
        # It cannot change while the file is open: the inode stays taken, also without a name.
        self._identity = (status.st_dev, status.st_ino)

    @property
    def notices(self) -> tuple[str, ...]:
        """What was odd about the file when it was opened: `several_links`, `loose_mode` (mended if opened to write)."""
        return self._file.notices

    def stamp(self) -> Stamp:
        """The stamp now, from the descriptor."""
        return _stamp(self._file.stat())

    def current_stamp(self) -> Stamp | None:
        """The stamp, if the name still leads to this file: not removed, not replaced, no second name."""
        status = self._directory.stat(self._name)
        if status is None or (status.st_dev, status.st_ino) != self._identity or status.st_nlink != 1:
            return None
        return _stamp(status)

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`, fewer only at the end."""
        return self._file.read(start, size)

    def append(self, offset: int, chunks: Iterable[bytes]) -> Stamp:
        """Write at `offset`, the end, and sync once; see the protocol."""
        return _stamp(self._file.append(offset, chunks))

    def cut(self, offset: int) -> None:
        """Drop every byte from `offset` on, durably."""
        self._file.cut(offset)

    def close(self) -> None:
        """Release the descriptor. Calling it again does nothing."""
        self._file.close()


class FileBackend:
    """Logs in a directory held open; see `sessionstore.storage.protocol.Backend`.

    Args:
        sessions: Where the logs are.
        quarantine: Opens, and where needed makes, the directory that `keep` writes to; closed again after each use.
        locks: The locks of the state directory.
        runs: Who runs which session.
        data: The directory that holds those of logs and quarantine; a purge looks through all that are in it.
        has_quarantine: Whether that directory is there.
        retired: As `quarantine`, for `retire`; None: the quarantine takes those too.

    The directory and the locks stay the caller's to close.
    """

    def __init__(
        self,
        sessions: Directory,
        quarantine: Callable[[], Directory],
        locks: Locks,
        runs: FileRuns,
        *,
        retired: Callable[[], Directory] | None = None,
        data: Directory | None = None,
        has_quarantine: Callable[[], bool] = lambda: True,
    ) -> None:
        self._data = data
        self._sessions = sessions
        self._quarantine = quarantine
        self._retired = quarantine if retired is None else retired
        self._has_quarantine = has_quarantine
        self._locks = locks
        self._runs = runs

    def open(self, name: str, *, writable: bool = False) -> FileLog | None:
        """The log of that name, or None.

        Raises:
            UnsafeFileError: A symbolic link, a directory, a FIFO, a socket, a device, or another user's file.
            StoreUnavailableError: The kernel refused.
        """

        def refuse(reason: str) -> SessionStoreError:
            return _unsafe(name, reason)

        file = self._sessions.open_file(check_log_name(name), writable=writable, refuse=refuse)
        return None if file is None else FileLog(self._sessions, name, file)

    def write(self, name: str, chunks: Iterable[bytes], *, replace: bool) -> Stamp:
        """Make or replace the whole log; see `Directory.write_atomic` for the errors."""
        try:
            return _stamp(self._sessions.write_atomic(check_log_name(name), chunks, replace=replace))
        except UnsafeFileError as exc:
            raise _unsafe(name, exc.reason) from exc

    def delete(self, name: str) -> None:
        """Remove the name durably, whatever it is unless it is a directory; nothing happens if it is missing."""
        try:
            self._sessions.unlink(check_log_name(name))
        except UnsafeFileError as exc:
            raise _unsafe(name, exc.reason) from exc

    def scan(self) -> Iterator[tuple[str, Stamp | None]]:
        """Every name with its stamp, None for what `open` would refuse. Names that vanish meanwhile may be missing."""
        euid = os.geteuid()
        for entry in self._sessions.entries():
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield entry.name, _stamp_of_ours(status, euid)

    def names_token(self) -> object | None:
        """The directory's inode and change of names, None while that is less than two seconds old by this clock."""
        changed_ns = self._sessions.changed_ns()
        # A name that comes within the same tick of the file system's clock would not move the time any more.
        if abs(time.time_ns() - changed_ns) < _SETTLED_NS:
            return None
        return self._sessions.identity, changed_ns

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of a name without opening it; None if it is missing or `open` would refuse it."""
        status = self._sessions.stat(check_log_name(name))
        return None if status is None else _stamp_of_ours(status, os.geteuid())

    def lock(self, session_id: str, *, shared: bool = False, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the lock for writing among threads and processes; see `sessionstore.fs.lock`."""
        return self._locks.hold(f"{session_id}.write", shared=shared, timeout_s=timeout_s)

    def run(self, session_id: str, holder: Holder) -> AbstractContextManager[None]:
        """Hold the session as running among threads and processes; see `FileRuns.run`."""
        return self._runs.run(session_id, holder)

    def at_rest(self, session_id: str) -> AbstractContextManager[None]:
        """Keep the session from being run meanwhile; see `FileRuns.at_rest`."""
        return self._runs.at_rest(session_id)

    def running(self) -> dict[str, Holder]:
        """The sessions that are run right now; see `FileRuns.running`."""
        return self._runs.running()

    def keep(self, name: str, chunks: Iterable[bytes]) -> str:
        """Put bytes into quarantine as `<name>.<UTC time>`; return the path, for people. The caller caps them."""
        base = f"{name[:48] if len(os.fsencode(name)) > _LONG_NAME_BYTES else name}.{utc_now():%Y%m%dT%H%M%S%fZ}"
        kept, number = base, 1
        with self._quarantine() as quarantine:
            # A clock set back gives a time twice. A taken name must show before `chunks`, maybe an iterator, is used.
            while quarantine.stat(kept) is not None:
                number += 1
                kept = f"{base}.{number}"
            quarantine.write_atomic(kept, chunks, replace=False)
            return os.path.join(quarantine.path, kept)

    def purge(self, session_id: str, *, dry_run: bool = False) -> Purged:
        """Remove what else holds bytes of a session; see `sessionstore.storage.purge`."""
        return purge(session_id, self._sessions, self._data, dry_run=dry_run)

    def search_kept(self, text: bytes) -> int:
        """How many of the files in quarantine hold `text`. What is no ordinary file of ours is none of them."""
        if not self._has_quarantine():
            return 0
        found = 0
        with self._quarantine() as quarantine:
            for name in quarantine.names():
                try:
                    file = quarantine.open_file(name)
                except UnsafeFileError:
                    continue
                if file is not None:
                    with file:
                        found += _holds(file, text)
        return found

    def retire(self, name: str) -> str | None:
        """Move the log to the retired ones as `<name>`, or `<name>.2` and so on; return the path, for people."""
        if self._sessions.stat(check_log_name(name)) is None:
            return None
        kept, number = name, 1
        with self._retired() as retired:
            while True:
                try:
                    moved = move(self._sessions, name, retired, kept)
                except AlreadyExistsError:
                    number += 1
                    kept = f"{name}.{number}"
                else:
                    return os.path.join(retired.path, kept) if moved else None

    def drop_retired(self, name: str) -> None:
        """Remove what was retired under that name; see `Directory.unlink` for the errors."""
        check_log_name(name)
        with self._retired() as retired:
            for kept in retired.names():
                if kept == name or (kept.startswith(f"{name}.") and kept[len(name) + 1 :].isdigit()):
                    retired.unlink(kept)


def _holds(file: File, text: bytes) -> bool:
    at, before = 0, b""
    while step := file.read(at, _STEP_BYTES):
        if text in before + step:
            return True
        at, before = at + len(step), step[-len(text) :]
    return False


def _unsafe(name: str, reason: str) -> UnsafeFileError:
    return UnsafeFileError(session_id=session_of(name), name=name, reason=reason)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _stamp_of_ours(status: os.stat_result, euid: int) -> Stamp | None:
    return _stamp(status) if stat.S_ISREG(status.st_mode) and status.st_uid == euid else None
