"""`sessionstore rebind`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.failures import Failure, describe
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.resolve import complete_id, resolve

if TYPE_CHECKING:
    from sessionstore.errors import SessionStoreError
    from sessionstore.model import ProjectRecord
    from sessionstore.store import SessionStore


class _Plan(NamedTuple):
    """What is to become of one session's project."""

    session_id: str
    name: str
    before: ProjectRecord | None
    path: bytes


class _Bound(NamedTuple):
    """What became, or would become, of it: a record, or why not."""

    plan: _Plan
    after: ProjectRecord | None
    error: SessionStoreError | None


@command_of(
    "rebind",
    examples=[
        "sessionstore rebind 3f2a91c0 ~/src/moved",
        "sessionstore rebind --from /home/old --to /home/new --dry-run",
    ],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.PROJECT, exits.CONFLICT, exits.TOO_LARGE),
    meanings={exits.FAILED: "failed, or the answer was no"},
)
@click.argument("session", metavar="[ID]", required=False, shell_complete=complete_id)
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path())
@click.option("--from", "old", metavar="OLD", help="Every session whose recorded directory is OLD or lies below it.")
@click.option("--to", "new", metavar="NEW", help="What stands in the place of OLD now.")
@click.option(
    "--trust",
    metavar="WORD",
    multiple=True,
    type=click.Choice(["foreign_owner", "world_writable"]),
    help="Vouch for a directory of another user (foreign_owner) or one all may write to (world_writable).",
)
@confirm.consent_options("Only say what would be bound to what.")
def command(
    invocation: Invocation,
    session: str | None,
    directory: str | None,
    old: str | None,
    new: str | None,
    trust: tuple[str, ...],
    dry_run: bool,
    confirmed: bool,
) -> int | None:
    """Bind sessions to the directory that their project is in now.

    For projects that were moved, restored or cloned again: `resume` refuses another directory than the saved one, and
    this is the way past that. Without DIR, the recorded path is taken as it is now. Shows what changes, and asks.
    """
    if (session is None) == (old is None) or (old is None) != (new is None):
        raise click.UsageError("give ID and DIR, or --from OLD and --to NEW")
    with invocation.open_store() as store:
        if session is not None:
            plans = [_plan(store, resolve(store, session), directory)]
        else:
            plans = list(_plans(store, _absolute(old, "--from"), _absolute(new, "--to")))
        looked = [_look(plan, trust) for plan in plans]
        refused = [one.error for one in looked if one.error is not None]
        if session is not None and refused:
            raise refused[0]
        ready = [one for one in looked if one.error is None]
        if not dry_run and ready:
            for one in ready:
                output.say_lines("\n".join(_lines(one)))
            question = f"Bind {count_text(len(ready), 'session')} as shown?"
            confirm.ask(question, confirmed=confirmed, doing="binding sessions anew", declined="nothing was bound")
            consent = "rebind --confirm" if confirmed else "rebind, asked on a terminal"
            done = [_bind(store, one, consent, trust) for one in ready]
            if session is not None and done[0].error is not None:
                raise done[0].error
            looked = [one for one in looked if one.error is not None] + done
    return _report(invocation, looked, dry_run=dry_run)


def changes(before: ProjectRecord | None, after: ProjectRecord) -> list[str]:
    """What is different between two records, in words, for a person who is to agree."""
    if before is None:
        return ["the session had no directory"]
    if not before.has_identity:
        return ["nobody had bound the directory yet"]
    found = []
    if before.path != after.path:
        found.append("the path")
    identity = ("inode", "handle", "birth_time_ns")
    if any(getattr(before, part) != getattr(after, part) for part in identity):
        found.append("it is another directory than the saved one")
    if before.owner_uid != after.owner_uid:
        found.append(f"the owner ({before.owner_uid} before, {after.owner_uid} now)")
    if before.mode != after.mode:
        found.append(f"the permissions ({before.mode or 0:04o} before, {after.mode or 0:04o} now)")
    return found or ["nothing"]


def moved(path: bytes, old: bytes, new: bytes) -> bytes | None:
    """`path` with `old` at its beginning replaced by `new`, whole components only; None if it does not begin so."""
    parts, beginning = path.split(b"/"), old.rstrip(b"/").split(b"/")
    if parts[: len(beginning)] != beginning:
        return None
    return b"/".join([new.rstrip(b"/"), *parts[len(beginning) :]]) or b"/"


def _absolute(given: str | None, option: str) -> bytes:
    raw = os.fsencode(given or "")
    if not raw.startswith(b"/"):
        raise click.UsageError(f"{option} needs an absolute path")
    return raw


def _plan(store: SessionStore, session_id: str, directory: str | None) -> _Plan:
    from sessionstore.errors import InvalidValueError

    found = store.load(session_id)
    if directory is None and found.project is None:
        raise InvalidValueError(
            what="directory", reason="the session has none yet", hint=f"name it: `sessionstore rebind {session_id} DIR`"
        )
    recorded = found.project.path if found.project is not None else b""
    return _Plan(session_id, found.name, found.project, os.fsencode(directory) if directory is not None else recorded)


def _plans(store: SessionStore, old: bytes, new: bytes) -> Iterator[_Plan]:
    from sessionstore.errors import VerificationError

    for listed in store.list().sessions:
        if listed.project is None:
            continue
        try:
            record = store.load(listed.id).project
        except VerificationError as exc:
            output.note(f"{listed.id} is left out: error[{exc.code}]: {exc}", label="warning")
            continue
        path = None if record is None else moved(record.path, old, new)
        if path is not None:
            yield _Plan(listed.id, listed.name, record, path)


def _look(plan: _Plan, trust: tuple[str, ...]) -> _Bound:
    """The directory as it is now; nothing is written."""
    from sessionstore.errors import SessionStoreError
    from sessionstore.fs.project import capture

    roots = plan.before.allowed_roots if plan.before is not None else ()
    try:
        return _Bound(plan, capture(plan.path, allowed_roots=roots, trust=trust), None)
    except SessionStoreError as exc:
        return _Bound(plan, None, exc)


def _bind(store: SessionStore, seen: _Bound, consent: str, trust: tuple[str, ...]) -> _Bound:
    from sessionstore.errors import SessionStoreError

    try:
        store.rebind(seen.plan.session_id, seen.plan.path, consent=consent, trust=trust)
    except SessionStoreError as exc:
        return seen._replace(after=None, error=exc)
    return seen


def _lines(one: _Bound) -> list[str]:
    """What a person has to see before they agree."""
    if one.after is None:
        return []
    before = one.plan.before.display_path if one.plan.before is not None else "none"
    return [
        f"{one.plan.session_id}  {one.plan.name}".rstrip(),
        f"  before   {before}",
        f"  after    {one.after.display_path}",
        *(f"  changed  {change}" for change in changes(one.plan.before, one.after)),
    ]


def _report(invocation: Invocation, looked: list[_Bound], *, dry_run: bool) -> int | None:
    bound = [one for one in looked if one.error is None]
    failed: dict[str, Failure] = {
        one.plan.session_id: describe(one.error, invocation.prog) for one in looked if one.error is not None
    }
    if invocation.json:
        result: dict[str, Any] = {"would_rebind" if dry_run else "rebound": [_object(one) for one in bound]}
        output.value({**result, "failed": {key: failure.as_json() for key, failure in failed.items()}})
    else:
        for one in bound:
            if dry_run:
                for text in _lines(one):
                    output.line(text)
            else:
                output.line(f"bound {one.plan.session_id} to {one.after.display_path if one.after else ''}")
        for session_id, failure in failed.items():
            output.note(f"{session_id}: error[{failure.code}]: {failure.message}", label="not bound")
        if not looked:
            output.say("no session has a directory there")
    return exits.exit_code(next(iter(failed.values())).code) if failed else None


def _object(one: _Bound) -> dict[str, Any]:
    before = None if one.plan.before is None else one.plan.before.display_path
    after = None if one.after is None else one.after.display_path
    what = [] if one.after is None else changes(one.plan.before, one.after)
    return {"id": one.plan.session_id, "name": one.plan.name, "before": before, "after": after, "changed": what}
