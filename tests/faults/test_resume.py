"""Runs and kills: a run ends with its process, however that ends; a resume that dies half way leaves no trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sessionstore import SessionStore, open_store
from sessionstore.errors import AlreadyRunningError

# Fifty processes that open a store at once take their time on a busy machine.
SETTINGS = {
    "SESSIONSTORE_RESUME_LIMIT": "0",
    "SESSIONSTORE_RESUME_GLOBAL_LIMIT": "0",
    "SESSIONSTORE_LOCK_TIMEOUT_S": "120",
}
PROCESSES = 50
MOMENTS = 40

HOLD = """
import sys
from sessionstore import open_store
with open_store(sys.argv[1]) as store, store.resume(sys.argv[2]) as run:
    run.commit()
    run.append([{"from": "the run"}])
    print("running", flush=True)
    sys.stdin.read()
print("ended", flush=True)
"""

RACE = """
import sys
from sessionstore import open_store
from sessionstore.errors import AlreadyRunningError
with open_store(sys.argv[1]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with store.resume(sys.argv[2]) as run:
            run.commit()
            print("won", flush=True)
            sys.stdin.readline()
    except AlreadyRunningError:
        print("refused", flush=True)
"""

# Killed at its n-th call between the beginning of the resume and the first word of the block.
DIE = """
import os, signal, sys
from sessionstore import open_store
moment, calls = int(sys.argv[3]), 0
def hook(frame, event, arg):
    global calls
    calls += event in ("c_call", "c_return")
    if calls == moment:
        os.kill(os.getpid(), signal.SIGKILL)
with open_store(sys.argv[1]) as store:
    store.refuse_resume("not_found")  # what is loaded only once is loaded by now
    sys.setprofile(hook)
    with store.resume(sys.argv[2]) as run:
        run.commit()
        sys.setprofile(None)
        print(calls, flush=True)
"""


@pytest.fixture
def opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionStore]:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    with open_store(home) as store:
        yield store


def start(stack: ExitStack, script: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", script, *map(str, args)]
    # Calls are counted in these processes, and measuring coverage would make calls of its own.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("way", ["kill", "end"])
def test_the_end_of_its_process_frees_the_session_at_once(opened: SessionStore, home: Path, way: str) -> None:
    session = opened.create()
    with ExitStack() as stack:
        process = start(stack, HOLD, home, session.id)
        assert said(process) == "running"
        with pytest.raises(AlreadyRunningError) as caught, opened.resume(session.id):
            pass
        assert caught.value.pid == process.pid
        assert [line.state for line in opened.list(running=True).sessions] == ["running"]
        opened.append(session.id, [{"from": "beside the run"}])
        if way == "kill":
            process.send_signal(signal.SIGKILL)
            process.wait()
        else:
            assert process.stdin is not None
            process.stdin.close()
            assert said(process) == "ended"
        assert opened.list(running=True).sessions == ()
        with opened.resume(session.id) as run:
            run.commit()
        assert run.session.entries == ({"from": "the run"}, {"from": "beside the run"})


def test_of_fifty_resumes_at_once_exactly_one_wins(opened: SessionStore, home: Path) -> None:
    session = opened.create()
    with ExitStack() as stack:
        processes = [start(stack, RACE, home, session.id) for _ in range(PROCESSES)]
        assert [said(process) for process in processes] == ["ready"] * PROCESSES
        for process in processes:
            tell(process)
        outcomes = [said(process) for process in processes]
        assert sorted(outcomes) == ["refused"] * (PROCESSES - 1) + ["won"]
        for process in processes:
            process.stdin.close()  # type: ignore[union-attr]


def test_a_kill_at_any_moment_of_a_resume_leaves_nothing_locked_and_nothing_changed(
    opened: SessionStore, home: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    session = opened.create(project=project, entries=[{"n": 1}])
    file = home / "data" / "sessions" / f"{session.id}.jsonl"
    before = file.read_bytes()
    with ExitStack() as stack:
        calls = int(said(start(stack, DIE, home, session.id, -1)))
        assert calls > MOMENTS
        killed = 0
        for number in range(MOMENTS):
            process = start(stack, DIE, home, session.id, 1 + number * calls // MOMENTS)
            ended = process.wait()
            assert ended in (0, -signal.SIGKILL)  # a run may make a few calls less than the first
            killed += ended != 0
            assert file.read_bytes() == before
            with opened.resume(session.id) as run:
                run.commit()
            assert run.session == session
        assert killed > MOMENTS * 3 // 4
    report = opened.verify_audit()
    assert report.ok, report
    assert os.listdir(home / "state" / "runs") in ([], [".gitignore"])
