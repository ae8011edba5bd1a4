"""The project exchanged for something else as fast as the system can, by another process, while a session is resumed.

The attacker of `test_exchanged_project.py` misses no call, but acts between calls only; this one also acts within them.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sessionstore.errors import ProjectPathError
from sessionstore.fs.project import capture, pin

RESUMES = 2_000
STARTS = 100  # of these, with a program started: that takes far longer

# Ends when its input does, so that it cannot outlive the test; an even number of exchanges leaves the names as they were.
RACER = """
import ctypes, os, select, sys
exchange = ctypes.CDLL(None, use_errno=True).renameat2
here, there = map(os.fsencode, sys.argv[1:])
if exchange(-100, here, -100, there, 2) or exchange(-100, here, -100, there, 2):
    sys.exit(os.strerror(ctypes.get_errno()))
print("ready", flush=True)
rounds = 0
while not select.select([0], [], [], 0)[0]:
    for _ in range(100):
        exchange(-100, here, -100, there, 2)
        exchange(-100, here, -100, there, 2)
    rounds += 100
print(rounds)
"""


@pytest.fixture
def race(place: Any) -> Callable[[], Any]:
    """A block during which another process exchanges the two names of `place` without a pause."""

    @contextmanager
    def racing() -> Iterator[None]:
        if not hasattr(ctypes.CDLL(None), "renameat2"):
            pytest.skip("this C library cannot exchange two names")
        command = [sys.executable, "-c", RACER, place.here, place.there]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as racer:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
            yield
            told, _ = racer.communicate()
            assert racer.returncode == 0 and int(told) > 0

    return racing
