"""`sessionstore rename`."""

from __future__ import annotations

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "rename",
    examples=['sessionstore rename @last "Parser, second try"'],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
)
@session_argument
@click.argument("name", metavar="NAME")
def command(invocation: Invocation, session: str, name: str) -> None:
    """Give a session another name.

    NAME has 1 to 200 characters. Prints the new revision.
    """
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        rev = store.rename(session_id, name)
    if invocation.json:
        output.value({"id": session_id, "name": name, "rev": rev})
    else:
        output.line(f"{session_id}  revision {rev}")
