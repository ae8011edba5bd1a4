"""The system calls that Python's `os` lacks: openat2, name_to_handle_at, statx, and the type of a file system.

Rules:
- Facts are asked of an open descriptor, never of a name.
- None means that this kernel, sandbox or file system has no answer. Any other refusal is the `OSError` itself.
- ctypes ends text at the first NUL, so a path that holds one is refused before the call.
- Everything above takes a `Kernel`, so that a test can run it on a kernel that lacks something.

Not promised: that two file systems mean the same by a handle or a birth time. What they are worth is judged elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from types import TracebackType
from typing import Any, Literal, NamedTuple

from sessionstore.errors import InvalidValueError

AT_EMPTY_PATH = 0x1000
AT_HANDLE_FID = 0x200
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
FUSE_SUPER_MAGIC = 0x65735546

_SYS_OPENAT2 = 437  # the same on every architecture but alpha
_MAX_HANDLE_BYTES = 128
_STATX_BYTES, _STATX_BTIME, _STATX_MNT_ID = 256, 0x800, 0x1000
_STATX_BTIME_AT, _STATX_MNT_ID_AT = 0x50, 0x90
_STATFS_BYTES = 256  # more than any architecture's struct statfs
_MOUNT_ID_AT = 8 + _MAX_HANDLE_BYTES
# Made once: pinning makes these calls a dozen times within microseconds, and building their arguments costs as much.
_HOW = struct.Struct("=QQQ")
_HOW_BYTES = ctypes.c_size_t(_HOW.size)
_NUMBER = ctypes.c_long(_SYS_OPENAT2)
_THE_FD_ITSELF = ctypes.c_char_p(b"")
_EMPTY_PATH = ctypes.c_int(AT_EMPTY_PATH)
_ANY_KIND, _IDENTIFYING = _EMPTY_PATH, ctypes.c_int(AT_EMPTY_PATH | AT_HANDLE_FID)
_WANTED = ctypes.c_uint(_STATX_BTIME | _STATX_MNT_ID)
_HANDLE_HEAD = struct.Struct("=Ii")
_MOUNT_ID = struct.Struct("=i")
_HandleBuffer = ctypes.c_char * (_MOUNT_ID_AT + _MOUNT_ID.size)
_StatxBuffer = ctypes.c_char * _STATX_BYTES
_STATX_MASK, _STATX_TIME, _STATX_ID = struct.Struct("=I"), struct.Struct("=qI"), struct.Struct("=Q")
_STATFS_TYPE = "@I" if sys.platform == "linux" and os.uname().machine == "s390x" else "@l"  # its first member

# A sandbox answers ENOSYS or EPERM; EINVAL is an older kernel that does not know the flag; EOVERFLOW also stands for
# "this file system cannot encode it".
_NO_ANSWER = frozenset({errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.EOVERFLOW})

Openat2State = Literal["available", "missing", "forbidden"]


class FileHandle(NamedTuple):
    """A file system's own name for one file. With a generation number in it, it is not given out twice."""

    type: int
    value: bytes


class Statx(NamedTuple):
    """What `statx(2)` adds to `os.fstat`: birth time in nanoseconds since 1970, and the id of the mount."""

    birth_time_ns: int | None
    mount_id: int | None


def _load_libc() -> Any:
    # Elsewhere the numbers and layouts below mean other things: number 437 is another call there.
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_LIBC = _load_libc()


class Kernel:
    """What the operating system offers for opening a directory and telling it from another one.

    Safe to share between threads and after a fork: all it remembers is whether openat2 exists.

    Args:
        libc: An object with the C functions `syscall`, `statx`, `name_to_handle_at` and `fstatfs`, each setting ctypes'
            errno; a missing one counts as ENOSYS. None where there is no Linux.
        o_path: The value of O_PATH, None where the system has none.
        dir_fds: Whether `os.open` takes names relative to a descriptor.
        proc_fds: The directory with one link for each open descriptor.
    """

    def __init__(
        self,
        libc: Any = _LIBC,
        *,
        o_path: int | None = getattr(os, "O_PATH", None),
        dir_fds: bool = os.open in os.supports_dir_fd,
        proc_fds: bytes = b"/proc/self/fd",
    ) -> None:
        self._syscall = getattr(libc, "syscall", None)
        self._statx = getattr(libc, "statx", None)
        self._name_to_handle_at = getattr(libc, "name_to_handle_at", None)
        self._fstatfs = getattr(libc, "fstatfs", None)
        self._openat2_state: Openat2State | None = None
        self.has_o_path = o_path is not None
        self.dir_fds = dir_fds
        self.proc_fds = proc_fds
        # O_PATH asks for no permission on the directory itself and starts no driver; without it, do not wait for one.
        access = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) if o_path is None else o_path
        self.directory_flags: int = access | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)

    def openat2_state(self) -> Openat2State:
        """Whether openat2 can be used: `missing` is an older kernel, `forbidden` a sandbox. Asked once and remembered.

        Raises:
            OSError: The answer could not be had (too many open files, for one); nothing is remembered then.
        """
        if self._openat2_state is None:
            self._openat2_state = self._probe_openat2()
        return self._openat2_state

    def openat2(self, dir_fd: int, path: bytes, flags: int, resolve: int, mode: int = 0) -> int:
        """A descriptor for `path`, resolved from `dir_fd` under the RESOLVE_* rules in `resolve`.

        `mode` is for a file that is made; the kernel refuses anything but zero where none is.

        Raises:
            InvalidValueError: The path holds a NUL byte.
            OSError: Whatever the kernel says. ELOOP: a link was met that the rules forbid. ENOSYS, EPERM: not usable.
        """
        if b"\0" in path:
            raise InvalidValueError(what="path", reason="a NUL byte cannot be part of it")
        how = _HOW.pack(flags, mode, resolve)
        return _call(self._syscall, "openat2", _NUMBER, dir_fd, path, how, _HOW_BYTES)

    def handle(self, fd: int) -> FileHandle | None:
        """The file handle of an open file: one that could be opened again, else one that only identifies.

        The second kind (AT_HANDLE_FID, Linux 6.5) is what overlayfs has, and with it every container.

        Raises:
            OSError: The file system failed.
        """
        return self.handle_on_mount(fd)[0]

    def handle_on_mount(self, fd: int) -> tuple[FileHandle | None, int | None]:
        """What `handle` gives, and the id of the mount, each None where there is none. One call where there is both.

        Raises:
            OSError: The file system failed.
        """
        found = self._handle(fd, _ANY_KIND) or self._handle(fd, _IDENTIFYING)
        return found or (None, self.statx(fd).mount_id)

    def identifying_handle(self, fd: int) -> FileHandle | None:
        """The file handle that only identifies (AT_HANDLE_FID), also where there is one that could be opened again.

        Raises:
            OSError: The file system failed.
        """
        found = self._handle(fd, _IDENTIFYING)
        return found[0] if found else None

    def statx(self, fd: int) -> Statx:
        """Birth time and mount id of an open file, each None where there is none.

        A birth time of zero is none: the root directories of many ext4 volumes have it, and it tells nothing apart.

        Raises:
            OSError: The file system failed.
        """
        buffer = _StatxBuffer()
        if not _answers(self._statx, "statx", fd, _THE_FD_ITSELF, _EMPTY_PATH, _WANTED, buffer):
            return Statx(None, None)
        (mask,) = _STATX_MASK.unpack_from(buffer)
        seconds, nanoseconds = _STATX_TIME.unpack_from(buffer, _STATX_BTIME_AT)
        born_ns = seconds * 1_000_000_000 + nanoseconds if mask & _STATX_BTIME else 0
        (mount_id,) = _STATX_ID.unpack_from(buffer, _STATX_MNT_ID_AT)
        return Statx(born_ns or None, mount_id if mask & _STATX_MNT_ID else None)

    def fs_type(self, fd: int) -> int | None:
        """The magic number of the file system that an open file is on (statfs(2) lists them).

        Raises:
            OSError: The file system failed.
        """
        buffer = ctypes.create_string_buffer(_STATFS_BYTES)
        if not _answers(self._fstatfs, "fstatfs", fd, buffer):
            return None
        return int(struct.unpack_from(_STATFS_TYPE, buffer)[0]) & 0xFFFFFFFF

    def _probe_openat2(self) -> Openat2State:
        with closing_fd(os.open(b"/", self.directory_flags)) as root:
            try:
                os.close(self.openat2(root, b".", self.directory_flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS))
            except OSError as exc:
                if exc.errno == errno.ENOSYS:
                    return "missing"
                if exc.errno == errno.EPERM:
                    return "forbidden"
                raise
        return "available"

    def _handle(self, fd: int, flags: ctypes.c_int) -> tuple[FileHandle, int] | None:
        buffer = _HandleBuffer()
        _HANDLE_HEAD.pack_into(buffer, 0, _MAX_HANDLE_BYTES, 0)
        mount_id = ctypes.byref(buffer, _MOUNT_ID_AT)
        if not _answers(self._name_to_handle_at, "name_to_handle_at", fd, _THE_FD_ITSELF, buffer, mount_id, flags):
            return None
        size_bytes, kind = _HANDLE_HEAD.unpack_from(buffer)
        return FileHandle(kind, buffer.raw[8 : 8 + size_bytes]), _MOUNT_ID.unpack_from(buffer, _MOUNT_ID_AT)[0]


class closing_fd:
    """The descriptor, closed at the end of the block."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._fd)


def _answers(function: Any, name: str, *args: Any) -> bool:
    # Not by way of _call: this is asked three times for each resume, and nearly always answered.
    if function is not None and function(*args) >= 0:
        return True
    number = ctypes.get_errno() if function is not None else errno.ENOSYS
    if number in _NO_ANSWER:
        return False
    if number == errno.EINTR:
        return _answers(function, name, *args)
    raise OSError(number, os.strerror(number), name)


def _call(function: Any, name: str, *args: Any) -> int:
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    while True:
        result = function(*args)
        if result >= 0:
            return int(result)
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), name)


KERNEL = Kernel()
