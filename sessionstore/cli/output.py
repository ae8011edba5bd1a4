"""What reaches the terminal, and how. Every command prints through this room and nothing prints past it.

* stdout is for results, and for nothing else: a table or a value for people, one JSON value with `--json`.
* stderr is for everything else: notes, hints, errors, progress. A question goes there too, its answer comes from stdin.
* A table is drawn (with rich) only if stdout is a terminal; otherwise it is plain text in aligned columns, never cut.
* Colour and bold only on a terminal, and not with `NO_COLOR` set or `TERM=dumb`. Progress only if stderr is a terminal.
* Data never reaches a terminal raw: `escape` writes control characters out; JSON is printed in ASCII with JSON's own
  escapes. What the terminal's encoding cannot show is written as an escape, never an exception.
* Nobody is asked a question unless stdin and stderr are both terminals.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from sessionstore.cli.escape import escape


class OutputError(Exception):
    """A result could not be written: the disk behind stdout is full, or it was closed."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"cannot write the result: {cause.strerror or type(cause).__name__}")


def write(text: str) -> None:
    """Write a result as it is; what the encoding of stdout cannot hold is written as an escape.

    Raises:
        BrokenPipeError: The reader is gone.
        OutputError: The text could not be written for another reason.
    """
    with _failures():
        _put(_open(sys.stdout), text)


def write_bytes(data: bytes) -> None:
    """Write a document byte for byte to stdout.

    Raises:
        BrokenPipeError, OutputError: As for `write`.
    """
    with _failures():
        stream = _open(sys.stdout)
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()


def flush() -> None:
    """Make sure that what was written is out.

    Raises:
        BrokenPipeError, OutputError: As for `write`.
    """
    if sys.stdout is not None:
        with _failures():
            sys.stdout.flush()


def let_go() -> None:
    """Give up what stdout still holds and cannot get rid of, so that the end of the program does not fail over it."""
    try:
        flush()
    except (BrokenPipeError, OutputError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def line(text: str = "") -> None:
    """One line of a result; control characters in it are written out."""
    write(escape(text) + "\n")


def note(text: str, *, label: str = "note") -> None:
    """One line beside the result, on stderr: `note: …`, `hint: …`, `warning: …`."""
    say(f"{label}: {text}")


def say(text: str) -> None:
    """One line beside the result, on stderr, without a label."""
    say_lines(escape(text))


def say_lines(text: str) -> None:
    """Several lines beside the result, on stderr, behind what was written of it so far."""
    flush()
    complain(text)


def complain(text: str) -> None:
    """Several lines on stderr, whatever became of the result."""
    if sys.stderr is not None:  # Closed by whoever started us: nobody is to be told.
        _put(sys.stderr, "".join(f"{escape(part)}\n" for part in text.split("\n")))
        sys.stderr.flush()


def value(result: object) -> None:
    """The one JSON value of a command run with `--json`: ASCII, indented, ending in a line feed."""
    text = json.dumps(result, indent=2, default=_plain, allow_nan=False)
    write(text + "\n")


def encoded(result: object) -> bytes:
    """The same value for a program that this one starts, on one line."""
    return json.dumps(result, default=_plain, allow_nan=False).encode("ascii") + b"\n"


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Labels and their values, one a line, values aligned."""
    kept = list(rows)
    width = max((len(label) for label, _ in kept), default=0)
    for label, text in kept:
        line(f"{label:<{width}}  {text}".rstrip())


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is at the other end of that stream; None is a closed one."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def stdout_is_terminal() -> bool:
    """Whether a person looks at the result."""
    return is_terminal(sys.stdout)


def can_show(text: str, stream: TextIO | None = None) -> bool:
    """Whether stdout's encoding (or that stream's) has all characters of `text`."""
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def may_ask() -> bool:
    """Whether somebody is there to answer: stdin and stderr are terminals."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def ask(question: str) -> bool:
    """Ask a yes-or-no question on stderr; only `y` or `yes` is a yes, the end of input is a no."""
    flush()
    _put(sys.stderr, f"{escape(question)} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        _put(sys.stderr, "\n")
    return answer.strip().lower() in ("y", "yes")


def no_colour() -> bool:
    """Whether the person wants plain text, or the terminal can do no more."""
    return bool(os.environ.get("NO_COLOR")) or is_dumb()


def is_dumb() -> bool:
    """Whether the terminal knows no control sequences."""
    return os.environ.get("TERM") == "dumb"


def _put(stream: TextIO, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _open(stream: TextIO | None) -> TextIO:
    if stream is None:  # Closed by whoever started us.
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return stream


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(exc) from exc


def _plain(item: object) -> object:
    from datetime import datetime

    if isinstance(item, datetime):
        from sessionstore.model import format_time

        return format_time(item)
    if isinstance(item, bytes):
        return item.decode("utf-8", "backslashreplace")
    import msgspec

    if isinstance(item, msgspec.Struct):
        return {name: getattr(item, name) for name in item.__struct_fields__}
    if isinstance(item, (set, frozenset)):
        return sorted(item)
    raise TypeError(f"no JSON form for {type(item).__name__}")
