"""`sessionstore doctor`."""

from __future__ import annotations

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.table import Column, table


@command_of(
    "doctor",
    examples=["sessionstore doctor"],
    exit_codes=(exits.STORE,),
    meanings={
        exits.FAILED: "something was found, each finding says what mends it; or the answer was no",
        exits.STORE: "`--claim`: the key, the ledger or the store cannot be used",
    },
    opens_store=False,
)
@click.option("--claim", is_flag=True, help="You moved or restored the data directory: bind the ledger to it as it is.")
@click.option("--confirm", "confirmed", is_flag=True, help="With --claim: do not ask.")
def command(invocation: Invocation, claim: bool, confirmed: bool) -> int | None:
    """Find out what is wrong with the store.

    Looks at places, permissions, key, ledger and files, and says what mends each finding. Creates and changes nothing,
    unless a directory is claimed. A file that is older than what was saved stays refused.
    """
    if claim:
        _claim(invocation, confirmed=confirmed)
        return None
    from sessionstore.health import diagnose

    loaded = invocation.load_config()
    findings = diagnose(loaded, lambda: invocation.open_store(read_only=True))
    wrong = [finding for finding in findings if finding.level == "problem"]
    if invocation.json:
        output.value({"ok": not wrong, "findings": findings})
        return exits.FAILED if wrong else None
    columns = [Column("CHECK"), Column("STATE"), Column("WHAT", wraps=True)]
    table(columns, [(finding.check, finding.level, finding.text) for finding in findings])
    for finding in findings:
        if finding.mend:
            output.note(f"{finding.check}: {finding.mend}", label="hint")
    output.say("all well" if not wrong else count_text(len(wrong), "problem"))
    return exits.FAILED if wrong else None


def _claim(invocation: Invocation, *, confirmed: bool) -> None:
    """Bind the ledger to the data directory that is there now."""
    from sessionstore.wiring import claim_store

    config = invocation.load_config().config
    output.say(f"data directory  {config.data_dir}")
    question = "Is this the data directory of this store, moved or restored by you?"
    confirm.ask(question, confirmed=confirmed, doing="claiming a directory", declined="nothing was changed")
    store_id = claim_store(config)
    if invocation.json:
        output.value({"claimed": store_id})
    else:
        output.line(f"claimed {store_id}  {config.data_dir}")
