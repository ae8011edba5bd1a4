"""Sixteen processes that make the same name in the same moment: one wins, the others learn it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RACER = """
import errno, json, os, sys
from sessionstore.errors import AlreadyExistsError
from sessionstore.fs import Directory
if sys.argv[2] == "link":
    os.environ["FAULT_renameat2"] = str(errno.ENOSYS)
sys.stdin.read()
own = b"%d" % os.getpid() * 1000
won = 0
with Directory.open(sys.argv[1], create=True, strict=True) as directory:
    for number in range(20):
        try:
            directory.write_atomic(f"{number}", [own], replace=False)
            won += 1
        except AlreadyExistsError:
            pass
print(json.dumps([os.getpid(), won]))
"""


@pytest.mark.parametrize("way", ["rename", "link"])
def test_of_sixteen_processes_exactly_one_makes_each_name(home: Path, library: Path, way: str) -> None:
    home.rmdir()
    environment = {**os.environ, "LD_PRELOAD": str(library)} if way == "link" else None
    command = [sys.executable, "-c", RACER, str(home), way]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(16)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
        racer.stdin = None
    answers = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    contents = [(home / f"{number}").read_bytes() for number in range(20)]
    assert sum(won for _, won in answers) == 20
    for process, won in answers:
        assert contents.count(b"%d" % process * 1000) == won
    assert sorted(os.listdir(home)) == sorted([".gitignore", *map(str, range(20))])
