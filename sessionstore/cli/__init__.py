"""The command line: a thin skin over the store, and a click group that a tool can mount under its own program.

Rules of this room:

* A command parses, calls the library once, prints through `output`, and returns an exit code. It decides nothing.
* One file a noun. A command's module is imported when that command is used, and what a command needs from the library
  is imported inside it: `--version`, `--help` and completion stay fast, open no store and create nothing.
* Exit codes stand in `exits`, the form of a failure in `failures`, the rules for the terminal in `output`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["command", "main"]


def command(app: str = "sessionstore", prog: str = "sessionstore") -> click.Group:
    """The whole command line as one click group, to be mounted by a tool or run by itself.

    Args:
        app: Whose sessions: the application name that places are derived from when the person names none.
        prog: How a person types this group, for example `mytool sessions`. Messages, hints and examples use it.

    Returns:
        A group that answers every failure itself: it prints the error in the form of this package and leaves with
        `click.exceptions.Exit`, so a mounting tool sees exit codes and never our exceptions.
    """
    from sessionstore.cli.root import Root

    return Root(app=app, prog=prog)


def main() -> int:
    """Run as a program: read `sys.argv`, print, return the exit code. Never shows a traceback unasked."""
    import sys

    try:
        from sessionstore.cli import output

        command().main(prog_name="sessionstore")
    except SystemExit as left:
        output.let_go()
        return left.code if isinstance(left.code, int) else 0
    except KeyboardInterrupt:
        # Outside of what the group answers itself: while modules are still being imported.
        sys.stderr.write("sessionstore: error[interrupted]: interrupted\n")
    return 130
