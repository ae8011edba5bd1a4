"""Pinning, judging and checking a project directory at depth 12, beside one `os.path.realpath` of the same path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Row, in_turns
from sessionstore.fs.project import capture, pin
from sessionstore.fs.syscalls import Kernel, Openat2State
from sessionstore.model.records import ProjectRecord

DEPTH = 12
RUNS = 3000
# The bounds are 60 and 160 microseconds on a machine where realpath takes 33.
WANTED = {"openat2": 60 / 33, "walk": 160 / 33}


class _Walking(Kernel):
    """The real system, without openat2."""

    def openat2_state(self) -> Openat2State:
        return "missing"


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    names = [f"level-{number:02}" for number in range(DEPTH - len(directory.parts) + 1)]
    project = directory.joinpath(*names)
    project.mkdir(parents=True)
    record = capture(project)
    kernels = {"openat2": Kernel(), "walk": _Walking()}
    if kernels["openat2"].openat2_state() != "available":
        del kernels["openat2"]
    rows = []
    for name, kernel in kernels.items():
        ours, half, other = in_turns(
            RUNS, _whole(record, kernel), _pin(record, kernel), lambda: os.path.realpath(project), burst=10
        )
        what = f"the project at depth {DEPTH} by {name}"
        against = "one os.path.realpath"
        bound = f"<= {WANTED[name]:.2f}"
        rows.append(Row(f"pin, judge and check {what}", ours * 1000, against, other * 1000, bound, "us"))
        rows.append(Row(f"pin and judge {what}", half * 1000, against, other * 1000, "", "us"))
    return rows


def _whole(record: ProjectRecord, kernel: Kernel) -> Callable[[], None]:
    def whole() -> None:
        with pin(record, kernel=kernel) as root:
            root.check()

    return whole


def _pin(record: ProjectRecord, kernel: Kernel) -> Callable[[], None]:
    return lambda: pin(record, kernel=kernel).close()
