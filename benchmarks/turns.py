"""One more durable turn of 2 KB: beside a bare append, at two sizes of the session, and from a cold process state."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Row, in_turns, store_in, turn
from sessionstore import SessionStore

TURN_BYTES = 2048
RUNS = 800
BURST = 100
PAUSE_S = 0.003


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    with store_in(directory) as store:
        small, large = _session(store, 10_000), _session(store, 9_000_000)
        bare = _bare_append(directory / "bare")
        actions = (bare, _turns(store, small), _turns(store, large))
        bare_ms, small_ms, large_ms = in_turns(RUNS, *actions, burst=BURST, pause_s=PAUSE_S)
        dense_bare_ms, dense_ms, _ = in_turns(RUNS, *actions, burst=BURST)
        cold_small_ms, warm_small_ms = in_turns(RUNS, _cold(store, small), _turns(store, small), burst=BURST)
        cold_large_ms, warm_large_ms = in_turns(RUNS, _cold(store, large), _turns(store, large), burst=BURST)
        first, last = _growth(store, small), _growth(store, large)
    return [
        Row(
            "a turn, 3 ms after the last, session of 10 KB",
            small_ms,
            "bare append + fdatasync of 2 KB",
            bare_ms,
            "<= 1.5",
        ),
        Row("the same without pauses", dense_ms, "the same without pauses", dense_bare_ms, "<= 1.5"),
        Row("a turn, session of 9 MB", large_ms, "the same, session of 10 KB", small_ms, "<= 1.3"),
        Row("a cold turn, 10 KB", cold_small_ms, "a warm one", warm_small_ms, "<= 2"),
        Row("a cold turn, 9 MB", cold_large_ms, "a warm one", warm_large_ms, "<= 2"),
        Row("bytes written for a turn at 9 MB", last, "at 10 KB", first, "<= 1.01", "bytes"),
    ]


def _session(store: SessionStore, size_bytes: int) -> str:
    session = store.create(name=f"{size_bytes} bytes")
    store.append(session.id, [turn(number) for number in range(size_bytes // TURN_BYTES)])
    return session.id


def _turns(store: SessionStore, session_id: str) -> Callable[[], object]:
    entry = turn(1)
    return lambda: store.append(session_id, [entry])


def _cold(store: SessionStore, session_id: str) -> Callable[[], object]:
    entry = turn(1)

    def append() -> None:
        store._writer.close()  # what a fresh process does not have: open logs
        store._ground.ledger._heads._verified = {}  # and rows it has verified before
        store.append(session_id, [entry])

    return append


def _bare_append(path: Path) -> Callable[[], object]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    data = b"x" * TURN_BYTES

    def append() -> None:
        os.pwrite(fd, data, os.fstat(fd).st_size)
        os.fdatasync(fd)

    return append


def _growth(store: SessionStore, session_id: str) -> float:
    before = store.summary(session_id).size_bytes
    store.append(session_id, [turn(1)])
    return float(store.summary(session_id).size_bytes - before)
