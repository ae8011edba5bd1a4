"""`sessionstore search`."""

from __future__ import annotations

import click

from sessionstore.cli import output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text, summary_object
from sessionstore.cli.table import Column, table


@command_of(
    "search",
    examples=['sessionstore search "retry after" -n 10'],
)
@click.argument("text", metavar="TEXT")
@click.option("-n", "limit", metavar="N", type=click.IntRange(min=1), help="Stop after N hits. Default: all.")
def command(invocation: Invocation, text: str, limit: int | None) -> None:
    """Find TEXT in the contents of all sessions.

    The newest session comes first, and the case of letters does not matter. Only verified contents are searched; a
    session that was changed is left out, `verify` names it.
    """
    with invocation.open_store() as store:
        hits = list(store.search(text, limit=limit))
    if invocation.json:
        output.value(
            {
                "hits": [
                    {"session": summary_object(hit.session), "entry": hit.entry, "snippet": hit.snippet} for hit in hits
                ]
            }
        )
        return
    if hits:
        columns = [
            Column("ID"),
            Column("NAME", flexible=True),
            Column("ENTRY", right=True),
            Column("TEXT", flexible=True),
        ]
        table(columns, [(hit.session.id, hit.session.name, str(hit.entry), hit.snippet) for hit in hits])
    output.say(count_text(len(hits), "hit"))
