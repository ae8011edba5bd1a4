"""Several processes at one thread, a process that is killed, and one that is forked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessionstore import SessionStore
from sessionstore.integrations.langgraph import SealedSaver

HERE: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

COMMON = """
import asyncio, os, sys
from langgraph.checkpoint.base import empty_checkpoint
from sessionstore import open_store
from sessionstore.integrations.langgraph import SealedSaver

HERE = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

def put(saver, texts, config=HERE):
    made = empty_checkpoint()
    made["channel_values"], made["channel_versions"] = {"texts": texts}, {"texts": texts[-1]}
    return saver.put(config, made, {}, {"texts": texts[-1]})
"""

WRITER = """
name = sys.argv[2]
with open_store(sys.argv[1]) as store:
    saver = SealedSaver(store)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(20):
        one = put(saver, ["common", f"{name}.{number}"])
        saver.put_writes(one, [("texts", number)], name)
        print(number, flush=True)
"""

FORKED = """
async def look(saver):
    found = await saver.aget_tuple(HERE)
    return found.checkpoint["channel_values"]["texts"]

with open_store(sys.argv[1]) as store:
    saver = SealedSaver(store)
    put(saver, ["parent"])
    assert asyncio.run(look(saver)) == ["parent"]
    with saver._threads.use("t"):  # somebody is at work while the process is forked
        child = os.fork()
        if child == 0:
            put(saver, ["parent", "child"])
            os._exit(asyncio.run(look(saver)) != ["parent", "child"])
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(look(saver)) == ["parent", "child"]
"""


def start(home: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", COMMON + WRITER, str(home), name]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_processes_put_to_one_thread_at_once_and_nothing_is_lost(home: Path, store: SessionStore) -> None:
    children = [start(home, name) for name in "abc"]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate()
        assert child.returncode == 0
    found = list(SealedSaver(store).list(HERE))
    texts = {found.checkpoint["channel_values"]["texts"][-1]: found for found in found}
    assert set(texts) == {f"{name}.{number}" for name in "abc" for number in range(20)}
    for text, one in texts.items():
        name, _, number = text.partition(".")
        assert one.checkpoint["channel_values"] == {"texts": ["common", text]}
        assert one.pending_writes == [(name, "texts", int(number))]


def test_what_was_put_before_a_kill_is_there(home: Path, store: SessionStore) -> None:
    child = start(home, "a")
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    last = [int(child.stdout.readline()) for _ in range(5)][-1]
    child.kill()
    rest, _ = child.communicate()
    acknowledged = int(rest.split()[-1]) if rest.split() else last
    saver = SealedSaver(store)
    texts = {found.checkpoint["channel_values"]["texts"][-1] for found in saver.list(HERE)}
    assert {f"a.{number}" for number in range(acknowledged + 1)} <= texts
    assert [result.ok for result in store.verify()] == [True]


def test_a_forked_process_goes_on_by_itself(home: Path, child: Callable[..., str]) -> None:
    # Python 3.12 warns of forking with threads; here it is what is looked at.
    child("import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + COMMON + FORKED, home)
