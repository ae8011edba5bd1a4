"""`sessionstore stats`."""

from __future__ import annotations

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import exact_time, size_text, summary_object, summary_pairs
from sessionstore.cli.resolve import complete_id, resolve


@command_of(
    "stats",
    examples=["sessionstore stats"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED),
)
@click.argument("session", metavar="[ID]", required=False, shell_complete=complete_id)
def command(invocation: Invocation, session: str | None) -> None:
    """Print counts and sizes of the store, or of one session."""
    with invocation.open_store() as store:
        if session is not None:
            summary = store.summary(resolve(store, session))
            if invocation.json:
                output.value(summary_object(summary))
            else:
                output.pairs(summary_pairs(summary))
            return
        counts = store.stats()
    if invocation.json:
        output.value(counts)
        return
    output.pairs(
        [
            ("sessions", f"{counts.sessions:,} of at most {counts.max_sessions:,}"),
            *((f"- {provenance}", f"{number:,}") for provenance, number in sorted(counts.by_provenance.items())),
            ("unreadable", f"{counts.unreadable:,}"),
            ("entries", f"{counts.entries:,}"),
            ("size", size_text(counts.size_bytes)),
            ("oldest", exact_time(counts.oldest_at) or "-"),
            ("newest", exact_time(counts.newest_at) or "-"),
        ]
    )
