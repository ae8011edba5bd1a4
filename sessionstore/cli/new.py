"""`sessionstore new`."""

from __future__ import annotations

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import summary_object


@command_of(
    "new",
    examples=['sessionstore new --name "Fix the parser" --project .'],
    exit_codes=(exits.PROJECT, exits.CONFLICT, exits.TOO_LARGE),
)
@click.option("--name", metavar="TEXT", help="What people call it: 1 to 200 characters. Default: made from the time.")
@click.option(
    "--project",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Directory it works in; its identity is signed. Default: none.",
)
@click.option("--key", metavar="TEXT", help="Your own name for it: up to 512 bytes, used by one session only.")
@click.option("--id", "session_id", metavar="UUID", help="The id to use: a lower-case UUID. Default: a random one.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag of 1 to 64 characters; may be repeated.")
def command(
    invocation: Invocation,
    name: str | None,
    project: str | None,
    key: str | None,
    session_id: str | None,
    tags: tuple[str, ...],
) -> None:
    """Make an empty session and print its id."""
    with invocation.open_store() as store:
        session = store.create(name=name, project=project, key=key, id=session_id, tags=tags)
    if invocation.json:
        output.value(summary_object(session))
    else:
        output.line(session.id)
