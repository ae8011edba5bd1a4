"""`sessionstore export`."""

from __future__ import annotations

import sys

import click

from sessionstore.cli import exits, inputs, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "export",
    examples=["sessionstore export @last -o parser.session.json --passphrase-file secret.txt"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.TOO_LARGE),
)
@session_argument
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    type=click.Path(),
    help="A new file, readable only by you. Default: stdout.",
)
@click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(),
    help="Seal with the passphrase on the first line of FILE (- is stdin), for another machine.",
)
def command(invocation: Invocation, session: str, target: str | None, passphrase_file: str | None) -> None:
    """Write a session as one signed JSON document.

    Without a passphrase only a store with the same key can check it.
    """
    if target is None and output.is_terminal(sys.stdout):
        raise click.UsageError("the document is not for a terminal; give -o FILE, or send it into a pipe or file")
    passphrase = inputs.read_passphrase(passphrase_file)
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        document = store.export(session_id, passphrase=passphrase)
    if target is None:
        output.write_bytes(document)
        return
    inputs.write_new(target, document)
    if invocation.json:
        output.value({"id": session_id, "file": target, "size_bytes": len(document)})
    else:
        output.line(target)
