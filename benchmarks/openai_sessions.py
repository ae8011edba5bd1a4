"""100,000 items through the adapter of the OpenAI Agents SDK, beside our own append and the SDK's SQLiteSession."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from array import array
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, store_in
from sessionstore import SessionStore
from sessionstore.aio.borrowed import pool_of

ITEMS = int(os.environ.get("BENCHMARK_ITEMS", "100000"))
BURST = 500
SHORT = 1000
READS = 200
POPS = 50


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark; none where the SDK is not installed."""
    if find_spec("agents") is None:
        print("openai: needs the OpenAI Agents SDK: pip install 'sessionstore[openai]'", file=sys.stderr)
        return []
    with store_in(directory) as store:
        return asyncio.run(_measured(store, directory))


async def _measured(store: SessionStore, directory: Path) -> list[Row]:
    from agents import SQLiteSession

    from sessionstore.integrations.openai import SealedSession

    adapter, sqlite = SealedSession("long", store), SQLiteSession("long", directory / "sdk.db")
    short = SealedSession("short", store)
    own = store.create(name="our own appends").id
    for number in range(SHORT):
        await short.add_items([_item(number)])

    async def append(items: list[Any]) -> None:
        await pool_of(store).call(store.append, own, items)  # as `AsyncSessionStore.append` does

    ways: tuple[Callable[[list[Any]], Awaitable[None]], ...] = (adapter.add_items, append, sqlite.add_items)
    spent = tuple(array("d", bytes(8 * ITEMS)) for _ in ways)  # made now: what is measured is not our own notes
    memory: list[float] = []
    for begin in range(0, ITEMS, BURST):
        # In bursts, taking turns: a busy moment hits all, and no file's syncs pay for another's.
        for way, times in zip(ways, spent, strict=True):
            for number in range(begin, begin + BURST):
                items = [_item(number)]
                start = time.perf_counter()
                await way(items)
                times[number] = time.perf_counter() - start
        memory.append(_resident_mib())
    tenth = ITEMS // 10
    first_ms, last_ms = (statistics.median(part) * 1000 for part in (spent[0][:tenth], spent[0][-tenth:]))
    own_ms, sqlite_ms = (statistics.median(times[-tenth:]) * 1000 for times in spent[1:])
    reads = await _in_turns(READS, lambda: adapter.get_items(20), lambda: short.get_items(20))
    pops = await _in_turns(POPS, adapter.pop_item, short.pop_item)
    if len(await adapter.get_items()) != ITEMS - POPS or (await adapter.get_items(1))[0] != _item(ITEMS - POPS - 1):
        raise AssertionError("items were lost or doubled")
    sqlite.close()
    last = f"the last tenth of {ITEMS:,} items"
    return [
        Row(f"an item through the OpenAI adapter, {last}", last_ms, "our own append, awaited", own_ms, "<= 1.5"),
        Row("the same", last_ms, "the first tenth", first_ms, "<= 1.2"),
        Row("the same", last_ms, "SQLiteSession of the SDK", sqlite_ms, "none"),
        Row(f"the latest 20 of {ITEMS:,} items", reads[0], f"of {SHORT:,}", reads[1], "<= 1.5"),
        Row(f"taking one off {ITEMS:,} items", pops[0], f"off {SHORT:,}", pops[1], "<= 1.5"),
        Row(f"memory after {ITEMS:,} items", memory[-1], "after a tenth", memory[len(memory) // 10], "<= 1.1", "MiB"),
    ]


async def _in_turns(count: int, *calls: Callable[[], Awaitable[object]]) -> list[float]:
    """Median milliseconds of each call, the calls taking turns, so that a busy moment hits all."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(count):
        for call, spent in zip(calls, times, strict=True):
            start = time.perf_counter()
            await call()
            spent.append(time.perf_counter() - start)
    return [statistics.median(spent) * 1000 for spent in times]


def _item(number: int) -> dict[str, Any]:
    return {"role": "user", "content": f"Message {number}: " + "it fails because the token is compared naïvely. " * 6}


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
