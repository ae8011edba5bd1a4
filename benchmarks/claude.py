"""100,000 batches of one entry through the adapter for the Claude Agent SDK beside our own appends: time and memory."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, store_in, turn
from sessionstore import AsyncSessionStore, SessionStore

APPENDS = 100_000
BURST = 100
EDGE = 5_000  # how many appends the beginning and the end are
BOUND_MIB = 16.0


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark; none where the SDK is not installed."""
    if find_spec("claude_agent_sdk") is None:
        return []
    with store_in(directory) as store:
        return asyncio.run(_run(store))


async def _run(store: SessionStore) -> list[Row]:
    from sessionstore.integrations.claude import SealedSessionStore

    claude = SealedSessionStore(store)
    blocking, awaited = store.create(name="own").id, store.create(name="own, awaited").id
    key: Any = {"project_key": "p", "session_id": "s"}
    ours: list[float] = []
    own: list[float] = []
    own_awaited: list[float] = []
    early_mib = 0.0
    async with AsyncSessionStore(lambda: store) as astore:
        for first in range(0, APPENDS, BURST):
            entries = [_entry(number) for number in range(first, first + BURST)]
            for entry in entries:
                start = time.perf_counter()
                await claude.append(key, [entry])
                ours.append(time.perf_counter() - start)
            if first < EDGE or first >= APPENDS - EDGE:  # the comparison, at both ends
                for entry in entries:
                    start = time.perf_counter()
                    store.append(blocking, [entry])
                    own.append(time.perf_counter() - start)
                for entry in entries:
                    start = time.perf_counter()
                    await astore.append(awaited, [entry])
                    own_awaited.append(time.perf_counter() - start)
            if len(ours) == APPENDS // 2:
                early_mib = _resident_mib()
        grown_mib = _resident_mib() - early_mib
    rows = []
    for what, part in (("first", slice(None, EDGE)), ("last", slice(-EDGE, None))):
        batch_ms, blocking_ms, awaited_ms = _ms(ours[part]), _ms(own[part]), _ms(own_awaited[part])
        text = f"a batch by the Claude adapter, the {what} {EDGE:,} of {APPENDS:,}"
        rows.append(Row(text, batch_ms, "our own append, awaited, in between", awaited_ms, "<= 1.5"))
        rows.append(Row("the same", batch_ms, "our own append, blocking, in between", blocking_ms, "none"))
    rows.append(Row("memory grown over the second half of them", grown_mib, "the bound", BOUND_MIB, "<= 1", "MiB"))
    return rows


def _entry(number: int) -> dict[str, Any]:
    uuid = f"0f5c2a9e-3b61-4d7a-9c58-{number:012d}"
    return {"type": "assistant", "uuid": uuid, "timestamp": "2026-01-31T12:00:00.000Z", "message": turn(number)}


def _ms(times: list[float]) -> float:
    return statistics.median(times) * 1000


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
