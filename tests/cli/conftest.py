"""Running the command line: as a child process, on a terminal of its own, and in this process for breadth."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from sessionstore.cli import command


class Ran(NamedTuple):
    """How a call ended: exit code, and what came out as text."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error of a failed call with --json; nothing else may have been printed."""
        assert self.err == ""
        return self.value["error"]


class Runner(Protocol):
    def __call__(
        self, *arguments: str, data: bytes = b"", env: Mapping[str, str] = {}, cwd: Path | None = None
    ) -> Ran: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a store that is not made yet; every call uses it unless it says otherwise."""
    home = tmp_path / "store"
    monkeypatch.setenv("SESSIONSTORE_HOME", str(home))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    for name in ("NO_COLOR", "COLUMNS", "TERM", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return home


@pytest.fixture
def child(home: Path) -> Runner:
    """Run `python -m sessionstore` in a process of its own, without a terminal."""

    def run(*arguments: str, data: bytes = b"", env: Mapping[str, str] = {}, cwd: Path | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "sessionstore", *arguments],
            input=data,
            capture_output=True,
            env={**os.environ, **env},
            cwd=cwd,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def call(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Run the command line in this process: the same code as the child, at a hundredth of the time."""

    def run(*arguments: str, data: bytes = b"", env: Mapping[str, str] = {}, cwd: Path | None = None) -> Ran:
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as left:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
            for name, text in env.items():
                patch.setenv(name, text)
            if cwd is not None:
                patch.chdir(cwd)
            capsys.readouterr()
            command().main(list(arguments), prog_name="sessionstore")
        printed = capsys.readouterr()
        return Ran(int(left.value.code or 0), printed.out, printed.err)

    return run


def _take_terminal() -> None:
    """In the child: make its stdin the terminal whose Ctrl-C reaches it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A shell starts what it puts into the background with interrupts ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Screen(NamedTuple):
    """What a terminal showed, line ends as LF."""

    code: int
    text: str


@pytest.fixture
def terminal(home: Path) -> Callable[..., Screen]:
    """Run a child whose stdin, stdout and stderr are one terminal; `answer` is typed once it ends in `waits_for`.

    `meanwhile` is called before that.
    """

    def run(
        *arguments: str,
        answer: bytes = b"",
        waits_for: bytes = b"[y/N] ",
        meanwhile: Callable[[], object] = lambda: None,
        columns: int = 100,
        env: Mapping[str, str] = {},
    ) -> Screen:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        child = subprocess.Popen(
            [sys.executable, "-m", "sessionstore", *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**os.environ, "TERM": "xterm-256color", **env},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(follower)
        seen = b""
        try:
            while True:
                ready, _, _ = select.select([leader], [], [], 60)
                assert ready, f"no answer from the child; so far: {seen!r}"
                try:
                    data = os.read(leader, 65536)
                except OSError as exc:
                    assert exc.errno == errno.EIO
                    break
                if not data:
                    break
                seen += data
                if answer and seen.endswith(waits_for):
                    meanwhile()
                    os.write(leader, answer)
                    answer = b""
            code = child.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            child.wait()
            os.close(leader)
        return Screen(code, seen.decode().replace("\r\n", "\n"))

    return run


class Conversation:
    """A child on a terminal of its own, typed to and read from step by step.

    Attributes:
        child: The process; its stdin and stderr are the terminal, and its stdout, unless that goes elsewhere.
    """

    def __init__(self, argv: Sequence[str], *, columns: int, lines: int, stdout: int | None, env: Mapping[str, str]):
        self._leader, self._follower = pty.openpty()
        self.resize(columns, lines)
        self._seen = b""
        self.child = subprocess.Popen(
            argv,
            stdin=self._follower,
            stdout=self._follower if stdout is None else stdout,
            stderr=self._follower,
            env={**os.environ, "TERM": "xterm-256color", **env},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; whoever has it in the foreground is told by the system."""
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, text: str) -> str:
        """Read until `text` comes; returns what came before it."""
        wanted = text.encode()
        while wanted not in self._seen:
            ready, _, _ = select.select([self._leader], [], [], 60)
            assert ready, f"{text!r} did not come, only {self._seen!r}"
            self._seen += os.read(self._leader, 65536)
        before, self._seen = self._seen.split(wanted, 1)
        return before.decode()

    def type(self, keys: str | bytes) -> None:
        """Type these."""
        os.write(self._leader, keys.encode() if isinstance(keys, str) else keys)

    def modes(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self._follower)

    def end(self) -> tuple[int, str]:
        """Wait for the end of the child; its exit code, and what came that was not waited for."""
        code = self.child.wait(60)
        while select.select([self._leader], [], [], 0)[0]:
            self._seen += os.read(self._leader, 65536)
        return code, self._seen.decode()

    def close(self) -> None:
        """End the child, if it has not ended, with what has the terminal, and take the terminal away."""
        if self.child.poll() is None:
            # A shell may have given it to a job, which would outlive the shell.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.tcgetpgrp(self._leader), signal.SIGKILL)
            self.child.kill()
        self.child.wait()
        os.close(self._leader)
        os.close(self._follower)


@pytest.fixture
def converse() -> Iterator[Callable[..., Conversation]]:
    """Start a conversation with a program, given by its whole command line."""
    with contextlib.ExitStack() as ends:

        def start(
            *argv: str, columns: int = 100, lines: int = 30, stdout: int | None = None, env: Mapping[str, str] = {}
        ) -> Conversation:
            made = Conversation(argv, columns=columns, lines=lines, stdout=stdout, env=env)
            ends.callback(made.close)
            return made

        yield start


@pytest.fixture
def session_id(call: Runner) -> str:
    """A session "first" with two entries."""
    made = call("--json", "new", "--name", "first")
    assert made.code == 0, made
    lines = b'{"role":"user","content":"hello"}\n{"role":"assistant","content":"good day"}\n'
    assert call("append", made.value["id"], data=lines).code == 0
    return str(made.value["id"])
