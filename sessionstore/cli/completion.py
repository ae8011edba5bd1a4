"""`sessionstore completion`."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from sessionstore.cli import output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation


@command_of("completion", examples=['eval "$(sessionstore completion bash)"'], opens_store=False)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, shell: str) -> None:
    """Print the completion script for SHELL.

    SHELL is bash, zsh or fish. It then completes commands, options and ids. Creates nothing.
    """
    top = ctx.find_root()
    program = top.info_name or invocation.prog
    variable = f"_{program}_COMPLETE".replace("-", "_").replace(".", "_").upper()
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    # Not `source()` of the class itself: for bash that starts a shell to ask for its version.
    script = ShellComplete.source(found(top.command, {}, program, variable))
    if invocation.json:
        output.value({"shell": shell, "script": script})
    else:
        output.write(script)
