"""keys: what each command prints, how it ends, and that a passphrase is never an argument."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PHRASE = "correct horse battery"


@pytest.fixture
def phrase_file(tmp_path: Path) -> str:
    file = tmp_path / "secret.txt"
    file.write_text(PHRASE + "\n", encoding="utf-8")
    return str(file)


def keys(call) -> list[dict]:
    return call("keys", "list", "--json").value["keys"]


class TestRotate:
    def test_what_is_left_is_named(self, call, session_id: str, home: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        good = file.read_bytes()
        file.write_bytes(good.replace(b"hello", b"hellO"))
        ran = call("keys", "rotate")
        assert ran.code == 1
        assert f"{session_id}  invalid_signature" in ran.out
        assert "hint: mend or end these, then `sessionstore keys rotate --finish`" in ran.err
        file.write_bytes(good)
        ran = call("keys", "rotate", "--finish", "--json")
        assert (ran.code, ran.value["sessions"], ran.value["added"]) == (0, 1, False)
        assert [key["status"] for key in keys(call)] == ["verify_only", "primary"]

    def test_on_a_terminal_it_shows_how_far_it_is(self, call, terminal) -> None:
        for number in range(3):
            call("new", "--name", f"number {number}")
        screen = terminal("keys", "rotate")
        assert screen.code == 0
        assert "sealing sessions anew" in screen.text
        assert "3 sessions sealed anew" in screen.text

    def test_the_bar_follows_rows_that_come_by_the_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from contextlib import contextmanager

        from sessionstore.cli import keyring
        from sessionstore.cli.progress import Progress

        steps: dict[str, int] = {}

        @contextmanager
        def counted(label: str, total: int):
            steps[label] = 0

            def advance() -> None:
                steps[label] += 1

            yield Progress(advance)

        monkeypatch.setattr(keyring, "progress", counted)
        with keyring._bars() as told:
            for phase, done in (("sessions", 1), ("sessions", 2), ("rows", 500), ("rows", 1000), ("rows", 1203)):
                told(phase, done, 1203)
        assert steps == {"sealing sessions anew": 2, "signing rows anew": 1203}


class TestRetire:
    def test_it_is_refused_while_something_needs_the_key(self, call, session_id: str, home: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        file.write_bytes(file.read_bytes().replace(b"hello", b"hellO"))
        call("keys", "rotate")
        old = keys(call)[0]["id"]
        error = call("keys", "retire", old, "--confirm", "--json").error
        assert (error["code"], error["needs"]) == ("key_in_use", "1 session")
        ran = call("keys", "retire", old, "--dry-run")
        assert ran == (0, f"key {old}  verify_only  needed for 1 session\n", "")
        assert call("keys", "retire", old, "--leaked", "--confirm", "--json").value["status"] == "disabled"
        ran = call("keys", "verify")
        assert ran.code == 1
        assert f"finding: key {old} (disabled) cannot verify the 1 sessions" in ran.err

    def test_a_no_changes_nothing(self, call, session_id: str, terminal) -> None:
        call("keys", "rotate")
        old = keys(call)[0]["id"]
        screen = terminal("keys", "retire", old, answer=b"n\n")
        assert screen.code == 1
        assert "nothing was changed" in screen.text
        assert keys(call)[0]["status"] == "verify_only"


class TestVerify:
    def test_for_programs(self, call, session_id: str) -> None:
        value = call("keys", "verify", "--json").value
        assert (value["ok"], value["findings"], value["notes"]) == (True, [], [])
        assert value["keys"] == keys(call)


class TestTravel:
    def test_sessions_go_to_another_machine(self, call, session_id: str, home: Path, phrase_file: str) -> None:
        target = home.parent / "key.json"
        ran = call("keys", "export", str(target), "--passphrase-file", phrase_file, "--json")
        assert ran.value == {"id": keys(call)[0]["id"], "file": str(target)}
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        there = ["--root", str(home.parent / "elsewhere")]
        take = ["keys", "import", str(target), str(home / "data/sessions"), "--passphrase-file", phrase_file]
        assert call(*there, *take, "--dry-run").out == "1 session would be taken over, 0 refused\n"
        value = call(*there, *take, "--json").value
        assert value["taken"] == [{"origin": session_id, "id": session_id}]
        assert call(*there, "verify", session_id).code == 0

    def test_what_the_key_does_not_vouch_for_is_named(
        self, call, session_id: str, home: Path, phrase_file: str
    ) -> None:
        target = home.parent / "key.json"
        call("keys", "export", str(target), "--passphrase-file", phrase_file)
        file = home.parent / f"{session_id}.jsonl"
        file.write_bytes((home / "data/sessions" / file.name).read_bytes().replace(b"hello", b"hellO"))
        there = ["--root", str(home.parent / "elsewhere")]
        ran = call(*there, "keys", "import", str(target), str(file), "--passphrase-file", phrase_file)
        assert ran.code == 4
        assert f"{file.name}  invalid_signature" in ran.out
        assert ran.out.endswith("0 sessions taken over, 1 refused\n")

    def test_a_descriptor_gives_the_passphrase(self, session_id: str, home: Path, phrase_file: str) -> None:
        fd = os.open(phrase_file, os.O_RDONLY)
        try:
            command = [sys.executable, "-m", "sessionstore", "keys", "export", str(home.parent / "key.json")]
            done = subprocess.run([*command, "--passphrase-fd", str(fd)], pass_fds=[fd], capture_output=True)
        finally:
            os.close(fd)
        assert done.returncode == 0, done.stderr
        assert PHRASE.encode() not in done.stdout + done.stderr

    def test_both_ways_at_once_are_refused(self, call, home: Path, phrase_file: str) -> None:
        ran = call("keys", "export", "key.json", "--passphrase-file", phrase_file, "--passphrase-fd", "0")
        assert ran.code == 2
        assert "exclude each other" in ran.err

    def test_without_a_terminal_nobody_is_asked(self, call, home: Path) -> None:
        ran = call("keys", "export", "key.json")
        assert ran.code == 2
        assert "without a terminal, --passphrase-file or --passphrase-fd is needed" in ran.err

    def test_on_a_terminal_it_is_asked_and_not_shown(
        self, call, session_id: str, home: Path, phrase_file: str, terminal
    ) -> None:
        target = home.parent / "key.json"
        call("keys", "export", str(target), "--passphrase-file", phrase_file)
        take = ["keys", "import", str(target), str(home / "data/sessions"), "--dry-run"]
        screen = terminal(*take, answer=PHRASE.encode() + b"\n", waits_for=b"Passphrase: ")
        assert screen.code == 0
        assert "1 session would be taken over" in screen.text
        assert PHRASE not in screen.text
