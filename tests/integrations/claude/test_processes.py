"""Several processes save into one store; one of them dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from sessionstore import open_store
from sessionstore.integrations.claude import SealedSessionStore

KEY: Any = {"project_key": "p", "session_id": "s"}

SAVE = """
import asyncio, sys
from sessionstore import open_store
from sessionstore.integrations.claude import SealedSessionStore

home, name, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
key = {"project_key": "p", "session_id": "s"}

async def main(store):
    claude = SealedSessionStore(store)
    for turn in range(turns):
        own = {"type": "user", "uuid": f"{name}-{turn}", "message": {"role": "user", "content": f"{name} {turn}"}}
        shared = {"type": "x", "uuid": f"shared-{turn}"}
        await claude.append(key, [own, shared, {"type": "custom-title", "customTitle": f"{name} {turn}"}])
        await claude.append({**key, "subpath": name}, [own])
        print(turn, flush=True)

with open_store(home, environ={}) as store:
    asyncio.run(main(store))
"""


def begin(home: Path, name: str, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", SAVE, str(home), name, str(turns)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestSeveralProcesses:
    def test_nothing_is_lost_nothing_is_there_twice_and_the_summary_is_that_of_all(self, home: Path) -> None:
        names, turns = ("a", "b", "c"), 15
        children = [begin(home, name, turns) for name in names]
        for child in children:
            _, errors = child.communicate(timeout=120)
            assert child.returncode == 0, errors

        async def main(claude: SealedSessionStore) -> None:
            loaded: list[Any] = await claude.load(KEY) or []
            for name in names:
                own = [item["uuid"] for item in loaded if item.get("uuid", "").startswith(f"{name}-")]
                assert own == [f"{name}-{turn}" for turn in range(turns)]
                assert len(await claude.load({**KEY, "subpath": name}) or ()) == turns
            shared = [item["uuid"] for item in loaded if item.get("uuid", "").startswith("shared")]
            assert sorted(shared) == sorted(f"shared-{turn}" for turn in range(turns))
            titles = [item["customTitle"] for item in loaded if item["type"] == "custom-title"]
            assert len(titles) == len(names) * turns
            (summary,) = await claude.list_session_summaries("p")
            assert summary["data"]["custom_title"] == titles[-1]
            assert summary["data"]["first_prompt"] == loaded[0]["message"]["content"]
            assert sorted(await claude.list_subkeys(KEY)) == list(names)

        with open_store(home, environ={}) as store:
            asyncio.run(main(SealedSessionStore(store)))

    def test_what_a_killed_one_was_told_is_saved_is_there_and_another_goes_on(self, home: Path) -> None:
        child = begin(home, "a", 1000)
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(5)]
        os.kill(child.pid, signal.SIGKILL)
        told += [int(line) for line in child.stdout.read().split("\n")[:-1]]
        child.communicate()

        async def main(claude: SealedSessionStore) -> None:
            loaded: list[Any] = await claude.load(KEY) or []
            own = [item["uuid"] for item in loaded if item.get("uuid", "").startswith("a-")]
            assert own[: len(told)] == [f"a-{turn}" for turn in told]
            assert len(own) <= len(told) + 1
            await claude.append(KEY, [{"type": "custom-title", "customTitle": "last"}])
            (summary,) = await claude.list_session_summaries("p")
            assert (summary["data"]["custom_title"], summary["data"]["first_prompt"]) == ("last", "a 0")

        with open_store(home, environ={}) as store:
            asyncio.run(main(SealedSessionStore(store)))
