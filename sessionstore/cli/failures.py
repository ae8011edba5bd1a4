"""How a failure looks, whatever failed: our own refusal, wrong usage, Ctrl-C, a closed pipe, or a defect.

For people, on stderr: `sessionstore: error[code]: what went wrong`, then `hint: …` lines. With `--json`, on stdout, the
one value `{"error": {"code", "message", "hint", …fields}}`. Codes of our own errors are those of `sessionstore.errors`;
beside them there are `usage`, `declined`, `interrupted`, `output`, `command_not_found`, `command_not_started` and
`internal`. A traceback is shown only with `--debug`.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from sessionstore.cli import exits, output
from sessionstore.cli.escape import escape
from sessionstore.errors import SessionStoreError

_JSON_FLAG = "sessionstore.json"
_DEBUG_FLAG = "sessionstore.debug"
_ARGUMENTS = "sessionstore.arguments"


class Failure(NamedTuple):
    """One failure in the form that is printed.

    Attributes:
        code: The stable word for it.
        message: One sentence, lower case, no full stop.
        hint: What to do, one a line, or "".
        fields: Particulars for programs.
    """

    code: str
    message: str
    hint: str = ""
    fields: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def as_json(self) -> dict[str, Any]:
        """The object for programs."""
        return {"code": self.code, "message": self.message, "hint": self.hint, **self.fields}


class Declined(click.ClickException):
    """The person said no, or nothing was there to be done; nothing was changed."""


class NotStarted(Exception):
    """The command behind `--` could not be started; nothing of it ran.

    Attributes:
        program: What was to be started.
        code: `command_not_found` or `command_not_started`.
        hint: What to do, or "".
    """

    def __init__(self, program: str, reason: str, *, code: str = "command_not_started", hint: str = "") -> None:
        super().__init__(f"cannot start {program!r}: {reason}")
        self.program = program
        self.code = code
        self.hint = hint


def remember(ctx: click.Context, arguments: list[str]) -> None:
    """Keep the raw arguments, so that a failure to parse them is still answered in JSON if JSON was asked for."""
    ctx.meta[_ARGUMENTS] = tuple(arguments)


def set_json(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    """Callback of every `--json`: given once, before or after the command, it counts."""
    if given:
        ctx.meta[_JSON_FLAG] = True


def set_debug(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    """Callback of `--debug`."""
    if given:
        ctx.meta[_DEBUG_FLAG] = True


def wants_json(ctx: click.Context) -> bool:
    """Whether the result goes to a program."""
    return bool(ctx.meta.get(_JSON_FLAG))


@contextlib.contextmanager
def answered(ctx: click.Context, prog: str) -> Iterator[None]:
    """Run the block; whatever fails in it is printed once, in our form, and becomes an exit code.

    Raises:
        click.exceptions.Exit: With the exit code of what failed, or passed on from the block.
    """
    try:
        yield
        output.flush()
    except (click.exceptions.Exit, SystemExit):
        raise
    except BrokenPipeError:
        # The reader of our output is gone: there is nobody to tell.
        ctx.exit(exits.FAILED)
    except (KeyboardInterrupt, click.Abort) as exc:
        _report(ctx, prog, exc, Failure("interrupted", "interrupted"))
    except Exception as exc:
        _report(ctx, prog, exc, describe(exc, prog))


def describe(exc: BaseException, prog: str) -> Failure:
    """The failure that an exception stands for."""
    if isinstance(exc, SessionStoreError):
        return Failure(exc.code, str(exc), _own_name(exc.hint, prog), exc.fields)
    if isinstance(exc, click.UsageError):
        path = exc.ctx.command_path if exc.ctx is not None else prog
        return Failure("usage", _plain(exc.format_message()), f"`{path} --help` shows what is allowed")
    if isinstance(exc, Declined):
        return Failure("declined", exc.message)
    if isinstance(exc, click.ClickException):
        return Failure("usage", _plain(exc.format_message()))
    if isinstance(exc, NotStarted):
        return Failure(exc.code, str(exc), exc.hint, {"program": exc.program})
    if isinstance(exc, OSError) and exc.filename is None:
        # The library's rooms let no OSError out, so this is click printing a help text.
        exc = output.OutputError(exc)
    if isinstance(exc, output.OutputError):
        return Failure("output", str(exc), "the result is not complete; give it another place")
    detail = f"{type(exc).__name__}: {exc}".rstrip(": ")
    return Failure(
        "internal", f"internal error: {detail}", f"this is a defect; `{prog} --debug …` shows where it happened"
    )


def _report(ctx: click.Context, prog: str, exc: BaseException, failure: Failure) -> None:
    with contextlib.suppress(BrokenPipeError, output.OutputError, ValueError):
        if ctx.meta.get(_DEBUG_FLAG):
            output.say_lines("".join(traceback.format_exception(exc)))
        if (wants_json(ctx) or _asked_for_json(ctx, exc)) and failure.code != "output":
            output.value({"error": failure.as_json()})
        else:
            lines = [f"{prog}: error[{failure.code}]: {failure.message}"]
            lines += [f"hint: {line}" for line in failure.hint.splitlines()]
            # A result that cannot be written fails again with every flush; the reason has to come out all the same.
            show = output.complain if failure.code == "output" else output.say_lines
            show("\n".join(escape(line) for line in lines))
        output.flush()
    ctx.exit(exits.exit_code(failure.code))


def _asked_for_json(ctx: click.Context, exc: BaseException) -> bool:
    """Parsing stops at the first wrong argument, maybe before a `--json` behind it."""
    arguments = ctx.meta.get(_ARGUMENTS, ())
    given = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return isinstance(exc, click.UsageError) and "--json" in given


def _plain(message: str) -> str:
    """A message of click in the form of ours: lower case, one line, no full stop."""
    message = " ".join(message.split())
    if message[1:2].islower():
        message = message[:1].lower() + message[1:]
    return message.removesuffix(".")


def _own_name(hint: str, prog: str) -> str:
    """The hint with commands as they are typed here, where the group is mounted under another program."""
    return hint.replace("`sessionstore ", f"`{prog} ")
