"""Several processes at one session and at one key."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("strands", reason="needs Strands Agents: pip install 'sessionstore[strands]'")

from strands.types.session import Session, SessionAgent, SessionType

from sessionstore import SessionStore, open_store
from sessionstore.integrations.strands import SealedSessionRepository, SealedStorage

# Prints a line when it is ready, waits for one, then does what the test says.
READY = """
import asyncio, sys
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType
from sessionstore import open_store
from sessionstore.integrations.strands import SealedSessionRepository, SealedStorage
home, number = sys.argv[1], int(sys.argv[2])
store = open_store(home)
repository = SealedSessionRepository(store)
def message(id, text):
    return SessionMessage(message={"role": "user", "content": [{"text": text}]}, message_id=id)
print("ready", flush=True)
sys.stdin.readline()
"""


def processes(script: str, home: Path, count: int = 3) -> list[list[str]]:
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


def begin(store: SessionStore, *agents: str) -> SealedSessionRepository:
    repository = SealedSessionRepository(store)
    repository.create_session(Session(session_id="chat", session_type=SessionType.AGENT))
    for name in agents:
        repository.create_agent("chat", SessionAgent(agent_id=name, state={}, conversation_manager_state={}))
    return repository


class TestTheRepository:
    def test_of_several_that_make_the_same_session_one_succeeds(self, home: Path) -> None:
        open_store(home).close()
        script = """
try:
    repository.create_session(Session(session_id="chat", session_type=SessionType.AGENT))
    print("made")
except SessionException:
    print("there")
"""
        assert sorted(line for (line,) in processes(script, home)) == ["made", "there", "there"]

    def test_a_message_id_is_given_once_and_nothing_is_lost(self, home: Path) -> None:
        with open_store(home) as store:
            begin(store, "shared", "0", "1", "2")
        script = """
for id in range(15):
    try:
        repository.create_message("chat", "shared", message(id, f"by {number}"))
        print(id)
    except SessionException:
        pass
    repository.create_message("chat", str(number), message(id, f"{id}"))
    repository.update_agent("chat", SessionAgent(str(number), {"at": id}, {}))
"""
        printed = processes(script, home)
        with open_store(home) as store:
            repository = SealedSessionRepository(store)
            shared = repository.list_messages("chat", "shared")
            assert [each.message_id for each in shared] == list(range(15))
            for number, lines in enumerate(printed):
                mine = [each.message_id for each in shared if each.message["content"][0]["text"] == f"by {number}"]
                assert mine == [int(line) for line in lines]
                own = repository.list_messages("chat", str(number))
                assert [each.message["content"][0]["text"] for each in own] == [str(id) for id in range(15)]
                agent = repository.read_agent("chat", str(number))
                assert agent is not None and agent.state == {"at": 14}


class TestTheStorage:
    def test_a_value_is_always_one_that_somebody_wrote(self, home: Path) -> None:
        open_store(home).close()
        script = """
async def main():
    storage = SealedStorage(store)
    for turn in range(12):
        await storage.write("key", f"{number}.{turn}.".encode() * 60_000)
        value = await storage.read("key")
        assert value == value[: len(value) // 60_000] * 60_000, value[:20]
        await storage.write(f"own/{number}", str(turn).encode())
asyncio.run(main())
"""
        processes(script, home)
        with open_store(home) as store:
            storage = SealedStorage(store)
            assert asyncio.run(storage.list("")) == ["key", "own/0", "own/1", "own/2"]
            assert [asyncio.run(storage.read(f"own/{number}")) for number in range(3)] == [b"11"] * 3
            assert len(store.list().sessions) <= 5
