"""`sessionstore migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.progress import progress
from sessionstore.cli.resolve import complete_id, resolve
from sessionstore.cli.table import Column, table

if TYPE_CHECKING:
    from sessionstore.model import SessionPage


@command_of(
    "migrate",
    examples=["sessionstore migrate --dry-run"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.TOO_LARGE),
)
@click.argument("sessions", metavar="[ID]...", nargs=-1, shell_complete=complete_id)
@click.option("--dry-run", is_flag=True, help="Only say what would be signed, and what cannot be.")
def command(invocation: Invocation, sessions: tuple[str, ...], dry_run: bool) -> int | None:
    """Sign sessions that are in unsigned files.

    All of them, or those named. Each becomes a sealed session with the same id and content; its old file is moved into
    data/retired. What cannot be read or may not be opened is left as it is and told. It may be stopped at any time and
    run again.
    """
    from sessionstore.errors import SessionNotFoundError

    results = []
    with invocation.open_store() as store:
        ids: list[str | None] = list(dict.fromkeys(resolve(store, text) for text in sessions))
        total = len(ids) or _count(store.list())
        with progress("signing", total) as bar:
            for session_id in ids or [None]:
                for result in store.migrate(session_id, dry_run=dry_run):
                    results.append(result)
                    bar.step()
    if len(ids) == 1 and [result.code for result in results] == [SessionNotFoundError.code]:
        raise SessionNotFoundError
    refused = [result for result in results if result.outcome == "refused"]
    done = [result for result in results if result.outcome != "refused"]
    code = exits.exit_code(refused[0].code) if refused else None
    if invocation.json:
        output.value({"dry_run": dry_run, "results": results, "migrated": len(done), "refused": len(refused)})
        return code
    words = {"migrated": "signed", "put_away": "put away the old file of"}
    if dry_run:
        words = {"migrated": "would sign", "put_away": "would put away the old file of"}
    for result in done:
        output.line(f"{words[result.outcome]} {result.session_id}")
    if refused:
        columns = [Column("REFUSED"), Column("CODE"), Column("WHAT", wraps=True)]
        table(columns, [(result.session_id, result.code, result.text) for result in refused])
        for hint in dict.fromkeys(result.hint for result in refused if result.hint):
            output.note(hint, label="hint")
    output.say(
        f"{count_text(len(done), 'session')} {'would be signed' if dry_run else 'signed'}, {len(refused):,} refused"
    )
    return code


def _count(page: SessionPage) -> int:
    """How many there are to be signed; where the policy is not to open them, the list counts them as unreadable."""
    from sessionstore.errors import UnsignedRefusedError

    unopened = sum(line.code == UnsignedRefusedError.code for line in page.unreadable)
    return unopened + sum(line.integrity == "legacy" for line in page.sessions)
