"""How a command of ours is made: `--json` on each, an example and the exit codes in each help text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from sessionstore.cli import exits, failures

# What every command that opens a store can end with.
_STORE_EXITS = (exits.OK, exits.FAILED, exits.USAGE, exits.STORE, exits.INTERRUPTED)


class Command(click.Command):
    """A command with an example and its exit codes; its callback gets the `Invocation` first and returns an exit code.

    Attributes:
        examples: Complete command lines, beginning with `sessionstore`.
        exit_codes: Every code this command can end with, in order, and what it means there.
    """

    examples: tuple[str, ...] = ()
    exit_codes: dict[int, str] = {}  # noqa: RUF012 - each command gets its own

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Example and exit codes, below the options."""
        prog = ctx.command_path.removesuffix(f" {ctx.info_name}") if ctx.parent is not None else ctx.command_path
        if ctx.parent is not None and ctx.parent.parent is not None and isinstance(ctx.parent.command, Commands):
            prog = prog.removesuffix(f" {ctx.parent.info_name}")
        with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
            for example in self.examples:
                formatter.write_text(prog + example.removeprefix("sessionstore"))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in self.exit_codes.items()])


class Commands(click.Group):
    """A command with commands of its own, such as `config`; takes `--json` too."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings["no_args_is_help"] = False  # One answer to a missing command, whatever the release of click.
        super().__init__(*args, **settings)
        self.params.append(json_option())


def command(
    name: str,
    *,
    examples: Iterable[str],
    exit_codes: Iterable[int] = (),
    meanings: Mapping[int, str] | None = None,
    opens_store: bool = True,
    cls: type[Command] = Command,
) -> Callable[[Callable[..., int | None]], Command]:
    """Make a function a command; the first paragraph of its docstring is the help text.

    Args:
        name: What is typed.
        examples: Complete command lines, beginning with `sessionstore`; at least one.
        exit_codes: What it can end with beside the codes of every command that opens a store.
        meanings: What a code means for this command, where that is more than the general meaning.
        opens_store: False for a command that never opens one and so never ends with a store's refusal.
        cls: Its class, for one that is parsed differently.
    """

    def decorate(function: Callable[..., int | None]) -> Command:
        made = click.command(name, cls=cls)(click.pass_obj(function))
        made.params.append(json_option())
        made.examples = tuple(examples)
        basis = _STORE_EXITS if opens_store else tuple(code for code in _STORE_EXITS if code != exits.STORE)
        all_meanings = {**exits.MEANINGS, **(meanings or {})}
        made.exit_codes = {code: all_meanings[code] for code in sorted({*basis, *exit_codes})}
        return made

    return decorate


def json_option() -> click.Option:
    """`--json`, as every command and the group itself take it."""
    return click.Option(
        ["--json"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=failures.set_json,
        help="Print one JSON value, also on failure.",
    )
