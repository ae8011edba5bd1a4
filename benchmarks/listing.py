"""Listing 10,000 sessions, authenticated, beside looking at their files; and the newest 50 of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.measure import Row, in_turns, store_in

COUNT = 10_000
RUNS = 9


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    with store_in(directory) as store:
        for number in range(COUNT):
            store.create(name=f"session {number}", tags=["bench"])
    time.sleep(2.1)  # a directory that changed within two seconds is never remembered
    with store_in(directory) as store:
        files = directory / "data" / "sessions"
        whole, looked = in_turns(RUNS, store.list, lambda: [entry.stat() for entry in os.scandir(files)])
        store.list(limit=50)
        (newest,) = in_turns(50, lambda: store.list(limit=50))
    return [
        Row("list 10,000 sessions", whole, "scandir + stat of them", looked, "<= 3.75"),
        Row("the newest 50 of 10,000, again", newest, "the bound", 2.0, "<= 1"),
    ]
