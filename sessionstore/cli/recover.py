"""`sessionstore recover-ledger`."""

from __future__ import annotations

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.table import Column, table


@command_of(
    "recover-ledger",
    examples=["sessionstore recover-ledger --dry-run"],
    exit_codes=(exits.NOT_TRUSTED,),
    meanings={
        exits.FAILED: "failed, or the answer was no",
        exits.NOT_TRUSTED: "files are left without a record; each is named with the reason",
    },
)
@click.option(
    "--old",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="The damaged ledger, moved away: good rows count.",
)
@confirm.consent_options("Only say what would be recorded.")
def command(invocation: Invocation, old: str | None, dry_run: bool, confirmed: bool) -> int | None:
    """Make a new ledger from the session files.

    For a ledger that is lost for good; a backup of the state directory is always better. Sessions that verify are
    recorded anew. Which sessions were deleted, and newer states than the files hold, cannot be had back.
    """
    from sessionstore.wiring import recover_ledger

    config = invocation.load_config().config
    consent = "recover-ledger --confirm" if confirmed else "recover-ledger, asked on a terminal"
    done = recover_ledger(config, consent=consent, old=old, dry_run=True)
    if not dry_run:
        output.say(f"{count_text(len(done.taken), 'session')} can be recorded anew, {len(done.left):,} are left")
        question = "Make a new ledger? What the old one knew is given up."
        confirm.ask(question, confirmed=confirmed, doing="making a new ledger", declined="nothing was made")
        done = recover_ledger(config, consent=consent, old=old)
    if invocation.json:
        output.value({"would_record" if dry_run else "recorded": done.taken, "left": done.left})
    else:
        for session in done.taken:
            word = "would record" if dry_run else "recorded"
            output.line(f"{word} {session.id}  revision {session.rev}  {session.name}".rstrip())
        if done.left:
            columns = [Column("LEFT"), Column("CODE"), Column("WHAT", wraps=True)]
            table(columns, [(broken.name, broken.code, broken.text) for broken in done.left])
            output.note(f"`{invocation.prog} adopt ID --sealed` takes in one that you vouch for", label="hint")
    return exits.NOT_TRUSTED if done.left else None
