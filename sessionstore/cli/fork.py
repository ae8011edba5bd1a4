"""`sessionstore fork`."""

from __future__ import annotations

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import summary_object
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "fork",
    examples=["sessionstore fork @last --at 12"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
)
@session_argument
@click.option("--at", metavar="REV", type=click.IntRange(min=1), help="Revision to branch off at. Default: the newest.")
def command(invocation: Invocation, session: str, at: int | None) -> None:
    """Make a new session that begins as a copy.

    Prints the new id. The old session stays as it is, and is named as the parent of the new one.
    """
    with invocation.open_store() as store:
        made = store.fork(resolve(store, session), at=at)
    if invocation.json:
        output.value(summary_object(made))
    else:
        output.line(made.id)
