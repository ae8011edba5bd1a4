"""Opening a recorded project directory again, and holding on to it.

Rules:
- The canonical path is opened once, no link followed in any component. Everything after that is asked of the
  descriptor.
- What the second look for the wording of a refusal finds never makes anything accepted.
- Every refusal is a `ProjectPathError` with its verdict. A directory is never made, and the current one never stands
  in for a missing one.

Not promised: a time limit. A name on a network file system whose server is gone waits as long as the kernel waits.
"""

from __future__ import annotations

import os

from sessionstore.fs.project.capabilities import check_supported
from sessionstore.fs.project.judging import accepted_now, judge, loose_ancestor
from sessionstore.fs.project.root import ProjectRoot, open_recorded
from sessionstore.fs.syscalls import KERNEL, Kernel
from sessionstore.fs.verdicts import refusal, refused
from sessionstore.model.records import ProjectRecord
from sessionstore.model.session import LoadWarning


def pin(record: ProjectRecord, *, strict: bool = False, kernel: Kernel = KERNEL) -> ProjectRoot:
    """The recorded project directory, held open, if what stands under its name is still that directory.

    Safe in any thread. Opens nothing but directories, and reads none of them.

    Args:
        record: As `capture` made it.
        strict: Refuse a directory above it that somebody else may change, instead of warning.
        kernel: For tests on systems that lack something.

    Returns:
        The directory; close it. Its `warnings` are of these:
        `device_changed`: the same directory on a device with another number, as after a remount.
        `weak_identity`: nothing but inode number and device could be compared.
        `ancestor_writable`: somebody else may put another directory in the place of one above it.
        `alias_moved`: the spelling that was given at save now leads elsewhere, or nowhere.

    Raises:
        ProjectPathError: With the verdict
            `unsupported`: this system cannot hold a directory open (Windows).
            `no_identity`: the record only states a path; bind it first.
            `invalid_path`: the recorded path is not canonical, or a name is longer than the system allows.
            `missing`: nothing there, or the directory was deleted in this moment.
            `not_a_directory`: it, or something on the way, is something else; the detail names it.
            `symlink`: it, or something on the way, is a symbolic link; the detail names it.
            `inaccessible`: the system refused; the detail names the error number and says where trying again may help.
            `replaced`: another directory has that name now.
            `owner_changed`: it belongs to somebody else than when it was saved.
            `foreign_owner`: it belongs to neither this user nor root nor, under sudo, the user who called it.
            `permissions_widened`: group or others may write to it and could not when it was saved.
            `world_writable`: others may write to it, and it has no sticky bit (any more).
            `outside_allowed_roots`: in none of the recorded roots.
            `unsafe_ancestor`: only if `strict`.
    """
    check_supported(kernel, record.path)
    if not record.has_identity:
        detail = "the session only states this path; no directory was ever opened"
        raise refused(record.path, "no_identity", detail, "look at the directory, then rebind the session to it")
    fd = open_recorded(kernel, record)
    try:
        owners = accepted_now()
        judged = judge(kernel, fd, record, owners, strict=strict)
        warnings = judged.warnings + _surroundings(kernel, fd, record, owners, strict)
        return ProjectRoot(kernel, fd, record, judged.identity, strict=strict, warnings=warnings)
    except OSError as exc:
        os.close(fd)
        raise refusal(record.path, exc) from exc
    except BaseException:
        os.close(fd)
        raise


def _surroundings(
    kernel: Kernel, fd: int, record: ProjectRecord, owners: frozenset[int], strict: bool
) -> tuple[LoadWarning, ...]:
    warnings: tuple[LoadWarning, ...] = ()
    if not strict and (found := loose_ancestor(kernel, fd, record, owners, strict=False)):
        text = f"somebody else can put another directory in the place of one above the project: {found}"
        warnings += (LoadWarning("ancestor_writable", text),)
    if _alias_moved(fd, record):
        shown = record.given_path.decode("utf-8", "backslashreplace")
        text = f"the name that was given when the session was saved no longer leads to its project: {shown}"
        warnings += (LoadWarning("alias_moved", text),)
    return warnings


def _alias_moved(fd: int, record: ProjectRecord) -> bool:
    # A relative spelling started at a directory that nobody recorded.
    if record.given_path == record.path or not record.given_path.startswith(b"/"):
        return False
    try:
        return not os.path.samestat(os.stat(record.given_path), os.fstat(fd))
    except OSError:
        return True
