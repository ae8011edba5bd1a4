"""The group itself: what stands before a command, the way to each command, help, and being mounted by a tool."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import sessionstore
from sessionstore.cli import command, exits
from sessionstore.cli.definition import Command
from sessionstore.cli.root import COMMANDS, Root


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Every command with the way to it, groups left out."""
    root = command()
    context = click.Context(root, info_name="sessionstore")
    for name in root.list_commands(context):
        found = root.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from ((f"{name} {below}", found.commands[below]) for below in found.commands)
        else:
            yield name, found


class TestHelp:
    @pytest.mark.parametrize("name", [name for name, _ in every_command()])
    def test_each_command_shows_an_example_and_its_exit_codes_and_takes_json(self, name: str, call) -> None:
        ran = call(*name.split(), "--help")
        assert ran.code == 0
        assert ran.err == ""
        assert re.search(rf"^Examples?:\n  (.*\bsessionstore {name}\b)", ran.out, re.MULTILINE)
        assert re.search(r"^Exit codes:\n  0    done$", ran.out, re.MULTILINE)
        assert "--json" in ran.out

    def test_the_first_page_lists_every_command_and_every_exit_code(self, call) -> None:
        ran = call("--help")
        assert ran.code == 0
        for name in COMMANDS:
            line = re.search(rf"^  {name}  +\S.*", ran.out, re.MULTILINE)
            assert line is not None, name
            assert not line[0].endswith("..."), "what a command is for fits on its line"
        for code, meaning in exits.MEANINGS.items():
            assert re.search(rf"^  {code} +{re.escape(meaning)}$", ran.out, re.MULTILINE), code

    @pytest.mark.parametrize(
        ("name", "found"), list(every_command()), ids=lambda value: value if isinstance(value, str) else ""
    )
    def test_every_option_is_explained(self, name: str, found: click.Command) -> None:
        assert isinstance(found, Command)
        for parameter in found.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"

    def test_without_a_command_the_first_page_goes_to_stderr(self, call) -> None:
        ran = call()
        assert ran.code == 2
        assert ran.out == ""
        assert ran.err.startswith("Usage: sessionstore")

    def test_no_module_is_in_the_room_that_no_command_uses(self) -> None:
        for module in COMMANDS.values():
            assert isinstance(importlib.import_module(module).command, click.Command)


class TestVersion:
    def test_it_is_printed(self, child) -> None:
        assert child("--version") == (0, f"sessionstore {sessionstore.__version__}\n", "")

    def test_it_is_one_value_for_programs(self, call) -> None:
        assert call("--version", "--json").value == {"version": sessionstore.__version__}


class TestLaziness:
    HEAVY = ("rich", "msgspec", "sqlite3", "cryptography", "asyncio", "limits", "platformdirs", "sessionstore.store")

    @pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["list", "--help"], ["completion", "bash"]])
    def test_what_opens_no_store_imports_nothing_that_a_store_needs(self, arguments: list[str], home: Path) -> None:
        program = f"""
import sys
before = set(sys.modules)  # what measures the coverage of this process is there already
from sessionstore.cli import main
sys.argv = ["sessionstore", *{arguments!r}]
assert main() == 0
print(sorted(name for name in {self.HEAVY!r} if name in set(sys.modules) - before), file=sys.stderr)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == "[]\n"

    def test_the_version_imports_no_command(self) -> None:
        program = """
import sys
from sessionstore.cli import main
sys.argv = ["sessionstore", "--version"]
assert main() == 0
print(sorted(name for name in sys.modules if name.startswith("sessionstore.cli.")), file=sys.stderr)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        for module in COMMANDS.values():
            assert f"'{module}'" not in done.stderr


class TestNothingIsCreated:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--version"],
            ["--help"],
            ["list", "--help"],
            ["completion", "bash"],
            ["config", "show"],
            ["doctor"],
            ["list", "--bogus"],
        ],
        ids=" ".join,
    )
    @pytest.mark.parametrize("rooted", [True, False], ids=["root", "user"])
    def test_neither_in_a_root_nor_in_the_users_home(
        self, arguments: list[str], rooted: bool, call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not rooted:
            monkeypatch.delenv("SESSIONSTORE_HOME")
        call(*arguments)
        assert not home.exists()
        assert not (tmp_path / "home").exists()


class TestPlaces:
    def test_root_and_app_exclude_each_other(self, call) -> None:
        ran = call("--root", "x", "--app", "y", "list")
        assert ran.code == 2
        assert ran.err.splitlines()[0] == "sessionstore: error[usage]: --root and --app exclude each other"

    def test_an_app_on_the_command_line_wins_over_the_home_in_the_environment(self, call, tmp_path: Path) -> None:
        shown = call("--app", "mytool", "config", "show", "--json").value["settings"]
        data = next(line["value_text"] for line in shown if line["name"] == "data_dir")
        assert data == str(tmp_path / "home/.local/share/mytool")

    def test_a_root_on_the_command_line_wins_over_the_home_in_the_environment(self, call, tmp_path: Path) -> None:
        shown = call("--root", str(tmp_path / "other"), "config", "show", "--json").value["settings"]
        data = next(line["value_text"] for line in shown if line["name"] == "data_dir")
        assert data == str(tmp_path / "other/data")


class TestMounted:
    @pytest.fixture
    def tool(self) -> click.Group:
        tool = click.Group("mytool")
        tool.add_command(command(app="mytool", prog="mytool sessions"), "sessions")
        return tool

    def run(self, tool: click.Group, *arguments: str) -> int:
        with pytest.raises(SystemExit) as left:
            tool.main(list(arguments), prog_name="mytool")
        return int(left.value.code or 0)

    def test_places_are_those_of_the_tool(
        self, tool: click.Group, tmp_path: Path, home: Path, capsys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SESSIONSTORE_HOME")
        assert self.run(tool, "sessions", "config", "show") == 0
        assert str(tmp_path / "home/.local/share/mytool") in capsys.readouterr().out

    def test_errors_and_hints_name_the_program_that_was_typed(self, tool: click.Group, home: Path, capsys) -> None:
        assert self.run(tool, "sessions", "lst") == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first == "mytool sessions: error[usage]: no such command 'lst'; did you mean list?"
        assert second == "hint: `mytool sessions --help` shows what is allowed"

    def test_hints_of_the_library_name_it_too(self, tool: click.Group, home: Path, capsys) -> None:
        assert self.run(tool, "sessions", "show", "nothing") == 3
        assert "hint: `mytool sessions list --all` shows" in capsys.readouterr().err

    def test_examples_name_the_program_that_was_typed(self, tool: click.Group, home: Path, capsys) -> None:
        assert self.run(tool, "sessions", "config", "show", "--help") == 0
        assert "\n  mytool sessions config show\n" in capsys.readouterr().out

    def test_the_exit_code_of_a_command_is_that_of_the_tool(self, tool: click.Group, home: Path, capsys) -> None:
        assert self.run(tool, "sessions", "doctor") in (0, 1)
        assert self.run(tool, "sessions", "delete") == 2

    def test_completion_is_for_the_program_that_is_on_the_path(self, tool: click.Group, home: Path, capsys) -> None:
        assert self.run(tool, "sessions", "completion", "bash") == 0
        script = capsys.readouterr().out
        assert "_MYTOOL_COMPLETE=bash_complete" in script
        assert "-F _mytool_completion mytool" in script

    def test_an_object_of_the_tool_stays_its_own(self, home: Path) -> None:
        @click.group("mytool")
        @click.pass_context
        def tool(ctx: click.Context) -> None:
            ctx.obj = "the tool's"

        seen = []

        @tool.result_callback()
        @click.pass_context
        def after(ctx: click.Context, result: object) -> None:
            seen.append(ctx.obj)

        tool.add_command(Root(app="mytool", prog="mytool sessions"), "sessions")
        with pytest.raises(SystemExit):
            tool.main(["sessions", "config", "show"], prog_name="mytool")
        assert seen in ([], ["the tool's"])


def test_the_public_function_is_not_hidden_by_a_module_of_its_name(home: Path) -> None:
    """Importing `sessionstore.cli.x` would replace an attribute `x` of the package."""
    package = Path(importlib.import_module("sessionstore.cli").__path__[0])
    assert not {"command", "main"} & {file.stem for file in package.iterdir()}
