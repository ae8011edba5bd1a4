"""Batches are saved once, whole and in order, at the price of their bytes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk.testing import run_session_store_conformance

from sessionstore import SessionStore, open_store
from sessionstore.errors import InvalidValueError, MalformedError, StoreUnavailableError, TooLargeError
from sessionstore.integrations.claude import SealedSessionStore
from sessionstore.integrations.claude.names import Transcript
from sessionstore.integrations.claude.transcripts import Transcripts
from sessionstore.integrations.claude.turns import MAX_IDLE, Batch, Lines

KEY: Any = {"project_key": "proj", "session_id": "sess"}
SUB: Any = {**KEY, "subpath": "subagents/agent-1"}


def entry(number: int, **members: Any) -> Any:
    return {"type": "user", "uuid": f"u{number}", "n": number, **members}


def title(text: str) -> Any:
    return {"type": "custom-title", "customTitle": text}


class TestTheContract:
    def test_the_sdks_own_conformance_suite_passes(self, home: Path) -> None:
        stores = []

        def make() -> SealedSessionStore:
            stores.append(open_store(home / str(len(stores)), environ={}))
            return SealedSessionStore(stores[-1])

        asyncio.run(run_session_store_conformance(make))
        for store in stores:
            store.close()

    def test_an_empty_batch_makes_nothing(self, claude: SealedSessionStore, plain: SessionStore) -> None:
        asyncio.run(claude.append(KEY, []))
        assert plain.stats().sessions == 0

    def test_it_has_every_method_of_the_protocol_as_its_own(self) -> None:
        from claude_agent_sdk import SessionStore as Protocol

        names = {name for name in vars(Protocol) if not name.startswith("_")}
        assert names <= set(vars(SealedSessionStore))


class TestOnce:
    @pytest.mark.parametrize("key", [KEY, SUB])
    def test_an_entry_with_a_uuid_counts_once_whoever_saves_it(
        self, claude: SealedSessionStore, plain: SessionStore, key: Any
    ) -> None:
        async def main() -> None:
            await claude.append(key, [entry(1), entry(2), entry(2)])
            await claude.append(key, [entry(2), entry(3)])
            other = SealedSessionStore(plain)  # it knows nothing of what the first one saved
            await other.append(key, [entry(1), entry(4)])
            await claude.append(key, [entry(4), entry(5)])
            assert await claude.load(key) == [entry(number) for number in (1, 2, 3, 4, 5)]

        asyncio.run(main())

    def test_an_entry_without_one_counts_as_often_as_it_is_given(self, claude: SealedSessionStore) -> None:
        async def main() -> None:
            for _ in range(3):
                await claude.append(KEY, [title("a")])
            await claude.append(KEY, [{"type": "x", "uuid": ""}, {"type": "x", "uuid": 7}, {"type": "x", "uuid": 7}])
            loaded = await claude.load(KEY)
            assert loaded is not None
            assert len(loaded) == 6

        asyncio.run(main())

    def test_a_replay_in_a_fresh_process_does_not_make_the_transcript_longer(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        old = [entry(number, timestamp="2026-01-31T12:00:00.000Z") for number in range(30)]

        async def main() -> None:
            await claude.append(KEY, old[:20])
            again = SealedSessionStore(plain)
            for start in range(0, 30, 5):
                await again.append(KEY, old[start : start + 5])
            assert await again.load(KEY) == old

        asyncio.run(main())
        assert max(line.entries for line in plain.list().sessions) == 30

    def test_only_a_replay_reads_what_is_there(
        self, claude: SealedSessionStore, plain: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[str] = []
        entries = plain.entries
        monkeypatch.setattr(plain, "entries", lambda session_id: read.append(session_id) or entries(session_id))

        async def main() -> None:
            for number in range(20):
                await SealedSessionStore(plain).append(KEY, [entry(number, timestamp="2999-01-31T12:00:00.000Z")])
            assert not read
            await SealedSessionStore(plain).append(KEY, [entry(20, timestamp="yesterday")])
            assert not read
            again = SealedSessionStore(plain)
            for number in range(20):
                await again.append(KEY, [entry(number, timestamp="2026-01-31T12:00:00.000Z")])
            assert len(read) == 1

        asyncio.run(main())

    def test_of_a_transcript_longer_than_what_is_remembered_only_loading_leaves_out_repeated_entries(
        self, claude: SealedSessionStore, plain: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("entries", "transcripts"):
            monkeypatch.setattr(f"sessionstore.integrations.claude.{module}.MAX_KNOWN", 3)
        monkeypatch.setattr(plain, "entries", None)  # not read, however old the repeated one is

        async def main() -> None:
            old = [entry(number, timestamp="2026-01-31T12:00:00.000Z") for number in range(5)]
            for item in old:
                await claude.append(KEY, [item])
            await claude.append(KEY, [old[4], entry(5, timestamp="yesterday")])
            await claude.append(KEY, [old[0]])
            assert await claude.load(KEY) == [*old, entry(5, timestamp="yesterday")]
            assert max(line.entries for line in plain.list().sessions) == 7

        asyncio.run(main())

    def test_what_was_deleted_or_taken_away_by_other_hands_can_be_saved_again(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(KEY, [entry(1)])
            await SealedSessionStore(plain).delete(KEY)
            await claude.append(KEY, [entry(1)])
            assert await claude.load(KEY) == [entry(1)]
            record = plain.recorded(key='["claude","main","proj","sess"]')
            assert record is not None
            plain.clear(record.id)
            assert await claude.load(KEY) is None
            assert await claude.list_sessions("proj") == []
            await claude.append(KEY, [entry(1), entry(2)])
            assert await claude.load(KEY) == [entry(1), entry(2)]

        asyncio.run(main())


class TestWhatIsKept:
    @pytest.mark.parametrize(
        "odd",
        [
            {"type": "user", "uuid": "odd", "lastPrompt": "half an emoji \ud83d"},
            {"type": "user", "uuid": "odd", "n": 2**70},
            {"type": "user", "uuid": "odd", "claude:json": "{}"},
            {"claude:json": '{"type":"user"}'},
            {"type": "user", "uuid": "odd", "deep": json.loads("[" * 200 + "]" * 200)},
        ],
    )
    def test_what_json_can_say_comes_back_as_it_was_given(self, claude: SealedSessionStore, odd: Any) -> None:
        async def main() -> None:
            await claude.append(KEY, [entry(1), odd, entry(2)])
            await claude.append(KEY, [odd])
            loaded = await claude.load(KEY)
            assert loaded is not None
            assert loaded[:3] == [entry(1), odd, entry(2)]
            assert len(loaded) == (3 if "uuid" in odd else 4)

        asyncio.run(main())

    def test_what_is_kept_as_text_can_be_searched_and_redacted(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        odd = {"type": "user", "uuid": "odd", "said": "Zoë's word: \ud83d", "n": 2**70}

        async def main() -> None:
            await claude.append(KEY, [entry(1), odd])
            record = plain.recorded(key='["claude","main","proj","sess"]')
            assert record is not None
            assert len(list(plain.search("Zoë's"))) == 1
            plain.redact(record.id, patterns=["Zoë"])
            loaded: Any = await claude.load(KEY)
            assert loaded[1] == {**odd, "said": "[redacted:pattern]'s word: \ud83d"}
            plain.redact(record.id, entries=[1])
            assert await claude.load(KEY) == [entry(1), {"claude:json": "[redacted:entry]"}]
            await claude.append(KEY, [entry(2)])
            assert len(await claude.load(KEY) or ()) == 3

        asyncio.run(main())

    @pytest.mark.parametrize("text", ["7", 7, "[]"])
    def test_a_text_that_stands_for_no_entry_is_given_as_it_is(
        self, claude: SealedSessionStore, plain: SessionStore, text: Any
    ) -> None:
        async def main() -> None:
            await claude.append(KEY, [entry(1)])
            record = plain.recorded(key='["claude","main","proj","sess"]')
            assert record is not None
            plain.append(record.id, [{"claude:json": text}])
            assert await claude.load(KEY) == [entry(1), {"claude:json": text}]

        asyncio.run(main())

    @pytest.mark.parametrize("bad", [{"n": float("nan")}, {"n": b"bytes"}, {1: 2}])
    def test_a_batch_with_what_is_no_json_is_refused_as_a_whole(self, claude: SealedSessionStore, bad: Any) -> None:
        async def main() -> None:
            with pytest.raises(MalformedError):
                await claude.append(KEY, [entry(1), {"type": "x", **bad}])
            assert await claude.load(KEY) is None
            assert await claude.list_sessions("proj") == []

        asyncio.run(main())

    def test_an_entry_that_is_too_large_is_said_to_be(self, claude: SealedSessionStore) -> None:
        with pytest.raises(TooLargeError):
            asyncio.run(claude.append(KEY, [entry(1, text="x" * 9_000_000)]))


class TestOrder:
    def test_calls_made_together_are_saved_in_the_order_of_the_calls(self, claude: SealedSessionStore) -> None:
        async def main() -> None:
            keys = [KEY, SUB, {**KEY, "session_id": "other"}]
            await asyncio.gather(*(claude.append(key, [entry(number)]) for number in range(60) for key in keys))
            for key in keys:
                assert await claude.load(key) == [entry(number) for number in range(60)]

        asyncio.run(main())

    def test_one_object_serves_several_event_loops(self, claude: SealedSessionStore) -> None:
        def work(name: str) -> None:
            async def main() -> None:
                for number in range(20):
                    await claude.append(KEY, [{**entry(number), "uuid": f"{name}{number}"}])

            asyncio.run(main())

        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        loaded = asyncio.run(claude.load(KEY))
        assert loaded is not None
        for name in "abc":
            assert [item["n"] for item in loaded if item["uuid"].startswith(name)] == list(range(20))  # type: ignore[typeddict-item]

    def test_idle_transcripts_are_forgotten(self, claude: SealedSessionStore) -> None:
        async def main() -> None:
            for number in range(MAX_IDLE + 3):
                await claude.append({**KEY, "session_id": str(number)}, [entry(1)])
            assert len(claude._lines._lines) == MAX_IDLE
            await claude.append({**KEY, "session_id": "0"}, [entry(1), entry(2)])
            assert await claude.load({**KEY, "session_id": "0"}) == [entry(1), entry(2)]

        asyncio.run(main())

    def test_a_batch_that_was_taken_back_before_its_turn_is_not_saved(self) -> None:
        lines, batch = Lines(), Batch([entry(1)])
        line = lines.join(Transcript("p", "s"), batch)
        lines.leave(line, batch)
        line.work(batch, lambda line, batch: pytest.fail("it is saved"))


class TestTrio:
    def test_the_calls_work_there_too_and_a_cancelled_batch_is_saved_once(self, claude: SealedSessionStore) -> None:
        trio = pytest.importorskip("trio", reason="pip install trio")

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(claude.append, KEY, [entry(1), title("a")])
                nursery.start_soon(claude.append, SUB, [entry(2)])
            with trio.move_on_after(0) as scope:
                await claude.append(KEY, [entry(3)])
            assert scope.cancelled_caught
            await claude.append(KEY, [entry(3)])
            assert await claude.load(KEY) == [entry(1), title("a"), entry(3)]
            assert await claude.list_subkeys(KEY) == [SUB["subpath"]]
            assert len(await claude.list_session_summaries("proj")) == 1

        trio.run(main)


class TestRetries:
    @pytest.fixture
    def slow(self, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
        """Saves wait for the second event, having set the first one."""
        begun, go_on = threading.Event(), threading.Event()
        append = Transcripts.append

        def wait(self: Transcripts, *args: Any) -> None:
            begun.set()
            assert go_on.wait(30)
            append(self, *args)

        monkeypatch.setattr(Transcripts, "append", wait)
        return begun, go_on

    def test_a_batch_that_was_cancelled_half_way_and_is_repeated_is_saved_once(
        self, claude: SealedSessionStore, slow: tuple[threading.Event, threading.Event]
    ) -> None:
        begun, go_on = slow
        batch = [entry(1), title("a")]

        async def main() -> None:
            first = asyncio.ensure_future(claude.append(KEY, batch))
            await asyncio.to_thread(begun.wait, 30)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            go_on.set()
            await claude.append(KEY, list(batch))
            assert await claude.load(KEY) == batch
            await claude.append(KEY, list(batch))  # not a retry any more
            assert await claude.load(KEY) == [*batch, title("a")]

        asyncio.run(main())

    def test_a_batch_that_was_cancelled_while_it_waited_is_not_saved(
        self, claude: SealedSessionStore, slow: tuple[threading.Event, threading.Event]
    ) -> None:
        begun, go_on = slow

        async def main() -> None:
            first = asyncio.ensure_future(claude.append(KEY, [entry(1)]))
            await asyncio.to_thread(begun.wait, 30)
            second = asyncio.ensure_future(claude.append(KEY, [title("b")]))
            third = asyncio.ensure_future(claude.append(KEY, [entry(3)]))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.wait({second})
            go_on.set()
            await asyncio.gather(first, third)
            assert await claude.load(KEY) == [entry(1), entry(3)]

        asyncio.run(main())

    def test_the_loop_goes_on_while_a_batch_is_saved(
        self, claude: SealedSessionStore, slow: tuple[threading.Event, threading.Event]
    ) -> None:
        begun, go_on = slow

        async def main() -> None:
            saving = asyncio.ensure_future(claude.append(KEY, [entry(1)]))
            while not begun.is_set():
                await asyncio.sleep(0)
            go_on.set()  # by the loop itself: it would wait for ever if it were blocked
            await saving

        asyncio.run(main())

    @pytest.mark.parametrize("key", [KEY, SUB])
    def test_a_batch_of_unknown_outcome_that_is_repeated_is_saved_once(
        self,
        claude: SealedSessionStore,
        plain: SessionStore,
        ledger_locked: Callable[[], AbstractContextManager[None]],
        key: Any,
    ) -> None:
        batch = [{"type": "mode", "mode": "plan"}, entry(2)]

        async def main() -> None:
            await claude.append(key, [entry(1)])
            before = {line.id: line.size_bytes for line in plain.list().sessions}
            with ledger_locked(), pytest.raises(StoreUnavailableError) as caught:
                await claude.append(key, batch)
            assert caught.value.outcome == "unknown"
            assert {line.id: line.size_bytes for line in plain.list().sessions} != before  # it is there
            await claude.append(key, list(batch))
            assert await claude.load(key) == [entry(1), *batch]

        asyncio.run(main())

    @pytest.mark.parametrize("key", [KEY, SUB])
    def test_it_is_known_behind_what_another_process_has_saved(
        self,
        claude: SealedSessionStore,
        plain: SessionStore,
        ledger_locked: Callable[[], AbstractContextManager[None]],
        key: Any,
    ) -> None:
        mode: Any = {"type": "mode", "mode": "plan"}  # it changes no summary: that would fail first

        async def main() -> None:
            await claude.append(key, [entry(1)])
            with ledger_locked(), pytest.raises(StoreUnavailableError):
                await claude.append(key, [mode])
            await SealedSessionStore(plain).append(key, [entry(2)])
            await claude.append(key, [mode])
            assert await claude.load(key) == [entry(1), mode, entry(2)]
            await claude.append(key, [entry(3)])
            assert await claude.load(key) == [entry(1), mode, entry(2), entry(3)]

        asyncio.run(main())

    def test_a_forked_process_does_not_wait_for_threads_of_its_parent(
        self, claude: SealedSessionStore, slow: tuple[threading.Event, threading.Event]
    ) -> None:
        begun, go_on = slow
        saving = threading.Thread(target=lambda: asyncio.run(claude.append(KEY, [entry(1)])))
        saving.start()
        assert begun.wait(30)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            go_on.set()
            asyncio.run(claude.append(KEY, [entry(2)]))
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        go_on.set()
        saving.join()
        assert ended == 0
        assert asyncio.run(claude.load(KEY)) == [entry(2), entry(1)]

    def test_two_equal_batches_of_two_tasks_are_two(self, claude: SealedSessionStore) -> None:
        async def main() -> None:
            await asyncio.gather(*(claude.append(KEY, [title("a")]) for _ in range(20)))
            assert await claude.load(KEY) == [title("a")] * 20

        asyncio.run(main())


class TestKeys:
    @pytest.mark.parametrize(
        "key",
        [
            {},
            {"project_key": "p"},
            {"session_id": "s"},
            {"project_key": 1, "session_id": "s"},
            {"project_key": "\ud800", "session_id": "s"},
        ],
    )
    def test_a_key_that_is_none_is_refused(self, claude: SealedSessionStore, key: Any) -> None:
        with pytest.raises(InvalidValueError):
            asyncio.run(claude.append(key, [entry(1)]))
