"""`sessionstore recover-ledger`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.table import Column, table

if TYPE_CHECKING:
    from sessionstore.model import Rebuilt

_HINTS = {
    "rollback": "`{prog} restore ID --dry-run` compares an older file with what is known",
    "resurrected": "`{prog} repair ID` puts the file of a deleted session aside",
    "unanchored": "`{prog} adopt ID --sealed` takes in a file that you vouch for",
    "unknown_key": "`{prog} adopt ID --sealed` takes in a file of another key that you vouch for",
}


@command_of(
    "recover-ledger",
    examples=["sessionstore recover-ledger --dry-run"],
    exit_codes=(exits.NOT_TRUSTED,),
    meanings={
        exits.FAILED: "failed, or the answer was no",
        exits.NOT_TRUSTED: "sessions are left that somebody has to decide on; each is named with the reason",
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
    recorded anew, the audit log is kept, and files that are older than it knows are refused. Which other sessions were
    deleted, and newer states than that, cannot be had back.
    """
    from sessionstore.wiring import recover_ledger

    config = invocation.load_config().config
    consent = "recover-ledger --confirm" if confirmed else "recover-ledger, asked on a terminal"
    done = recover_ledger(config, consent=consent, old=old, dry_run=True)
    output.say(_summary(done))
    if not dry_run:
        question = "Make a new ledger? What only the old one knew is given up."
        confirm.ask(question, confirmed=confirmed, doing="making a new ledger", declined="nothing was made")
        done = recover_ledger(config, consent=consent, old=old)
    if invocation.json:
        audit = {"files": done.audit_files, "doubts": done.audit_doubts}
        word = "would_record" if dry_run else "recorded"
        output.value({word: done.taken, "left": done.left, "unproven": done.unproven, "audit_log": audit})
    else:
        for session in done.taken:
            word = "would record" if dry_run else "recorded"
            output.line(f"{word} {session.id}  revision {session.rev}  {session.name}".rstrip())
        if done.left:
            columns = [Column("LEFT"), Column("CODE"), Column("WHAT", wraps=True)]
            table(columns, [(broken.name, broken.code, broken.text) for broken in done.left])
            for code in sorted({broken.code for broken in done.left} & _HINTS.keys()):
                output.note(_HINTS[code].format(prog=invocation.prog), label="hint")
        if done.audit_doubts:
            text = f"`{invocation.prog} audit verify` says what could not be checked of the audit log"
            output.note(text, label="hint")
    return exits.NOT_TRUSTED if done.left else None


def _summary(done: Rebuilt) -> str:
    text = f"{count_text(len(done.taken), 'session')} can be recorded anew, {len(done.left):,} are left"
    if done.unproven:
        text += f"; of {done.unproven:,}, nothing but the file says that it is the newest state"
    return text
