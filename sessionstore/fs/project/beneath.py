"""Opening something inside a directory that is held open, and nothing outside of it.

Rules:
- The kernel keeps the way inside (RESOLVE_BENEATH, no magic links). Where openat2 is missing or forbidden, names are
  opened one by one and no link is followed; `..` is refused there, because it could leave a directory moved meanwhile.
- Opening never waits: what is opened may be a FIFO that somebody put there.

Not promised: that a file inside is not a hard link to one outside, or a mount.
"""

from __future__ import annotations

import errno
import os
import stat

from sessionstore.errors import ProjectPathError
from sessionstore.fs.resolve import OPENAT2_UNUSABLE
from sessionstore.fs.syscalls import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, Kernel
from sessionstore.fs.verdicts import refusal, refused

_INSIDE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
_ATTEMPTS = 16


class _LinkMetError(Exception):
    """A component is a symbolic link."""


def open_beneath(kernel: Kernel, dir_fd: int, project: bytes, rel: bytes, flags: int, mode: int) -> int:
    """A descriptor for `rel` below the open directory; see `ProjectRoot.open`.

    Args:
        kernel: The system to ask.
        dir_fd: The directory.
        project: Its path, for errors.
        rel: Without NUL bytes, not empty.
        flags: As for `os.open`.
        mode: Of a file that is made.

    Raises:
        ProjectPathError: See `ProjectRoot.open`.
    """
    shown = project + b"/" + rel
    if rel.startswith(b"/"):
        raise refused(shown, "invalid_path", "only a path relative to the project can be opened in it")
    waiting = flags & os.O_NONBLOCK == 0
    path_only = flags & getattr(os, "O_PATH", 0)
    flags |= os.O_CLOEXEC
    if not path_only:
        flags |= os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = _open(kernel, dir_fd, rel, flags, mode)
    except OSError as exc:
        raise _refusal(shown, exc) from exc
    except _LinkMetError as exc:
        raise refused(shown, "symlink", "without openat2 no symbolic link is followed") from exc
    if waiting and not path_only:
        os.set_blocking(fd, True)
    return fd


def _open(kernel: Kernel, dir_fd: int, rel: bytes, flags: int, mode: int) -> int:
    makes = flags & (os.O_CREAT | getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY)
    attempts = _ATTEMPTS
    while kernel.openat2_state() == "available":
        try:
            return kernel.openat2(dir_fd, rel, flags, _INSIDE, mode & 0o7777 if makes else 0)
        except OSError as exc:
            if exc.errno in OPENAT2_UNUSABLE:
                break
            attempts -= 1
            # `..` while somebody renames: the kernel cannot say whether it stayed inside.
            if exc.errno != errno.EAGAIN or not attempts:
                raise
    return _walk(kernel, dir_fd, rel, flags, mode)


def _walk(kernel: Kernel, dir_fd: int, rel: bytes, flags: int, mode: int) -> int:
    parts = [part for part in rel.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if not parts or rel.endswith((b"/", b"/.")):
        flags |= os.O_DIRECTORY
    last = parts.pop() if parts else b"."
    fd = os.open(b".", kernel.directory_flags, dir_fd=dir_fd)
    try:
        for part in parts:
            below = _open_one(fd, part, kernel.directory_flags)
            os.close(fd)
            fd = below
        return _open_one(fd, last, flags, mode)
    finally:
        os.close(fd)


def _open_one(dir_fd: int, name: bytes, flags: int, mode: int = 0) -> int:
    try:
        fd = os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=dir_fd)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(dir_fd, name):
            raise _LinkMetError from exc
        raise
    # With O_PATH the kernel opens the link itself, which only a caller who said O_NOFOLLOW has asked for.
    if not flags & os.O_NOFOLLOW and stat.S_ISLNK(os.fstat(fd).st_mode):
        os.close(fd)
        raise _LinkMetError
    return fd


def _is_link(dir_fd: int, name: bytes) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _refusal(shown: bytes, exc: OSError) -> ProjectPathError:
    if exc.errno == errno.EXDEV:
        return refused(shown, "outside_allowed_roots", "it leads out of the project directory")
    if exc.errno == errno.ELOOP:
        return refused(
            shown, "symlink", "a symbolic link that is not followed: magic, in a circle, or last with O_NOFOLLOW"
        )
    return refusal(shown, exc)
