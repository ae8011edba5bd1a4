"""How a directory is opened, judged and made, before anything in it is used.

Rules: parents are followed as the user spelled them (a home may be a link); the last component never is. `O_NOFOLLOW`
follows `link/` and `link/.`, so these endings are cut off first. Nothing else of the text is changed: `a/../b` stays.
A mode is set on a descriptor, never by name.
"""

from __future__ import annotations

import errno
import os
import stat

from sessionstore.errors import InvalidValueError, SessionStoreError, UnsafeFileError
from sessionstore.fs.refusal import foreign, kind_at, unavailable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Needs no permission to read, only to search. Linux alone has it.
_SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


def open_parent(path: str | os.PathLike[str], *, create: bool) -> tuple[int | None, str]:
    """A descriptor of the directory that holds the last component of `path`, and that component.

    The descriptor is None if a parent is missing and `create` is false; otherwise missing parents are made, 0700.

    Raises:
        InvalidValueError: The path is relative, or holds a NUL.
        StoreUnavailableError: The kernel refused.
    """
    text = os.fspath(path)
    if not isinstance(text, str) or not os.path.isabs(text) or "\0" in text:
        raise InvalidValueError(what="directory", reason="an absolute path without NUL is needed")
    while text.endswith(("/", "/.")):
        text = text.removesuffix("/").removesuffix("/.")
    head, name = os.path.split(text or "/")
    try:
        return _open_parents(head, create), name or "."
    except OSError as exc:
        raise unavailable(exc, name) from exc


def _open_parents(head: str, create: bool) -> int | None:
    missing: list[str] = []
    while True:
        try:
            fd = os.open(head, _SEARCH)
            break
        except FileNotFoundError:
            if not create:
                return None
            head, name = os.path.split(head)
            missing.append(name)
    for name in reversed(missing):
        try:
            make_directory(fd, name)
            below = os.open(name, _SEARCH, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def open_directory(parent_fd: int, name: str, *, strict: bool) -> int | None:
    """A descriptor of the directory `name`, judged; None if it is missing.

    Raises:
        UnsafeFileError: It is a symbolic link, no directory, another user's, or open to others.
        StoreUnavailableError: The kernel refused.
    """
    try:
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent_fd)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise unavailable(exc, name) from exc
        raise _refused(name, f"it is {kind_at(parent_fd, name) or 'gone'}, not a directory") from exc
    try:
        _judge(name, os.fstat(fd), strict)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _judge(name: str, status: os.stat_result, strict: bool) -> None:
    reason = foreign(status.st_uid)
    if reason:
        raise _refused(name, reason)
    if status.st_mode & (0o077 if strict else 0o022):
        allowed = "read or write in it" if strict else "write to it"
        raise UnsafeFileError(
            session_id="",
            name=name,
            reason=f"others may {allowed} (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"if nobody else can have changed it: chmod {'700' if strict else 'go-w'} the directory",
        )


def make_directory(parent_fd: int, name: str) -> bool:
    """Make the directory `name` with mode 0700, durably; False if something has that name already.

    Raises:
        StoreUnavailableError: The kernel refused.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=parent_fd)
    except FileExistsError:
        return False
    except OSError as exc:
        raise unavailable(exc, name) from exc
    try:
        _set_private(parent_fd, name)
        _sync_parent(parent_fd)
    except OSError as exc:
        raise unavailable(exc, name, outcome="unknown") from exc
    return True


def sync_directory(fd: int) -> None:
    """Make the names in a directory durable. `OSError` passes through."""
    try:
        os.fsync(fd)
    except OSError as exc:
        # File systems that cannot sync a directory say so with EINVAL; they order names in their own way.
        if exc.errno != errno.EINVAL:
            raise


def _set_private(parent_fd: int, name: str) -> None:
    """Give back what a umask took: one like 0777 leaves a directory that its own maker cannot open."""
    status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
    if stat.S_IMODE(status.st_mode) & 0o777 == 0o700:
        return
    fd = os.open(name, _SEARCH | os.O_NOFOLLOW, dir_fd=parent_fd)
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            # fchmod refuses a descriptor that was not opened for reading.
            os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)


def _sync_parent(parent_fd: int) -> None:
    try:
        fd = os.open(".", _DIRECTORY, dir_fd=parent_fd)
    except PermissionError:
        # May be searched and written, not read: nobody but its owner can sync such a parent.
        return
    try:
        sync_directory(fd)
    finally:
        os.close(fd)


def _refused(name: str, reason: str) -> SessionStoreError:
    return UnsafeFileError(session_id="", name=name, reason=reason)
