"""Logs in memory: where they differ from files, nothing is shared with a forked child and nothing is odd."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from sessionstore.errors import AlreadyRunningError, StoreUnavailableError
from sessionstore.storage import Holder, MemoryBackend, memory

FORK = """
import os, threading, warnings
from sessionstore.storage import MemoryBackend
warnings.simplefilter("ignore", DeprecationWarning)
backend = MemoryBackend()
backend.write("a", [b"old"], replace=False)
held, let_go = threading.Event(), threading.Event()
def hold():
    with backend.lock("id", timeout_s=0), backend._guard:
        held.set(); let_go.wait()
thread = threading.Thread(target=hold); thread.start(); held.wait()
child = os.fork()
if not child:
    with backend.lock("id", timeout_s=0):
        backend.write("a", [b"the child's"], replace=True)
    os._exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
let_go.set(); thread.join()
print(status, backend.open("a").read(0, 100))
"""


FORK_IN_RUN = """
import os, threading, warnings
from sessionstore.storage import Holder, MemoryBackend
warnings.simplefilter("ignore", DeprecationWarning)
backend = MemoryBackend()
held, let_go = threading.Event(), threading.Event()
def hold():
    with backend._changed: held.set(); let_go.wait()
with backend.run("a", Holder()), backend.at_rest("b"):
    thread = threading.Thread(target=hold); thread.start(); held.wait()
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        let_go.set(); thread.join()
        print(status, list(backend.running()), flush=True)
    else:
        print(list(backend.running()), flush=True)
        with backend.run("a", Holder()), backend.run("b", Holder()):
            pass
if not child:
    os._exit(7)
print(list(backend.running()), flush=True)
"""


class TestMemory:
    def test_a_forked_child_holds_no_run_and_frees_none(self) -> None:
        done = subprocess.run([sys.executable, "-c", FORK_IN_RUN], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("[]\n7 ['a']\n[]\n", "")

    def test_waiting_for_who_keeps_a_session_at_rest_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "PATIENCE_S", 0.01)
        backend = MemoryBackend()
        with (
            backend.at_rest("a"),
            pytest.raises(StoreUnavailableError, match=r"a\.run: others keep it from being taken for more than 0\.01"),
        ):
            backend.run("a", Holder()).__enter__()

    def test_a_forked_child_has_its_own_copy_and_waits_for_nobody(self) -> None:
        done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("7 b'old'\n", "")

    def test_of_two_that_wait_for_it_one_runs_as_soon_as_it_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "PATIENCE_S", 3600)
        backend = MemoryBackend()
        outcome: list[str] = []
        lost = threading.Event()

        def run() -> None:
            try:
                with backend.run("a", Holder()):
                    outcome.append("won")
                    lost.wait(60)
            except AlreadyRunningError:
                outcome.append("lost")
                lost.set()

        threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
        with backend.at_rest("a"):
            for thread in threads:
                thread.start()
            while len(backend._changed._waiters) < 2:  # type: ignore[attr-defined]
                pass
        for thread in threads:
            thread.join(60)
        assert outcome == ["won", "lost"]

    def test_what_is_kept_can_be_looked_at(self) -> None:
        backend = MemoryBackend()
        assert backend.kept[backend.keep("a", [b"torn ", b"tail"])] == b"torn tail"
