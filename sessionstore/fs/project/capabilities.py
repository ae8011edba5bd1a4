"""What a system offers for holding on to a directory, and opening one where it offers enough.

Rules:
- A system that cannot open names relative to a descriptor is refused (`unsupported`), never worked around.
- What is lacking is told as it is; `pinning_report` tries, it does not guess from version numbers.

Not promised: that a sandbox entered later leaves things as they were reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from sessionstore.fs import resolve
from sessionstore.fs.syscalls import FUSE_SUPER_MAGIC, KERNEL, FileHandle, Kernel, Openat2State, closing_fd
from sessionstore.fs.verdicts import AnyPath, path_bytes, refusals, refused

Pinning = Literal["full", "leaf_only", "none"]


class PinningReport(msgspec.Struct, frozen=True):
    """What this system offers for holding on to a directory.

    Attributes:
        pinning: See `capability`.
        openat2: `available`; `missing`: an older kernel; `forbidden`: a sandbox. The last two cost time, not safety.
        handles: Whether the file system looked at gives handles that last.
        birth_times: Whether it keeps birth times. With neither, a deleted directory whose inode number was given out
            again is told apart by nothing.
        proc: Whether /proc tells the path of a descriptor.
    """

    pinning: Pinning
    openat2: Openat2State
    handles: bool
    birth_times: bool
    proc: bool


def capability(kernel: Kernel = KERNEL) -> Pinning:
    """How firmly this system can hold on to a recorded path.

    Returns:
        `full`: every component can be opened without following a link, with no more than search permission on the
        directories above: by openat2, or one by one with O_PATH, which is slower and as safe. `leaf_only`: there is no
        O_PATH, so directories above that may not be read cannot be checked (POSIX systems other than Linux; untested).
        `none`: names cannot be opened relative to a descriptor (Windows).
    """
    if not kernel.dir_fds:
        return "none"
    return "full" if kernel.has_o_path else "leaf_only"


def pinning_report(directory: AnyPath = b".", *, kernel: Kernel = KERNEL) -> PinningReport:
    """What this system, and the file system that `directory` is on, offer. Nothing is written.

    Ask about the directory that matters: a volume's topmost directory may lack a birth time that the others have.

    Raises:
        InvalidValueError: `directory` is not a path.
        ProjectPathError: The directory cannot be opened, as in `capture`.
    """
    given = path_bytes("directory", directory)
    if capability(kernel) == "none":
        return PinningReport("none", "missing", handles=False, birth_times=False, proc=False)
    with opened(kernel, given) as fd:
        return PinningReport(
            pinning=capability(kernel),
            openat2=kernel.openat2_state(),
            handles=lasting_handle(kernel, fd, kernel.fs_type(fd)) is not None,
            birth_times=kernel.statx(fd).birth_time_ns is not None,
            proc=resolve.proc_path(kernel, fd) is not None,
        )


def check_supported(kernel: Kernel, given: bytes) -> None:
    """Refuse `given` where no directory can be held open.

    Raises:
        ProjectPathError: `unsupported`.
    """
    if not kernel.dir_fds:
        raise refused(given, "unsupported", "this system cannot hold a directory open", "use a POSIX system")


@contextmanager
def opened(kernel: Kernel, given: bytes) -> Iterator[int]:
    """A descriptor for the directory that `given` names now, links followed; the block's system errors are refusals.

    Raises:
        ProjectPathError: As `capture` for what cannot be opened.
    """
    check_supported(kernel, given)
    with refusals(given), closing_fd(resolve.open_following(kernel, given)) as fd:
        yield fd


def lasting_handle(kernel: Kernel, fd: int, fs_type: int | None) -> FileHandle | None:
    """The file handle of an open directory, None where it does not outlive the mount.

    Raises:
        OSError: The file system failed.
    """
    # A FUSE handle is made of numbers that last as long as the mount: recorded, every remount would look like a swap.
    return None if fs_type == FUSE_SUPER_MAGIC else kernel.handle(fd)
