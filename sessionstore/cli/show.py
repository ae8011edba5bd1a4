"""`sessionstore show`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import entry_lines, summary_object, summary_pairs
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "show",
    examples=["sessionstore show @last --last 5"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.TOO_LARGE),
)
@session_argument
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="Only the last N entries. Default: all.")
def command(invocation: Invocation, session: str, last: int | None) -> None:
    """Print a session after checking every byte of it.

    Nothing is printed of a session that was changed. For people, values that are no text are cut after 300 characters;
    --json prints them whole.
    """
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        if last is not None:
            # Streamed: the end of a very large session in little memory.
            summary = store.summary(session_id)
            entries = tuple(store.entries(session_id, start=-last))
            _print(invocation, summary_object(summary), summary_pairs(summary), summary.entries - len(entries), entries)
            return
        found = store.load(session_id)
    known = {name: getattr(found, name) for name in ("origin", "config", "todos", "warnings")}
    rows = summary_pairs(found) + ([("origin", found.origin)] if found.origin else [])
    rows += [("todo", f"[{todo.status}] {todo.content}") for todo in found.todos]
    _print(invocation, {**summary_object(found), **known}, rows, 0, found.entries)
    for warning in found.warnings:
        output.note(warning.text, label="warning")


def _print(
    invocation: Invocation,
    known: dict[str, Any],
    rows: Sequence[tuple[str, str]],
    first: int,
    entries: Sequence[dict[str, Any]],
) -> None:
    if invocation.json:
        output.value({"session": known, "first": first, "entries": entries})
        return
    output.pairs(rows)
    output.line()
    for number, entry in enumerate(entries, start=first):
        for text in entry_lines(number, entry):
            output.line(text)
