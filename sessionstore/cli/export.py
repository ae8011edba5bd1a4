"""`sessionstore export`."""

from __future__ import annotations

import json
import sys

import click

from sessionstore.cli import exits, inputs, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import redacted_text
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "export",
    examples=[
        "sessionstore export @last -o parser.session.json --passphrase-file secret.txt",
        "sessionstore export @last -o shared.json --redact",
    ],
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
@click.option("--redact", is_flag=True, help="Take out tokens, keys, passwords and the setting redact_patterns.")
def command(
    invocation: Invocation, session: str, target: str | None, passphrase_file: str | None, redact: bool
) -> None:
    """Write a session as one signed JSON document.

    Without a passphrase only a store with the same key can check it. What was redacted is counted, in the document too.
    """
    if target is None and output.is_terminal(sys.stdout):
        raise click.UsageError("the document is not for a terminal; give -o FILE, or send it into a pipe or file")
    passphrase = inputs.read_passphrase(passphrase_file)
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        document = store.export(session_id, passphrase=passphrase, redact=redact)
    counts = json.loads(document)["export"]["redacted"] if redact else {}
    if redact:
        output.note(redacted_text(counts), label="redacted")
    if target is None:
        output.write_bytes(document)
        return
    inputs.write_new(target, document)
    if invocation.json:
        more = {"redacted": counts} if redact else {}
        output.value({"id": session_id, "file": target, "size_bytes": len(document), **more})
    else:
        output.line(target)
