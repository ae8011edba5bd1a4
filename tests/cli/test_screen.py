"""The picker on a real terminal: it draws, it listens, and it gives the terminal back whatever happens."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable
from typing import Any

import pytest

# argv: Python that makes the preview's lines.
PICK = """
import sys
from sessionstore.cli.picker import RUNNING, Row
from sessionstore.cli.screen import pick
rows = [
    Row("aaaaaaaa", "first", "2026-11-21 10:00", "/home/a"),
    Row("bbbbbbbb", "二番目", "2026-11-20 10:00", "/home/b", here=True),
    Row("cccccccc", "third", "2026-11-19 10:00", mark=RUNNING, reason="somebody has it"),
]
def preview(row):
    exec(sys.argv[1])
    return ["preview of " + row.id]
try:
    print("picked", pick(rows, preview), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""
FIRST_SCREEN, SECOND_SCREEN = "\x1b[?1049l", "\x1b[?1049h"


@pytest.fixture
def picking(converse, home) -> Callable[..., Any]:
    def start(preview: str = "pass", **settings: Any) -> Any:
        terminal = converse(sys.executable, "-c", PICK, preview, **settings)
        terminal.before = terminal.modes()
        return terminal

    return start


def is_raw(terminal: Any) -> bool:
    return not terminal.modes()[3] & (termios.ECHO | termios.ICANON | termios.ISIG)


class TestPicking:
    def test_arrows_and_enter_choose_and_the_terminal_is_as_before(self, picking) -> None:
        terminal = picking()
        assert terminal.wait_for("preview of bbbbbbbb").startswith(SECOND_SCREEN)
        assert is_raw(terminal)
        terminal.type("\x1b[B")
        terminal.wait_for("preview of aaaaaaaa")
        terminal.type("\r")
        terminal.wait_for(FIRST_SCREEN)
        terminal.wait_for("picked aaaaaaaa")
        assert terminal.end()[0] == 0
        assert terminal.modes() == terminal.before

    def test_typing_filters(self, picking) -> None:
        terminal = picking()
        terminal.wait_for("preview")
        terminal.type("fir")
        terminal.wait_for("preview of aaaaaaaa")
        terminal.type("\x1b[200~st\r\n\x1b[201~")
        terminal.wait_for("Resume: \x1b[0mfirst")
        terminal.type("\r")
        terminal.wait_for("picked aaaaaaaa")

    def test_a_key_in_pieces_is_one_key(self, picking) -> None:
        terminal = picking()
        terminal.wait_for("preview of bbbbbbbb")
        terminal.type("\x1b")
        terminal.type("[B")
        terminal.wait_for("preview of aaaaaaaa")

    def test_what_is_running_is_not_chosen(self, picking) -> None:
        terminal = picking()
        terminal.wait_for("preview")
        terminal.type("\x1b[F\r")
        terminal.wait_for("cannot be resumed: somebody has it")
        terminal.type("\x1b")
        terminal.wait_for("picked None")

    def test_its_frames_are_not_in_the_result(self, picking) -> None:
        reading, writing = os.pipe()
        terminal = picking(stdout=writing)
        terminal.wait_for("preview of bbbbbbbb")
        terminal.type("\r")
        assert terminal.end()[0] == 0
        assert os.read(reading, 4096) == b"picked bbbbbbbb\n"
        os.close(reading)
        os.close(writing)

    def test_another_size_is_drawn_at_once(self, picking) -> None:
        terminal = picking()
        terminal.wait_for("preview of bbbbbbbb")
        terminal.resize(20, 3)
        frame = terminal.wait_for("3/3")
        assert "preview" not in frame.rpartition("\x1b[H")[2]
        terminal.resize(100, 30)
        terminal.wait_for("preview of bbbbbbbb")

    @pytest.mark.parametrize("size", [(1, 1), (5, 2), (500, 200)])
    def test_any_size_will_do(self, picking, size: tuple[int, int]) -> None:
        terminal = picking(columns=size[0], lines=size[1])
        terminal.wait_for("\x1b[H")
        terminal.type("\r")
        terminal.wait_for("picked bbbbbbbb")

    @pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_without_colour_there_is_no_style(self, picking, env: dict[str, str]) -> None:
        terminal = picking(env=env)
        assert "\x1b[1" not in terminal.wait_for("preview").replace(SECOND_SCREEN, "")

    def test_a_terminal_of_another_encoding_is_no_failure(self, picking) -> None:
        terminal = picking(env={"PYTHONIOENCODING": "latin-1", "NO_COLOR": "1"})
        assert "\\u4e8c" in terminal.wait_for("preview")


class TestTheTerminalIsGivenBack:
    def test_at_ctrl_c(self, picking) -> None:
        terminal = picking()
        terminal.wait_for("preview")
        terminal.type("\x03")
        terminal.wait_for(FIRST_SCREEN)
        terminal.wait_for("interrupted")
        assert terminal.end()[0] == 130
        assert terminal.modes() == terminal.before

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT"])
    def test_at_a_signal_that_ends_the_program(self, picking, name: str) -> None:
        terminal = picking()
        terminal.wait_for("preview")
        terminal.child.send_signal(getattr(signal, name))
        terminal.wait_for(FIRST_SCREEN)
        assert terminal.end()[0] == -getattr(signal, name)
        assert terminal.modes() == terminal.before

    def test_at_an_interrupt_from_elsewhere(self, picking) -> None:
        terminal = picking()
        terminal.wait_for("preview")
        terminal.child.send_signal(signal.SIGINT)
        terminal.wait_for("interrupted")
        assert terminal.modes() == terminal.before

    def test_at_an_error(self, picking) -> None:
        terminal = picking("if row.id == 'aaaaaaaa': raise RuntimeError('broken preview')")
        terminal.wait_for("preview of bbbbbbbb")
        terminal.type("\x1b[B")
        terminal.wait_for(FIRST_SCREEN)
        terminal.wait_for("broken preview")
        assert terminal.end()[0] == 1
        assert terminal.modes() == terminal.before

    def test_continued_after_a_stop_it_takes_the_terminal_again(self, picking) -> None:
        terminal = picking()
        terminal.wait_for("preview")
        terminal.child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, terminal.child.pid, os.WSTOPPED)
        termios.tcsetattr(terminal._follower, termios.TCSANOW, terminal.before)  # as a shell does
        terminal.child.send_signal(signal.SIGCONT)
        terminal.wait_for("preview")
        assert is_raw(terminal)
        terminal.type("\r")
        terminal.wait_for("picked")
        assert terminal.modes() == terminal.before
