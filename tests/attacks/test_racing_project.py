"""The project exchanged for something else as fast as the system can, by another process, while a session is resumed.

The attacker of `test_exchanged_project.py` misses no call, but acts between calls only; this one also acts within them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, open_store
from sessionstore.errors import ProjectPathError
from sessionstore.fs.project import ProjectRoot, capture, pin
from sessionstore.model.records import ProjectRecord

Resume = Callable[[], AbstractContextManager[tuple[ProjectRoot, Callable[[], None]]]]

UNLIMITED = {"SESSIONSTORE_RESUME_LIMIT": "0", "SESSIONSTORE_RESUME_GLOBAL_LIMIT": "0"}
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
    """Let the attacker run, which on one core would seldom get to: in every fourth resume, at changing moments."""
    if number % 4 == 0 and number >> moment + 2 & 1:
        os.sched_yield()


@contextmanager
def pinned(record: ProjectRecord) -> Iterator[tuple[ProjectRoot, Callable[[], None]]]:
    with pin(record) as root:
        yield root, root.check


@contextmanager
def resumed(store: SessionStore, session_id: str) -> Iterator[tuple[ProjectRoot, Callable[[], None]]]:
    with store.resume(session_id) as run:
        assert run.project is not None
        yield run.project, run.commit


def raced(place: Any, race: Any, resume: Resume) -> None:
    """Resume two thousand times in a race, and once more when it is over."""
    ended, read = Counter[str](), Counter[str]()
    with resume() as (_, commit):
        commit()  # opens files that later ones keep
    before = os.listdir("/proc/self/fd")
    with race():
        for number in range(RESUMES):
            turn(number, 0)
            try:
                with resume() as (root, commit):
                    turn(number, 1)
                    read[marker(root.open("marker"))] += 1
                    read[marker(os.open("marker", os.O_RDONLY, dir_fd=root.dir_fd))] += 1
                    if number % STARTS_EVERY == 0:
                        read[root.run(["/bin/cat", "marker"], stdout=subprocess.PIPE, text=True).stdout] += 1
                    turn(number, 2)
                    commit()
                    turn(number, 3)
                    read[marker(os.open(f"{root.cwd}/marker", os.O_RDONLY))] += 1
                ended["ok"] += 1
            except ProjectPathError as exc:
                ended[exc.verdict] += 1
    assert set(read) == {"genuine"}
    assert set(ended) - {"ok"} <= place.refusals and len(ended) > 1 < ended["ok"]
    assert os.listdir("/proc/self/fd") == before
    with resume() as (_, commit):
        commit()


class TestRace:
    def test_two_thousand_pinned_directories_are_read_and_started_in_as_saved_or_not_at_all(
        self, place: Any, race: Any
    ) -> None:
        raced(place, race, partial(pinned, capture(place.project)))

    def test_two_thousand_resumes_are_read_and_started_in_as_saved_or_not_at_all(
        self, place: Any, race: Any, home: Path
    ) -> None:
        with open_store(home, environ=UNLIMITED) as store:
            session = store.create(project=place.project)
            path = home / "data" / "sessions" / f"{session.id}.jsonl"
            good = path.read_bytes()
            raced(place, race, partial(resumed, store, session.id))
            assert path.read_bytes() == good

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
