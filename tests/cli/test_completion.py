"""Completion: the scripts are for the shells they name, and what they ask for is answered without making anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sessionstore.cli.root import COMMANDS


@pytest.fixture
def complete(call):
    """What the shell is offered for a line of words, the last one incomplete."""

    def run(*words: str, of: str = "bash") -> list[str]:
        ran = call(
            env={
                "_SESSIONSTORE_COMPLETE": f"{of}_complete",
                "COMP_WORDS": " ".join(["sessionstore", *words]),
                "COMP_CWORD": words[-1] if of == "fish" else str(len(words)),
            }
        )
        assert (ran.code, ran.err) == (0, "")
        return [line.removeprefix("plain,") for line in ran.out.splitlines() if line]

    return run


class TestScript:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_shell_itself_finds_no_mistake_in_it(self, shell: str, child, tmp_path: Path) -> None:
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        script = tmp_path / "script"
        ran = child("completion", shell)
        assert (ran.code, ran.err) == (0, "")
        script.write_text(ran.out, encoding="utf-8")
        done = subprocess.run([shell, "-n", str(script)], capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")

    def test_programs_get_it_as_a_value(self, call) -> None:
        value = call("completion", "fish", "--json").value
        assert value["shell"] == "fish"
        assert "_SESSIONSTORE_COMPLETE=fish_complete" in value["script"]

    def test_it_starts_no_other_program(self, child, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        assert child("completion", "bash").code == 0


class TestAnswers:
    def test_commands_are_completed(self, complete) -> None:
        assert complete("") == list(COMMANDS)
        assert complete("co") == ["config", "completion"]
        assert complete("config", "") == ["show"]
        assert complete("audit", "") == ["show", "verify"]

    def test_options_and_choices_are_completed(self, complete) -> None:
        assert "--passphrase-file" in complete("import", "--p")
        assert complete("import", "--format", "c") == ["claude-code", "codex"]
        assert complete("append", "x", "") == ["file,"]

    def test_ids_are_completed_newest_first(self, complete, call) -> None:
        ids = [call("new").out.strip() for _ in range(2)]
        assert complete("show", "") == ids[::-1]
        assert complete("show", ids[0][:9]) == ids[:1]
        assert complete("--root", "/nonexistent", "show", "") == []

    def test_names_beside_the_ids_cannot_steer_the_shell(self, complete, call) -> None:
        made = call("new", "--name", "a\u202e$(reboot)`x`").out.strip()
        offered = complete("show", "", of="fish")
        assert offered == [f"{made}\ta\\u202e$(reboot)`x`"]

    def test_a_store_that_is_not_there_is_not_made(self, complete, home: Path) -> None:
        assert complete("show", "") == []
        assert not home.exists()

    def test_a_store_that_cannot_be_opened_offers_nothing(self, complete, call, session_id: str, home: Path) -> None:
        (home / "state/keyring").chmod(0o644)
        assert complete("show", "") == []
