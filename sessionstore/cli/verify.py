"""`sessionstore verify`."""

from __future__ import annotations

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.progress import progress
from sessionstore.cli.resolve import complete_id, resolve
from sessionstore.cli.table import Column, table


@command_of(
    "verify",
    examples=["sessionstore verify"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED),
    meanings={exits.NOT_TRUSTED: "a session was refused: it is not what was saved"},
)
@click.argument("session", metavar="[ID]", required=False, shell_complete=complete_id)
def command(invocation: Invocation, session: str | None) -> int | None:
    """Check every byte of all sessions, or of one."""
    from sessionstore.errors import SessionNotFoundError

    with invocation.open_store() as store:
        session_id = None if session is None else resolve(store, session)
        total = 1 if session_id is not None else store.stats().sessions
        results = []
        with progress("verifying", total) as bar:
            for result in store.verify(session_id):
                results.append(result)
                bar.step()
    refused = [result for result in results if not result.ok]
    code = exits.NOT_TRUSTED if refused else None
    if session_id is not None and refused:
        code = exits.exit_code(refused[0].code)
        if code == exits.NOT_FOUND:
            raise SessionNotFoundError
    if invocation.json:
        output.value({"results": results, "verified": len(results) - len(refused), "refused": len(refused)})
        return code
    if refused:
        columns = [Column("REFUSED"), Column("CODE"), Column("WHAT", wraps=True)]
        table(columns, [(result.session_id, result.code, result.text) for result in refused])
        for hint in dict.fromkeys(result.hint for result in refused if result.hint):
            output.note(hint, label="hint")
    for result in results:
        for warning in result.warnings:
            output.note(f"{result.session_id}: {warning.text}", label="warning")
    if session_id is not None and not refused:
        output.line(f"{session_id}  revision {results[0].rev}  ok")
    elif session_id is None:
        output.line(f"{count_text(len(results) - len(refused), 'session')} verified, {len(refused):,} refused")
    return code
