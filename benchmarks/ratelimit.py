"""What it costs to ask whether a session may be resumed: allowed, refused, and the first time in a process."""

from __future__ import annotations

import statistics
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path

from benchmarks.measure import Row, in_turns
from sessionstore import open_store
from sessionstore.config import load_config
from sessionstore.errors import RateLimitError
from sessionstore.ratelimit import RateLimiter

PROCESSES = 15
BOUND_MS = 1.0

_FIRST = """
import sys, time
from sessionstore import open_store
from sessionstore.config import load_config
from sessionstore.ratelimit import RateLimiter
config = load_config(root=sys.argv[1], environ={}).config
with open_store(config=config) as store:
    start = time.perf_counter()
    limiter = RateLimiter(store._ground.ledger, config)
    if sys.argv[2] == "limits":
        import limits.strategies
    else:
        limiter.hit("first", None)
    print((time.perf_counter() - start) * 1000)
"""


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    # So long a window that nothing leaves it, with room for every run: the global bucket grows far beyond its default.
    environ = {"SESSIONSTORE_RESUME_WINDOW_SECONDS": "86400", "SESSIONSTORE_RESUME_GLOBAL_LIMIT": "10000"}
    config = load_config(root=directory, environ=environ).config
    with open_store(config=config) as store:
        limiter = RateLimiter(store._ground.ledger, config)
        numbers = count()

        def allowed() -> None:
            limiter.hit("resume", f"00000000-0000-4000-8000-{next(numbers):012d}")

        def refused() -> None:
            with suppress(RateLimitError):
                limiter.hit("resume", "00000000-0000-4000-8000-ffffffffffff")

        for _ in range(10):
            refused()
        few_ms, refused_ms = in_turns(60, allowed, refused)
        (many_ms,) = in_turns(2000, allowed)
    times = {
        what: statistics.median(_first_ms(directory, what) for _ in range(PROCESSES)) for what in ("hit", "limits")
    }
    return [
        Row("a rate check, up to 60 attempts counting", few_ms, "the bound", BOUND_MS, "<= 1"),
        Row("the same, refused", refused_ms, "the bound", BOUND_MS, "<= 1"),
        Row("the same, 60 to 2,060 attempts counting", many_ms, "the bound", BOUND_MS, "<= 1"),
        Row("the first rate check of a process", times["hit"], "import limits alone", times["limits"], "<= 1.25"),
    ]


def _first_ms(directory: Path, what: str) -> float:
    command = [sys.executable, "-c", _FIRST, str(directory), what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
