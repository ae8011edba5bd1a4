"""The SDK itself, with a model that reads its answers from a list: restarts, state, redaction, and what is refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("strands", reason="needs Strands Agents: pip install 'sessionstore[strands]'")

from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.session import RepositorySessionManager, SnapshotSessionManager
from strands.types.exceptions import SessionException

from sessionstore import SessionStore, errors
from sessionstore.integrations.strands import SealedSessionRepository, SealedStorage

Scripted = Callable[..., Any]
Manager = Callable[[SessionStore], Any]


def by_repository(store: SessionStore) -> RepositorySessionManager:
    return RepositorySessionManager("chat", SealedSessionRepository(store))


def by_snapshot(store: SessionStore) -> SnapshotSessionManager:
    return SnapshotSessionManager("chat", storage=SealedStorage(store))


managers = pytest.mark.parametrize("manager", [by_repository, by_snapshot])


def said(agent: Agent) -> list[str]:
    return [message["content"][0]["text"] for message in agent.messages]


def make(manager: Any, model: Any, **options: Any) -> Agent:
    return Agent(model=model, session_manager=manager, agent_id="guide", callback_handler=None, **options)


class TestRestarts:
    @managers
    def test_an_agent_goes_on_where_it_was(self, store: SessionStore, scripted: Scripted, manager: Manager) -> None:
        agent = make(manager(store), scripted("San Francisco."), state={"mood": "fine"})
        agent("Where is the bridge?")
        model = scripted("California.")
        again = make(manager(store), model)
        assert again.state.get("mood") == "fine"
        again("In what state?")
        assert said(again) == ["Where is the bridge?", "San Francisco.", "In what state?", "California."]
        assert len(model.asked[0]) == 3

    @managers
    def test_it_goes_on_in_another_process(
        self, store: SessionStore, scripted: Scripted, manager: Manager, home: Path
    ) -> None:
        make(manager(store), scripted("one"))("first")
        script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from strands import Agent
from strands.session import RepositorySessionManager, SnapshotSessionManager
from sessionstore import open_store
from sessionstore.integrations.strands import SealedSessionRepository, SealedStorage
with open_store(sys.argv[1]) as store:
    if sys.argv[2] == "by_repository":
        manager = RepositorySessionManager("chat", SealedSessionRepository(store))
    else:
        manager = SnapshotSessionManager("chat", storage=SealedStorage(store))
    agent = Agent(model="never-asked", session_manager=manager, agent_id="guide", callback_handler=None)
    print([message["content"][0]["text"] for message in agent.messages])
"""
        done = subprocess.run(
            [sys.executable, "-c", script, home, manager.__name__],
            capture_output=True,
            text=True,
            env={**os.environ, "AWS_DEFAULT_REGION": "us-west-2", "AWS_EC2_METADATA_DISABLED": "true"},
        )
        assert done.stdout == "['first', 'one']\n", done.stderr

    @managers
    def test_calls_from_a_running_loop_work_too(
        self, store: SessionStore, scripted: Scripted, manager: Manager
    ) -> None:
        async def test() -> None:
            agent = make(manager(store), scripted("1", "2"))
            await agent.invoke_async("a")
            await agent.invoke_async("b")
            assert said(make(manager(store), scripted())) == ["a", "1", "b", "2"]

        asyncio.run(test())

    def test_a_window_that_slid_is_restored_by_its_offset(self, store: SessionStore, scripted: Scripted) -> None:
        def agent(*texts: str) -> Agent:
            window = SlidingWindowConversationManager(window_size=4)
            return make(by_repository(store), scripted(*texts), conversation_manager=window)

        talking = agent(*"123456")
        for text in "abcdef":
            talking(text)
        assert said(agent()) == said(talking)
        assert len(said(talking)) <= 5
        assert len(SealedSessionRepository(store).list_messages("chat", "guide")) == 12  # nothing is lost

    def test_a_redacted_message_stays_redacted(self, store: SessionStore, scripted: Scripted) -> None:
        manager = by_repository(store)
        agent = make(manager, scripted("ok"))
        agent("my number is 1234")
        manager.redact_latest_message({"role": "user", "content": [{"text": "[redacted]"}]}, agent)
        assert said(make(by_repository(store), scripted())) == ["my number is 1234", "[redacted]"]

    def test_an_agent_and_a_second_one_keep_their_own_messages(self, store: SessionStore, scripted: Scripted) -> None:
        manager = by_repository(store)
        for name, text in (("one", "1"), ("One", "2")):
            Agent(model=scripted(text), session_manager=manager, agent_id=name, callback_handler=None)(f"from {name}")
        repository = SealedSessionRepository(store)
        assert [len(repository.list_messages("chat", name)) for name in ("one", "One")] == [2, 2]

    def test_snapshots_are_kept_listed_restored_and_deleted(self, store: SessionStore, scripted: Scripted) -> None:
        async def test() -> None:
            manager = SnapshotSessionManager(
                "chat", storage=SealedStorage(store), snapshot_trigger=lambda *, agent_data, **_: True
            )
            agent = make(manager, scripted("1", "2"))
            await agent.invoke_async("a")
            await agent.invoke_async("b")
            first, second = await manager.list_snapshot_ids(agent)
            assert await manager.restore_snapshot(agent, snapshot_id=first)
            assert said(agent) == ["a", "1"]
            assert await manager.restore_snapshot(agent, snapshot_id=second)
            assert said(agent) == ["a", "1", "b", "2"]
            await manager.delete_session()
            assert await SealedStorage(store).list("") == []

        asyncio.run(test())
        assert store.list().sessions == ()

    def test_a_second_program_does_not_overwrite_the_first(self, store: SessionStore, scripted: Scripted) -> None:
        one, other = make(by_repository(store), scripted("1")), make(by_repository(store), scripted("2"))
        one("from one")
        with pytest.raises(SessionException):
            other("from the other")
        assert said(make(by_repository(store), scripted())) == ["from one", "1"]


class TestTampering:
    @managers
    def test_an_agent_does_not_begin_with_a_changed_history(
        self, store: SessionStore, scripted: Scripted, flip: Any, manager: Manager
    ) -> None:
        make(manager(store), scripted("You owe 10."))("What do I owe?")
        flip(b"You owe 10.", b"You owe 90.")
        model = scripted("never said")
        with pytest.raises(errors.InvalidSignatureError):
            make(manager(store), model)
        assert model.asked == []
        assert [event.event for event in store.audit()][-1] == "tampering_found"

    @managers
    def test_an_agent_that_runs_stops_at_a_changed_history(
        self, store: SessionStore, scripted: Scripted, flip: Any, manager: Manager
    ) -> None:
        agent = make(manager(store), scripted("You owe 10.", "never kept"))
        agent("What do I owe?")
        flip(b"What do I owe?", b"what do I owe?")
        with pytest.raises(errors.InvalidSignatureError):
            agent("And now?")

    @managers
    def test_an_older_history_put_back_is_refused(
        self, store: SessionStore, scripted: Scripted, home: Path, manager: Manager
    ) -> None:
        agent = make(manager(store), scripted("1", "2"))
        agent("a")
        old = {path: path.read_bytes() for path in (home / "data" / "sessions").glob("*.jsonl")}
        agent("b")
        for path, data in old.items():
            path.write_bytes(data)
        with pytest.raises(errors.RollbackError):
            make(manager(store), scripted())

    @managers
    def test_a_history_that_was_taken_away_is_missed_and_not_begun_anew(
        self, store: SessionStore, scripted: Scripted, home: Path, manager: Manager
    ) -> None:
        make(manager(store), scripted("1"))("a")
        for path in (home / "data" / "sessions").glob("*.jsonl"):
            path.unlink()
        with pytest.raises(errors.MissingError):
            make(manager(store), scripted())

    def test_a_changed_session_can_be_deleted_and_begun_anew(
        self, store: SessionStore, scripted: Scripted, flip: Any
    ) -> None:
        make(by_repository(store), scripted("secret"))("a")
        flip(b"secret", b"SECRET")
        flip(b'"agents"', b'"AGENTS"')
        SealedSessionRepository(store).delete_session("chat")
        assert said(make(by_repository(store), scripted())) == []
