"""`sessionstore config show`."""

from __future__ import annotations

import click

from sessionstore.cli import output
from sessionstore.cli.definition import Commands
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.table import Column, table


@click.group("config", cls=Commands)
def command() -> None:
    """Look at the settings."""


@command_of("show", examples=["sessionstore config show"], opens_store=False)
def show(invocation: Invocation) -> None:
    """Print every setting, its value and where it came from. Creates nothing; a salt is never shown."""
    from sessionstore.config import describe

    lines = describe(invocation.load_config())
    if invocation.json:
        output.value({"settings": lines})
        return
    columns = [Column("SETTING"), Column("VALUE"), Column("SOURCE"), Column("WHAT", flexible=True)]
    rows = []
    for line in lines:
        unit = f" {line.unit}" if line.unit and line.value_text.isdigit() else ""
        rows.append((line.name, line.value_text + unit, line.source, line.what))
    table(columns, rows)


command.add_command(show)
