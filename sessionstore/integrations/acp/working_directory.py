"""Whether the `cwd` of a request is that of the session.

The protocol wants it absolute and equal to the session's. Only texts are compared here, so that a request cannot make
the agent wait for a file system: with the canonical path of the signed record, and with the spelling that the client
used when the session was made, as long as that still leads to the same directory (the resume has looked).

What the comparison does not decide: whether the directory is the recorded one. The resume pins it, whatever `cwd` says.
"""

from __future__ import annotations

import os

from sessionstore.errors import InvalidValueError
from sessionstore.model import LoadWarning, Session


def check_absolute(cwd: str) -> None:
    """Return if it is an absolute path.

    Raises:
        InvalidValueError: It is not.
    """
    if not os.path.isabs(cwd):
        raise InvalidValueError(what="cwd", reason="an absolute path is needed")


def check_same(session: Session, cwd: str, warnings: tuple[LoadWarning, ...] = ()) -> None:
    """Return if `cwd` names the session's project.

    Args:
        session: Verified.
        cwd: As the client gave it; slashes at its end do not count.
        warnings: Of the resume, if there was one.

    Raises:
        InvalidValueError: It names another directory, or the session has no project.
    """
    check_absolute(cwd)
    record = session.project
    if record is None:
        raise InvalidValueError(what="cwd", reason="this session has no project directory")
    accepted = {_plain(os.fsdecode(record.path)), _plain(record.display_path)}
    if "alias_moved" not in {warning.code for warning in warnings}:
        accepted.add(_plain(os.fsdecode(record.given_path)))
    if _plain(cwd) not in accepted:
        raise InvalidValueError(what="cwd", reason="it is not the directory of this session")


def _plain(path: str) -> str:
    return path.rstrip("/") or "/"
