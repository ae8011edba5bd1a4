"""`sessionstore adopt`."""

from __future__ import annotations

import click

from sessionstore.cli import confirm, exits
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.resolve import session_argument
from sessionstore.cli.sealed import adopt_sealed


@command_of(
    "adopt",
    examples=["sessionstore adopt 3f2a91c0 --sealed --dry-run"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
    meanings={exits.FAILED: "failed, or the answer was no"},
)
@session_argument
@click.option("--sealed", is_flag=True, help="A sealed file whose record or key was lost. Needed.")
@click.option("--accept-rev", metavar="N", type=int, help="The revision of a file that is older than what is known.")
@confirm.consent_options("Only say what would be adopted.")
def command(
    invocation: Invocation, session: str, sealed: bool, accept_rev: int | None, dry_run: bool, confirmed: bool
) -> None:
    """Take in a session file that nothing here vouches for.

    Because you do: you know where it comes from. Its provenance says so for ever. The file must be whole.
    """
    if not sealed:
        raise click.UsageError("this release adopts sealed files only: --sealed")
    adopt_sealed(invocation, session, accept_rev=accept_rev, dry_run=dry_run, confirmed=confirmed)
