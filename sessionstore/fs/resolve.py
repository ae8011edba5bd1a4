"""From a spelling to an open directory, and from an open directory to the one path that the kernel has for it.

Rules:
- A path is resolved by opening it. Its text is never tidied: `link/../x` is not `x`, `~` is a name, `%2e` is three
  characters, and names that differ in case or in Unicode form are different names. Paths are bytes.
- A canonical path counts only if it leads back to the same directory without following a link.
- Nothing is read from a directory, so a searchable one that may not be read is no obstacle, and a FIFO cannot block.

Not promised: that the name still means the same a moment later. Keep the descriptor and use that.
"""

from __future__ import annotations

import errno
import os
import stat

from sessionstore.errors import InvalidValueError
from sessionstore.fs.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, Kernel, closing_fd

_NO_LONGER_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
OPENAT2_UNUSABLE = frozenset({errno.ENOSYS, errno.EPERM, errno.ENAMETOOLONG})
_NOFOLLOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_PROC_UNUSABLE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES})


def open_following(kernel: Kernel, spelling: bytes) -> int:
    """A descriptor for the directory that `spelling` names now, links followed, relative to the current directory.

    Raises:
        OSError: ENOENT, ENOTDIR, or whatever else the kernel says.
    """
    return os.open(spelling, kernel.directory_flags)


def open_nofollow(kernel: Kernel, path: bytes) -> int:
    """A descriptor for the directory at the absolute, canonical `path`, met without following a link anywhere.

    One openat2 call; where that is missing, forbidden or the path too long for it (4,096 bytes), one open a component.

    Raises:
        InvalidValueError: `path` is not canonical: relative, or with an empty, `.` or `..` component, or a NUL byte.
        OSError: ELOOP or ENOTDIR: a component is a link or no directory. Else whatever the kernel says.
    """
    parts = components(path)
    root = os.open(b"/", kernel.directory_flags)
    try:
        if kernel.openat2_state() == "available":
            try:
                # Without the slash at the front: this way it is relative, to the descriptor of `/`.
                return kernel.openat2(root, path[1:] or b".", kernel.directory_flags, _NOFOLLOW)
            except OSError as exc:
                # A sandbox may have been entered since the kernel was asked.
                if exc.errno not in OPENAT2_UNUSABLE:
                    raise
        return _walk(kernel, root, parts)
    finally:
        os.close(root)


def obstacle(kernel: Kernel, path: bytes) -> tuple[bytes, int] | None:
    """The first component on the way along the canonical `path` that is no directory: its path, and its `st_mode`.

    For the wording of a refusal: ENOTDIR does not tell a link from a file. Nothing found here makes anything accepted.

    Returns:
        None if every component is a directory by now.

    Raises:
        OSError: ENOENT: a component is missing. Else whatever the kernel says.
    """
    parts = components(path)
    fd = os.open(b"/", kernel.directory_flags)
    for index, part in enumerate(parts, start=1):
        with closing_fd(fd):
            mode = os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                return b"/" + b"/".join(parts[:index]), mode
            fd = os.open(part, kernel.directory_flags | os.O_NOFOLLOW, dir_fd=fd)
    os.close(fd)
    return None


def canonical_path(kernel: Kernel, fd: int, spelling: bytes) -> bytes | None:
    """The absolute path without links of the open directory `fd`, which was opened as `spelling`.

    Read from the descriptor; without /proc it is worked out from the spelling. Either way the path is opened again,
    following no link, and must be the same directory. That is also what tells a directory called `x (deleted)` from
    the kernel's way of writing that `x` is gone.

    Returns:
        None if no path leads back to this directory: it was moved or removed, or it lies outside the visible tree.

    Raises:
        OSError: The path could not be had or opened. ENAMETOOLONG: it is longer than the kernel can tell.
    """
    path = proc_path(kernel, fd)
    if path is None:
        path = os.path.realpath(spelling, strict=True)
    if not path.startswith(b"/"):
        return None
    try:
        again = open_nofollow(kernel, path)
    except OSError as exc:
        if exc.errno in _NO_LONGER_THERE:
            return None
        raise
    with closing_fd(again):
        return path if os.path.samestat(os.fstat(fd), os.fstat(again)) else None


def proc_path(kernel: Kernel, fd: int) -> bytes | None:
    """What /proc says the path of an open descriptor is, None without a usable /proc. Not checked in any way.

    Raises:
        OSError: ENAMETOOLONG: it is longer than the kernel can tell.
    """
    try:
        return os.readlink(kernel.proc_fds + b"/%d" % fd)
    except OSError as exc:
        if exc.errno in _PROC_UNUSABLE:
            return None
        raise


def is_inside(path: bytes, root: bytes) -> bool:
    """Whether the canonical `path` is `root` or lies below it, by whole components: `/a/bc` is not inside `/a/b`."""
    parts, root_parts = components(path), components(root)
    return parts[: len(root_parts)] == root_parts


def ancestry(kernel: Kernel, spelling: bytes) -> tuple[tuple[int, int], ...]:
    """(device, inode) of the directory that `spelling` names, then of each directory above it, `/` last.

    Every step opens `..` of the descriptor before, so a directory moved meanwhile is followed where it is.

    Raises:
        OSError: The directory or one above it could not be opened.
    """
    found: list[tuple[int, int]] = []
    here: tuple[int, int, int | None] | None = None
    fd = open_following(kernel, spelling)
    while True:
        with closing_fd(fd):
            below, status = here, os.fstat(fd)
            # Only `/` is its own parent. The mount id keeps a directory bound below itself from looking like that.
            here = (status.st_dev, status.st_ino, kernel.statx(fd).mount_id)
            if here == below:
                return tuple(found)
            found.append(here[:2])
            fd = os.open(b"..", kernel.directory_flags, dir_fd=fd)


def components(path: bytes) -> list[bytes]:
    """The names between the slashes of an absolute path in canonical form; none for `/`.

    Raises:
        InvalidValueError: It is relative, or has an empty, `.` or `..` component, or a NUL byte.
    """
    # `link/` would be followed in spite of O_NOFOLLOW, and `..` leads out: neither is ever in a canonical path.
    ended = path + b"/" if path != b"/" else path
    if not path.startswith(b"/") or b"//" in ended or b"/./" in ended or b"/../" in ended or b"\0" in path:
        raise InvalidValueError(what="path", reason="not an absolute path in canonical form")
    return ended[1:].split(b"/")[:-1]


def _walk(kernel: Kernel, root: int, parts: list[bytes]) -> int:
    # No context managers: this is a dozen rounds of two calls each.
    flags = kernel.directory_flags | os.O_NOFOLLOW
    fd = root
    for part in parts or [b"."]:
        try:
            below = os.open(part, flags, dir_fd=fd)
        finally:
            if fd != root:
                os.close(fd)
        fd = below
    return fd
