"""`sessionstore policy show`, `raise` and `lower`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import Commands
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation

if TYPE_CHECKING:
    from sessionstore.model import Policy
    from sessionstore.store import SessionStore

_WORDS = ("accept", "warn", "require", "strict")
_MEANINGS = {
    "accept": "listed unsigned files are opened",
    "warn": "listed unsigned files are opened, with one warning for each",
    "require": "no unsigned file is opened; `migrate` signs listed ones",
    "strict": "no unsigned file is opened; no project below a directory that somebody else may change is resumed",
}


@click.group("policy", cls=Commands)
def command() -> None:
    """How unsigned session files are treated."""


@command_of("show", examples=["sessionstore policy show"])
def show(invocation: Invocation) -> None:
    """Print the policy in force, what is recorded in the store, and what the settings ask for."""
    from sessionstore.sessions.policy import combined

    with _opened(invocation) as store:
        state = combined(store.policy().floor, invocation.load_config().config.policy)
    if invocation.json:
        output.value(state)
        return
    rows = [("policy", f"{state.policy}: {_MEANINGS[state.policy]}"), ("recorded", state.floor)]
    output.pairs([*rows, ("setting", state.setting)])


@command_of("raise", examples=["sessionstore policy raise require"])
@click.argument("level", type=click.Choice(_WORDS))
def raise_(invocation: Invocation, level: str) -> None:
    """Treat unsigned files more strictly from now on. Signed sessions are not affected."""
    with _opened(invocation) as store:
        store.raise_policy(level)
    _told(invocation, level)


@command_of(
    "lower",
    examples=["sessionstore policy lower warn"],
    meanings={exits.FAILED: "failed, or the answer was no"},
)
@click.argument("level", type=click.Choice(_WORDS))
@confirm.consent_options("Only say what would change.")
def lower(invocation: Invocation, level: Policy, dry_run: bool, confirmed: bool) -> None:
    """Treat unsigned files less strictly from now on. This is the only way to, and goes into the audit log."""
    from sessionstore.sessions.policy import refuse_to_lower

    with _opened(invocation) as store:
        before = store.policy().floor
        refuse_to_lower(level, before, invocation.load_config().config.policy)
        if dry_run:
            _told(invocation, level, dry_run=f"would lower the policy from {before}")
            return
        question = f"Lower the policy from {before} to {level}?"
        confirm.ask(question, confirmed=confirmed, doing="lowering the policy", declined="the policy is what it was")
        store.lower_policy(
            level, consent="policy lower --confirm" if confirmed else "policy lower, asked on a terminal"
        )
    _told(invocation, level)


def _opened(invocation: Invocation) -> SessionStore:
    """The store, also where the settings ask for less than what is recorded: this command is how to find out."""
    return invocation.open_store(without_policy=True)


def _told(invocation: Invocation, level: str, *, dry_run: str = "") -> None:
    if invocation.json:
        output.value({"would_be" if dry_run else "floor": level})
    else:
        output.line(f"{dry_run or 'policy'}{' to' if dry_run else ':'} {level}: {_MEANINGS[level]}")


for _made in (show, raise_, lower):
    command.add_command(_made)
