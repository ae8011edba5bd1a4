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

_NAMES = "`sessionstore list --all` names them, each with the reason"
# What to type for sessions that cannot be opened, by code.
_MENDS = {
    "invalid_signature": "restore them from a backup, or `sessionstore repair ID --keep-verified` for what is good",
    "rollback": "`sessionstore rebase-heads --dry-run` shows both revisions and the command for each",
    "fork": "`sessionstore rebase-heads --dry-run` shows both revisions and the command for each",
    "missing": "put the files back from a backup, or give them up with `sessionstore delete ID`",
    "resurrected": "`sessionstore repair ID` moves the file of a deleted session away",
    "unanchored": "copies are no sessions; for a lost record: `sessionstore adopt ID --sealed --dry-run`",
    "key_disabled": "restore files that were saved since the key was changed, or key, ledger and files of one moment",
    "unknown_key": "bring the key over; for a key that is lost: `sessionstore adopt ID --sealed --dry-run`",
    "wrong_session": "put the files back under their own names; `sessionstore inspect ID --unverified` shows one",
    "signature_stripped": "restore the sealed files from a backup",
    "legacy_modified": "restore the original files from a backup",
    "unsigned_unknown": "find out where they come from; `sessionstore adopt ID --dry-run` shows what one holds",
    "unsigned_refused": "`sessionstore migrate` signs them; the policy opens none before that",
    "too_large": "raise max_session_bytes, or `sessionstore delete ID`",
    "unsafe_file": "move them away by hand; links and other users' files are never followed",
    "unsupported_version": "open them with the release that wrote them, or a newer one",
    "malformed": "open them with the release that wrote them, or a newer one",
    "invalid_id": "move the files away: their names are no session ids",
}


def mend_sessions(code: str) -> str:
    """What mends sessions that cannot be opened for that reason, with the command where there is one."""
    mend = _MENDS.get(code)
    return _NAMES if mend is None else f"{mend}; {_NAMES}"


def counted(count: int, what: str) -> str:
    """`1 event`, `2 events`."""
    return f"{count:,} {what}" + "s" * (count != 1)


class Finding(msgspec.Struct, frozen=True):
    """What was found about one part of the store.

    Attributes:
        check: Which part: `settings`, `rate limits`, `data directory`, `state directory`, `key`, `ledger`, `store`,
            `sessions`, `unsigned files`, `audit log`, `session files`, `project pinning`.
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
