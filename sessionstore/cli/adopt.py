"""`sessionstore adopt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text, size_text, unreadable_table
from sessionstore.cli.resolve import complete_id, resolve
from sessionstore.cli.sealed import adopt_sealed
from sessionstore.cli.table import Column, table

if TYPE_CHECKING:
    from sessionstore.model import AdoptionReport

MAX_NAMED = 5


@command_of(
    "adopt",
    examples=["sessionstore adopt --dir ~/old/sessions --dry-run", "sessionstore adopt 3f2a91c0 --sealed"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
    meanings={exits.FAILED: "failed, or the answer was no"},
)
@click.argument("session", metavar="[ID]", required=False, shell_complete=complete_id)
@click.option("--dir", "directory", metavar="DIR", type=click.Path(), help="Every unsigned file in DIR; copied.")
@click.option("--sealed", is_flag=True, help="A sealed file, whose record or key was lost.")
@click.option("--accept-rev", metavar="N", type=int, help="The revision of a sealed file that is an older state.")
@confirm.consent_options("Only say what would be adopted.")
def command(
    invocation: Invocation,
    session: str | None,
    directory: str | None,
    sealed: bool,
    accept_rev: int | None,
    dry_run: bool,
    confirmed: bool,
) -> int | None:
    """Vouch for session files.

    You know where they come from, and nothing here says so.

    Unsigned files that came after the store began: lists them with their digests, and asks. From then on they may be
    opened, and `migrate` or the next save signs them. Files that cannot be read, or whose session was saved here, are
    refused.

    With --sealed the sealed file of a session whose record or key was lost. It must be whole, and is sealed anew.

    Where a session came from stays with it for ever.
    """
    if (session is None) == (directory is None):
        raise click.UsageError("give an ID, or --dir DIR")
    if sealed:
        if session is None:
            raise click.UsageError("--sealed takes an ID")
        adopt_sealed(invocation, session, accept_rev=accept_rev, dry_run=dry_run, confirmed=confirmed)
        return None
    if accept_rev is not None:
        raise click.UsageError("--accept-rev goes with --sealed")
    return _adopt_unsigned(invocation, session, directory, dry_run=dry_run, confirmed=confirmed)


def _adopt_unsigned(
    invocation: Invocation, session: str | None, directory: str | None, *, dry_run: bool, confirmed: bool
) -> int | None:
    shown = False
    with invocation.open_store() as store:
        session_id = None if session is None else resolve(store, session)
        report = store.adopt(session_id, directory=directory, consent="adopt --dry-run", dry_run=True)
        if report.adopted and not dry_run:
            if not confirmed and output.may_ask() and not invocation.json:
                _print(report)
                shown = True
            question = f"Take {count_text(len(report.adopted), 'unsigned session')} as genuine?"
            confirm.ask(question, confirmed=confirmed, doing="adopting files", declined="nothing was adopted")
            consent = "adopt --confirm" if confirmed else "adopt, asked on a terminal"
            digests = {file.session_id: file.digest for file in report.adopted}
            report = store.adopt(session_id, directory=directory, consent=consent, digests=digests)
    code = exits.exit_code(report.refused[0].code) if report.refused else None
    if invocation.json:
        told = {"would_adopt" if dry_run else "adopted": report.adopted, "refused": report.refused}
        output.value({**told, "left_out": report.left_out} if directory is not None else told)
        return code
    if not shown:
        _print(report)
    if report.left_out:
        named = ", ".join(report.left_out[:MAX_NAMED])
        rest = len(report.left_out) - MAX_NAMED
        output.note(f"left out, for no session has such a name: {named}" + (f" and {rest:,} more" if rest > 0 else ""))
    output.say(f"{count_text(len(report.adopted), 'session')} {'would be adopted' if dry_run else 'adopted'}")
    return code


def _print(report: AdoptionReport) -> None:
    if report.adopted:
        columns = [
            Column("ID"),
            Column("SHA-256", wraps=True),
            Column("ENTRIES", right=True),
            Column("SIZE", right=True),
        ]
        columns.append(Column("NAME", flexible=True))
        rows = [
            (file.session_id, file.digest, f"{file.entries:,}", size_text(file.size_bytes), file.name)
            for file in report.adopted
        ]
        table(columns, rows)
    if report.refused:
        unreadable_table(report.refused, title="REFUSED")
