"""`sessionstore delete`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.failures import Failure, describe
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.resolve import complete_id, resolve

if TYPE_CHECKING:
    from sessionstore.store import SessionStore


@command_of(
    "delete",
    examples=["sessionstore delete 3f2a91c0 --dry-run"],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT),
    meanings={exits.FAILED: "failed, or the answer was no"},
)
@click.argument("sessions", metavar="[ID]...", nargs=-1, shell_complete=complete_id)
@click.option("--all", "everything", is_flag=True, help="Every session of this store, damaged ones too.")
@confirm.removal_options
def command(
    invocation: Invocation, sessions: tuple[str, ...], everything: bool, dry_run: bool, confirmed: bool
) -> int | None:
    """Delete sessions for good.

    The file of a deleted session that comes back later is refused. A session that is running is not deleted. If one of
    several cannot be deleted, the others still are.
    """
    if bool(sessions) == everything:
        raise click.UsageError("name the sessions to delete, or give --all")
    with invocation.open_store() as store:
        ids = _every_id(store) if everything else list(dict.fromkeys(resolve(store, text) for text in sessions))
        names = {session_id: _name(store, session_id) for session_id in ids}
        if dry_run:
            deleted, failed = _each(ids, _refuse_running(store), invocation.prog)
        else:
            for session_id in ids:
                output.say(f"{session_id}  {names[session_id]}".rstrip())
            if ids:
                confirm.ask(f"Delete {count_text(len(ids), 'session')} for good?", confirmed=confirmed)
            deleted, failed = _each(ids, store.delete, invocation.prog)
    if invocation.json:
        told = {key: failure.as_json() for key, failure in failed.items()}
        output.value({"would_delete" if dry_run else "deleted": deleted, "failed": told})
    else:
        for session_id in deleted:
            output.line(f"{'would delete' if dry_run else 'deleted'} {session_id}  {names[session_id]}".rstrip())
        for session_id, failure in failed.items():
            output.note(f"{session_id}: error[{failure.code}]: {failure.message}", label="not deleted")
    return exits.exit_code(next(iter(failed.values())).code) if failed else None


def _each(ids: list[str], act: Callable[[str], object], prog: str) -> tuple[list[str], dict[str, Failure]]:
    """The ids for which `act` went well, and what was said for the others; what is said for a single one is raised."""
    from sessionstore.errors import SessionStoreError

    done: list[str] = []
    failed: dict[str, Failure] = {}
    for session_id in ids:
        try:
            act(session_id)
        except SessionStoreError as exc:
            if len(ids) == 1:
                raise
            failed[session_id] = describe(exc, prog)
        else:
            done.append(session_id)
    return done, failed


def _refuse_running(store: SessionStore) -> Callable[[str], None]:
    """For a dry run: refuses what deleting would refuse, as far as that can be told without trying."""
    from sessionstore.errors import AlreadyRunningError

    running = {session.id for session in store.list(running=True).sessions}

    def check(session_id: str) -> None:
        if session_id in running:
            raise AlreadyRunningError(session_id=session_id, pid=0, started_at="")

    return check


def _name(store: SessionStore, session_id: str) -> str:
    """The name to show beside the id; "" for a damaged session, which can be deleted all the same."""
    from sessionstore.errors import VerificationError

    try:
        return store.summary(session_id).name
    except VerificationError:
        return ""


def _every_id(store: SessionStore) -> list[str]:
    from sessionstore.model.ids import is_id

    page = store.list()
    damaged = [broken.name for broken in page.unreadable if is_id(broken.name)]
    return list(dict.fromkeys([*(session.id for session in page.sessions), *damaged]))
