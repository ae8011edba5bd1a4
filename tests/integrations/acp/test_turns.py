"""What was said is saved once, in order, whatever ends the turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from acp import (
    RequestError,
    plan_entry,
    start_tool_call,
    text_block,
    tool_content,
    tool_diff_content,
    update_agent_message_text,
    update_agent_thought_text,
    update_plan,
    update_tool_call,
)
from acp.schema import (
    AgentPlanRemovedUpdate,
    AvailableCommandsUpdate,
    ConfigOptionUpdate,
    CurrentModeUpdate,
    SessionInfoUpdate,
    UsageUpdate,
)

from sessionstore.errors import InvalidSignatureError, KeyDisabledError, SessionStoreError, StoreUnavailableError
from sessionstore.integrations.acp.refusals import request_error
from sessionstore.integrations.acp.turns import MAX_UNSAVED

Connect = Callable[..., Any]

UPDATES: list[Any] = [
    update_agent_message_text("é \U0001f642 \u2028"),
    update_agent_thought_text("hm"),
    start_tool_call("t1", "read", kind="read", status="pending", raw_input={"path": "/x", "n": [1, 2.5, None]}),
    update_tool_call("t1", status="completed", content=[tool_content(text_block("ok"))], raw_output={"n": 2**63}),
    update_tool_call("t2", content=[tool_diff_content("/x", "new", "old")]),
    update_plan([plan_entry("do it", priority="high", status="in_progress")]),
    AvailableCommandsUpdate(session_update="available_commands_update", available_commands=[]),
    CurrentModeUpdate(session_update="current_mode_update", current_mode_id="plan"),
    ConfigOptionUpdate(session_update="config_option_update", config_options=[]),
    SessionInfoUpdate(session_update="session_info_update", title="A title"),
    UsageUpdate(session_update="usage_update", used=1, size=2),
    AgentPlanRemovedUpdate(session_update="plan_removed", plan_id="p"),
]


async def begin(ends: Any, project: Path) -> str:
    session_id: str = (await ends.client.new_session(cwd=str(project), mcp_servers=[])).session_id
    return session_id


async def kept(ends: Any, session_id: str) -> list[Any]:
    return [entry async for entry in ends.agent._store.entries(session_id)]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


class TestUpdates:
    def test_every_kind_is_replayed_as_it_was_sent(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                async with ends.agent.turn(session_id) as turn:
                    await turn.update(*UPDATES)
                await until(lambda: len(ends.seen) == len(UPDATES))
                first, ends.seen[:] = list(ends.seen), []
                await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert ends.seen == first
                assert [update["sessionUpdate"] for _, update in first] == [update.session_update for update in UPDATES]

        asyncio.run(main())

    def test_the_prompt_is_saved_before_the_agent_begins_and_the_rest_at_the_end(
        self, connect: Connect, project: Path
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                async with ends.agent.turn(session_id, [text_block("a"), text_block("b")]) as turn:
                    assert [entry["content"]["text"] for entry in await kept(ends, session_id)] == ["a", "b"]
                    for number in range(MAX_UNSAVED + 1):
                        await turn.update(update_agent_message_text(str(number)))
                    assert len(await kept(ends, session_id)) == MAX_UNSAVED + 2
                texts = [entry["content"]["text"] for entry in await kept(ends, session_id)]
                assert texts == ["a", "b", *map(str, range(MAX_UNSAVED + 1))]
                assert (await ends.agent._store.summary(session_id)).rev == 4

        asyncio.run(main())

    def test_a_turn_that_fails_keeps_what_the_client_has_seen(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                with pytest.raises(ZeroDivisionError):
                    async with ends.agent.turn(session_id, [text_block("a")]) as turn:
                        await turn.update(update_agent_message_text("b"))
                        raise ZeroDivisionError
                assert len(await kept(ends, session_id)) == 2

        asyncio.run(main())

    def test_a_session_is_not_taken_away_from_under_a_turn(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                await ends.client.resume_session(cwd=str(project), session_id=session_id)
                async with ends.agent.turn(session_id, [text_block("a")]):
                    with pytest.raises(RequestError) as caught:
                        await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                    assert caught.value.data["code"] == "run_state"
                await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])

        asyncio.run(main())

    def test_a_turn_that_ends_after_its_session_was_closed_and_loaded_again_is_not_counted_there(
        self, connect: Connect, project: Path
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                async with ends.agent.turn(session_id, [text_block("a")]) as turn:
                    await turn.update(update_agent_message_text("b"))
                    await ends.client.close_session(session_id=session_id)
                    await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert len(await kept(ends, session_id)) == 2

        asyncio.run(main())

    @pytest.mark.parametrize(
        ("odd", "code"),
        [(2**64, "invalid_value"), ("half \ud83d", "invalid_value"), ("x" * 9_000_000, "too_large")],
        ids=["number", "text", "size"],
    )
    def test_what_cannot_be_kept_is_refused_unsent_and_takes_nothing_along(
        self, connect: Connect, project: Path, odd: Any, code: str
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                async with ends.agent.turn(session_id, [text_block("a")]) as turn:
                    await turn.update(update_agent_message_text("b"))
                    with pytest.raises(RequestError) as caught:
                        await turn.update(start_tool_call("t", "read", raw_input={"n": odd}))
                    assert caught.value.data["code"] == code
                    await turn.update(update_agent_message_text("c"))
                assert [entry["content"]["text"] for entry in await kept(ends, session_id)] == ["a", "b", "c"]
                await until(lambda: len(ends.seen) == 2)

        asyncio.run(main())

    def test_a_prompt_that_cannot_be_kept_begins_no_turn(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                with pytest.raises(RequestError) as caught:
                    await ends.client.prompt(session_id=session_id, prompt=[text_block("x" * 9_000_000)])
                assert caught.value.data["code"] == "too_large"
                with pytest.raises(RequestError) as caught:
                    async with ends.agent.turn(session_id, [text_block("half \ud83d")]):
                        raise AssertionError("it began")
                assert caught.value.data["code"] == "invalid_value"  # and not: the session is not what was saved
                assert await kept(ends, session_id) == []
                await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])

        asyncio.run(main())

    def test_what_cannot_be_checked_is_the_same_to_a_client_as_what_was_changed(self) -> None:
        changed, locked = (
            InvalidSignatureError(session_id="s", line=1, last_good_rev=0),
            KeyDisabledError(key_id="k", status="d"),
        )
        answers = [request_error(error) for error in (changed, locked)]
        assert {(answer.code, str(answer), str(answer.data)) for answer in answers} == {
            (answers[0].code, str(answers[0]), str(answers[0].data))
        }

    def test_a_refusal_has_the_stores_own_error_as_its_cause(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                with pytest.raises(RequestError) as caught:
                    await ends.agent.load_session(cwd=str(project), session_id="x")
                assert isinstance(caught.value.__cause__, SessionStoreError)

        asyncio.run(main())


class TestOnce:
    @pytest.mark.parametrize("resumed", [False, True])
    def test_a_turn_that_is_cancelled_while_it_saves_is_saved_once(
        self, connect: Connect, project: Path, monkeypatch: pytest.MonkeyPatch, resumed: bool
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                if resumed:
                    await ends.client.resume_session(cwd=str(project), session_id=session_id)

                async def answer() -> None:
                    async with ends.agent.turn(session_id, [text_block("a")]) as turn:
                        await turn.update(update_agent_message_text("b"))
                        writer = ends.agent._store._opened._writer
                        plain = writer.append

                        def slow(*args: Any, **kwargs: Any) -> int:
                            begun.set()
                            assert go_on.wait(30)
                            rev: int = plain(*args, **kwargs)
                            return rev

                        monkeypatch.setattr(writer, "append", slow)
                        await turn.save()

                task = asyncio.ensure_future(answer())
                await asyncio.to_thread(begun.wait, 30)
                task.cancel()
                await asyncio.sleep(0)
                go_on.set()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert [entry["content"]["text"] for entry in await kept(ends, session_id)] == ["a", "b"]

        asyncio.run(main())

    def test_a_save_of_unknown_outcome_is_made_once(
        self, connect: Connect, project: Path, ledger_locked: Callable[[], AbstractContextManager[None]]
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                turn = ends.agent.turn(session_id, [text_block("a")])
                async with turn:
                    await turn.update(update_agent_message_text("b"))
                    with ledger_locked(), pytest.raises(RequestError) as caught:
                        await turn.save()
                    assert isinstance(caught.value.__cause__, StoreUnavailableError)
                assert [entry["content"]["text"] for entry in await kept(ends, session_id)] == ["a", "b"]

        asyncio.run(main())

    def test_tasks_that_save_in_one_turn_wait_for_each_other(
        self, connect: Connect, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                under_way: list[int] = []
                plain = ends.agent._store.append

                async def alone(*args: Any, **kwargs: Any) -> int:
                    under_way.append(1)
                    assert len(under_way) == 1
                    await asyncio.sleep(0)
                    rev: int = await plain(*args, **kwargs)
                    under_way.pop()
                    return rev

                async def speak(turn: Any, name: int) -> None:
                    for number in range(10):
                        await turn.update(update_agent_message_text(f"{name} {number}"))
                        await turn.save()

                monkeypatch.setattr(ends.agent._store, "append", alone)
                async with ends.agent.turn(session_id) as turn:
                    await asyncio.gather(*(speak(turn, name) for name in range(5)))
                texts = [entry["content"]["text"] for entry in await kept(ends, session_id)]
                assert sorted(texts) == [f"{name} {number}" for name in range(5) for number in range(10)]

        asyncio.run(main())

    def test_sessions_side_by_side_do_not_mix(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                ids = [await begin(ends, project) for _ in range(5)]
                asked = [(session_id, str(turn)) for turn in range(10) for session_id in ids]
                await asyncio.gather(
                    *(
                        ends.client.prompt(session_id=session_id, prompt=[text_block(text)])
                        for session_id, text in asked
                    )
                )
                for session_id in ids:
                    texts = [entry["content"]["text"] for entry in await kept(ends, session_id)]
                    assert sorted(texts) == sorted([str(n) for n in range(10)] + [f"you said: {n}" for n in range(10)])

        asyncio.run(main())
