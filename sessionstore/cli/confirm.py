"""Consent before something is removed or bound anew: a dry run, a question on a terminal, `--confirm` without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from sessionstore.cli import output
from sessionstore.cli.failures import Declined

_Function = TypeVar("_Function", bound=Callable[..., object])


def removal_options(function: _Function) -> _Function:
    """Give a command `--dry-run` and `--confirm`, as `dry_run` and `confirmed`."""
    return consent_options("Only say what would be removed.")(function)


def consent_options(dry_run: str) -> Callable[[_Function], _Function]:
    """The same with another help text for `--dry-run`."""

    def decorate(function: _Function) -> _Function:
        function = click.option("--confirm", "confirmed", is_flag=True, help="Do not ask.")(function)
        return click.option("--dry-run", is_flag=True, help=dry_run)(function)

    return decorate


def ask(
    question: str, *, confirmed: bool, doing: str = "removing sessions", declined: str = "nothing was removed"
) -> None:
    """Return only if whoever runs this agrees.

    Args:
        question: What to ask.
        confirmed: Whether they agreed already.
        doing: What needs consent.
        declined: What to say after a no.

    Raises:
        click.UsageError: Nobody is there to be asked and `--confirm` was not given.
        Declined: The answer was not yes.
    """
    if confirmed:
        return
    if not output.may_ask():
        raise click.UsageError(f"without a terminal, {doing} needs --confirm; --dry-run only says which")
    if not output.ask(question):
        raise Declined(declined)
