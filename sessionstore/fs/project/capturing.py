"""The record of a project directory: opened once, judged, and taken down as the kernel describes it.

Rules:
- The directory is opened first; everything recorded or judged is asked of that descriptor, nothing of the text.
- Refused: a directory owned by a stranger, or one that every user may write to, unless the caller vouches for it; one
  outside the roots that the caller allows; one that no path leads back to.
- Every refusal is a `ProjectPathError` with its verdict. A directory is never made, and the current one never stands
  in for a missing one.
- A record without identity says only what somebody called the directory.

Not promised: that the name still leads there later; that the contents are benign; what access-control lists allow
(only the twelve permission bits are looked at); who may change the directories above.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs import resolve
from sessionstore.fs.project.capabilities import capability, check_supported, lasting_handle, opened
from sessionstore.fs.project.judging import TRUST_WORDS, accepted_now, judge_access
from sessionstore.fs.syscalls import KERNEL, Kernel
from sessionstore.fs.verdicts import SHORT_OF_RESOURCES, AnyPath, path_bytes, refusals, refused
from sessionstore.model.records import ProjectRecord

_PERMISSION_BITS = 0o7777


def capture(
    path: AnyPath, *, allowed_roots: Sequence[AnyPath] = (), trust: Sequence[str] = (), kernel: Kernel = KERNEL
) -> ProjectRecord:
    """A record with the identity of the directory that `path` names now. Nothing is written.

    Links are followed and a relative path starts at the current directory, but neither stays: the record holds the
    canonical path. Safe in any thread.

    Args:
        path: The directory, in any spelling. The text is used as it is: no `~`, no percent-encoding, no folding.
        allowed_roots: Directories of which one must hold the project or be it; empty means no such demand. Opened the
            same way, but not judged.
        trust: What the caller vouches for: `foreign_owner`, `world_writable`. Recorded even if it was not needed.
        kernel: For tests on systems that lack something.

    Raises:
        InvalidValueError: An argument is of the wrong kind, or a word of `trust` is unknown.
        ProjectPathError: With the verdict
            `invalid_path`: empty, with a NUL byte, not expressible in bytes, or too long.
            `missing`: nothing there, or the directory was deleted while something held it open.
            `not_a_directory`: a file, FIFO, socket or device, or one on the way.
            `inaccessible`: the system refused; the detail names the error number and says where trying again may help.
            `replaced`: no path leads back to what was opened (moved meanwhile, mounted over, outside a chroot).
            `foreign_owner`: owned by somebody other than this user, root, or under sudo the user who called it.
            `world_writable`: others may write to it, and it has no sticky bit. Write permission for the group is fine.
            `outside_allowed_roots`: in none of the allowed roots.
            `unsupported`: this system cannot hold a directory open (Windows).
    """
    given = path_bytes("project", path)
    words = _check_trust(trust)
    if isinstance(allowed_roots, str | bytes | os.PathLike):
        raise InvalidValueError(what="allowed_roots", reason="a collection of paths is needed, not one path")
    roots = tuple(dict.fromkeys(_canonical_root(kernel, path_bytes("allowed_roots", root)) for root in allowed_roots))
    with opened(kernel, given) as fd:
        status = os.fstat(fd)
        canonical = _canonical(kernel, fd, given)
        fs_type = kernel.fs_type(fd)
        handle = lasting_handle(kernel, fd, fs_type)
        record = ProjectRecord(
            path=canonical,
            given_path=given,
            inode=status.st_ino,
            handle=handle.value if handle else None,
            handle_type=handle.type if handle else None,
            birth_time_ns=kernel.statx(fd).birth_time_ns,
            fs_type=fs_type,
            device=status.st_dev,
            fsid=os.fstatvfs(fd).f_fsid,
            owner_uid=status.st_uid,
            owner_gid=status.st_gid,
            mode=status.st_mode & _PERMISSION_BITS,
            allowed_roots=roots,
            trust=words,
            capability=capability(kernel),
        )
    judge_access(record, status.st_uid, status.st_mode, accepted_now())
    return record


def stated(path: AnyPath) -> ProjectRecord:
    """A record without identity: the path as somebody stated it, neither opened nor changed.

    Raises:
        InvalidValueError: `path` is not a path.
        ProjectPathError: `invalid_path`: empty, with a NUL byte, or not expressible in bytes.
    """
    given = path_bytes("project", path)
    return ProjectRecord(path=given, given_path=given)


def capture_or_state(path: AnyPath, *, kernel: Kernel = KERNEL) -> ProjectRecord:
    """`capture` where it can be had, else `stated`; for data from elsewhere, such as a transcript.

    Every refusal of the directory ends in a record without identity. A relative path does too: it meant a directory on
    the way of whoever wrote it, not one below ours.

    Raises:
        InvalidValueError: `path` is not a path.
        ProjectPathError: `invalid_path`: empty, with a NUL byte, or not expressible in bytes. `inaccessible`: this
            process or system is short of descriptors or memory (EMFILE, ENFILE, ENOMEM), which says nothing about the
            directory.
    """
    record = stated(path)
    if not record.path.startswith(b"/"):
        return record
    try:
        return capture(record.path, kernel=kernel)
    except ProjectPathError as exc:
        if isinstance(exc.__cause__, OSError) and exc.__cause__.errno in SHORT_OF_RESOURCES:
            raise
        return record


def ancestry(path: AnyPath = b".", *, kernel: Kernel = KERNEL) -> tuple[tuple[int, int], ...]:
    """(device, inode) of a directory and of each one above it, nearest first, `/` last.

    Raises:
        InvalidValueError: `path` is not a path.
        ProjectPathError: As `capture` for what cannot be opened: `invalid_path`, `missing`, `not_a_directory`,
            `inaccessible` (also where a directory above may not be searched), `unsupported`.
    """
    given = path_bytes("path", path)
    check_supported(kernel, given)
    with refusals(given):
        return resolve.ancestry(kernel, given)


def _canonical_root(kernel: Kernel, given: bytes) -> bytes:
    with opened(kernel, given) as fd:
        return _canonical(kernel, fd, given)


def _canonical(kernel: Kernel, fd: int, given: bytes) -> bytes:
    if os.fstat(fd).st_nlink == 0:
        raise refused(given, "missing", "the directory was deleted and is only held open")
    path = resolve.canonical_path(kernel, fd, given)
    if path is None:
        raise refused(given, "replaced", "no path leads back to the directory that was opened")
    return path


def _check_trust(trust: Sequence[str]) -> tuple[str, ...]:
    if isinstance(trust, str):
        raise InvalidValueError(what="trust", reason="a collection of words is needed, not one string")
    if any(word not in TRUST_WORDS for word in trust):
        raise InvalidValueError(what="trust", reason=f"only {' and '.join(TRUST_WORDS)} can be vouched for")
    return tuple(dict.fromkeys(trust))
