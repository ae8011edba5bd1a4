"""What the SDK's protocol asks of a session, and that no item can pass for a mark."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("agents", reason="needs the OpenAI Agents SDK: pip install 'sessionstore[openai]'")

from agents import Session, SessionSettings
from agents.memory.session import _session_accepts_wrapper
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore import SessionStore, errors, open_store
from sessionstore.integrations.openai.session import POPPED, SealedSession

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine, debug=True)


def messages(*numbers: int) -> list[Any]:
    return [{"role": "user", "content": f"Message {number}"} for number in numbers]


@pytest.fixture
def session(store: SessionStore) -> SealedSession:
    return SealedSession("chat", store)


def entries_of(store: SessionStore) -> list[dict[str, Any]]:
    (line,) = store.list().sessions
    return list(store.load(line.id).entries)


class TestTheProtocol:
    def test_it_is_a_session_and_takes_the_wrapper(self, session: SealedSession) -> None:
        assert isinstance(session, Session)
        assert _session_accepts_wrapper(session)
        assert session.session_id == "chat"
        assert repr(session) == "SealedSession('chat')"

    def test_nothing_is_made_before_the_first_item(self, session: SealedSession, store: SessionStore) -> None:
        async def test() -> None:
            assert await session.get_items() == []
            assert await session.pop_item() is None
            await session.clear_session()
            await session.add_items([])

        run(test())
        assert store.list().sessions == ()

    def test_items_come_back_as_they_were_added(self, session: SealedSession, store: SessionStore) -> None:
        items: list[Any] = [
            {"role": "user", "content": "Wie heißt das? 🎉 \u2028 \x00"},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x": "\\ud83d"}'},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": ""}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "'; DROP TABLE x; --", "logprobs": []}]},
        ]
        run(session.add_items(items[:1]))
        run(session.add_items(items[1:]))
        assert run(session.get_items()) == items
        assert run(SealedSession("chat", store).get_items()) == items
        assert entries_of(store) == items  # in the store they are plain entries
        (line,) = store.list().sessions
        assert (line.name, line.key, line.rev) == ("chat", '["openai","chat"]', 3)

    def test_what_is_given_out_is_the_callers(self, session: SealedSession) -> None:
        async def test() -> None:
            given = messages(1)
            await session.add_items(given)
            given[0]["content"] = "changed"
            (await session.get_items())[0]["content"] = "changed"  # type: ignore[typeddict-unknown-key]
            assert await session.get_items() == messages(1)

        run(test())

    def test_a_batch_is_saved_as_a_whole_or_not_at_all(self, session: SealedSession, store: SessionStore) -> None:
        run(session.add_items(messages(1)))
        for bad in ({"x": float("nan")}, {1: "x"}, {"x": b""}, {"x": "\ud800"}, "text", None):
            with pytest.raises(errors.MalformedError):
                run(session.add_items([*messages(2), bad, *messages(3)]))
        assert run(session.get_items()) == messages(1)


class TestLimits:
    @pytest.fixture
    def ten(self, store: SessionStore) -> SealedSession:
        session = SealedSession("chat", store, session_settings=SessionSettings(limit=3))
        for number in range(10):
            run(session.add_items(messages(number)))
        return session

    @pytest.mark.parametrize(
        ("limit", "expected"),
        [(None, range(7, 10)), (0, []), (1, [9]), (4, range(6, 10)), (10, range(10)), (2_147_483_647, range(10))],
    )
    def test_the_latest_come_in_their_order_and_what_is_said_beats_the_settings(
        self, ten: SealedSession, limit: int | None, expected: Any
    ) -> None:
        assert run(ten.get_items(limit)) == messages(*expected)
        assert run(ten.get_items(limit=limit)) == messages(*expected)

    def test_less_than_none_is_everything_as_in_the_sdks_own_sessions(self, ten: SealedSession) -> None:
        assert run(ten.get_items(-1)) == messages(*range(10))

    def test_without_settings_everything_is_read(self, ten: SealedSession, store: SessionStore) -> None:
        assert SealedSession("chat", store).session_settings == SessionSettings()
        assert run(SealedSession("chat", store).get_items()) == messages(*range(10))
        ten.session_settings = None
        assert run(ten.get_items()) == messages(*range(10))

    def test_settings_may_be_a_dict_and_a_wrong_one_is_refused(self, store: SessionStore) -> None:
        assert SealedSession("a", store, session_settings={"limit": 2}).session_settings == SessionSettings(limit=2)
        with pytest.raises(Exception, match="surprise"):
            SealedSession("a", store, session_settings={"surprise": 2})


class TestPop:
    def test_the_latest_is_taken_off_and_given_back(self, session: SealedSession, store: SessionStore) -> None:
        async def test() -> None:
            await session.add_items(messages(1, 2))
            await session.add_items(messages(3))
            assert [await session.pop_item() for _ in range(2)] == messages(3, 2)
            assert await session.get_items() == await session.get_items(5) == messages(1)
            await session.add_items(messages(4))
            assert await session.get_items() == messages(1, 4)
            assert await session.get_items(1) == messages(4)
            assert [await session.pop_item() for _ in range(3)] == [*messages(4, 1), None]
            assert await session.get_items() == []

        run(test())
        assert entries_of(store).count(POPPED) == 4  # nothing was taken off an empty one

    def test_it_costs_a_mark_and_not_the_history(self, session: SealedSession, store: SessionStore) -> None:
        run(session.add_items([{"role": "user", "content": "x" * 2_000_000}]))
        run(session.add_items(messages(1)))
        (before,) = store.list().sessions
        assert [run(session.pop_item())] == messages(1)
        (after,) = store.list().sessions
        assert after.size_bytes - before.size_bytes < 1500

    @settings(max_examples=15)
    @given(steps=st.lists(st.sampled_from(["add", "add two", "pop", "mark", "get", "clear"]), max_size=25))
    def test_any_order_of_calls_is_that_of_a_list(self, steps: list[str]) -> None:
        async def test(store: SessionStore) -> None:
            session, expected = SealedSession("chat", store), []
            for count, step in enumerate(steps, 1):
                if step.startswith("add"):
                    items = messages(count, -count) if step == "add two" else messages(count)
                    await session.add_items(items)
                    expected += items
                elif step == "mark":  # an item that looks like ours
                    await session.add_items([{**POPPED}])  # type: ignore[list-item]
                    expected.append(POPPED)
                elif step == "pop":
                    assert await session.pop_item() == (expected.pop() if expected else None)
                elif step == "clear":
                    await session.clear_session()
                    expected.clear()
                assert await session.get_items(3) == expected[-3:]
            assert await session.get_items() == expected

        with open_store(backend="memory", environ={}) as store:
            asyncio.run(test(store))


class TestClear:
    def test_everything_goes_and_the_bytes_too(self, session: SealedSession, store: SessionStore, home: Path) -> None:
        async def test() -> None:
            for number in range(3):
                await session.add_items(messages(number))
                assert await session.get_items() == messages(number)
                await session.clear_session()
                assert await session.get_items() == []
                assert await session.pop_item() is None

        run(test())
        assert store.list().sessions == ()
        assert list((home / "data" / "sessions").glob("*.jsonl")) == []

    def test_another_object_of_the_same_conversation_goes_on_with_the_new_one(self, store: SessionStore) -> None:
        async def test() -> None:
            one, other = SealedSession("chat", store), SealedSession("chat", store)
            await one.add_items(messages(1))
            assert await other.get_items() == messages(1)
            await one.clear_session()
            assert await other.get_items() == []
            await other.add_items(messages(2))
            await one.add_items(messages(3))
            assert await one.get_items() == await other.get_items() == messages(2, 3)
            await other.clear_session()
            assert await one.pop_item() is None
            await one.clear_session()

        run(test())

    def test_a_session_that_is_resumed_elsewhere_is_not_cleared(
        self, session: SealedSession, store: SessionStore
    ) -> None:
        run(session.add_items(messages(1)))
        (line,) = store.list().sessions
        with store.resume(line.id), pytest.raises(errors.AlreadyRunningError):
            run(session.clear_session())
        assert run(session.get_items()) == messages(1)


class TestMarks:
    @pytest.mark.parametrize(
        "item",
        [
            POPPED,
            {"sessionstore": {"item": {}}},
            {"sessionstore": None},
            {"sessionstore": {"item": POPPED}, "role": "user"},
        ],
    )
    def test_an_item_that_looks_like_a_mark_is_an_item(self, session: SealedSession, item: Any) -> None:
        run(session.add_items([*messages(1), item]))
        assert run(session.get_items()) == [*messages(1), item]
        assert run(session.pop_item()) == item
        assert run(session.get_items()) == messages(1)

    @pytest.mark.parametrize(
        "entry",
        [
            {"sessionstore": {"popped": 2}},
            {"sessionstore": {"popped": 1, "x": 1}},
            {"sessionstore": {"popped": 1}, "role": "user"},
            {"sessionstore": {"item": 7}},
            {"sessionstore": {"item": {}, "x": 1}},
            {"sessionstore": {"item": {}}, "x": 1},
            {"sessionstore": None},
        ],
    )
    def test_a_mark_of_another_release_is_refused(
        self, session: SealedSession, store: SessionStore, entry: dict[str, Any]
    ) -> None:
        run(session.add_items(messages(1)))
        (line,) = store.list().sessions
        store.append(line.id, [entry])
        for call in (session.get_items, session.pop_item):
            with pytest.raises(errors.MalformedError) as caught:
                run(call())
            assert caught.value.session_id == line.id

    def test_what_the_command_line_appends_is_an_item(self, session: SealedSession, store: SessionStore) -> None:
        run(session.add_items(messages(1)))
        (line,) = store.list().sessions
        store.append(line.id, messages(2))
        assert run(session.get_items()) == messages(1, 2)


NAMES = [
    "",
    " ",
    "a",
    "A",
    "\u0430",
    "\uff41",
    "a\u0301",
    "á",
    "../a",
    "/a",
    "a/b",
    "a\\b",
    "a\x00",
    "a\n",
    "CON",
    ".",
    "..",
    '["openai","a"]',
    '","',
    "'; DROP TABLE x; --",
    "x" * 600,
    "x" * 601,
    "X" * 600,
]


class TestNames:
    def test_look_alikes_case_twins_paths_long_and_empty_ones_are_different_conversations(
        self, store: SessionStore
    ) -> None:
        async def test() -> None:
            for number, name in enumerate(NAMES):
                await SealedSession(name, store).add_items(messages(number))
            for number, name in enumerate(NAMES):
                assert await SealedSession(name, store).get_items() == messages(number)

        run(test())
        assert len(store.list().sessions) == len(NAMES)
        assert all(one != other for one, other in combinations(NAMES, 2))

    @pytest.mark.parametrize("name", [None, 7, b"a", "\ud800"])
    def test_what_is_no_text_is_refused_at_once(self, store: SessionStore, name: Any) -> None:
        with pytest.raises(errors.InvalidValueError):
            SealedSession(name, store)
