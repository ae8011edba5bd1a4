"""`sessionstore inspect`."""

from __future__ import annotations

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import size_text
from sessionstore.cli.resolve import resolve, session_argument
from sessionstore.cli.table import Column, table


@command_of(
    "inspect",
    examples=["sessionstore inspect 3f2a91c0 --unverified"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.TOO_LARGE),
)
@session_argument
@click.option("--unverified", is_flag=True, help="Needed: you know that nothing of it can be trusted.")
def command(invocation: Invocation, session: str, unverified: bool) -> None:
    """Look into a session file that may be changed.

    Shows its raw lines, and which of them a good seal commits. Nothing is written.
    """
    if not unverified:
        raise click.UsageError("what a changed file says cannot be trusted; add --unverified to see it all the same")
    with invocation.open_store() as store:
        found = store.inspect(resolve(store, session))
    if invocation.json:
        output.value({"unverified": True, "inspection": found})
        return
    output.note("nothing below is verified: whoever changed the file decides what it says", label="warning")
    output.pairs(
        [
            ("id", found.session_id),
            ("size", size_text(found.size_bytes)),
            ("saved revision", "none" if found.head_rev is None else str(found.head_rev)),
            ("state", found.code),
            *([("what", found.text)] if found.text else []),
        ]
    )
    output.line()
    columns = [Column("LINE", right=True), Column("KIND"), Column("SEALED"), Column("SIZE", right=True)]
    rows = [
        (str(part.number), part.kind, "yes" if part.sealed else "no", size_text(part.size_bytes), part.text)
        for part in found.lines
    ]
    table([*columns, Column("TEXT", flexible=True)], rows)
