"""Temporary files: where a whole new file is written before it gets its name, and how dead ones are found.

Rules:

* A temporary file lies in the directory of its target, so that one rename publishes it.
* Its name is `.sessionstore-<pid>-<16 random hex digits>.tmp`: unpredictable, and ours on sight. The process id is for
  people; it proves nothing (containers and reboots use the same numbers again).
* Its writer holds a kernel lock on it until it is published or removed. A sweep removes only what it can lock itself:
  the kernel, not a clock or a process list, says that the writer is dead.
* Where the file system cannot lock (some network mounts), nothing is ever swept.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat

_NAME = re.compile(r"\.sessionstore-[0-9]+-[0-9a-f]{16}\.tmp")
_CREATE = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def is_temporary(name: str) -> bool:
    """Whether `name` is one that only this module gives."""
    return _NAME.fullmatch(name) is not None


def make_temporary(dir_fd: int) -> tuple[int, str]:
    """A new empty file, mode 0600 whatever the umask, locked: its descriptor and name. `OSError` passes through."""
    while True:
        name = f".sessionstore-{os.getpid()}-{os.urandom(8).hex()}.tmp"
        fd = create_private(dir_fd, name)
        try:
            _lock(fd)
            # A sweep can come between the making and the lock; then the file has no name left, and another is made.
            if os.fstat(fd).st_nlink:
                return fd, name
        except BaseException:
            os.close(fd)
            remove_quietly(dir_fd, name)
            raise
        os.close(fd)


def create_private(dir_fd: int, name: str) -> int:
    """A new empty file of mode 0600, whatever the umask: its descriptor. `FileExistsError` if the name is taken."""
    fd = os.open(name, _CREATE, 0o600, dir_fd=dir_fd)
    try:
        os.fchmod(fd, 0o600)
    except BaseException:
        os.close(fd)
        remove_quietly(dir_fd, name)
        raise
    return fd


def remove_quietly(dir_fd: int, name: str) -> None:
    """Remove a name of our own after a failure, whose error is the one to be told: what stays is swept later."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except OSError:
        return


def sweep_temporary(dir_fd: int, name: str) -> bool:
    """Remove the temporary file `name` if it is ours and its writer is dead; whether it was removed."""
    if not is_temporary(name):
        return False
    try:
        fd = os.open(name, _OPEN, dir_fd=dir_fd)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Still under the lock: a writer that waits for it must see that its file is gone.
        os.unlink(name, dir_fd=dir_fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError:
        # No locks on this file system: then no sweep gets one either, and the file is left alone.
        return
