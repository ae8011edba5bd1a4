"""Several tasks, threads and processes at one conversation, and what a turn costs when it is long."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents", reason="needs the OpenAI Agents SDK: pip install 'sessionstore[openai]'")

from sessionstore import SessionStore, open_store
from sessionstore.integrations.openai import SealedSession

# Prints a line when it is ready, waits for one, then does what the test says.
READY = """
import asyncio, sys
from sessionstore import open_store
from sessionstore.integrations.openai import SealedSession
home, number = sys.argv[1], int(sys.argv[2])
store = open_store(home)
session = SealedSession("chat", store)
print("ready", flush=True)
sys.stdin.readline()
"""


def processes(script: str, home: Path, count: int) -> list[list[str]]:
    """Run the script in so many processes, let all go at once, and give the lines that each printed."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", READY + script, home, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate()[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0] * count
    return printed


def items(*texts: str) -> list[Any]:
    return [{"role": "user", "content": text} for text in texts]


class TestProcesses:
    def test_batches_of_several_processes_lose_double_and_mix_nothing(self, home: Path) -> None:
        open_store(home).close()
        script = """
async def add(task):
    for turn in range(5):
        name = f"{number}.{task}.{turn}"
        await session.add_items([{"role": "user", "content": f"{name}{half}"} for half in "ab"])
async def main():
    await asyncio.gather(*(add(task) for task in range(4)))
asyncio.run(main())
"""
        processes(script, home, 3)
        with open_store(home) as store:
            found = [item["content"] for item in asyncio.run(SealedSession("chat", store).get_items())]  # type: ignore[typeddict-item]
            assert len(store.list().sessions) == 1  # also the first items of all met in one session
        assert len(found) == len(set(found)) == 3 * 4 * 5 * 2
        assert [text[:-1] for text in found[::2]] == [text[:-1] for text in found[1::2]]
        for number, task in [(n, t) for n in range(3) for t in range(4)]:
            mine = [text for text in found[::2] if text.startswith(f"{number}.{task}.")]
            assert mine == [f"{number}.{task}.{turn}a" for turn in range(5)]

    def test_an_item_is_taken_off_by_one_of_them(self, home: Path) -> None:
        texts = [f"Message {number}" for number in range(60)]
        with open_store(home) as store:
            asyncio.run(SealedSession("chat", store).add_items(items(*texts)))
        script = """
async def main():
    while (item := await session.pop_item()) is not None:
        print(item["content"])
asyncio.run(main())
"""
        printed = processes(script, home, 3)
        assert Counter(text for lines in printed for text in lines) == Counter(texts)
        for lines in printed:
            assert lines == sorted(lines, key=texts.index, reverse=True)

    def test_one_clears_while_others_add_and_no_later_item_is_lost(self, home: Path) -> None:
        open_store(home).close()
        script = """
async def main():
    for turn in range(15):
        if number == 0:
            await session.clear_session()
        else:
            await session.add_items([{"role": "user", "content": f"{number}.{turn}"}])
    if number == 0:
        await session.clear_session()
asyncio.run(main())
"""
        processes(script, home, 3)
        with open_store(home) as store:
            assert len(store.list().sessions) <= 1
            found = [item["content"] for item in asyncio.run(SealedSession("chat", store).get_items())]  # type: ignore[typeddict-item]
            for number in (1, 2):  # what is left is the end of what each added
                mine = [text for text in found if text.startswith(f"{number}.")]
                assert mine == [f"{number}.{turn}" for turn in range(15 - len(mine), 15)]


class TestLoops:
    def test_a_loop_goes_on_while_a_call_waits(self, store: SessionStore) -> None:
        async def test() -> None:
            session = SealedSession("chat", store)
            await session.add_items(items("a"))
            (line,) = store.list().sessions
            with store._ground.locked(line.id):  # held by this thread: a loop that blocks would never get further
                adding = asyncio.ensure_future(session.add_items(items("b")))
                for _ in range(100):
                    await asyncio.sleep(0)
                assert not adding.done()
            await adding
            assert await session.get_items() == items("a", "b")

        asyncio.run(test())

    def test_one_object_serves_one_loop_after_another(self, store: SessionStore) -> None:
        session = SealedSession("chat", store)
        for text in "abc":
            asyncio.run(session.add_items(items(text)))
        assert asyncio.run(session.get_items()) == items("a", "b", "c")


class TestCost:
    def test_a_turn_reads_and_writes_the_same_at_any_length(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = SealedSession("chat", store)

        def turn() -> int:
            """Bytes read for a turn of every kind of call, in an object that knows nothing yet."""
            read: list[int] = []
            log = type(store._ground.backend.open(f"{store.list().sessions[0].id}.jsonl"))
            original = log.read

            def counting(self: Any, start: int, size: int) -> bytes:
                data: bytes = original(self, start, size)
                read.append(len(data))
                return data

            with monkeypatch.context() as patch:
                patch.setattr(log, "read", counting)

                async def calls() -> None:
                    fresh = SealedSession("chat", store)
                    await fresh.get_items(10)
                    await fresh.add_items(items("one more"))
                    await fresh.pop_item()

                asyncio.run(calls())
            return sum(read)

        asyncio.run(session.add_items(items(*("x" * 1000 for _ in range(100)))))
        for number in range(50):
            asyncio.run(session.add_items(items(f"{number} " + "x" * 1000)))
        short = turn()
        asyncio.run(session.add_items(items(*("x" * 1000 for _ in range(4000)))))
        for number in range(50):
            asyncio.run(session.add_items(items(f"{number} " + "x" * 1000)))
        assert turn() <= short * 1.1
