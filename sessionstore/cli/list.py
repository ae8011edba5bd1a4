"""`sessionstore list`."""

from __future__ import annotations

import click

from sessionstore.cli import output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text, sessions_table, summary_object, unreadable_table
from sessionstore.cli.resolve import scope


@command_of(
    "list",
    examples=["sessionstore list --all --tag review -n 20"],
)
@click.option("--all", "everything", is_flag=True, help="The whole store, also inside a recorded project directory.")
@click.option(
    "--project", metavar="DIR", type=click.Path(file_okay=False), help="Sessions of this directory. Default: see above."
)
@click.option("--tag", metavar="TAG", help="Sessions that have this tag.")
@click.option(
    "--search", metavar="TEXT", help="Sessions with TEXT in name, key, tags, id or project, in any letter case."
)
@click.option("--running", is_flag=True, help="Sessions that a process is working with right now.")
@click.option("-n", "limit", metavar="N", type=click.IntRange(min=1), help="The newest N sessions. Default: all.")
def command(
    invocation: Invocation,
    everything: bool,
    project: str | None,
    tag: str | None,
    search: str | None,
    running: bool,
    limit: int | None,
) -> None:
    """List sessions, newest first.

    Inside a project directory that a session was made for, the sessions of that directory; elsewhere, all. What cannot
    be opened is listed too, with the reason.
    """
    if everything and project is not None:
        raise click.UsageError("--all and --project exclude each other")
    with invocation.open_store() as store:
        inside = None if everything or project is not None else scope(store)
        page = store.list(
            project=project or inside,
            tag=tag,
            search=search,
            running=running or None,
            limit=limit,
            check_projects=True,
        )
        sessions, unreadable = page.sessions, page.unreadable
    if invocation.json:
        output.value(
            {
                "project": project or inside,
                "sessions": [summary_object(session) for session in sessions],
                "unreadable": unreadable,
            }
        )
        return
    if sessions:
        sessions_table(sessions, with_project=project is None and inside is None)
    if unreadable:
        if sessions:
            output.line()
        unreadable_table(unreadable)
    filtered = bool(tag or search or running or project or inside)
    if inside is not None:
        output.note(f"sessions of {inside}; --all shows the whole store")
    if page.next_cursor is not None:
        output.note(f"only the newest {count_text(len(sessions), 'session')}; leave out -n to see all")
    if not sessions and not unreadable:
        output.say("no session fits" if filtered else "no sessions yet")
        if not filtered:
            prog = invocation.prog
            output.note(
                f"`{prog} demo` shows what this does, `{prog} import FILE` brings a transcript in", label="hint"
            )
