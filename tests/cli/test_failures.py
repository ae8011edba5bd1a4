"""Every failure has one form, for people and for programs, and none is a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from sessionstore import errors
from sessionstore.cli import command, failures
from sessionstore.cli.failures import Failure


class TestUsageErrors:
    @pytest.mark.parametrize(
        ("arguments", "message", "hint"),
        [
            (["lst"], "no such command 'lst'; did you mean list?", "`sessionstore --help` shows what is allowed"),
            (["list", "-n", "0"], "invalid value for '-n': 0 is not in the range x>=1", "`sessionstore list --help`"),
            (["show"], "missing argument 'ID'", "`sessionstore show --help`"),
            (["config"], "missing command", "`sessionstore config --help`"),
            (
                ["completion", "csh"],
                "invalid value for 'SHELL': 'csh' is not one of",
                "`sessionstore completion --help`",
            ),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_they_are_one_line_and_a_hint(self, arguments: list[str], message: str, hint: str, call) -> None:
        ran = call(*arguments)
        assert ran.code == 2
        assert ran.out == ""
        first, second = ran.err.splitlines()
        assert first.startswith(f"sessionstore: error[usage]: {message}")
        assert second.startswith(f"hint: {hint}")

    def test_an_unknown_option_is_named(self, call) -> None:
        ran = call("list", "--bogus")
        assert ran.code == 2
        assert ran.err.startswith("sessionstore: error[usage]: no such option")
        assert "--bogus" in ran.err

    @pytest.mark.parametrize("arguments", [["--json", "list", "--bogus"], ["list", "--bogus", "--json"], ["--json"]])
    def test_with_json_they_are_one_value_wherever_json_stands(self, arguments: list[str], call) -> None:
        ran = call(*arguments)
        assert ran.code == 2
        assert ran.error["code"] == "usage"
        assert set(ran.error) == {"code", "message", "hint"}

    def test_json_behind_two_dashes_is_no_option(self, call) -> None:
        ran = call("list", "--bogus", "--", "--json")
        assert ran.out == ""

    def test_what_was_typed_is_shown_without_its_control_characters(self, call) -> None:
        ran = call("\x1b[2Jlist\u202e")
        assert "\x1b" not in ran.err
        assert "\u202e" not in ran.err


class TestOurErrors:
    def test_code_sentence_and_hint_are_printed(self, call) -> None:
        ran = call("show", "00000000-0000-4000-8000-000000000000")
        assert ran == (
            3,
            "",
            "sessionstore: error[not_found]: there is no such session\n"
            "hint: `sessionstore list --all` shows every session of this store\n",
        )

    def test_with_json_the_fields_of_the_error_are_members(self, call) -> None:
        ran = call("--json", "new", "--name", "")
        assert ran.code == 2
        assert ran.error == {
            "code": "invalid_value",
            "message": "name: 1 to 200 characters are allowed, not 0",
            "hint": "",
            "what": "name",
            "reason": "1 to 200 characters are allowed, not 0",
        }

    @pytest.mark.parametrize("arguments", [["--json", "show", "x"], ["show", "x", "--json"], ["show", "--json", "x"]])
    def test_json_may_stand_anywhere(self, arguments: list[str], call) -> None:
        assert call(*arguments).error["code"] == "not_found"

    def test_a_hostile_text_in_an_error_is_escaped(self) -> None:
        error = errors.StoreUnavailableError(reason="disk \x1b[31mred", outcome="not_written")
        assert "\x1b" in failures.describe(error, "sessionstore").message, "escaping is the output's work"

    def test_wrong_settings_are_errors_of_ours(self, call) -> None:
        ran = call("list", env={"SESSIONSTORE_MAX_SESSION_BYTES": "many"})
        assert ran.code == 2
        assert ran.err.startswith("sessionstore: error[config_invalid]: setting max_session_bytes from environment")


class TestDescribe:
    def test_a_defect_is_one_line_with_the_way_to_the_traceback(self) -> None:
        assert failures.describe(KeyError("x"), "mytool sessions") == Failure(
            "internal",
            "internal error: KeyError: 'x'",
            "this is a defect; `mytool sessions --debug …` shows where it happened",
        )

    def test_other_errors_of_click_are_usage_errors(self) -> None:
        assert failures.describe(click.FileError("f", "gone"), "sessionstore").code == "usage"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    """Every command raises something that nobody expected."""

    class Surprise(Exception):
        pass

    def surprised(*arguments: object) -> None:
        raise Surprise("several\nlines \x1b[31m")

    monkeypatch.setattr("sessionstore.cli.invocation.Invocation.load_config", surprised)
    return Surprise


class TestDefects:
    def test_there_is_no_traceback(self, broken: type[Exception], call) -> None:
        ran = call("config", "show")
        assert ran.code == 1
        assert ran.err.splitlines() == [
            "sessionstore: error[internal]: internal error: Surprise: several\\nlines \\x1b[31m",
            "hint: this is a defect; `sessionstore --debug …` shows where it happened",
        ]

    def test_with_debug_there_is_one_without_control_characters(self, broken: type[Exception], call) -> None:
        ran = call("--debug", "config", "show")
        assert ran.code == 1
        assert "Traceback (most recent call last):" in ran.err
        assert "\x1b" not in ran.err

    def test_with_json_stdout_is_one_value(self, broken: type[Exception], call) -> None:
        assert call("config", "show", "--json").error["code"] == "internal"


class TestInterrupt:
    def test_ctrl_c_ends_with_130_and_one_line(self, session_id: str, terminal) -> None:
        screen = terminal("append", session_id, answer=b"\x03", waits_for=b"on a line of its own\r\n")
        assert screen.code == 130
        assert screen.text.splitlines()[-1].endswith("sessionstore: error[interrupted]: interrupted")

    def test_an_interrupt_is_answered_in_json_too(self, call, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("sessionstore.cli.invocation.Invocation.load_config", interrupted)
        ran = call("config", "show", "--json")
        assert ran.code == 130
        assert ran.error == {"code": "interrupted", "message": "interrupted", "hint": ""}


class TestLostOutput:
    def test_a_reader_that_went_away_ends_it_quietly(self, home: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "sessionstore", "--help"],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, b"")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
    @pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"], ["config", "show", "--json"]])
    def test_a_full_disk_behind_stdout_is_an_error(self, arguments: list[str], home: Path) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "sessionstore", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            b"sessionstore: error[output]: cannot write the result: No space left on device",
            b"hint: the result is not complete; give it another place",
        ]

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_streams_never_make_a_traceback(self, closed: str, home: Path) -> None:
        for arguments in ("--version", "list --bogus", "append x --json"):
            done = subprocess.run(
                ["sh", "-c", f'"$0" -m sessionstore {arguments} {closed}', sys.executable],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
            assert b"Traceback" not in done.stderr
            assert b"Exception ignored" not in done.stderr
            assert done.returncode in (0, 1, 2, 3)


class TestEncoding:
    def test_what_the_terminal_cannot_show_is_written_as_an_escape(self, child, call) -> None:
        made = call("new", "--name", "日本 ü")
        assert made.code == 0
        ran = child("list", env={"PYTHONIOENCODING": "ascii"})
        assert ran.code == 0
        assert "\\u65e5\\u672c \\xfc" in ran.out

    def test_json_is_plain_ascii(self, call, session_id: str) -> None:
        text = "日本 \u202e ü \x7f \x9b"
        call("append", session_id, "--role", "user", "--text", text)
        ran = call("show", session_id, "--json")
        assert ran.out.isascii()
        assert "\x7f" not in ran.out, "ASCII too, and JSON would let it pass"
        assert ran.value["entries"][-1]["content"] == text


def test_a_caller_in_the_same_process_gets_an_exit_code_and_never_our_errors(home: Path) -> None:
    assert command().main(["show", "nothing"], prog_name="sessionstore", standalone_mode=False) == 3
