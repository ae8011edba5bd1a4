"""Medians of interleaved runs, and a table of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sessionstore import SessionStore, open_store
from sessionstore.config import load_config


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        what: What was measured.
        ours_ms: Median in milliseconds.
        against: What it is compared with.
        other_ms: Median of that.
        bound: The ratio that is wanted at most (or at least, if it starts with `>=`).
    """

    what: str
    ours_ms: float
    against: str
    other_ms: float
    bound: str

    @property
    def ratio(self) -> float:
        """Ours over the other."""
        return self.ours_ms / self.other_ms


def in_turns(runs: int, *actions: Callable[[], object]) -> list[float]:
    """Median milliseconds of each action, run one after the other `runs` times, so that a busy moment hits all."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(runs):
        for action, spent in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            spent.append(time.perf_counter() - start)
    return [statistics.median(spent) * 1000 for spent in times]


@contextmanager
def store_in(directory: Path) -> Iterator[SessionStore]:
    """A store whose caps are out of the way."""
    environ = {"SESSIONSTORE_MAX_SESSION_BYTES": "512MiB", "SESSIONSTORE_MAX_SESSIONS": "100000"}
    with open_store(config=load_config(root=directory, environ=environ).config) as store:
        yield store


def turn(number: int, size_bytes: int = 2048) -> dict[str, str]:
    """An entry whose line is about `size_bytes` long."""
    words = f"turn {number}: the quick brown fox jumps over the lazy dog; "
    text = (words * (size_bytes // len(words) + 1))[: size_bytes - 50]
    return {"role": "assistant", "content": text}


def print_table(rows: list[Row]) -> None:
    """The rows as a Markdown table on standard output."""
    print("| what | ours | against | that | ratio | wanted |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        ours, other = f"{row.ours_ms:.3f} ms", f"{row.other_ms:.3f} ms"
        print(f"| {row.what} | {ours} | {row.against} | {other} | {row.ratio:.2f} | {row.bound} |")
