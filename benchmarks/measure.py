"""Medians of interleaved runs, and a table of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessionstore import SessionStore, open_store
from sessionstore.config import load_config


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        what: What was measured.
        ours: Median, in `unit`.
        against: What it is compared with.
        other: Median of that.
        bound: The ratio that is wanted.
        unit: `ms`, `us`, `bytes` or `MiB`.
    """

    what: str
    ours: float
    against: str
    other: float
    bound: str
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        """Ours over the other."""
        return self.ours / self.other


def in_turns(runs: int, *actions: Callable[[], object], burst: int = 1, pause_s: float = 0.0) -> list[float]:
    """Median milliseconds of each action, the actions taking turns, so that a busy moment hits all.

    Args:
        runs: How often each action is run.
        burst: How often in a row. Syncs of several files in alternation cost the file system many times what the same
            syncs cost one file after the other, which is what a session does.
        pause_s: Seconds to wait before each run. Back to back, a disk is kept awake by the one who asks fastest.
    """
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(runs // burst):
        for action, spent in zip(actions, times, strict=True):
            for _ in range(burst):
                time.sleep(pause_s)
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


def turn(number: int) -> dict[str, Any]:
    """An entry of about 2 KB with the shape of an agent's turn: text, a tool call, its result, counts."""
    text = f'Turn {number}: it fails because "expires_at" is naïve.\nI compare it in UTC and run the suite again.\n'
    found = "assert token.expires_at > now()  # naïve and aware\n"
    listing = "".join(f"tests/test_login.py:{line}: {found}" for line in range(14))
    call = {"command": "pytest -q", "cwd": "."}
    return {
        "id": f"msg_{number:012d}",
        "role": "assistant",
        "timestamp": "2026-01-31T12:00:00.000000Z",
        "content": [
            {"type": "text", "text": text * 4},
            {"type": "tool_use", "id": f"toolu_{number}", "name": "bash", "input": call},
            {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": listing, "is_error": False},
        ],
        "usage": {"input_tokens": 11855 + number, "output_tokens": 81, "cache_read": 0, "total": 11936 + number},
        "model": "a-model-of-the-day",
        "parent": f"msg_{number - 1:012d}",
    }


def print_table(rows: list[Row]) -> None:
    """The rows as a Markdown table on standard output."""
    print("| what | ours | against | that | ratio | wanted |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        ours, other = (f"{value:,.{0 if row.unit == 'bytes' else 2}f} {row.unit}" for value in (row.ours, row.other))
        print(f"| {row.what} | {ours} | {row.against} | {other} | {row.ratio:.2f} | {row.bound} |")
