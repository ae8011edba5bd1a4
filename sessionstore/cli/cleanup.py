"""`sessionstore cleanup`."""

from __future__ import annotations

import re
from datetime import timedelta

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text, sessions_table, summary_object, unreadable_table

_AGE = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _age(ctx: click.Context, parameter: click.Parameter, text: str | None) -> timedelta | None:
    """The duration that the text means."""
    if text is None:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise click.BadParameter("a whole number and m (minutes), h (hours), d (days) or w (weeks) is needed, like 30d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@command_of(
    "cleanup",
    examples=["sessionstore cleanup --older-than 30d --keep-last 10 --dry-run"],
    exit_codes=(exits.NOT_TRUSTED, exits.CONFLICT),
    meanings={exits.FAILED: "failed, or the answer was no"},
)
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_age,
    help="Sessions not saved for AGE: a number and m, h, d or w, like 30d. Default: the setting cleanup_days.",
)
@click.option("--keep-last", metavar="N", type=click.IntRange(min=0), help="Keep the newest N whatever their age.")
@confirm.removal_options
def command(
    invocation: Invocation, older_than: timedelta | None, keep_last: int | None, dry_run: bool, confirmed: bool
) -> None:
    """Delete old sessions for good. The age is the signed time of the last save.

    Sessions that are damaged or running are left alone.
    """
    shown = False
    with invocation.open_store() as store:
        if older_than is None and store.config.cleanup_days is not None:
            older_than = timedelta(days=store.config.cleanup_days)
        if older_than is None and keep_last is None:
            raise click.UsageError(
                "--older-than or --keep-last is needed; the setting cleanup_days gives no age either"
            )
        report = store.cleanup(older_than=older_than, keep_last=keep_last, dry_run=True)
        if report.removed and not dry_run:
            if not confirmed and output.may_ask() and not invocation.json:
                sessions_table(report.removed, with_project=True)
                shown = True
            confirm.ask(f"Delete {count_text(len(report.removed), 'session')} for good?", confirmed=confirmed)
            report = store.cleanup(older_than=older_than, keep_last=keep_last)
    if invocation.json:
        removed = [summary_object(session) for session in report.removed]
        output.value({"would_remove" if dry_run else "removed": removed, "skipped": report.skipped})
        return
    if report.removed and not shown:
        sessions_table(report.removed, with_project=True)
    if report.skipped:
        unreadable_table(report.skipped, title="KEPT")
    output.say(f"{count_text(len(report.removed), 'session')} {'would be removed' if dry_run else 'removed'}")
