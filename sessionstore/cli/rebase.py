"""`sessionstore rebase-heads`."""

from __future__ import annotations

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.mending import restored_object, standing_lines, standing_object
from sessionstore.cli.present import count_text


@command_of(
    "rebase-heads",
    examples=["sessionstore rebase-heads --dry-run"],
    exit_codes=(exits.NOT_TRUSTED, exits.CONFLICT),
    meanings={
        exits.FAILED: "failed, or the answer was no",
        exits.NOT_TRUSTED: "sessions are left that somebody has to decide on, one by one",
        exits.CONFLICT: "a session was left because it is running",
    },
)
@confirm.consent_options("Only say what would be taken, and what is left.")
def command(invocation: Invocation, dry_run: bool, confirmed: bool) -> int | None:
    """Bring the ledger up to session files that are newer.

    For an older state directory that was put back. Files that lack something that is known are never taken: they are
    listed, each with both revisions and the command to type.
    """
    consent = "rebase-heads --confirm" if confirmed else "rebase-heads, asked on a terminal"
    with invocation.open_store() as store:
        done = store.rebase_heads(consent=consent, dry_run=True)
        if done.taken and not dry_run:
            for one in done.taken:
                output.say_lines("\n".join(standing_lines(one.before, invocation.prog, one.rev)))
            question = f"Bring the ledger up to {count_text(len(done.taken), 'session')} as shown?"
            confirm.ask(question, confirmed=confirmed, doing="rebasing heads", declined="nothing was changed")
            done = store.rebase_heads(consent=consent)
    if invocation.json:
        word = "would_rebase" if dry_run else "rebased"
        taken = [restored_object(one, invocation.prog) for one in done.taken]
        left = [standing_object(one, invocation.prog) for one in done.left]
        output.value({word: taken, "left": left, "failed": dict(done.failed)})
    else:
        for one in done.taken:
            if dry_run:
                for text in standing_lines(one.before, invocation.prog, one.rev):
                    output.line(text)
            else:
                output.line(f"rebased {one.before.session_id}  revision {one.rev}")
        for stands in done.left:
            for text in standing_lines(stands, invocation.prog):
                output.line(text)
        for session_id, code in done.failed:
            output.note(f"{session_id}: {code}", label="not taken")
        if not done.taken and not done.left:
            output.say("no file is older or newer than what is known")
    if done.left:
        return exits.NOT_TRUSTED
    return exits.exit_code(done.failed[0][1]) if done.failed else None
