"""A command starts in the directory held open, after the last check and not before, and its end is ours.

Everything happens in real processes: a driver calls `run_gated` as `resume` does, with a check of the test's own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore.cli.gate import candidates

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at processes through /proc")

SESSION_ID = "0d1e2f30-0000-4000-8000-000000000001"

# argv: the directory, Python to run before, Python that is the check, the command.
DRIVER = """
import os, signal, sys
from sessionstore.cli.failures import NotStarted
from sessionstore.cli.launch import run_gated

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()

class Refused(Exception):
    pass

directory_fd = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY)
session_json = b'{"session": "content"}'
exec(sys.argv[2])

def commit():
    exec(sys.argv[3], globals())

fds = len(os.listdir("/proc/self/fd"))
for_children = signal.getsignal(signal.SIGCHLD)
mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
try:
    code = run_gated(sys.argv[4:], directory_fd=directory_fd, session_json=session_json,
                     session_id="SESSION_ID", commit=commit)
except Refused:
    code = 90
except KeyboardInterrupt:
    code = 91
except NotStarted as error:
    print(error.code, "|", error, file=sys.stderr)
    code = 92
assert len(os.listdir("/proc/self/fd")) == fds, "a descriptor is left"
assert not children(), "a child is left"
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
assert signal.getsignal(signal.SIGCHLD) == for_children
sys.stdout.flush()
os._exit(code)
""".replace("SESSION_ID", SESSION_ID)

TELL = "import os, sys, json, signal\n"


class Launch:
    """Starts drivers with their project, and ends those that a failed test leaves."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *argv: str, before: str = "", commit: str = "pass", **settings: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", DRIVER, str(self.project), textwrap.dedent(before), textwrap.dedent(commit)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
        self.started.append(subprocess.Popen([*command, *argv], **pipes))
        return self.started[-1]

    def __call__(self, *argv: str, data: bytes = b"", **settings: Any) -> tuple[int, str, str]:
        driver = self.start(*argv, **settings)
        out, err = driver.communicate(data, timeout=60)
        return driver.returncode, (out or b"").decode(), (err or b"").decode()

    def script(self, text: str, *arguments: str) -> list[str]:
        """A command that runs this Python."""
        return [sys.executable, "-c", TELL + textwrap.dedent(text), *arguments]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    project = tmp_path / "project"
    project.mkdir()
    (project / "whose").write_text("ours")
    launch = Launch(project)
    yield launch
    for driver in launch.started:
        if driver.poll() is None:
            driver.kill()
        driver.communicate()


def line(driver: subprocess.Popen[bytes]) -> str:
    assert driver.stdout is not None
    return driver.stdout.readline().decode().rstrip("\n")


def child_of(driver: subprocess.Popen[bytes]) -> int:
    (found,) = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    return int(found)


@contextlib.contextmanager
def watched(pid: int) -> Iterator[Callable[[], bool]]:
    """In the block: a call that waits for the end of that process, which need not be a child."""
    fd = os.pidfd_open(pid)
    try:
        yield lambda: bool(select.select([fd], [], [], 60)[0])
    finally:
        os.close(fd)


class TestTheCommand:
    @pytest.mark.parametrize("code", [0, 1, 7, 126, 255])
    def test_its_exit_status_is_ours(self, launch: Launch, code: int) -> None:
        assert launch("sh", "-c", f"exit {code}") == (code, "", "")

    @pytest.mark.parametrize("name", ["KILL", "TERM", "INT", "SEGV"])
    def test_killed_by_a_signal_it_ends_with_128_and_the_number(self, launch: Launch, name: str) -> None:
        number = int(getattr(signal, f"SIG{name}"))
        assert launch("sh", "-c", f"ulimit -c 0; kill -{name} $$")[0] == 128 + number

    def test_it_has_our_three_streams(self, launch: Launch) -> None:
        assert launch("sh", "-c", "cat; echo aside >&2", data=b"in and out") == (0, "in and out", "aside\n")

    def test_it_gets_its_arguments_as_they_are(self, launch: Launch) -> None:
        odd = ["", " ", "--", "-c", "*", "$HOME", "a\nb", "\udcff\udcfe"]
        ran = launch(*launch.script("print(json.dumps(sys.argv[1:]))", *odd))
        assert json.loads(ran[1]) == odd

    def test_an_exit_status_is_not_lost_where_the_caller_ignores_ended_children(self, launch: Launch) -> None:
        ignored = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
        assert launch("sh", "-c", "exit 7", before=ignored)[0] == 7


class TestTheDirectory:
    SWAP = """
        moved = sys.argv[1] + ".moved"
        os.rename(sys.argv[1], moved)
        os.mkdir(sys.argv[1])
        open(sys.argv[1] + "/whose", "w").write("theirs")
    """

    def test_it_is_the_one_held_open_whatever_its_name_leads_to_now(self, launch: Launch) -> None:
        ran = launch("sh", "-c", "cat whose; pwd -P", commit=self.SWAP)
        assert ran == (0, f"ours{launch.project}.moved\n", "")

    def test_the_child_is_in_it_before_the_check(self, launch: Launch) -> None:
        ran = launch("true", commit="print(os.readlink(f'/proc/{children()[0]}/cwd'))")
        assert ran[1] == f"{launch.project}\n"

    def test_its_text_is_in_no_variable(self, launch: Launch) -> None:
        env = {**os.environ, "PWD": str(launch.project), "OLDPWD": str(launch.project)}
        ran = launch(*launch.script("print(dict(os.environ))"), env=env)
        assert "PWD" not in ran[1]
        assert str(launch.project) not in ran[1]

    def test_one_that_cannot_be_entered_fails_before_the_check(self, launch: Launch) -> None:
        before = "directory_fd = os.open(sys.argv[1] + '/whose', os.O_PATH)"
        ran = launch("sh", "-c", "echo ran", before=before, commit="print('checked')")
        reason = "the child cannot wait in the directory: Not a directory"
        assert ran == (92, "", f"command_not_started | cannot start 'sh': {reason}\n")


class TestTheSession:
    READ = """
        fd = int(os.environ["SESSIONSTORE_SESSION_FD"])
        first = os.read(fd, 100)
        os.lseek(fd, 0, os.SEEK_SET)
        print(json.dumps([fd, os.environ["SESSIONSTORE_SESSION_ID"], first.decode(), os.read(fd, 100).decode()]))
    """

    def test_it_can_be_read_from_its_beginning_again_and_again(self, launch: Launch) -> None:
        text = '{"session": "content"}'
        assert json.loads(launch(*launch.script(self.READ))[1]) == [3, SESSION_ID, text, text]

    def test_a_shell_can_read_it(self, launch: Launch) -> None:
        assert launch("sh", "-c", "cat <&$SESSIONSTORE_SESSION_FD")[1] == '{"session": "content"}'

    def test_a_large_one_blocks_nobody(self, launch: Launch) -> None:
        count = "import os; print(len(open(3, 'rb').read()))"
        assert launch(sys.executable, "-c", count, before="session_json = b'x' * 20_000_000")[1] == "20000000\n"

    def test_the_command_cannot_change_it(self, launch: Launch) -> None:
        ran = launch(*launch.script("os.write(3, b'x')"))
        assert ran[0] == 1
        assert "Error" in ran[2]

    def test_where_there_is_no_sealed_memory_it_is_a_file_without_a_name(self, launch: Launch, tmp_path: Path) -> None:
        place = tmp_path / "temporary"
        place.mkdir()
        without = "del os.memfd_create"
        ran = launch(*launch.script(self.READ), before=without, env={**os.environ, "TMPDIR": str(place)})
        assert json.loads(ran[1])[2] == '{"session": "content"}'
        assert list(place.iterdir()) == []
        ran = launch(*launch.script("os.write(3, b'x')"), before=without)
        assert "Bad file descriptor" in ran[2]

    def test_inside_a_command_of_an_outer_launch_the_inner_session_counts(self, launch: Launch) -> None:
        before = """
            os.environ.update(SESSIONSTORE_SESSION_FD="3", SESSIONSTORE_SESSION_ID="outer")
            directory_fd = os.dup(directory_fd)
            os.dup2(os.memfd_create("outer"), 3)
        """
        assert json.loads(launch(*launch.script(self.READ), before=before)[1])[:3] == [
            3,
            SESSION_ID,
            '{"session": "content"}',
        ]


class TestWhatIsHandedDown:
    OPEN = """
        def is_open(fd):
            try:
                os.fstat(fd)
            except OSError:
                return False
            return True
        print([fd for fd in range(256) if is_open(fd)])
    """

    def test_the_streams_and_the_session_are_open_and_nothing_else(self, launch: Launch) -> None:
        before = """
            directory_fd = os.dup2(directory_fd, 99)
            for number in (3, 4, 5, 6, 20, 200):  # as if our caller had handed them to us, and where ours go
                os.dup2(0, number)
        """
        assert launch(*launch.script(self.OPEN), before=before)[1] == "[0, 1, 2, 3]\n"

    def test_a_stream_that_is_closed_for_us_is_closed_for_it(self, launch: Launch) -> None:
        script = self.OPEN.replace("print(", "print(file=sys.stderr, *")
        ran = launch(*launch.script(script), before="os.close(0); os.close(1)", stdin=None, stdout=None)
        assert ran[2] == "2 3\n"

    def test_while_it_waits_the_child_holds_nothing_of_ours(self, launch: Launch) -> None:
        before = "held = [os.open('/', os.O_RDONLY) for _ in range(5)]"
        check = "print(sorted(map(int, os.listdir(f'/proc/{children()[0]}/fd'))))"
        assert launch("true", before=before, commit=check)[1] == "[0, 1, 2, 3, 4, 5]\n"

    def test_signals_are_as_the_caller_left_them(self, launch: Launch) -> None:
        before = """
            signal.signal(signal.SIGUSR1, lambda number, frame: None)
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        """
        ran = launch("cat", "/proc/self/status", before=before)
        known = dict(part.split(":\t") for part in ran[1].splitlines() if part.startswith("Sig"))
        assert int(known["SigBlk"], 16) == 1 << (signal.SIGALRM - 1)
        # Whatever started the driver may have left the C library's own two signals ignored (32 and 33).
        assert int(known["SigIgn"], 16) & 0x7FFFFFFF == 1 << (signal.SIGUSR2 - 1)
        assert int(known["SigCgt"], 16) == 0

    def test_a_writer_into_a_closed_pipe_dies_of_it_as_it_should(self, launch: Launch) -> None:
        ran = launch("sh", "-c", "(yes; echo $? >&2) | head -n 1")
        assert ran == (0, "y\n", "141\n")


class TestTheCheck:
    def test_the_command_does_not_run_before_it(self, launch: Launch) -> None:
        check = "import time; print(os.readlink(f'/proc/{children()[0]}/exe') == os.readlink('/proc/self/exe'))"
        ran = launch("sh", "-c", "echo ran", commit=check + "; sys.stdout.flush()")
        assert ran == (0, "True\nran\n", "")

    def test_refused_the_command_never_runs_and_nothing_is_left(self, launch: Launch) -> None:
        # The driver itself makes sure that no child and no descriptor is left.
        assert launch("sh", "-c", "touch ran; echo ran", commit="raise Refused") == (90, "", "")
        assert not (launch.project / "ran").exists()

    def test_ctrl_c_meanwhile_is_an_end_like_a_refusal(self, launch: Launch) -> None:
        driver = launch.start("touch", "ran", commit="print('checking', flush=True); signal.pause()")
        assert line(driver) == "checking"
        with watched(child_of(driver)) as ended:
            os.kill(driver.pid, signal.SIGINT)
            assert ended()
        assert driver.wait(60) == 91
        assert not (launch.project / "ran").exists()

    @pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP"])
    def test_killed_meanwhile_we_take_the_waiting_child_along(self, launch: Launch, name: str) -> None:
        driver = launch.start("touch", "ran", commit="print('checking', flush=True); signal.pause()")
        assert line(driver) == "checking"
        with watched(child_of(driver)) as ended:
            os.kill(driver.pid, getattr(signal, name))
            assert ended()
        assert driver.wait(60) == -getattr(signal, name)
        assert not (launch.project / "ran").exists()

    def test_a_gate_that_ends_without_opening_ends_the_child_without_the_command(self, tmp_path: Path) -> None:
        # Alone, without the signal that also comes when the parent dies, and with work left for the end of a Python.
        script = """
            import atexit, os, sys
            from sessionstore.cli.gate import become
            class Nothing:
                def follow(self): pass
            atexit.register(print, "an end that is not the child's")
            gate_end, gate = os.pipe()
            status, status_end = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    become(["touch", "ran"], dict(os.environ), directory_fd=os.open(".", os.O_RDONLY), session_fd=0,
                           gate_fd=gate_end, status_fd=status_end, endings=Nothing(), mask=set())
                finally:
                    print("came back")
            os.close(status_end)
            assert os.read(status, 1) == b"."
            os.close(gate)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 126
            assert os.read(status, 1) == b""
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "an end that is not the child's\n")
        assert list(tmp_path.iterdir()) == []

    def test_a_child_whose_parent_is_gone_already_does_not_go_on(self) -> None:
        script = """
            import os
            from sessionstore.cli.gate import Endings
            endings = Endings()
            if os.fork() == 0:
                if os.fork() == 0:  # its parent is not the one that the endings were made in
                    try:
                        endings.follow()
                    except OSError as exc:
                        os._exit(exc.errno)
                    os._exit(0)
                os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        """
        assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False).returncode == errno.ESRCH

    def test_a_child_that_was_killed_while_it_waited_is_told_as_such(self, launch: Launch) -> None:
        check = (
            "pid = int(children()[0]); os.kill(pid, signal.SIGKILL); os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)"
        )
        assert launch("sh", "-c", "touch ran", commit=check)[0] == 128 + signal.SIGKILL
        assert not (launch.project / "ran").exists()

    def test_a_child_that_waits_runs_no_handler_of_ours(self, launch: Launch) -> None:
        before = "signal.signal(signal.SIGUSR1, lambda number, frame: os.mkdir('handled'))"
        check = (
            "pid = int(children()[0]); os.kill(pid, signal.SIGUSR1); os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)"
        )
        assert launch("touch", "ran", before=before, commit=check)[0] == 128 + signal.SIGUSR1
        assert [path.name for path in launch.project.iterdir()] == ["whose"]

    def test_beside_another_thread_nothing_is_forked(self, launch: Launch) -> None:
        before = "import threading; wait = threading.Event(); threading.Thread(target=wait.wait, daemon=True).start()"
        ran = launch("touch", "ran", before=before, commit="print('checked')")
        assert ran == (92, "", "command_not_started | cannot start 'touch': this process runs other threads\n")


class TestWhatCannotBeStarted:
    def test_a_program_that_is_not_there(self, launch: Launch) -> None:
        ran = launch("no-such-program", "argument")
        assert ran == (92, "", "command_not_found | cannot start 'no-such-program': there is no such program\n")

    def test_a_file_that_may_not_be_executed(self, launch: Launch) -> None:
        assert launch("./whose")[2] == "command_not_started | cannot start './whose': Permission denied\n"

    def test_one_in_a_directory_of_the_path_is_told_rather_than_none(self, launch: Launch, tmp_path: Path) -> None:
        (tmp_path / "whose").write_text("")
        ran = launch("whose", env={**os.environ, "PATH": f"{tmp_path}:{tmp_path / 'empty'}"})
        assert ran[2] == "command_not_started | cannot start 'whose': Permission denied\n"

    def test_a_script_without_an_interpreter(self, launch: Launch) -> None:
        (launch.project / "script").write_text("echo hello\n")
        (launch.project / "script").chmod(0o755)
        ran = launch("./script")
        assert ran[0] == 92
        assert "names its interpreter (#!)" in ran[2]

    def test_arguments_that_are_too_long(self, launch: Launch) -> None:
        before = "sys.argv.append('x' * 10_000_000)"
        assert launch("true", before=before)[2] == "command_not_started | cannot start 'true': Argument list too long\n"


class TestTheLookUp:
    @pytest.fixture
    def planted(self, launch: Launch) -> str:
        """A program in the project whose name is that of no other."""
        (launch.project / "bin").mkdir()
        for place in (launch.project, launch.project / "bin"):
            (place / "planted").write_text("#!/bin/sh\necho planted\n")
            (place / "planted").chmod(0o755)
        return "planted"

    @pytest.mark.parametrize(
        "path", ["", ":", ".", "bin", "./bin:../project", ":/usr/bin", "/usr/bin:", "/usr/bin::/bin"]
    )
    def test_no_entry_of_the_path_leads_into_the_project(self, launch: Launch, planted: str, path: str) -> None:
        assert launch(planted, env={**os.environ, "PATH": path})[0] == 92

    def test_a_name_with_a_slash_is_taken_from_the_project(self, launch: Launch, planted: str) -> None:
        assert launch("bin/planted") == (0, "planted\n", "")

    def test_without_a_path_the_system_has_one(self, launch: Launch) -> None:
        env = {name: value for name, value in os.environ.items() if name != "PATH"}
        assert launch("sh", "-c", "echo found", env=env)[1] == "found\n"

    def test_the_directories_are_tried_in_their_order(self) -> None:
        assert candidates(b"x", b"/b:a::/c/:./d") == [b"/b/x", b"/c/x"]


REPORTS = """
    names = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT")
    numbers = {getattr(signal, "SIG" + name) for name in names}
    for number in numbers:
        signal.signal(number, lambda number, frame: None)  # else some are dropped before anybody can wait for them
    # Waited for one by one: a handler could be entered while it is at work, or just before a pause.
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    print("up", flush=True)
    while True:
        number = signal.sigwait(numbers)
        print(signal.Signals(number).name, flush=True)
        if number == signal.SIGTERM:
            sys.exit(15)
"""


class TestSignals:
    @pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "CONT"])
    def test_what_is_sent_to_us_is_sent_on(self, launch: Launch, name: str) -> None:
        driver = launch.start(*launch.script(REPORTS))
        assert line(driver) == "up"
        driver.send_signal(getattr(signal, f"SIG{name}"))
        assert line(driver) == f"SIG{name}"
        driver.send_signal(signal.SIGTERM)
        assert line(driver) == "SIGTERM"
        assert driver.wait(60) == 15
        assert line(driver) == ""

    def test_what_the_caller_ignores_for_us_is_ignored(self, launch: Launch) -> None:
        # The command does not ignore it, so that only we can have swallowed it.
        script = launch.script("""
            signal.signal(signal.SIGHUP, lambda number, frame: print("sent on", flush=True))
            print("up", flush=True)
            signal.sigwait([signal.SIGUSR1])
            print("done")
        """)
        before = """
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        """
        driver = launch.start(*script, before=before)
        assert line(driver) == "up"
        driver.send_signal(signal.SIGHUP)
        driver.send_signal(signal.SIGUSR1)
        assert line(driver) == "done"
        assert driver.wait(60) == 0

    def test_what_the_command_sends_to_all_does_not_come_back_to_it(self, launch: Launch) -> None:
        script = """
            both = {signal.SIGUSR1, signal.SIGUSR2}
            signal.pthread_sigmask(signal.SIG_BLOCK, both)
            os.kill(os.getppid(), signal.SIGUSR1)
            print("sent", flush=True)
            # The driver takes signals in the order of their numbers: what it sent on before this one is here by now.
            signal.sigwait([signal.SIGUSR2])
            print(signal.sigpending())
        """
        driver = launch.start(*launch.script(script))
        assert line(driver) == "sent"
        driver.send_signal(signal.SIGUSR2)
        assert line(driver) == "set()"
        assert driver.wait(60) == 0

    def test_killed_we_take_the_command_along(self, launch: Launch) -> None:
        driver = launch.start(*launch.script(REPORTS))
        assert line(driver) == "up"
        with watched(child_of(driver)) as ended:
            driver.kill()
            assert line(driver) == "SIGTERM"
            assert ended()

    def test_a_stopped_command_that_ends_is_reported(self, launch: Launch) -> None:
        driver = launch.start("sh", "-c", "echo up; kill -STOP $$; exit 3")
        assert line(driver) == "up"
        child = child_of(driver)
        while "T (stopped)" not in Path(f"/proc/{child}/status").read_text():
            pass
        os.kill(child, signal.SIGCONT)
        assert driver.wait(60) == 3


# A shell in small: gives a job the terminal, tells how it changes, and continues it once.
SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
back = lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTTOU, signal.SIGINT)]
job = subprocess.Popen(sys.argv[1:], process_group=0, preexec_fn=back)
os.tcsetpgrp(0, job.pid)
while True:
    pid, status = os.waitpid(job.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        print("ended", os.waitstatus_to_exitcode(status), flush=True)
        break
    os.tcsetpgrp(0, os.getpgrp())
    print("stopped", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, job.pid)
    os.killpg(job.pid, signal.SIGCONT)
"""


@pytest.fixture
def job(launch: Launch, converse) -> Callable[..., Any]:
    """A driver as the job of a shell, on a terminal of its own."""

    def start(*argv: str) -> Any:
        driver = [sys.executable, "-c", DRIVER, str(launch.project), "", "pass", *argv]
        return converse(sys.executable, "-c", SHELL, *driver)

    return start


class TestKeysOfTheTerminal:
    @pytest.mark.parametrize(("key", "name"), [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")])
    def test_they_reach_the_command_once(self, launch: Launch, converse, key: bytes, name: str) -> None:
        driver = [sys.executable, "-c", DRIVER, str(launch.project), "", "pass"]
        terminal = converse(*driver, *launch.script(REPORTS))
        terminal.wait_for("up")
        # Two that come at the same moment count as one: the driver has to be late, for a second one to be seen.
        terminal.child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, terminal.child.pid, os.WSTOPPED)
        terminal.type(key)
        terminal.wait_for(name)
        terminal.child.send_signal(signal.SIGCONT)
        assert name not in terminal.wait_for("SIGCONT")

    def test_ctrl_c_that_kills_the_command_is_the_end_of_both(self, launch: Launch, job) -> None:
        # Not a shell that runs another command: one that is interrupted while it starts it may go on.
        script = "signal.signal(signal.SIGINT, signal.SIG_DFL); print('up', flush=True); signal.pause()"
        terminal = job(*launch.script(script))
        terminal.wait_for("up")
        terminal.type(b"\x03")
        terminal.wait_for("ended 130")

    def test_ctrl_z_stops_both_and_fg_continues_both(self, launch: Launch, job) -> None:
        terminal = job("sh", "-c", "echo up; read x; echo got $x; exit 4")
        terminal.wait_for("up")
        terminal.type(b"\x1a")
        terminal.wait_for("stopped")
        terminal.type(b"\n")
        terminal.type(b"word\n")
        terminal.wait_for("got word")
        terminal.wait_for("ended 4")
