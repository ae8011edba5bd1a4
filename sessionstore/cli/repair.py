"""`sessionstore repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.mending import typed
from sessionstore.cli.present import size_text
from sessionstore.cli.resolve import resolve, session_argument

if TYPE_CHECKING:
    from sessionstore.model import Repair


@command_of(
    "repair",
    examples=["sessionstore repair 3f2a91c0 --dry-run", "sessionstore repair 3f2a91c0 --keep-verified"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
    meanings={
        exits.FAILED: "failed, or the answer was no",
        exits.NOT_TRUSTED: "nothing that a repair may do; the hint says what can be done",
    },
)
@session_argument
@click.option("--keep-verified", is_flag=True, help="Make a new session of what is good, and leave this one as it is.")
@confirm.consent_options("Only say what would be done.")
def command(invocation: Invocation, session: str, keep_verified: bool, dry_run: bool, confirmed: bool) -> int | None:
    """Repair a session that was damaged or not ended.

    Bytes that belong to no complete save are set aside. A broken file is moved into quarantine, byte for byte, and
    never rewritten. An older file, a second history or a file without a record is no damage: the hint says what to do.
    """
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        done = store.repair(session_id, keep_verified=keep_verified, dry_run=True)
        acts = done.action not in ("nothing", "left")
        if acts and not dry_run:
            if not keep_verified:
                output.say_lines("\n".join(_lines(done)))
                confirm.ask(
                    "Repair it as shown?", confirmed=confirmed, doing="repairing", declined="nothing was changed"
                )
            done = store.repair(session_id, keep_verified=keep_verified)
    code = exits.exit_code(done.code) if done.action == "left" else None
    next_step = typed(done.command, invocation.prog) if done.command else ""
    if invocation.json:
        members = {name: getattr(done, name) for name in done.__struct_fields__}
        output.value({"repaired": acts and not dry_run, "repair": {**members, "command": next_step}})
        return code
    _report(done, dry_run=dry_run)
    if next_step:
        output.note(f"`{next_step}`", label="hint")
    return code


def _lines(plan: Repair) -> list[str]:
    good = "nothing" if not plan.rev else f"revision {plan.rev}"
    known = "no record" if plan.head_rev is None else f"revision {plan.head_rev}"
    return [
        plan.session_id,
        f"  state       {plan.code}",
        f"  good up to  {good}",
        f"  known       {known}",
        f"  what        {plan.text}",
    ]


def _report(done: Repair, *, dry_run: bool) -> None:
    if dry_run or done.action == "left":
        for text in _lines(done):
            output.line(text)
    elif done.action == "nothing":
        output.line(f"unchanged {done.session_id}  {done.text}")
    elif done.action == "settled":
        output.line(f"repaired {done.session_id}  revision {done.rev}, {size_text(done.set_aside_bytes)} set aside")
    elif done.action == "quarantined":
        output.line(f"quarantined {done.session_id}  {done.kept_as}")
    else:
        output.line(f"{done.fork}  {done.text}")
