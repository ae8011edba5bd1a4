"""Another key for a store of many sessions: what each costs, beside an ordinary turn, and a turn after it."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.measure import Row, in_turns, store_in, turn

SESSIONS = 1000
TURNS = 200


def run(directory: Path, sessions: int = SESSIONS) -> list[Row]:
    """The rows of this benchmark."""
    with store_in(directory) as store:
        made = [store.create(name=f"session {number}").id for number in range(sessions)]
        entry = turn(1)
        for id in made:
            store.append(id, [entry])
        (turn_ms,) = in_turns(TURNS, lambda: store.append(made[0], [entry]))
        started = time.perf_counter()
        report = store.rotate_keys()
        rotated_ms = (time.perf_counter() - started) * 1000
        assert report.sessions == sessions and report.finished
        (after_ms,) = in_turns(TURNS, lambda: store.append(made[0], [entry]))
    return [
        Row(f"rotation, each of {sessions:,} sessions", rotated_ms / sessions, "a turn", turn_ms, "<= 3"),
        Row("a turn after it", after_ms, "before", turn_ms, "<= 1.2"),
    ]
