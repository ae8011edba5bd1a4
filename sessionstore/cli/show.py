"""`sessionstore show`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import entry_lines, summary_object, summary_pairs
from sessionstore.cli.resolve import resolve, session_argument

if TYPE_CHECKING:
    from sessionstore.model import Session


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
            first = summary.entries - len(entries)
            if invocation.json:
                output.value({"session": summary_object(summary), "first": first, "entries": entries})
            else:
                _print_text(summary_pairs(summary), first, entries)
            return
        found = store.load(session_id)
    print_session(invocation, found)


def session_value(session: Session, **more: Any) -> dict[str, Any]:
    """A loaded session as programs get it; `more` stands beside it."""
    known = {name: getattr(session, name) for name in ("origin", "config", "todos", "warnings")}
    return {"session": {**summary_object(session), **known}, **more, "first": 0, "entries": session.entries}


def print_session(invocation: Invocation, session: Session, rows: Sequence[tuple[str, str]] = (), **more: Any) -> None:
    """A loaded session as result; `rows` for people and `more` for programs are what is known beside it."""
    if invocation.json:
        output.value(session_value(session, **more))
    else:
        origin = [("origin", session.origin)] if session.origin else []
        todos = [("todo", f"[{todo.status}] {todo.content}") for todo in session.todos]
        _print_text([*summary_pairs(session), *origin, *rows, *todos], 0, session.entries)
    for warning in session.warnings:
        output.note(warning.text, label="warning")


def _print_text(rows: Sequence[tuple[str, str]], first: int, entries: Sequence[dict[str, Any]]) -> None:
    output.pairs(rows)
    output.line()
    for number, entry in enumerate(entries, start=first):
        for text in entry_lines(number, entry):
            output.line(text)
