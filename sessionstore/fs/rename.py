"""Giving a file a name that must not be taken: one atomic step, or the oldest way where the kernel lacks it.

`rename` alone replaces whatever has the name. Linux can refuse that (`renameat2` with RENAME_NOREPLACE); elsewhere a
second link is made, which fails on a taken name, and the first name removed. A kill between the two leaves both names:
the temporary one is swept later, until then the file has two links.

Rules: names were checked by the caller; `OSError` passes through, `FileExistsError` means that the name is taken.
"""

from __future__ import annotations

import errno
import os

_RENAME_NOREPLACE = 1
# The call is missing, the file system does not know the flag, or a sandbox forbids what it does not know.
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP})


def rename_new(dir_fd: int, old: str, new: str, *, to_fd: int | None = None) -> None:
    """Rename `old` in the directory `dir_fd` to `new`, there or in the directory `to_fd`, if `new` is free."""
    to_fd = dir_fd if to_fd is None else to_fd
    try:
        _renameat2(dir_fd, old, to_fd, new)
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise
        link_new(dir_fd, old, new, to_fd=to_fd)


def link_new(dir_fd: int, old: str, new: str, *, to_fd: int | None = None) -> None:
    """The same by a second link; where hard links are unknown this fails, it never replaces."""
    to_fd = dir_fd if to_fd is None else to_fd
    os.link(old, new, src_dir_fd=dir_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    os.unlink(old, dir_fd=dir_fd)


def _renameat2(dir_fd: int, old: str, to_fd: int, new: str) -> None:
    import ctypes  # takes milliseconds, and most processes never make a new name

    library = ctypes.CDLL(None, use_errno=True)
    try:
        call = library.renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if call(dir_fd, os.fsencode(old), to_fd, os.fsencode(new), _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
