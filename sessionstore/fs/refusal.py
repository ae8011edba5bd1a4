"""How this room words what the kernel refused, and which file names it takes at all.

Rules: an `OSError` never leaves `fs`; it becomes one sentence with the bare name it was about, never a whole path. What
changed on disk is part of the error: `not_written` is said only where the old bytes surely stand.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import lru_cache
from typing import Literal

from sessionstore.errors import InvalidValueError, StoreUnavailableError

Outcome = Literal["not_written", "unknown"]

MAX_NAME_BYTES = 255
ORDINARY = "an ordinary file"

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit for the size of one file is reached (ulimit -f, or the file system's own)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EIO: "the disk failed (input/output error)",
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "the system has too many open files",
    errno.EBADF: "it is closed",
}

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def unavailable(exc: OSError, what: str, *, outcome: Outcome = "not_written") -> StoreUnavailableError:
    """The error for a refusal of the kernel; `what` is the bare name of the file or directory."""
    words = _WORDS.get(exc.errno or 0) or (exc.strerror or type(exc).__name__).lower()
    return StoreUnavailableError(reason=f"{what}: {words}", outcome=outcome)


def kind_of(mode: int) -> str:
    """What a file of that `st_mode` is, in words: `a directory`, `a FIFO`, `an ordinary file` and so on."""
    return _KINDS.get(stat.S_IFMT(mode), ORDINARY)


def kind_at(dir_fd: int, name: str) -> str | None:
    """What stands under a name that could not be opened, in words; None if nothing can be said."""
    try:
        return kind_of(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    except OSError:
        return None


def foreign(owner: int) -> str | None:
    """Why a file of that owner (user id) is refused, or None if it belongs to this process's effective user."""
    euid = os.geteuid()
    return None if owner == euid else f"it belongs to user id {owner}, this process runs as {euid}"


@lru_cache(maxsize=256)  # a save asks three times, always for the same
def check_name(name: str) -> str:
    """The name itself, if it can be one file's name in a directory held open.

    A name with a slash would leave the directory, `O_NOFOLLOW` follows `link/`, and a name is cut at a NUL by C.

    Raises:
        InvalidValueError: Empty, `.`, `..`, with a slash or NUL, over 255 bytes, or not encodable. The text is not
            repeated, it may be hostile.
    """
    try:
        size_bytes = len(os.fsencode(name))
    except UnicodeEncodeError:
        raise InvalidValueError(what="file name", reason="it cannot be encoded") from None
    if not 1 <= size_bytes <= MAX_NAME_BYTES:
        raise InvalidValueError(what="file name", reason=f"1 to {MAX_NAME_BYTES} bytes are allowed, not {size_bytes}")
    if "/" in name or "\0" in name or name in (".", ".."):
        raise InvalidValueError(what="file name", reason="it does not name one file of a directory")
    return name
