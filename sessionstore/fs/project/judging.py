"""Whether an open directory is the one that was recorded, and one that may be used: the judge.

Rules:
- One judge, the same when a session is resumed and when its start is committed. It asks an open descriptor, never a
  name.
- Identity is the inode number and one thing more: the file handle, else the birth time, else the device. The first of
  these that can be compared decides; a later one never outweighs it.
- What was recorded is the measure for owner and mode: tightened or equal is fine, wider is refused.
- The first thing that is wrong is the verdict. Nothing is repaired, nothing is asked twice until it fits.

Not promised: what access-control lists allow (only the permission bits are looked at); that the contents are benign.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs import resolve
from sessionstore.fs.syscalls import FileHandle, Kernel, closing_fd
from sessionstore.fs.verdicts import refused
from sessionstore.model.records import ProjectRecord
from sessionstore.model.session import LoadWarning

FOREIGN_OWNER = "foreign_owner"
WORLD_WRITABLE = "world_writable"
TRUST_WORDS = (FOREIGN_OWNER, WORLD_WRITABLE)

OVERLAYFS_SUPER_MAGIC = 0x794C7630

_GROUP_WRITES, _OTHERS_WRITE, _STICKY = 0o0020, 0o0002, 0o1000
_SHARED_WRITE = _GROUP_WRITES | _OTHERS_WRITE
# `..` so many times is still shorter than the longest path that the kernel takes.
_LEVELS_AT_ONCE = 1000
_UP = tuple(b"../" * level for level in range(33))

WEAK_IDENTITY = LoadWarning(
    "weak_identity",
    "only inode number and device tell the project directory from another one: its file system has neither handles "
    "nor lasting birth times, or they could not be asked for",
)
DEVICE_CHANGED = LoadWarning(
    "device_changed", "the project directory is the one that was saved, on a device with another number: a remount"
)


class Identity(NamedTuple):
    """What must not differ between the directory held open and the one that the recorded name leads to."""

    inode: int
    device: int
    mount_id: int | None
    handle: FileHandle | None


class Judgement(NamedTuple):
    """What was accepted, and what a person should know about it."""

    identity: Identity
    warnings: tuple[LoadWarning, ...]


def judge(
    kernel: Kernel,
    fd: int,
    record: ProjectRecord,
    owners: frozenset[int],
    *,
    strict: bool,
    held: Identity | None = None,
) -> Judgement:
    """Accept the open directory `fd` as the recorded one, or refuse it.

    Args:
        kernel: The system to ask.
        fd: The open directory.
        record: With identity.
        owners: See `accepted_owners`.
        strict: Refuse directories above it that others may change.
        held: What this very descriptor was recognised by before. Inode, device, mount and handle of an open directory
            stay as they are; whether it is still linked, its owner and its mode are asked again.

    Raises:
        ProjectPathError: `missing`, `replaced`, `owner_changed`, `foreign_owner`, `permissions_widened`,
            `world_writable`, `outside_allowed_roots`, `unsafe_ancestor`; see `pin`.
        OSError: The descriptor could not be asked.
    """
    status = os.fstat(fd)
    if status.st_nlink == 0:
        raise refused(record.path, "missing", "the directory was deleted and is only held open")
    warnings: tuple[LoadWarning, ...] = ()
    if held is None:
        handle, mount_id = kernel.handle_on_mount(fd)
        held = Identity(status.st_ino, status.st_dev, mount_id, handle)
        warnings = _recognise(kernel, fd, held, record)
    uid, mode = status.st_uid, status.st_mode
    if uid != record.owner_uid:
        raise refused(record.path, "owner_changed", f"it belonged to user {record.owner_uid} and now to user {uid}")
    if widened := mode & _SHARED_WRITE & ~(record.mode or 0):
        who = (
            "the group and others" if widened == _SHARED_WRITE else "others" if widened & _OTHERS_WRITE else "the group"
        )
        hint = "chmod it back, or rebind the session to accept its new mode"
        raise refused(record.path, "permissions_widened", f"mode {mode & 0o7777:04o}: {who} may write now", hint)
    judge_access(record, uid, mode, owners)
    if strict and (found := loose_ancestor(kernel, fd, record, owners, strict=True)):
        hint = "close that directory to others, or do not ask for the strict policy"
        raise refused(record.path, "unsafe_ancestor", found, hint)
    return Judgement(held, warnings)


def judge_access(record: ProjectRecord, uid: int, mode: int, owners: frozenset[int]) -> None:
    """Refuse a directory that a stranger owns, that everybody may change, or that lies elsewhere than allowed.

    Args:
        record: For path, roots and trust.
        uid: Who owns the open directory.
        mode: Its `st_mode`.
        owners: See `accepted_owners`.

    Raises:
        ProjectPathError: `foreign_owner`, `world_writable`, `outside_allowed_roots`.
    """
    if uid not in owners and FOREIGN_OWNER not in record.trust:
        hint = f"if you know that user and mean it, vouch for it: trust {FOREIGN_OWNER}"
        raise refused(record.path, FOREIGN_OWNER, f"it belongs to user {uid}", hint)
    if mode & _OTHERS_WRITE and not mode & _STICKY and WORLD_WRITABLE not in record.trust:
        hint = f"chmod o-w the directory, or vouch for it: trust {WORLD_WRITABLE}"
        raise refused(record.path, WORLD_WRITABLE, f"mode {mode & 0o7777:04o}: every user may write to it", hint)
    if record.allowed_roots and not _is_allowed(record):
        raise refused(record.path, "outside_allowed_roots", "it lies in none of the directories that were allowed")


def accepted_now() -> frozenset[int]:
    """`accepted_owners` of this process."""
    return accepted_owners(os.geteuid(), os.environ)


def accepted_owners(euid: int, environ: Mapping[str, str]) -> frozenset[int]:
    """The user ids whose directories need no vouching: this user, root, and under sudo the user who called it."""
    caller = environ.get("SUDO_UID", "") if euid == 0 else ""
    return frozenset({0, int(caller)} if caller.isascii() and caller.isdigit() else {0, euid})


def loose_ancestor(
    kernel: Kernel, fd: int, record: ProjectRecord, owners: frozenset[int], *, strict: bool
) -> str | None:
    """Which directory above the open one somebody else can put another in the place of, and why; None if none.

    It belongs to a stranger, or others may write to it and it is not sticky. A group with the number of the owner
    counts as the owner's own, which many systems give everybody, unless `strict`. What cannot be looked at counts too.
    """
    levels = record.path.count(b"/") if record.path != b"/" else 0
    known = owners | {record.owner_uid} if FOREIGN_OWNER in record.trust else owners
    level, why = _first_loose(kernel, fd, levels, known, strict)
    if not why:
        return None
    shown = record.path.rsplit(b"/", level)[0] or b"/"
    return f"{shown.decode('utf-8', 'backslashreplace')}: {why}"


def _recognise(kernel: Kernel, fd: int, found: Identity, record: ProjectRecord) -> tuple[LoadWarning, ...]:
    if found.inode != record.inode:
        raise _replaced(record, "its inode number is another")
    moved = () if found.device == record.device else (DEVICE_CHANGED,)
    other_kind = False
    if record.handle is not None and found.handle is not None:
        recorded = (record.handle_type, record.handle)
        if found.handle == recorded:
            return moved
        # A file system that learns to make handles of the better kind gives those first; the old ones are still there.
        again = found.handle if found.handle.type == record.handle_type else kernel.identifying_handle(fd)
        if again == recorded:
            return moved
        if again is not None and again.type == record.handle_type:
            raise _replaced(record, "its file handle is another")
        other_kind = True
    # overlayfs tells the birth time of the lower directory until somebody writes, then that of the copy. And whoever
    # mounts a file system of his own over the project (FUSE) chooses the birth times in it.
    is_told = record.fs_type != OVERLAYFS_SUPER_MAGIC and kernel.fs_type(fd) == record.fs_type
    born_ns = kernel.statx(fd).birth_time_ns if is_told else None
    if record.birth_time_ns is not None and born_ns is not None:
        if record.birth_time_ns == born_ns:
            return moved
        raise _replaced(record, "it was made at another time")
    # A handle that is there and is not the recorded one is never outweighed by the device alone.
    if moved or other_kind:
        raise _replaced(record, "neither file handle nor birth time nor device say that it is the same")
    return (WEAK_IDENTITY,)


def _is_allowed(record: ProjectRecord) -> bool:
    try:
        return any(resolve.is_inside(record.path, root) for root in record.allowed_roots)
    except InvalidValueError:
        return False  # a root that is not canonical says nothing about what lies in it


def _replaced(record: ProjectRecord, how: str) -> ProjectPathError:
    detail = f"another directory has the name of the one that was saved: {how}"
    return refused(record.path, "replaced", detail, "if you put it there, rebind the session to it")


def _first_loose(kernel: Kernel, fd: int, levels: int, known: frozenset[int | None], strict: bool) -> tuple[int, str]:
    for level in range(1, min(levels, _LEVELS_AT_ONCE) + 1):
        try:
            status = os.stat(_UP[level] if level < len(_UP) else b"../" * level, dir_fd=fd)
        except OSError as exc:
            return level, f"it could not be looked at ({errno.errorcode.get(exc.errno or 0, exc.errno)})"
        uid, mode = status.st_uid, status.st_mode
        if uid not in known:
            return level, f"it belongs to user {uid}"
        if mode & _SHARED_WRITE and not mode & _STICKY:
            if mode & _OTHERS_WRITE:
                return level, f"mode {mode & 0o7777:04o}: every user may write to it"
            if strict or status.st_gid != uid:
                return level, f"mode {mode & 0o7777:04o}: group {status.st_gid} may write to it"
    if levels <= _LEVELS_AT_ONCE:
        return 0, ""
    with closing_fd(os.open(b"../" * _LEVELS_AT_ONCE, kernel.directory_flags, dir_fd=fd)) as above:
        level, why = _first_loose(kernel, above, levels - _LEVELS_AT_ONCE, known, strict)
    return level + _LEVELS_AT_ONCE, why
