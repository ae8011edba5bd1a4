"""Lock files: made once, never unlinked, opened for reading, which is enough for `flock`.

In a directory that cannot be written, a shared lock whose file is missing needs none: nobody can be holding it alone.
"""

from __future__ import annotations

import errno
import fcntl
import os

from sessionstore.fs.directory import Directory
from sessionstore.fs.file import File
from sessionstore.fs.refusal import unavailable
from sessionstore.fs.temporary import create_private

FIRST_WAIT_S = 50e-6
LONGEST_WAIT_S = 5e-3
SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB
EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB

_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def open_lock_file(directory: Directory, name: str, *, shared: bool, make: bool) -> File | None:
    """The lock file of that name, made if it is missing; None for a shared lock that needs none.

    Args:
        directory: Where it lies.
        name: Its name.
        shared: Whether it is for a shared lock.
        make: Whether a missing one is made for a shared lock too. For an exclusive one it always is.

    Raises:
        StoreUnavailableError: `not_written`: the kernel refused.
        UnsafeFileError: It is a link, no ordinary file, or another user's.
    """
    while True:
        file = directory.open_file(name)
        if file is not None:
            return file
        if shared and not make:
            return None
        try:
            os.close(create_private(directory.fd, name))
        except FileExistsError:
            continue
        except OSError as exc:
            if shared and exc.errno in _READ_ONLY:
                return None
            raise unavailable(exc, name) from exc
