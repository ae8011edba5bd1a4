"""`sessionstore doctor`."""

from __future__ import annotations

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.table import Column, table


@command_of(
    "doctor",
    examples=["sessionstore doctor"],
    meanings={exits.FAILED: "something was found; each finding says what mends it"},
    opens_store=False,
)
def command(invocation: Invocation) -> int | None:
    """Find out what is wrong with the store.

    Looks at places, permissions, key, ledger and files, and says what mends each finding. Creates and changes nothing.
    """
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
