"""The refusal of a project directory: which verdict an error of the system becomes, and how it is worded.

Rules:
- The verdict is the stable word; the detail names the error number, so that nothing is lost.
- An error that nobody thought of is a refusal too (`inaccessible`), never a pass.
- Paths in errors are for people: bytes that are no UTF-8 are written as escapes. Control characters stay in; whoever
  prints must escape them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sessionstore.errors import InvalidValueError, ProjectPathError

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

SHORT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_MAY_PASS = SHORT_OF_RESOURCES | {errno.EIO, errno.ESTALE, errno.EACCES, errno.EAGAIN}
_VERDICTS = {
    errno.ENOENT: ("missing", "there is nothing under that name"),
    errno.ENOTDIR: ("not_a_directory", "it, or something on the way to it, is not a directory"),
    errno.ENAMETOOLONG: ("invalid_path", "the name is longer than the system allows"),
}


def path_bytes(what: str, path: AnyPath) -> bytes:
    """The path as the bytes that the system would be given, nothing changed.

    Raises:
        InvalidValueError: Not text, bytes or a path object; `what` names the argument.
        ProjectPathError: `invalid_path`: empty, with a NUL byte (C would cut it there), or with half a surrogate pair.
    """
    try:
        text = os.fspath(path)
    except TypeError as exc:
        reason = f"text, bytes or a path object is needed, not {type(path).__name__}"
        raise InvalidValueError(what=what, reason=reason) from exc
    try:
        raw = os.fsencode(text)
    except UnicodeEncodeError as exc:
        shown = exc.object.encode("utf-8", "backslashreplace")
        raise refused(shown, "invalid_path", "the file names of this system cannot hold that character") from exc
    if not raw or b"\0" in raw:
        raise refused(raw, "invalid_path", "a NUL byte cannot be part of a path" if raw else "it is empty")
    return raw


@contextmanager
def refusals(path: bytes) -> Iterator[None]:
    """Turns every `OSError` of the block into the refusal of `path`."""
    try:
        yield
    except OSError as exc:
        raise refusal(path, exc) from exc


def refusal(path: bytes, exc: OSError) -> ProjectPathError:
    """What an error of the system says about `path`."""
    number = exc.errno or 0
    name = errno.errorcode.get(number, f"error {number}")
    verdict, detail = _VERDICTS.get(number, ("inaccessible", name))
    if number in _MAY_PASS:
        return refused(path, verdict, f"{detail}, which may pass", "free the cause and try again")
    return refused(path, verdict, detail)


def refused(path: bytes, verdict: str, detail: str, hint: str | None = None) -> ProjectPathError:
    """The error to raise; without `hint` it has the general one."""
    return ProjectPathError(verdict=verdict, path=path.decode("utf-8", "backslashreplace"), detail=detail, hint=hint)
