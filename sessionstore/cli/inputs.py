"""Files and streams that a command is given to read or to write: opened, read up to a cap, refused in our words."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import click

from sessionstore.cli import exits, output

STDIN = "-"
MAX_PASSPHRASE_BYTES = 4096

_Function = TypeVar("_Function", bound=Callable[..., object])


class InputError(click.ClickException):
    """A file that was named cannot be used; ends like wrong usage."""

    exit_code = exits.USAGE


@contextlib.contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """The file of that name, or stdin for `-`, to read bytes from.

    Raises:
        InputError: It is missing, a directory, or may not be read.
    """
    if name == STDIN:
        if sys.stdin is None:
            raise InputError("cannot read from stdin: it is closed")
        if output.is_terminal(sys.stdin):
            output.say("reading from the terminal; end with Ctrl-D on a line of its own")
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below, whatever the block does
    except (OSError, ValueError) as exc:
        raise InputError(f"cannot read {name}: {reason(exc)}") from exc
    with file:
        yield file


@contextlib.contextmanager
def opened_to_seek(name: str, max_bytes: int) -> Iterator[BinaryIO]:
    """The file of that name, able to seek; what cannot seek (stdin, a pipe) is read into memory first.

    Raises:
        TooLargeError: There are more than `max_bytes` bytes in what had to be read into memory.
        InputError: It is missing, a directory, or may not be read.
    """
    with opened(name) as file:
        if file.seekable():
            yield file
        else:
            yield io.BytesIO(read_all(file, name, max_bytes))


def read_up_to(name: str, max_bytes: int, *, setting: str) -> bytes:
    """The whole content of a file or of stdin (`-`); `setting` raises the cap, "" where it is fixed.

    Raises:
        TooLargeError: There are more than `max_bytes` bytes; no more than that was read.
    """
    with opened(name) as file:
        return read_all(file, name, max_bytes, setting=setting)


def read_all(file: BinaryIO, name: str, max_bytes: int, *, setting: str = "max_session_bytes") -> bytes:
    """What is left of an opened file.

    Raises:
        TooLargeError: There are more than `max_bytes` bytes; no more than that was read.
    """
    from sessionstore.errors import TooLargeError

    try:
        data = file.read(max_bytes + 1)
    except OSError as exc:
        raise InputError(f"cannot read {name}: {reason(exc)}") from exc
    if len(data) > max_bytes:
        raise TooLargeError(what="file", size_bytes=len(data), limit_bytes=max_bytes, setting=setting)
    return data


def read_line(stream: BinaryIO, name: str, max_bytes: int) -> bytes:
    """The next line with its end, at most `max_bytes` of it; empty at the end of the file."""
    try:
        return stream.readline(max_bytes)
    except OSError as exc:
        raise InputError(f"cannot read {name}: {reason(exc)}") from exc


def read_passphrase(name: str | None) -> str | None:
    """The first line of the file (or of stdin for `-`) without its end; None if no file was named.

    A passphrase never comes from an argument: other users see the arguments of every process.
    """
    if name is None:
        return None
    first = read_up_to(name, MAX_PASSPHRASE_BYTES, setting="").split(b"\n", 1)[0].removesuffix(b"\r")
    try:
        passphrase = first.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InputError("the passphrase file is not UTF-8 text") from exc
    if not passphrase:
        raise InputError("the first line of the passphrase file is empty")
    return passphrase


def passphrase_options(function: _Function) -> _Function:
    """Give a command `--passphrase-file` and `--passphrase-fd`, as `passphrase_file` and `passphrase_fd`."""
    function = click.option(
        "--passphrase-fd", metavar="N", type=click.IntRange(min=0), help="Read the passphrase from descriptor N."
    )(function)
    return click.option(
        "--passphrase-file",
        metavar="FILE",
        type=click.Path(dir_okay=False, allow_dash=True),
        help="The passphrase is the first line of FILE (- is stdin). Without it you are asked.",
    )(function)


def asked_passphrase(file: str | None, fd: int | None, *, twice: bool) -> str:
    """The passphrase from a file, a descriptor, or the terminal, where it is not shown.

    Raises:
        InputError: It cannot be read, or nobody is there to be asked.
    """
    if file is not None and fd is not None:
        raise click.UsageError("--passphrase-file and --passphrase-fd exclude each other")
    given = read_passphrase(file if fd is None else f"/dev/fd/{fd}")
    if given is not None:
        return given
    if not output.may_ask():
        raise click.UsageError("without a terminal, --passphrase-file or --passphrase-fd is needed")
    asked: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
    return asked


def write_new(name: str, data: bytes) -> None:
    """Write `data` into a new file that only its owner can read; a file that exists is never replaced."""
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise InputError(f"{name} exists already and is not replaced") from exc
    except (OSError, ValueError) as exc:
        raise InputError(f"cannot write {name}: {reason(exc)}") from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise output.OutputError(exc) from exc


def reason(exc: Exception) -> str:
    """Why the system refused, in its words and lower case."""
    text = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return text[:1].lower() + text[1:]
