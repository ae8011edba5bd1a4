"""Four processes appending to one session, beside four appending to one plain file."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Row, store_in

PROCESSES = 4
TURNS = 250

_OURS = """
import sys
from pathlib import Path
from benchmarks.measure import store_in, turn
with store_in(Path(sys.argv[1])) as store:
    sys.stdin.readline()
    for number in range(int(sys.argv[3])):
        store.append(sys.argv[2], [turn(number)])
"""

_PLAIN = """
import os, sys
from benchmarks.measure import turn
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    os.write(fd, repr(turn(number)).encode() + b"\\n")
    os.fdatasync(fd)
"""


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    with store_in(directory) as store:
        session_id = store.create(name="four writers").id
        ours = _together(_OURS, str(directory), session_id)
        plain = _together(_PLAIN, str(directory / "plain.jsonl"), session_id)
        if len(store.load(session_id).entries) != PROCESSES * TURNS:
            raise AssertionError("turns were lost or doubled")
    what = f"{PROCESSES} processes, {PROCESSES * TURNS} turns into one session"
    return [Row(what, ours * 1000, "plain append + fdatasync", plain * 1000, "<= 2 (half the throughput)")]


def _together(script: str, *arguments: str) -> float:
    command = [sys.executable, "-c", script, *arguments, str(TURNS)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    time.sleep(1.5)  # until every one of them stands at the line
    start = time.perf_counter()
    for child in children:
        child.communicate("go\n")
    if any(child.returncode for child in children):
        raise AssertionError("a writer failed")
    return time.perf_counter() - start
