"""`sessionstore rebind`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.failures import describe
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.resolve import complete_id, resolve

if TYPE_CHECKING:
    from sessionstore.errors import SessionStoreError
    from sessionstore.model import Rebinding
    from sessionstore.store import SessionStore


class _Plan(NamedTuple):
    """One session that is to be bound.

    Attributes:
        session_id: Which.
        path: To what; None for the recorded name.
        shown: What the directory is now, and what would change; None where that was refused.
        error: Why it was.
    """

    session_id: str
    path: bytes | None
    shown: Rebinding | None = None
    error: SessionStoreError | None = None


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
    """Bind sessions to where their project is now.

    For projects that were moved, restored or cloned again: `resume` refuses another directory than the saved one, and
    this is the way past that. Without DIR, the recorded path is taken as it is now. Shows what changes, and asks.
    """
    if (session is None) == (old is None) or (old is None) != (new is None):
        raise click.UsageError("give ID and DIR, or --from OLD and --to NEW")
    with invocation.open_store() as store:
        if session is not None:
            path = None if directory is None else os.fsencode(directory)
            plans = [_look(store, _Plan(resolve(store, session), path), trust)]
        else:
            plans = [_look(store, plan, trust) for plan in _below(store, _absolute(old), _absolute(new))]
        if not dry_run:
            plans = _bind(store, plans, trust, confirmed=confirmed)
    if session is not None and plans[0].error is not None:
        raise plans[0].error
    return _report(invocation, plans, dry_run=dry_run)


def changes(binding: Rebinding) -> list[str]:
    """What is different, in words, for a person who is to agree; empty if it is the same directory as before."""
    before, after = binding.before, binding.after
    if before is None:
        return ["the session had no directory"]
    if not before.has_identity:
        return ["nobody had bound the directory yet"]
    changed = binding.changed
    found = []
    if "path" in changed:
        found.append("the path")
    if {"inode", "handle", "birth_time_ns"} & set(changed):
        found.append("it is another directory than the saved one")
    if "owner_uid" in changed:
        found.append(f"the owner: user {before.owner_uid} before, {after.owner_uid} now")
    if "mode" in changed:
        found.append(f"the permissions: {before.mode or 0:04o} before, {after.mode or 0:04o} now")
    if "trust" in changed:
        found.append(f"what is vouched for: {_words(before.trust)} before, {_words(after.trust)} now")
    return found or (["how it was named, or hints about its file system"] if changed else [])


def moved(path: bytes, old: bytes, new: bytes) -> bytes:
    """`path`, which is `old` or lies below it, with `new` in the place of `old`."""
    rest = path[len(old.rstrip(b"/")) :].strip(b"/")
    return os.path.join(new, rest) if rest else new


def _words(trust: tuple[str, ...]) -> str:
    return ", ".join(trust) or "nothing"


def _absolute(given: str | None) -> bytes:
    raw = os.fsencode(given or "")
    if not raw.startswith(b"/"):
        raise click.UsageError("--from and --to need absolute paths")
    return raw


def _below(store: SessionStore, old: bytes, new: bytes) -> Iterator[_Plan]:
    for summary, record in store.bound_below(old.rstrip(b"/") or b"/"):
        if record is None:
            output.note(f"{summary.id} cannot be verified and is left out; `verify` says why", label="warning")
        else:
            yield _Plan(summary.id, moved(record.path, old, new))


def _look(store: SessionStore, plan: _Plan, trust: tuple[str, ...]) -> _Plan:
    """The directory as it is now; nothing is written."""
    from sessionstore.errors import SessionStoreError

    try:
        shown = store.rebind(
            plan.session_id, plan.path, consent="a look at what would change", trust=trust, dry_run=True
        )
    except SessionStoreError as exc:
        return plan._replace(error=exc)
    return plan._replace(shown=shown)


def _bind(store: SessionStore, plans: list[_Plan], trust: tuple[str, ...], *, confirmed: bool) -> list[_Plan]:
    """Show what would change, ask, and do it; what changes nothing or was refused is left as it is."""
    ready = [plan for plan in plans if plan.shown is not None and plan.shown.changed]
    if not ready:
        return plans
    for plan in ready:
        output.say_lines("\n".join(_lines(plan)))
    question = f"Bind {count_text(len(ready), 'session')} as shown?"
    confirm.ask(question, confirmed=confirmed, doing="binding sessions anew", declined="nothing was bound")
    consent = "rebind --confirm" if confirmed else "rebind, asked on a terminal"
    return [_bound(store, plan, trust, consent) if plan in ready else plan for plan in plans]


def _bound(store: SessionStore, plan: _Plan, trust: tuple[str, ...], consent: str) -> _Plan:
    from sessionstore.errors import SessionStoreError

    try:
        store.rebind(plan.session_id, plan.path, consent=consent, trust=trust, expected=plan.shown)
    except SessionStoreError as exc:
        return plan._replace(error=exc)
    return plan


def _lines(plan: _Plan) -> list[str]:
    """What a person has to see before they agree."""
    if plan.shown is None:
        return []
    before = plan.shown.before.display_path if plan.shown.before is not None else "none"
    what = changes(plan.shown) or ["nothing"]
    return [
        plan.session_id,
        f"  before   {before}",
        f"  after    {plan.shown.after.display_path}",
        *(f"  changed  {change}" for change in what),
    ]


def _report(invocation: Invocation, plans: list[_Plan], *, dry_run: bool) -> int | None:
    bound = [plan for plan in plans if plan.error is None]
    failed = {plan.session_id: describe(plan.error, invocation.prog) for plan in plans if plan.error is not None}
    if invocation.json:
        result: dict[str, Any] = {"would_rebind" if dry_run else "rebound": [_object(plan) for plan in bound]}
        output.value({**result, "failed": {key: failure.as_json() for key, failure in failed.items()}})
    else:
        for plan in bound:
            if dry_run:
                for text in _lines(plan):
                    output.line(text)
            elif plan.shown is not None:
                word = "bound" if plan.shown.changed else "unchanged"
                output.line(f"{word} {plan.session_id}  {plan.shown.after.display_path}")
        for session_id, failure in failed.items():
            output.note(f"{session_id}: error[{failure.code}]: {failure.message}", label="not bound")
        if not plans:
            output.say("no session has a directory there")
    return exits.exit_code(next(iter(failed.values())).code) if failed else None


def _object(plan: _Plan) -> dict[str, Any]:
    shown = plan.shown
    return {
        "id": plan.session_id,
        "before": None if shown is None or shown.before is None else shown.before.display_path,
        "after": None if shown is None else shown.after.display_path,
        "changed": [] if shown is None else changes(shown),
    }
