"""`sessionstore delete`."""

from __future__ import annotations

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

    The file of a deleted session that comes back later is refused. If one of several cannot be deleted, the others
    still are.
    """
    if bool(sessions) == everything:
        raise click.UsageError("name the sessions to delete, or give --all")
    with invocation.open_store() as store:
        ids = _every_id(store) if everything else list(dict.fromkeys(resolve(store, text) for text in sessions))
        names = {session_id: _name(store, session_id) for session_id in ids}
        if dry_run:
            deleted, failed = ids, dict[str, Failure]()
        else:
            for session_id in ids:
                output.say(f"{session_id}  {names[session_id]}".rstrip())
            if ids:
                confirm.ask(f"Delete {count_text(len(ids), 'session')} for good?", confirmed=confirmed)
            deleted, failed = _delete(store, ids, invocation.prog)
    if invocation.json:
        result = {"deleted": deleted, "failed": {key: failure.as_json() for key, failure in failed.items()}}
        output.value({"would_delete": deleted} if dry_run else result)
    else:
        for session_id in deleted:
            output.line(f"{'would delete' if dry_run else 'deleted'} {session_id}  {names[session_id]}".rstrip())
        for session_id, failure in failed.items():
            output.note(f"{session_id}: error[{failure.code}]: {failure.message}", label="not deleted")
    return exits.exit_code(next(iter(failed.values())).code) if failed else None


def _delete(store: SessionStore, ids: list[str], prog: str) -> tuple[list[str], dict[str, Failure]]:
    from sessionstore.errors import SessionStoreError

    deleted: list[str] = []
    failed: dict[str, Failure] = {}
    for session_id in ids:
        try:
            store.delete(session_id)
        except SessionStoreError as exc:
            if len(ids) == 1:
                raise
            failed[session_id] = describe(exc, prog)
        else:
            deleted.append(session_id)
    return deleted, failed


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
    return [session.id for session in page.sessions] + damaged
