"""The SDK itself, with a model that reads its answers from a list: history, limits, retries, and what is refused."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents", reason="needs the OpenAI Agents SDK: pip install 'sessionstore[openai]'")

from agents import Agent, RunConfig, Runner, SessionSettings, function_tool
from agents.memory import OpenAIResponsesCompactionSession
from agents.run_internal.session_persistence import rewind_session_items
from agents.testing import ScriptedModel, assistant_message, function_call

from sessionstore import SessionStore, errors
from sessionstore.integrations.openai import SealedSession

RUNNERS = ("run", "run_sync", "run_streamed")
runners = pytest.mark.parametrize("runner", RUNNERS)


def ask(runner: str, agent: Agent[Any], text: Any, **options: Any) -> Any:
    """One run from synchronous code, each in a loop of its own."""
    if runner == "run_sync":
        return Runner.run_sync(agent, text, **options)

    async def run() -> Any:
        if runner == "run":
            return await Runner.run(agent, text, **options)
        result = Runner.run_streamed(agent, text, **options)
        async for _ in result.stream_events():
            pass
        return result

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def loop_for_run_sync() -> Any:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def agent_saying(*texts: str) -> tuple[Agent[Any], ScriptedModel]:
    model = ScriptedModel([[assistant_message(text)] for text in texts])
    return Agent(name="test", model=model), model


def contents(items: Any) -> list[str]:
    """The texts of messages, whoever wrote them."""
    return [i["content"] if isinstance(i["content"], str) else i["content"][0]["text"] for i in items]


def flip(home: Path, old: bytes, new: bytes) -> None:
    """Change a saved session on the disk."""
    (path,) = (home / "data" / "sessions").glob("*.jsonl")
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


class TestHistory:
    @runners
    def test_a_run_sees_the_runs_before_it(self, store: SessionStore, runner: str) -> None:
        agent, model = agent_saying("San Francisco", "California")
        session = SealedSession("chat", store)
        assert ask(runner, agent, "Where is the bridge?", session=session).final_output == "San Francisco"
        ask(runner, agent, "In what state?", session=SealedSession("chat", store))
        assert contents(model.calls[-1].input) == ["Where is the bridge?", "San Francisco", "In what state?"]
        assert contents(asyncio.run(session.get_items())) == [*contents(model.calls[-1].input), "California"]

    @runners
    def test_conversations_do_not_meet(self, store: SessionStore, runner: str) -> None:
        agent, model = agent_saying("one", "two")
        ask(runner, agent, "cats", session=SealedSession("a", store))
        ask(runner, agent, "dogs", session=SealedSession("A", store))
        assert contents(model.calls[-1].input) == ["dogs"]

    @runners
    @pytest.mark.parametrize(("limit", "expected"), [(0, []), (2, ["b", "2"]), (99, ["a", "1", "b", "2"])])
    def test_a_run_reads_as_many_items_as_its_settings_say(
        self, store: SessionStore, runner: str, limit: int, expected: list[str]
    ) -> None:
        agent, model = agent_saying("1", "2", "3")
        session = SealedSession("chat", store, session_settings={"limit": 50})
        for text in "ab":
            ask(runner, agent, text, session=session)
        config = RunConfig(session_settings=SessionSettings(limit=limit))
        ask(runner, agent, "c", session=session, run_config=config)
        assert contents(model.calls[-1].input) == [*expected, "c"]

    @runners
    def test_tool_calls_and_their_outputs_come_back(self, store: SessionStore, runner: str) -> None:
        @function_tool
        def weather(city: str) -> str:
            return f"sunny in {city}"

        model = ScriptedModel(
            [
                [function_call("weather", {"city": "Oslo"}, call_id="c1")],
                [assistant_message("It is sunny.")],
                [assistant_message("Still.")],
            ]
        )
        agent = Agent(name="test", model=model, tools=[weather])
        ask(runner, agent, "How is it?", session=SealedSession("chat", store))
        ask(runner, agent, "And now?", session=SealedSession("chat", store))
        kinds = [item.get("type", item.get("role")) for item in model.calls[-1].input]
        assert kinds == ["user", "function_call", "function_call_output", "message", "user"]

    @runners
    def test_a_callback_may_rewrite_what_the_model_sees(self, store: SessionStore, runner: str) -> None:
        agent, model = agent_saying("1", "2")
        session = SealedSession("chat", store)
        ask(runner, agent, "a", session=session)
        config = RunConfig(session_input_callback=lambda history, new: new)
        ask(runner, agent, "b", session=session, run_config=config)
        assert contents(model.calls[-1].input) == ["b"]
        assert contents(asyncio.run(session.get_items())) == ["a", "1", "b", "2"]


def hold(store: SessionStore, session_id: str, gate: threading.Event) -> None:
    """Keep every writer waiting, say so by setting the gate, and go on until somebody clears it."""
    with store._ground.locked(session_id):
        gate.set()
        while gate.is_set():
            os.sched_yield()


class TestTheSdksOwnTools:
    def test_a_rewind_takes_off_what_a_failed_turn_saved_and_nothing_else(self, store: SessionStore) -> None:
        async def test() -> None:
            session = SealedSession("chat", store)
            items: list[Any] = [{"role": "user", "content": text} for text in "abc"]
            await session.add_items(items)
            await rewind_session_items(session, items[1:])
            assert contents(await session.get_items()) == ["a"]
            await rewind_session_items(session, items[1:])  # not at the end any more: left alone
            assert contents(await session.get_items()) == ["a"]

        asyncio.run(test())

    def test_a_run_that_was_cancelled_while_it_saved_is_resumed_and_saved_once(self, store: SessionStore) -> None:
        """The SDK reads the end of the history to see what arrived."""

        async def test() -> None:
            called = asyncio.Event()

            @function_tool(needs_approval=True)
            async def weather() -> str:
                called.set()
                return "sunny"

            model = ScriptedModel([[function_call("weather", {}, call_id="c1")], [assistant_message("It is sunny.")]])
            agent = Agent(name="test", model=model, tools=[weather])
            session = SealedSession("chat", store)
            paused = await Runner.run(agent, "How is it?", session=session)
            state = paused.to_state()
            state.approve(paused.interruptions[0])
            (line,) = store.list().sessions
            gate = threading.Event()
            holding = asyncio.create_task(asyncio.to_thread(hold, store, line.id, gate))
            while not gate.is_set():
                await asyncio.sleep(0)
            run = asyncio.create_task(Runner.run(agent, state, session=session))
            await called.wait()
            while not state._session_write_in_progress:
                await asyncio.sleep(0)
            run.cancel()
            gate.clear()
            with pytest.raises(asyncio.CancelledError):
                await run
            await holding
            done = await Runner.run(agent, state, session=session)
            assert done.final_output == "It is sunny."
            kinds = [item.get("type", item.get("role")) for item in await session.get_items()]
            assert kinds == ["user", "function_call", "function_call_output", "message"]

        asyncio.run(test())

    def test_a_compaction_replaces_the_history(self, store: SessionStore) -> None:
        class Responses:
            async def compact(self, **_: Any) -> Any:
                class Compacted:
                    usage = None
                    output = ({"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},)

                return Compacted()

        class Client:
            responses = Responses()

        async def test() -> None:
            session = SealedSession("chat", store)
            compacting = OpenAIResponsesCompactionSession("chat", session, client=Client())  # type: ignore[arg-type]
            await compacting.add_items([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
            await compacting.run_compaction({"force": True, "compaction_mode": "input"})
            assert [item["type"] for item in await session.get_items()] == ["compaction"]  # type: ignore[typeddict-item]

        asyncio.run(test())


class TestTampering:
    @runners
    def test_a_run_on_a_changed_history_raises_our_error_and_asks_no_model(
        self, store: SessionStore, home: Path, runner: str
    ) -> None:
        agent, model = agent_saying("You owe 10.", "never said")
        session = SealedSession("chat", store)
        ask(runner, agent, "What do I owe?", session=session)
        flip(home, b"You owe 10.", b"You owe 90.")
        for limit in (None, 1, 50):
            with pytest.raises(errors.InvalidSignatureError):
                config = RunConfig(session_settings=SessionSettings(limit=limit))
                ask(runner, agent, "And now?", session=session, run_config=config)
        assert len(model.calls) == 1
        assert [event.event for event in store.audit()][-1] == "tampering_found"

    @pytest.mark.parametrize("call", ["get_items", "pop_item", "add_items"])
    def test_every_byte_counts_for_every_call(self, store: SessionStore, home: Path, call: str) -> None:
        async def test() -> None:
            session = SealedSession("chat", store)
            for text in ("first", "second", "third"):
                await session.add_items([{"role": "user", "content": text}])
            flip(home, b"first", b"First")
            arguments = ([{"role": "user", "content": "x"}],) if call == "add_items" else ()
            for each in (session, SealedSession("chat", store)):
                with pytest.raises(errors.InvalidSignatureError):
                    await getattr(each, call)(*arguments)
            with pytest.raises(errors.InvalidSignatureError):
                await session.get_items(1)

        asyncio.run(test())

    def test_an_older_history_put_back_is_refused(self, store: SessionStore, home: Path) -> None:
        agent, _ = agent_saying("1", "2")
        session = SealedSession("chat", store)
        ask("run", agent, "a", session=session)
        (path,) = (home / "data" / "sessions").glob("*.jsonl")
        old = path.read_bytes()
        ask("run", agent, "b", session=session)
        path.write_bytes(old)
        with pytest.raises(errors.RollbackError):
            ask("run", agent, "c", session=session)

    def test_a_history_that_was_taken_away_is_missing_and_not_empty(self, store: SessionStore, home: Path) -> None:
        session = SealedSession("chat", store)
        asyncio.run(session.add_items([{"role": "user", "content": "a"}]))
        (path,) = (home / "data" / "sessions").glob("*.jsonl")
        path.unlink()
        for each in (session, SealedSession("chat", store)):
            with pytest.raises(errors.MissingError):
                asyncio.run(each.get_items())

    def test_another_conversations_file_in_its_place_is_refused(self, store: SessionStore, home: Path) -> None:
        for name in ("a", "b"):
            asyncio.run(SealedSession(name, store).add_items([{"role": "user", "content": name}]))
        one, other = (home / "data" / "sessions" / f"{line.id}.jsonl" for line in store.list().sessions)
        one.write_bytes(other.read_bytes())
        refused = 0
        for name in ("a", "b"):
            try:
                assert contents(asyncio.run(SealedSession(name, store).get_items())) == [name]
            except errors.VerificationError:
                refused += 1
        assert refused == 1

    @pytest.mark.parametrize("is_fresh", [False, True])
    def test_a_changed_history_can_be_cleared_and_begun_anew(
        self, store: SessionStore, home: Path, is_fresh: bool
    ) -> None:
        async def test() -> None:
            session = SealedSession("chat", store)
            await session.add_items([{"role": "user", "content": "first"}])
            flip(home, b"first", b"First")
            await (SealedSession("chat", store) if is_fresh else session).clear_session()
            assert await session.get_items() == []
            await session.add_items([{"role": "user", "content": "new"}])
            assert contents(await session.get_items()) == ["new"]

        asyncio.run(test())
