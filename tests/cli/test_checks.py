"""verify, inspect, config show: what is found is said, and nothing is changed by looking."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


@pytest.fixture
def changed(call, session_id: str, home: Path) -> str:
    """The id of a session whose file somebody changed, beside a good one."""
    call("new", "--name", "good")
    file = home / "data/sessions" / f"{session_id}.jsonl"
    file.write_bytes(file.read_bytes().replace(b"hello", b"\x1b[2J."))
    return session_id


class TestVerify:
    def test_good_sessions_are_counted(self, call, session_id: str) -> None:
        assert call("verify") == (0, "1 session verified, 0 refused\n", "")
        assert call("verify", "first") == (0, f"{session_id}  revision 2  ok\n", "")

    def test_findings_end_with_4_and_name_session_and_code(self, call, changed: str) -> None:
        ran = call("verify")
        assert ran.code == 4
        assert re.search(rf"^{changed}  invalid_signature  session {changed} was changed", ran.out, re.MULTILINE)
        assert ran.out.endswith("\n1 session verified, 1 refused\n")
        assert ran.err.startswith("hint: restore the file from a backup")

    def test_programs_get_every_result(self, call, changed: str) -> None:
        value = call("verify", "--json").value
        assert (value["verified"], value["refused"]) == (1, 1)
        assert {result["session_id"]: result["code"] for result in value["results"]}[changed] == "invalid_signature"
        assert call("verify", changed, "--json").code == 4

    def test_an_unknown_session_is_not_found(self, call) -> None:
        assert call("verify", "00000000-0000-4000-8000-000000000000").code == 3
        assert call("verify", "nothing").code == 3

    def test_an_uncommitted_tail_is_a_warning(self, call, session_id: str, home: Path) -> None:
        with (home / "data/sessions" / f"{session_id}.jsonl").open("ab") as stream:
            stream.write(b'{"entry":{"half')
        ran = call("verify")
        assert ran.code == 0
        assert ran.err.startswith(f"warning: {session_id}: ")

    def test_a_progress_bar_is_drawn_on_a_terminal_only(self, call, terminal, changed: str) -> None:
        screen = terminal("verify")
        assert screen.code == 4
        assert "verifying" in screen.text
        assert "verifying" not in call("verify").err


class TestInspect:
    def test_it_needs_the_word_that_says_that_nothing_is_verified(self, call, changed: str) -> None:
        ran = call("inspect", changed)
        assert ran.code == 2
        assert "add --unverified" in ran.err

    def test_every_line_is_shown_with_what_can_be_said_of_it(self, call, changed: str) -> None:
        ran = call("inspect", changed, "--unverified")
        assert ran.code == 0
        assert ran.err.startswith("warning: nothing below is verified")
        assert "\x1b" not in ran.out
        assert re.search(r"^state +invalid_signature$", ran.out, re.MULTILINE)
        assert re.search(r"^   1  open   yes ", ran.out, re.MULTILINE)

    def test_programs_get_it_with_a_mark(self, call, changed: str) -> None:
        value = call("inspect", changed, "--unverified", "--json").value
        assert value["unverified"] is True
        assert value["inspection"]["code"] == "invalid_signature"
        assert value["inspection"]["head_rev"] == 2

    def test_an_unknown_session_is_not_found(self, call) -> None:
        assert call("inspect", "00000000-0000-4000-8000-000000000000", "--unverified").code == 3


class TestConfigShow:
    def test_every_setting_has_its_value_and_source(self, call, home: Path) -> None:
        ran = call("config", "show", env={"SESSIONSTORE_MAX_SESSIONS": "5", "SESSIONSTORE_SIGNING_SALT": "pepper"})
        assert ran.code == 0
        assert re.search(r"^max_sessions +5 sessions +environment SESSIONSTORE_MAX_SESSIONS ", ran.out, re.MULTILINE)
        assert re.search(
            r"^signing_salt +set \(hidden\) +environment SESSIONSTORE_SIGNING_SALT ", ran.out, re.MULTILINE
        )
        assert "pepper" not in ran.out + ran.err

    def test_programs_get_a_list(self, call) -> None:
        lines = call("config", "show", "--json").value["settings"]
        assert {"name", "value_text", "source", "default_text", "unit", "what"} == set(lines[0])

    def test_a_wrong_file_is_an_error_of_two(self, call, home: Path) -> None:
        home.mkdir(mode=0o700)
        (home / "config.toml").write_text("max_sesions = 5\n", encoding="utf-8")
        ran = call("config", "show", "--json")
        assert (ran.code, ran.error["code"]) == (2, "config_invalid")
