"""`sessionstore tag`."""

from __future__ import annotations

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "tag",
    examples=["sessionstore tag @last review parser --remove draft"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
)
@session_argument
@click.argument("add", metavar="[TAG]...", nargs=-1)
@click.option("--remove", metavar="TAG", multiple=True, help="Take this tag away; may be repeated.")
def command(invocation: Invocation, session: str, add: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Add tags to a session, or take some away.

    Prints the tags that the session has then, one a line.
    """
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        tags = store.tag(session_id, add=add, remove=remove) if add or remove else store.summary(session_id).tags
    if invocation.json:
        output.value({"id": session_id, "tags": list(tags)})
    else:
        for tag in tags:
            output.line(tag)
