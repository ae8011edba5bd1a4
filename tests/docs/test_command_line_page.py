"""The reference page of the command line is complete: every command, option and exit code stands in its place."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from sessionstore import errors
from sessionstore.cli import command, exits
from sessionstore.cli.definition import Command

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/command-line.md").read_text(encoding="utf-8")

# What every command can end with, said once on top of the page; 8 stands with those that open a store.
ALWAYS = {exits.OK, exits.FAILED, exits.USAGE, exits.INTERRUPTED}


def commands() -> dict[str, Command]:
    root = command()
    context = click.Context(root, info_name="sessionstore")
    found: dict[str, Command] = {}
    for name in root.list_commands(context):
        made = root.get_command(context, name)
        below = made.commands if isinstance(made, click.Group) else {"": made}
        for rest, one in below.items():
            assert isinstance(one, Command)
            found[f"{name} {rest}".strip()] = one
    return found


SECTIONS = {
    section.partition("\n")[0].strip("` "): section for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
}


def test_every_command_has_its_section_and_nothing_else_has_one() -> None:
    documented = {name for name in SECTIONS if f"### `{name}`" in PAGE}
    assert documented == set(commands())


@pytest.mark.parametrize("name", list(commands()))
class TestSection:
    def test_it_names_every_option_and_no_other(self, name: str) -> None:
        options = {text for parameter in commands()[name].params for text in parameter.opts if text.startswith("-")}
        documented: set[str] = set()
        for row in re.findall(r"^\| (`-.*?) \|", SECTIONS[name], flags=re.MULTILINE):
            documented.update(re.findall(r"`(--?[a-z-]+)", row))
        assert documented == options

    def test_it_gives_every_exit_code(self, name: str) -> None:
        given = re.search(r"^Exit codes: (.*)$", SECTIONS[name], flags=re.MULTILINE)
        documented = {int(code) for code in re.findall(r"\b\d+\b", given[1])} if given else set()
        assert documented | ALWAYS == set(commands()[name].exit_codes)

    def test_it_shows_how_it_is_called(self, name: str) -> None:
        assert f"`sessionstore {name}" in SECTIONS[name]


def test_every_option_before_the_command_is_explained() -> None:
    for parameter in command().params:
        for text in parameter.opts:
            assert f"| `{text}" in PAGE.partition("### Which session")[0], text


def test_every_exit_code_has_a_row() -> None:
    table = PAGE.partition("### Exit codes")[2].partition("## ")[0]
    assert {int(code) for code in re.findall(r"^\| `(\d+)` \|", table, flags=re.MULTILINE)} == set(exits.MEANINGS)


def test_codes_beside_those_of_the_errors_are_listed() -> None:
    table = PAGE.partition("### Errors")[2].partition("### ")[0]
    listed = set(re.findall(r"^\| `([a-z_]+)` \|", table, flags=re.MULTILINE))
    known = {getattr(errors, name).code for name in errors.__all__}
    started = {"command_not_found", "command_not_started"}
    assert listed == {"usage", "declined", "interrupted", "output", "internal"} | started
    assert not listed & known
