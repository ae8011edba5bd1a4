"""One ordinary file held open: judged on its descriptor, then read, appended to and cut at exact offsets.

Rules:

* A file is judged after it was opened, on the descriptor: a name can be exchanged between a look and an open.
* Opening never blocks and never follows: `O_NONBLOCK` (a FIFO would wait for a writer), `O_NOFOLLOW`, `O_CLOEXEC`.
* Writing is `pwrite` at the offset given. `O_APPEND` would put bytes wherever the end has moved to.
* What a file does not hold after a failure is said in the error; after a failed sync the handle refuses every
  further change, because the kernel forgets the failure and the next sync would lie (the pages are marked clean).

Not promised: atomic reads beside a writer, nor any order between threads; locks above do that.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from sessionstore.errors import SessionStoreError, StoreUnavailableError, UnsafeFileError
from sessionstore.fs.refusal import ORDINARY, foreign, kind_at, kind_of, unavailable

Refuse = Callable[[str], SessionStoreError]

_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_BLOCK_BYTES = 256 * 1024
_READ_BYTES = 4 * 1024 * 1024

# Absent on macOS, where fsync does the same and more.
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def open_file(
    dir_fd: int, name: str, *, writable: bool = False, strict: bool = False, refuse: Refuse | None = None
) -> File | None:
    """Open and judge the file `name` of the directory `dir_fd`; None if there is none.

    A symbolic link, anything but an ordinary file and another user's file are always refused. With `strict` (keys,
    state) so are several links and any permission for group or others. Without it these two become notices, and
    opening for writing takes the loose permissions away; a file with several links keeps them, it may be in use
    under its other name.

    Args:
        refuse: Makes the error from the reason; `UnsafeFileError` without a session id if not given.

    Raises:
        StoreUnavailableError: The kernel refused (permission, too many open files, disk).
    """

    def refused(reason: str) -> SessionStoreError:
        return refuse(reason) if refuse else UnsafeFileError(session_id="", name=name, reason=reason)

    try:
        fd = os.open(name, _OPEN | (os.O_RDWR if writable else os.O_RDONLY), dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    except OSError as exc:
        kind = kind_at(dir_fd, name)
        if kind is None or kind == ORDINARY:
            raise unavailable(exc, name) from exc
        raise refused(f"it is {kind}") from exc
    try:
        notices = _judge(fd, writable, strict, refused)
    except OSError as exc:
        os.close(fd)
        raise unavailable(exc, name) from exc
    except BaseException:
        os.close(fd)
        raise
    return File(fd, name, writable=writable, notices=notices)


def _judge(fd: int, writable: bool, strict: bool, refused: Refuse) -> tuple[str, ...]:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise refused(f"it is {kind_of(status.st_mode)}")
    reason = foreign(status.st_uid)
    if reason:
        raise refused(reason)
    loose = bool(status.st_mode & 0o077)
    if strict and loose:
        raise refused(f"others may read or write it (mode {stat.S_IMODE(status.st_mode):04o})")
    if strict and status.st_nlink != 1:
        raise refused(f"it has {status.st_nlink} links")
    several = status.st_nlink > 1
    if loose and writable and not several:
        os.fchmod(fd, 0o600)
    return ("several_links",) * several + ("loose_mode",) * loose


def blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks worth a system call each; a list or tuple is in memory already and goes in one."""
    if isinstance(chunks, (list, tuple)):
        yield chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return
    held: list[bytes] = []
    held_bytes = 0
    for chunk in chunks:
        held.append(chunk)
        held_bytes += len(chunk)
        if held_bytes >= _BLOCK_BYTES:
            yield b"".join(held)
            held, held_bytes = [], 0
    yield b"".join(held)


def write_at(fd: int, offset: int, data: bytes, name: str) -> int:
    """Write all of `data` at `offset`, however many calls it takes; return the offset after it.

    Raises:
        StoreUnavailableError: `not_written`, though a part may be there: the caller takes it back.
    """
    try:
        written = os.pwrite(fd, data, offset)
        view = memoryview(data)
        while written < len(view):
            # A disk that fills up, or RLIMIT_FSIZE, first takes a part; the next call tells why.
            step = os.pwrite(fd, view[written:], offset + written)
            if step == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            written += step
    except OSError as exc:
        raise unavailable(exc, name) from exc
    return offset + written


class File:
    """An ordinary file that passed `open_file`.

    Attributes:
        name: The name it was opened under.
        notices: What was odd about it: `several_links`, `loose_mode`.
    """

    __slots__ = ("_failed", "_fd", "_writable", "name", "notices")

    def __init__(self, fd: int, name: str, *, writable: bool, notices: tuple[str, ...] = ()) -> None:
        self._fd = fd
        self._failed = False
        self._writable = writable
        self.name = name
        self.notices = notices

    def __enter__(self) -> File:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def fd(self) -> int:
        """The descriptor, -1 after `close`."""
        return self._fd

    def stat(self) -> os.stat_result:
        """The state of the file itself, whatever its name leads to now."""
        try:
            return os.fstat(self._fd)
        except OSError as exc:
            raise unavailable(exc, self.name) from exc

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from offset `start`, fewer only where the file ends."""
        try:
            if size > _READ_BYTES:
                # In one piece, which is half the time of putting pieces together; but no memory for what is not there.
                size = min(size, max(0, os.fstat(self._fd).st_size - start))
            data = os.pread(self._fd, size, start)
            if len(data) == size or not data:
                return data
            parts = []
            while data:
                parts.append(data)
                start += len(data)
                size -= len(data)
                data = os.pread(self._fd, size, start)
        except OSError as exc:
            raise unavailable(exc, self.name) from exc
        return b"".join(parts)

    def append(self, offset: int, chunks: Iterable[bytes], *, sync: bool = True) -> os.stat_result:
        """Write `chunks` at `offset`, which must be the end of the file, sync its data once, return its state.

        Without `sync` a power cut can take the bytes back, and those of earlier calls that were not synced either.

        Raises:
            StoreUnavailableError: `not_written`: the file is as it was. `unknown`: the sync failed, the cutting back
                failed, or another program changed the size meanwhile; this handle takes no further change.

        Whatever iterating `chunks` raises passes through, after the file was cut back to `offset`.
        """
        fd = self._fd
        self._check_change(offset, exact=True)
        end = offset
        try:
            for block in blocks(chunks):
                end = write_at(fd, end, block, self.name)
        except BaseException:
            self._cut_back(offset)
            raise
        try:
            size = os.fstat(fd).st_size
            if size == end:
                if sync:
                    _sync_data(fd)
                return os.fstat(fd)
        except BaseException as exc:
            self._failed = True
            if isinstance(exc, OSError):
                raise unavailable(exc, self.name, outcome="unknown") from exc
            raise
        # Cutting it back could drop bytes that somebody else wrote; the next reader verifies what is there.
        self._failed = True
        reason = f"{self.name}: it holds {size} bytes after a write that ended at {end}; another program changes it"
        raise StoreUnavailableError(reason=reason, outcome="unknown")

    def cut(self, offset: int) -> None:
        """Drop every byte from `offset` on and sync that.

        Raises:
            StoreUnavailableError: `not_written`: nothing was dropped. `unknown`: the sync failed, as in `append`.
        """
        self._check_change(offset, exact=False)
        try:
            os.ftruncate(self._fd, offset)
        except OSError as exc:
            raise unavailable(exc, self.name) from exc
        try:
            _sync_data(self._fd)
        except BaseException as exc:
            self._failed = True
            if isinstance(exc, OSError):
                raise unavailable(exc, self.name, outcome="unknown") from exc
            raise

    def close(self) -> None:
        """Release the descriptor. Calling it again does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _check_change(self, offset: int, *, exact: bool) -> None:
        if self._failed:
            reason = f"{self.name}: an earlier write failed, open it again"
            raise StoreUnavailableError(reason=reason, outcome="not_written")
        if not self._writable:
            raise StoreUnavailableError(reason=f"{self.name}: it is open for reading only", outcome="not_written")
        size = self.stat().st_size
        if size != offset if exact else not 0 <= offset <= size:
            reason = f"{self.name}: it holds {size} bytes, {offset} were expected"
            raise StoreUnavailableError(reason=reason, outcome="not_written")

    def _cut_back(self, offset: int) -> None:
        try:
            # A refusal before the first byte leaves the times alone too: they tell others that nothing changed.
            if os.fstat(self._fd).st_size != offset:
                os.ftruncate(self._fd, offset)
        except OSError as exc:
            self._failed = True
            raise unavailable(exc, self.name, outcome="unknown") from exc
