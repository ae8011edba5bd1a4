"""The files of a ledger, judged and moved by name only. See `database`: nobody but SQLite may open them.

Rules: an ordinary file of ours with one link and nothing for group or others; so are the files that SQLite keeps
beside it. A new ledger is built under another name and gets its own, by a rename that never replaces, when it is
whole.
"""

from __future__ import annotations

import os
import stat

from sessionstore.errors import LedgerCorruptError, LedgerMissingError, StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.fs.refusal import foreign, kind_of, unavailable
from sessionstore.fs.rename import rename_new

NAME = "ledger.db"
NEW = "ledger.db.new"
WAL = "-wal"
_BESIDE = (WAL, "-shm", "-journal")


def exists(state: Directory) -> bool:
    """Whether the state directory holds a ledger, or a part of one: a log without its database is still a trace."""
    return any(state.stat(NAME + suffix) is not None for suffix in ("", *_BESIDE))


def is_there(state: Directory) -> bool:
    """Whether the database itself is there; what SQLite left beside one that is gone does not count."""
    return state.stat(NAME) is not None


def clear_traces(state: Directory) -> None:
    """Remove what SQLite kept beside a database that is gone: no other one can use it."""
    for suffix in _BESIDE:
        if not is_there(state) and state.stat(NAME + suffix) is not None:
            state.unlink(NAME + suffix)


def judge_files(state: Directory, name: str) -> os.stat_result:
    """The state of the database file, if it and all beside it are safe to use.

    Raises:
        LedgerMissingError: There is no such file.
        LedgerCorruptError: One of them is no ordinary file, linked, another user's, or open to others.
    """
    path = os.path.join(state.path, name)
    status = state.stat(name)
    if status is None:
        raise LedgerMissingError(path=path)
    _judge(path, name, status)
    for suffix in _BESIDE:
        beside = state.stat(name + suffix)
        if beside is not None:
            _judge(path, name + suffix, beside)
    return status


def _judge(path: str, name: str, status: os.stat_result) -> None:
    reason = hint = None
    if not stat.S_ISREG(status.st_mode):
        reason = f"it is {kind_of(status.st_mode)}"
    elif foreign(status.st_uid):
        reason = foreign(status.st_uid)
    elif status.st_nlink > 1:
        reason = f"it has {status.st_nlink} links"
    elif status.st_mode & 0o077:
        reason = f"others may read or write it (mode {stat.S_IMODE(status.st_mode):04o})"
        hint = "if nobody else can have changed it: chmod 600 the file"
    if reason is not None:
        raise LedgerCorruptError(path=path, reason=f"{name}: {reason}", hint=hint)


def start(state: Directory) -> None:
    """Make the empty file of a new ledger, private before SQLite ever sees it; a killed first start's is removed.

    Raises:
        StoreUnavailableError: There is a ledger already, or the kernel refused.
    """
    if exists(state):
        raise StoreUnavailableError(reason="there is a ledger already", outcome="not_written")
    for suffix in ("", *_BESIDE):
        if state.stat(NEW + suffix) is not None:
            state.unlink(NEW + suffix)
    state.create(NEW, b"")


def place(state: Directory) -> None:
    """Give the new ledger, which is closed, its name, durably.

    Raises:
        StoreUnavailableError: There is a ledger already, or the kernel refused.
    """
    if state.stat(NEW + WAL) is not None:
        # SQLite says nothing when it cannot bring its log home on closing.
        raise StoreUnavailableError(reason="the new ledger could not be finished", outcome="not_written")
    try:
        rename_new(state.fd, NEW, NAME)
    except OSError as exc:
        raise unavailable(exc, NAME) from exc
    state.sync(outcome_of=NAME)


def tidy(state: Directory) -> None:
    """Finish `place` where the kernel could only link and the process was killed in between."""
    placed, new = state.stat(NAME), state.stat(NEW)
    if placed is not None and new is not None and os.path.samestat(placed, new):
        state.unlink(NEW)
