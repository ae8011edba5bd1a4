"""The group of all commands: what may stand before a command, and which module holds each command."""

from __future__ import annotations

import importlib
from typing import Any

import click

import sessionstore
from sessionstore.cli import exits, failures, output
from sessionstore.cli.definition import json_option
from sessionstore.cli.invocation import HOME_NAME, Invocation

# In the order of the help text. A command's module is imported when the command is used or described.
COMMANDS: dict[str, str] = {
    "new": "sessionstore.cli.new",
    "append": "sessionstore.cli.append",
    "list": "sessionstore.cli.list",
    "show": "sessionstore.cli.show",
    "resume": "sessionstore.cli.resume",
    "search": "sessionstore.cli.search",
    "stats": "sessionstore.cli.stats",
    "rename": "sessionstore.cli.rename",
    "tag": "sessionstore.cli.tag",
    "fork": "sessionstore.cli.fork",
    "redact": "sessionstore.cli.redact",
    "delete": "sessionstore.cli.delete",
    "cleanup": "sessionstore.cli.cleanup",
    "export": "sessionstore.cli.export",
    "import": "sessionstore.cli.imports",
    "verify": "sessionstore.cli.verify",
    "inspect": "sessionstore.cli.inspect",
    "adopt": "sessionstore.cli.adopt",
    "repair": "sessionstore.cli.repair",
    "restore": "sessionstore.cli.restore",
    "rebase-heads": "sessionstore.cli.rebase",
    "recover-ledger": "sessionstore.cli.recover",
    "rebind": "sessionstore.cli.rebind",
    "migrate": "sessionstore.cli.migrate",
    "policy": "sessionstore.cli.policy",
    "audit": "sessionstore.cli.audit",
    "keys": "sessionstore.cli.keyring",
    "config": "sessionstore.cli.config",
    "doctor": "sessionstore.cli.doctor",
    "demo": "sessionstore.cli.demo",
    "completion": "sessionstore.cli.completion",
}

_HELP = """Agent sessions, given back only if nobody changed them.

Every ID may be a full id, the beginning of one (4 characters or more) if it fits only one session, a name if only one
session has it, or @last for the newest session that `list` shows here.
"""


class Root(click.Group):
    """The commands of this package under one name; every failure below it is answered here.

    Args:
        app: The application name that places are derived from unless `--app` or `--root` is given.
        prog: How a person types this group.
    """

    def __init__(self, *, app: str, prog: str) -> None:
        super().__init__(
            name=prog.split()[-1],
            help=_HELP,
            params=self._options(app),
        )
        self._app = app
        self._prog = prog

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; for an unknown name, the refusal tells the names near to it."""
        if args and not ctx.resilient_parsing and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=2)
            ctx.fail(f"no such command {args[0]!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command."""
        failures.remember(ctx, args)
        if ctx.resilient_parsing:  # The shell asks for completions: nothing may be said, also of wrong options.
            rest = super().parse_args(ctx, args)
            self._begin(ctx)
            return rest
        with failures.answered(ctx, self._prog):
            if not args:
                output.say_lines(self.get_help(ctx))
                ctx.exit(exits.USAGE)
            rest = super().parse_args(ctx, args)
            self._begin(ctx)
            return rest
        raise AssertionError("a failure always leaves through an exit")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and leave with the exit code it returns."""
        code = None
        with failures.answered(ctx, self._prog):
            code = super().invoke(ctx)
        ctx.exit(code or exits.OK)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Exit codes and the way in, below the list of commands."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exits.MEANINGS.items()])
        with formatter.section("First steps"):
            formatter.write_text(f"{self._prog} demo")

    def _begin(self, ctx: click.Context) -> None:
        root, app = ctx.params.get("root"), ctx.params.get("app")
        if root is not None and app is not None and not ctx.resilient_parsing:
            raise click.UsageError("--root and --app exclude each other", ctx)
        ctx.obj = Invocation(ctx, prog=self._prog, app=app or self._app, root=root, app_given=app is not None)

    @staticmethod
    def _options(app: str) -> list[click.Parameter]:
        return [
            click.Option(
                ["--root"],
                metavar="DIR",
                type=click.Path(file_okay=False),
                help=f"Directory that holds everything: DIR/data, DIR/state, DIR/config.toml. Default: ${HOME_NAME}.",
            ),
            click.Option(
                ["--app"],
                metavar="NAME",
                help=f"Use the directories of the application NAME in the user's home. Default: {app}.",
            ),
            json_option(),
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=failures.set_debug,
                help="With an error, print where in the program it happened.",
            ),
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                callback=_print_version,
                help="Print the version and leave.",
            ),
        ]


def _print_version(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    if not given or ctx.resilient_parsing:
        return
    if failures.wants_json(ctx):
        output.value({"version": sessionstore.__version__})
    else:
        output.line(f"sessionstore {sessionstore.__version__}")
    ctx.exit()
