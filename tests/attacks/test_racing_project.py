"""The project exchanged for something else as fast as the system can, by another process, while a session is resumed.

The attacker of `test_exchanged_project.py` misses no call, but acts between calls only; this one also acts within them.
"""

from __future__ import annotations

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
STARTS_EVERY = 20  # starting a program takes far longer than all the rest
# Ends when its input does, so it cannot outlive the test; an even number of exchanges leaves the names as they were.
# The pace changes all the time, from as fast as can be to about as slow as one resume, so that it fits every gap.
RACER = """
import ctypes, os, random, select, sys
library = ctypes.CDLL(None, use_errno=True)
here, there = map(os.fsencode, sys.argv[1:])
def exchange():
    if library.renameat2(-100, here, -100, there, 2):
        sys.exit(os.strerror(ctypes.get_errno()))
dice = random.Random(20261121)
paces = [dice.choice((0, 1000, 2000)) for _ in range(1000)]
print("ready", flush=True)
rounds = 0
while not select.select([0], [], [], 0)[0]:
    for pace in paces[rounds % 1000:][:20]:
        exchange()
        for _ in range(pace): pass
        os.sched_yield()
        exchange()
        for _ in range(pace): pass
        os.sched_yield()
    rounds += 20
print(rounds)
"""


@pytest.fixture
def race(place: Any) -> Callable[[], Any]:
    """A block during which another process exchanges the two names of `place` without a pause."""

    @contextmanager
    def racing() -> Iterator[None]:
        command = [sys.executable, "-c", RACER, place.here, place.there]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as racer:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
            yield
            told, _ = racer.communicate()
            assert racer.returncode == 0 and int(told) > 0

    return racing


def marker(fd: int) -> str:
    with open(fd) as file:
        return file.read()


def turn(number: int, moment: int) -> None:
    """Let the attacker run, in another combination of moments each time: on one core it would seldom get to."""
    if number >> moment & 1:
        os.sched_yield()


class TestRace:
    def test_two_thousand_resumes_read_and_start_in_the_saved_directory_or_nowhere(self, place: Any, race: Any) -> None:
        record, ended, read = capture(place.project), Counter[str](), Counter[str]()
        before = os.listdir("/proc/self/fd")
        with race():
            for number in range(RESUMES):
                turn(number, 0)
                try:
                    with pin(record) as root:
                        turn(number, 1)
                        read[marker(root.open("marker"))] += 1
                        read[marker(os.open("marker", os.O_RDONLY, dir_fd=root.dir_fd))] += 1
                        if number % STARTS_EVERY == 0:
                            read[root.run(["/bin/cat", "marker"], stdout=subprocess.PIPE, text=True).stdout] += 1
                        turn(number, 2)
                        root.check()
                        turn(number, 3)
                        read[marker(os.open(f"{root.cwd}/marker", os.O_RDONLY))] += 1
                    ended["ok"] += 1
                except ProjectPathError as exc:
                    ended[exc.verdict] += 1
        assert set(read) == {"genuine"}
        assert set(ended) - {"ok"} <= place.refusals and len(ended) > 1 < ended["ok"]
        assert os.listdir("/proc/self/fd") == before
        with pin(record) as root:
            root.check()

    def test_the_same_race_beats_a_pinned_directory_of_which_the_tool_gets_the_text(
        self, place: Any, race: Any
    ) -> None:
        record, read = capture(place.project), Counter[str]()
        with race():
            for number in range(RESUMES):
                turn(number, 0)
                try:
                    with pin(record) as root:
                        turn(number, 1)
                        read[marker(os.open(record.path + b"/marker", os.O_RDONLY))] += 1
                        turn(number, 2)
                        root.check()
                except ProjectPathError:
                    continue
        assert read["attacker"] > 0
