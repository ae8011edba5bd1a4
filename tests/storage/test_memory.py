"""Logs in memory: where they differ from files, nothing is shared with a forked child and nothing is odd."""

from __future__ import annotations

import subprocess
import sys

from sessionstore.storage import MemoryBackend

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


class TestMemory:
    def test_a_forked_child_has_its_own_copy_and_waits_for_nobody(self) -> None:
        done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("7 b'old'\n", "")

    def test_what_is_kept_can_be_looked_at(self) -> None:
        backend = MemoryBackend()
        assert backend.kept[backend.keep("a", [b"torn ", b"tail"])] == b"torn tail"
