"""`sessionstore redact`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text, redacted_text
from sessionstore.cli.resolve import resolve, session_argument

if TYPE_CHECKING:
    from sessionstore.model import Redaction


@command_of(
    "redact",
    examples=["sessionstore redact @last --secrets --dry-run", "sessionstore redact @last --entry 4 --confirm"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
    meanings={exits.FAILED: "failed, the answer was no, or old bytes are left that could not be removed"},
)
@session_argument
@click.option(
    "--entry",
    "entries",
    metavar="N",
    type=click.IntRange(min=0),
    multiple=True,
    help="Take out the whole content of entry N, as `show` numbers them; may be repeated.",
)
@click.option("--pattern", "patterns", metavar="RE", multiple=True, help="Take out what RE fits; may be repeated.")
@click.option("--secrets", is_flag=True, help="Take out tokens, keys, passwords and the setting redact_patterns.")
@confirm.consent_options("Only say what would be taken out and removed.")
def command(
    invocation: Invocation,
    session: str,
    entries: tuple[int, ...],
    patterns: tuple[str, ...],
    secrets: bool,
    dry_run: bool,
    confirmed: bool,
) -> int | None:
    """Take secrets out of a session for good.

    The session is written anew, and other files here that hold its old bytes are removed. Backups, exported documents
    and the disk's freed blocks are out of reach. A session that is running is left alone.
    """
    if not (entries or patterns or secrets):
        raise click.UsageError("say what to take out: --secrets, --pattern or --entry")
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        what: dict[str, Any] = {"entries": entries, "patterns": patterns, "secrets": secrets}
        if dry_run:
            done = store.redact(session_id, **what, dry_run=True)
        elif confirmed:
            done = store.redact(session_id, **what)
        else:
            planned = store.redact(session_id, **what, dry_run=True)
            output.say(f"{session_id}  {redacted_text(planned.found)}")
            for name in planned.purged:
                output.say(f"  removed with it: {name}")
            confirm.ask(
                "Rewrite this session for good?",
                confirmed=False,
                doing="redacting a session",
                declined="nothing was changed",
            )
            # What was agreed to is what was shown: not what somebody saves meanwhile.
            done = store.redact(session_id, **what, expected_rev=planned.rev)
    if invocation.json:
        output.value({"would_redact" if dry_run else "redacted": done})
    else:
        _print(done, dry_run=dry_run)
    return exits.FAILED if done.unfinished else None


def _print(done: Redaction, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    entries = count_text(done.entries, "entry", "entries")
    output.line(f"{done.session_id}  revision {done.rev}  {entries} {would}changed")
    for kind, number in done.found.items():
        output.line(f"{would}taken out: {kind.replace('_', ' ')} {number:,}")
    for name in done.purged:
        output.line(f"{would}removed: {name}")
    for text in done.unfinished:
        output.note(f"not removed: {text}; make room or stop what is in the way, and do it again", label="warning")
    for text in done.unreached:
        output.note(text, label="not reached")
