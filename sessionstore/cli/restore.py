"""`sessionstore restore`."""

from __future__ import annotations

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.mending import restored_object, standing_lines, typed
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "restore",
    examples=["sessionstore restore 3f2a91c0 --accept-rev 12 --dry-run"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
    meanings={
        exits.FAILED: "failed, or the answer was no",
        exits.CONFLICT: "the file is at another revision than the one named, or the session is running",
    },
)
@session_argument
@click.option("--accept-rev", metavar="N", type=click.IntRange(min=1), help="The revision of the file; look first.")
@confirm.consent_options("Only say what would be taken.")
def command(invocation: Invocation, session: str, accept_rev: int | None, dry_run: bool, confirmed: bool) -> int | None:
    """Take the older file of a session as its newest state.

    For a backup that was put back. What was saved after it is given up, so its revision has to be named. Shows what the
    file holds and what is known, and asks.
    """
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        consent = "restore --confirm" if confirmed else "restore, asked on a terminal"
        done = store.restore(session_id, accept_rev, consent=consent, dry_run=True)
        shown = standing_lines(done.before, invocation.prog, done.rev)
        if accept_rev is None and not dry_run:
            output.say_lines("\n".join(shown))
            raise click.UsageError(f"name the revision to take: `{typed(done.before.command, invocation.prog)}`")
        if not dry_run:
            output.say_lines("\n".join(shown))
            question = f"Give up what was saved after revision {accept_rev}, and go on from there?"
            confirm.ask(
                question, confirmed=confirmed, doing="taking an older state", declined="the session was left as it is"
            )
            done = store.restore(session_id, accept_rev, consent=consent)
    if invocation.json:
        word = "restored" if done.done else "would_restore"
        output.value({word: restored_object(done, invocation.prog)})
    elif done.done:
        output.line(f"restored {session_id}  revision {done.rev}")
    else:
        for text in shown:
            output.line(text)
    return None
