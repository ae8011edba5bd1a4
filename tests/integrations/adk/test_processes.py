"""Several processes at the sessions of one user, a process that is killed, and one that is forked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from google.adk.sessions.session import Session

from sessionstore import SessionStore
from sessionstore.integrations.adk import SealedSessionService

COMMON = """
import asyncio, os, sys
from google.adk.errors import StaleSessionError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from sessionstore import open_store
from sessionstore.integrations.adk import SealedSessionService

NAMES = dict(app_name="app", user_id="user", session_id="s")

async def append(service, **change):
    while True:
        session = await service.get_session(**NAMES) or await service.create_session(**NAMES)
        try:
            await service.append_event(session, Event(author="x", actions=EventActions(state_delta=change)))
            return
        except StaleSessionError:
            continue
"""

WRITER = """
async def main(name):
    with open_store(sys.argv[1]) as store:
        service = SealedSessionService(store)
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(15):
            await append(service, **{f"{name}.{number}": number, f"user:{name}": number, f"app:{name}": number})
            print(number, flush=True)

asyncio.run(main(sys.argv[2]))
"""

FORKED = """
with open_store(sys.argv[1]) as store:
    service = SealedSessionService(store)
    asyncio.run(append(service, parent=1))
    child = os.fork()
    if child == 0:
        asyncio.run(append(service, child=1))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(append(service, parent=2))
    state = asyncio.run(service.get_session(**NAMES)).state
    assert state == {"parent": 2, "child": 1}, state
"""


def start(home: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", COMMON + WRITER, str(home), name]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def found(store: SessionStore) -> Session:
    service = SealedSessionService(store)
    session = asyncio.run(service.get_session(app_name="app", user_id="user", session_id="s"))
    assert session is not None
    return session


def test_processes_append_to_one_session_at_once_and_nothing_is_lost(home: Path, store: SessionStore) -> None:
    asyncio.run(SealedSessionService(store).create_session(app_name="app", user_id="user", session_id="s"))
    children = [start(home, name) for name in "abc"]
    for child in children:
        go(child)
    for child in children:
        child.communicate()
        assert child.returncode == 0
    session = found(store)
    own = {f"{name}.{number}": number for name in "abc" for number in range(15)}
    shared = {f"{scope}:{name}": 14 for scope in ("user", "app") for name in "abc"}
    assert session.state == {**own, **shared}
    assert len(session.events) == 45


def test_what_was_appended_before_a_kill_is_there(home: Path, store: SessionStore) -> None:
    child = start(home, "a")
    go(child)
    assert child.stdout is not None
    last = [int(child.stdout.readline()) for _ in range(5)][-1]
    child.kill()
    rest, _ = child.communicate()
    acknowledged = int(rest.split()[-1]) if rest.split() else last
    session = found(store)
    assert {f"a.{number}" for number in range(acknowledged + 1)} <= set(session.state)
    assert session.state["user:a"] >= acknowledged
    assert all(result.ok for result in store.verify())


def test_a_forked_process_goes_on_by_itself(home: Path, child: Callable[..., str]) -> None:
    # Python 3.12 warns of forking with threads; here it is what is looked at.
    child("import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + COMMON + FORKED, home)
