"""Consent before something is removed: a dry run, a question on a terminal, `--confirm` without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from sessionstore.cli import output
from sessionstore.cli.failures import Declined

_Function = TypeVar("_Function", bound=Callable[..., object])


def removal_options(function: _Function) -> _Function:
    """Give a command `--dry-run` and `--confirm`, as `dry_run` and `confirmed`."""
    function = click.option("--confirm", "confirmed", is_flag=True, help="Do not ask.")(function)
    return click.option("--dry-run", is_flag=True, help="Only say what would be removed.")(function)


def ask(question: str, *, confirmed: bool) -> None:
    """Return only if whoever runs this agrees.

    Raises:
        click.UsageError: Nobody is there to be asked and `--confirm` was not given.
        Declined: The answer was not yes.
    """
    if confirmed:
        return
    if not output.may_ask():
        raise click.UsageError("without a terminal, removing sessions needs --confirm; --dry-run only says which")
    if not output.ask(question):
        raise Declined("nothing was removed")
