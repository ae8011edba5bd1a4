"""What a check-up says, and the judgements that need nothing but values: places, limits, pinning."""

from __future__ import annotations

import shlex
from typing import Literal

import msgspec

from sessionstore.config import Config
from sessionstore.fs.mount import FileSystemKind
from sessionstore.fs.project import PinningReport

Level = Literal["ok", "note", "problem"]

PRIVATE_BITS = 0o077


class Finding(msgspec.Struct, frozen=True):
    """What was found about one part of the store.

    Attributes:
        check: Which part: `settings`, `rate limits`, `data directory`, `state directory`, `key`, `ledger`, `store`,
            `sessions`, `audit log`, `session files`, `project pinning`.
        level: `ok`; `note`: worth knowing, nothing to do; `problem`: something does not work or is not safe.
        code: The code of the error behind it, or "".
        text: What was found, in one line.
        mend: The command or act that mends it, or "".
    """

    check: str
    level: Level
    code: str
    text: str
    mend: str = ""


def judge_place(check: str, path: str, kind: FileSystemKind, mode: int, *, strict: bool) -> Finding:
    """What is to be said of a directory that can be opened.

    Args:
        check: Which part.
        path: Where it is.
        kind: The file system it lies on.
        mode: Its permission bits.
        strict: Whether it is the state directory, which needs locks that a network file system does not keep.
    """
    if kind.network and strict:
        mend = "set state_dir to a directory on a local disk"
        return Finding(check, "problem", "", f"{path} is on a network file system ({kind.name})", mend)
    if mode & PRIVATE_BITS:
        text = f"{path}: others may look into it (mode {mode:04o})"
        return Finding(check, "problem", "", text, f"chmod 700 {shlex.quote(path)}")
    if kind.network:
        text = f"{path} is on a network file system ({kind.name}): use it from one machine only"
        return Finding(check, "note", "", text)
    return Finding(check, "ok", "", f"{path} ({kind.name}, mode {mode:04o})")


def judge_limits(config: Config) -> Finding:
    """What is to be said of the limits of resuming."""
    limits = {"one session": config.resume_limit, "all sessions": config.resume_global_limit}
    text = "; ".join(f"{whose}: {limit or 'no limit'}" for whose, limit in limits.items())
    text = f"resumes within {config.resume_window_seconds} s: {text}"
    return Finding("rate limits", "ok" if all(limits.values()) else "note", "", text)


def judge_pinning(report: PinningReport) -> Finding:
    """What is to be said of the means to hold on to a project directory."""
    handles, times = ("yes" if has else "no" for has in (report.handles, report.birth_times))
    text = f"{report.pinning} (openat2 {report.openat2}; file handles {handles}; birth times {times})"
    if report.pinning == "none":
        text += ": sessions with a project cannot be resumed on this system"
    elif not report.handles and not report.birth_times:
        text += ": a directory that was deleted and made again here may look like the same one"
    else:
        return Finding("project pinning", "ok", "", text)
    return Finding("project pinning", "note", "", text)
