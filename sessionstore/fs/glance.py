"""A glance at where a project was: does its name still lead to the directory that was recorded?

Rules: the name is opened as resuming opens it, following no link, and the inode number compared; nothing is read. The
answer is for people who look at a list. It is a hint: the numbers of deleted directories are given out again, and what
is here now may be gone when somebody resumes. Only resuming judges.

Not promised: that it returns soon where the name lies on a server that does not answer.
"""

from __future__ import annotations

import errno
import os
from typing import Literal

from sessionstore.errors import InvalidValueError
from sessionstore.fs.resolve import open_nofollow
from sessionstore.fs.syscalls import KERNEL, Kernel, closing_fd

_OTHER_THINGS = frozenset({errno.ELOOP, errno.ENOTDIR})


def glance(display_path: str, inode: int, *, kernel: Kernel = KERNEL) -> Literal["here", "gone", "replaced", "unknown"]:
    """What stands under the name of a project now.

    Args:
        display_path: The canonical path as text for people; what it cannot tell exactly counts as unknown.
        inode: The inode number that was recorded. The device's number is not asked for: it changes over mounts.
        kernel: For tests.

    Returns:
        `here`: a directory with that number. `gone`: nothing. `replaced`: another directory, or a link or file there or
        on the way. `unknown`: it cannot be told, for lack of permission for example.
    """
    if not kernel.dir_fds:
        return "unknown"
    try:
        with closing_fd(open_nofollow(kernel, display_path.encode())) as fd:
            if os.fstat(fd).st_ino == inode:
                return "here"
        found: Literal["gone", "replaced"] = "replaced"
    except (InvalidValueError, UnicodeEncodeError):
        return "unknown"
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            found = "gone"
        elif exc.errno in _OTHER_THINGS:
            found = "replaced"
        else:
            return "unknown"
    # Bytes that are no UTF-8 are shown as escapes, which are names too: that one of them is missing says nothing.
    return "unknown" if "\\" in display_path else found
