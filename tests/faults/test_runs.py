"""Runs between processes: one of many, lists beside them, kill -9, forks, and disks that refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import open_store
from sessionstore.errors import AlreadyRunningError, StoreUnavailableError
from sessionstore.fs import Directory, Locks
from sessionstore.storage import FileBackend, FileRuns, Holder

Child = Callable[..., list[Any]]

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
STARTED = "2026-01-31T12:00:00.000000Z"
TRIES = 2000

RUNNER = """
import os, sys
from sessionstore import open_store
from sessionstore.storage import Holder
with open_store(sys.argv[1], environ={}) as store:
    with store._ground.backend.run(sys.argv[2], Holder(os.getpid(), "2026-01-31T12:00:00.000000Z")):
        print("running", flush=True)
        sys.stdin.readline()
        print(store.append(sys.argv[2], [{"by": "runner"}]), flush=True)
        sys.stdin.readline()
"""

# Lists as often as it can, until its input ends.
LISTER = """
import sys, threading
from sessionstore import open_store
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
with open_store(sys.argv[1], environ={}, read_only=sys.argv[2] == "read-only") as store:
    print("listing", flush=True)
    seen = [0, 0]
    while not ended.is_set():
        seen[len(store._ground.backend.running())] += 1
print(*seen)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a script in a process of its own and waits for its first line; all are killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        says(started[-1])
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=60)


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


class TestOneOfMany:
    def test_of_fifty_processes_exactly_one_runs_it_and_the_others_are_told_who(self, child: Child) -> None:
        told = child(
            "from sessionstore.errors import AlreadyRunningError\n"
            "from sessionstore.storage import Holder\n"
            "ready, go = os.pipe(), os.pipe()\n"
            "answers, ended = os.pipe(), os.pipe()\n"
            "for _ in range(50):\n"
            "    if os.fork(): continue\n"
            "    os.close(go[1]); os.close(ended[1])\n"
            "    os.write(ready[1], b'x'); os.read(go[0], 1)\n"
            "    try:\n"
            f"        with backend.run({ID!r}, Holder(os.getpid(), {STARTED!r})):\n"
            "            os.write(answers[1], b'%8d won%10d\\n' % (os.getpid(), os.getpid())); os.read(ended[0], 1)\n"
            "    except AlreadyRunningError as error:\n"
            "        os.write(answers[1], b'%8d not%10d\\n' % (os.getpid(), error.pid))\n"
            "    os._exit(0)\n"
            "for _ in range(50): os.read(ready[0], 1)\n"
            "os.close(go[1])\n"
            "lines = [os.read(answers[0], 23).decode().split() for _ in range(50)]\n"
            "tell([int(pid) for _, how, pid in lines if how == 'won'])\n"
            "tell([int(pid) for _, how, pid in lines if how != 'won'])\n"
            "os.close(ended[1])\n"
            "for _ in range(50): os.wait()\n"
            "tell(list(backend.running()))\n"
        )
        (winner,), others, after = told
        assert len(others) == 49 and set(others) <= {0, winner}
        assert after == []


class TestBesideLists:
    def test_no_list_makes_a_run_fail_and_none_sees_what_is_not_there(
        self, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            store.create(id=ID)
            listers = [start(LISTER, tmp_path / "store", mode) for mode in ("read-only", "writing")]
            backend = store._ground.backend
            for _ in range(TRIES):
                with backend.run(ID, Holder(os.getpid(), STARTED)):
                    pass
            for lister in listers:
                assert int(lister.communicate("")[0].split()[0]) > 10
            assert backend.running() == {}


class TestKilled:
    def test_kill_9_frees_the_session_at_once_and_leaves_no_trace_of_a_run(
        self, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            store.create(id=ID)
            backend = store._ground.backend
            runner = start(RUNNER, tmp_path / "store", ID)
            assert backend.running() == {ID: Holder(runner.pid, STARTED)}
            assert store.summary(ID).state == "running"
            with pytest.raises(AlreadyRunningError) as caught:
                backend.run(ID, Holder()).__enter__()
            assert (caught.value.pid, caught.value.started_at) == (runner.pid, STARTED)
            runner.send_signal(signal.SIGKILL)
            runner.wait(timeout=60)
            note = tmp_path / "store" / "state" / "runs" / f"{ID}.json"
            assert note.exists()
            assert [line.state for line in store.list().sessions] == ["saved"]
            assert not note.exists()
            with backend.run(ID, Holder()):
                pass

    def test_a_kill_at_any_moment_leaves_nothing_locked(self, child: Child) -> None:
        told = child(
            "from sessionstore.storage import Holder\n"
            "def act(moment):\n"
            "    calls = 0\n"
            "    def hook(frame, event, arg):\n"
            "        nonlocal calls\n"
            "        calls += event in ('c_call', 'c_return')\n"
            "        if calls == moment: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    child = os.fork()\n"
            "    if child: return os.WIFSIGNALED(os.waitpid(child, 0)[1])\n"
            "    sys.setprofile(hook)\n"
            f"    with backend.run({ID!r}, Holder(os.getpid(), {STARTED!r})): pass\n"
            "    sys.setprofile(None); os._exit(0)\n"
            "moment = 0\n"
            "while act(moment := moment + 1):\n"
            f"    assert backend.running() == {{}}\n"
            f"    with backend.run({ID!r}, Holder()): pass\n"
            "tell(moment, left())\n"
        )
        assert told[0] > 40 and told[1] == [f"{ID}.run"]


class TestRunningElsewhere:
    def test_it_is_listed_saved_by_its_owner_and_not_deleted(
        self, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            store.create(id=ID)
            runner = start(RUNNER, tmp_path / "store", ID)
            assert [line.id for line in store.list(running=True).sessions] == [ID]
            with pytest.raises(AlreadyRunningError) as caught:
                store.delete(ID)
            assert caught.value.pid == runner.pid
            go_on(runner)
            assert says(runner) == "2"
            assert store.append(ID, [{"by": "another"}]) == 3
            go_on(runner)
            assert runner.wait(timeout=60) == 0
            store.delete(ID)


class TestFork:
    def test_a_child_neither_holds_nor_ends_the_run_it_was_forked_in(self, child: Child) -> None:
        told = child(
            "from sessionstore.storage import Holder\n"
            f"held = backend.run({ID!r}, Holder(4711, {STARTED!r})); held.__enter__()\n"
            "pid = os.fork()\n"
            "if not pid:\n"
            "    held.__exit__(None, None, None)\n"
            f"    tell(list(backend.running()), refusal(lambda: backend.run({ID!r}, Holder()).__enter__())[0])\n"
            "    os._exit(0)\n"
            "os.waitpid(pid, 0)\n"
            f"tell(backend.running()[{ID!r}].pid); held.__exit__(None, None, None); tell(backend.running())\n"
        )
        assert told == [[ID], "AlreadyRunningError", 4711, {}]

    def test_a_living_child_does_not_keep_the_run_of_a_killed_parent(self, child: Child) -> None:
        told = child(
            "from sessionstore.storage import Holder\n"
            "ready, done = os.pipe(), os.pipe()\n"
            "parent = os.fork()\n"
            "if not parent:\n"
            f"    with backend.run({ID!r}, Holder()):\n"
            "        if not os.fork():\n"
            "            os.close(done[1]); os.write(ready[1], b'x'); os.read(done[0], 1); os._exit(0)\n"
            "        signal.pause()\n"
            "os.read(ready[0], 1)\n"
            "tell(list(backend.running()))\n"
            "os.kill(parent, signal.SIGKILL); os.waitpid(parent, 0)\n"
            "tell(list(backend.running())); os.close(done[1])\n"
        )
        assert told == [[ID], []]


class TestRefusals:
    def test_where_nothing_can_be_locked_nothing_is_run(self, faulty: Child) -> None:
        told = faulty(
            "from sessionstore.storage import Holder\n"
            "fault('flock', errno.ENOLCK)\n"
            f"for call in (backend.at_rest, lambda id: backend.run(id, Holder())):\n"
            f"    tell(*refusal(lambda: call({ID!r}).__enter__())[:2])\n"
            "tell(len(os.listdir('/proc/self/fd')))\n"
            f"refusal(lambda: backend.at_rest({ID!r}).__enter__())\n"
            "tell(len(os.listdir('/proc/self/fd')))\n"
        )
        assert told[:4] == ["StoreUnavailableError", "not_written"] * 2
        assert told[4] == told[5]

    def test_a_lock_that_cannot_be_given_back_is_closed(self, faulty: Child) -> None:
        told = faulty(
            "from sessionstore.storage import Holder\n"
            f"with backend.run({ID!r}, Holder()): fault('flock', errno.ENOLCK)\n"
            "del os.environ['FAULT_flock']\n"
            f"with backend.run({ID!r}, Holder()): tell('again')\n"
        )
        assert told == ["again"]

    def test_on_a_read_only_disk_what_runs_is_told_and_nothing_can_be_run(
        self, home: Path, mount: Callable[[str], None]
    ) -> None:
        mount("mode=0700")
        (home / f"{ID}.json").write_text(json.dumps({"pid": 1, "started_at": STARTED}))
        (home / ".gitignore").touch()
        os.chmod(home / f"{ID}.json", 0o600)
        subprocess.run(["mount", "-o", "remount,ro", home], check=True)
        with Directory.open(home) as directory:
            runs = FileRuns(directory, directory)
            backend = FileBackend(directory, lambda: directory, Locks(directory), runs)
            assert backend.running() == {}
            with backend.at_rest(ID):
                pass
            with pytest.raises(StoreUnavailableError, match=r"\.run: the file system is read-only"):
                backend.run(ID, Holder()).__enter__()
            assert sorted(os.listdir(home)) == [".gitignore", f"{ID}.json"]
