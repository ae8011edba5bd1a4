"""A call that was cancelled or failed half way, and made again: done once, nothing lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

pytest.importorskip("agents", reason="needs the OpenAI Agents SDK: pip install 'sessionstore[openai]'")

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.aio.borrowed import pool_of
from sessionstore.integrations.openai.session import MAX_UNHEARD, SealedSession

WAIT_S = 30  # a broken test ends; a good one never waits


def messages(*numbers: int) -> list[Any]:
    return [{"role": "user", "content": f"Message {number}"} for number in numbers]


@pytest.fixture
def session(store: SessionStore) -> SealedSession:
    session = SealedSession("chat", store)
    asyncio.run(session.add_items(messages(0)))
    return session


@contextmanager
def held(store: SessionStore) -> Iterator[None]:
    """Keep every writer of the one session waiting."""
    (line,) = store.list().sessions
    begun, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with store._ground.locked(line.id):
            begun.set()
            assert may_end.wait(WAIT_S)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert begun.wait(WAIT_S)
        yield
    finally:
        may_end.set()
        thread.join()


async def cancelled(store: SessionStore, *calls: Coroutine[Any, Any, Any]) -> None:
    """Begin these calls, cancel them in the middle, and wait until they are over."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    with held(store):
        await asyncio.sleep(0)  # lets them begin
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True))


class TestCancelled:
    def test_it_is_over_when_the_cancellation_goes_on_and_nothing_is_lost(
        self, session: SealedSession, store: SessionStore
    ) -> None:
        async def test() -> None:
            await cancelled(store, session.add_items(messages(1, 2)))
            assert await session.get_items() == messages(0, 1, 2)

        asyncio.run(test())

    def test_the_same_batch_again_is_saved_once(self, session: SealedSession, store: SessionStore) -> None:
        async def test() -> None:
            await cancelled(store, session.add_items(messages(1, 2)))
            await session.add_items(messages(1, 2))
            assert await session.get_items() == messages(0, 1, 2)
            await session.add_items(messages(1, 2))  # and the third is no retry
            assert await session.get_items() == messages(0, 1, 2, 1, 2)

        asyncio.run(test())

    def test_many_tasks_cancelled_and_tried_again_save_each_batch_once(
        self, session: SealedSession, store: SessionStore
    ) -> None:
        async def test() -> None:
            batches = [messages(number, -number) for number in range(1, 9)]
            await cancelled(store, *(session.add_items(batch) for batch in batches))
            await asyncio.gather(*(session.add_items(batch) for batch in [*batches, *messages_of(9)]))
            found = await session.get_items()
            assert sorted(item["content"] for item in found) == sorted(  # type: ignore[typeddict-item]
                item["content"] for batch in [messages(0), *batches, *messages_of(9)] for item in batch
            )
            for batch in batches:
                at = found.index(batch[0])
                assert found[at : at + 2] == batch

        asyncio.run(test())

    def test_two_equal_batches_cancelled_and_tried_again_are_two(
        self, session: SealedSession, store: SessionStore
    ) -> None:
        async def test() -> None:
            await cancelled(store, session.add_items(messages(1)), session.add_items(messages(1)))
            await asyncio.gather(session.add_items(messages(1)), session.add_items(messages(1)))
            assert await session.get_items() == messages(0, 1, 1)

        asyncio.run(test())

    def test_a_pop_made_again_gives_what_the_first_took_off(self, session: SealedSession, store: SessionStore) -> None:
        async def test() -> None:
            await session.add_items(messages(1, 2))
            await cancelled(store, session.pop_item())
            assert await session.pop_item() == messages(2)[0]
            assert await session.get_items() == messages(0, 1)

        asyncio.run(test())

    def test_whoever_has_looked_means_what_is_said_then(self, session: SealedSession, store: SessionStore) -> None:
        async def test() -> None:
            await cancelled(store, session.add_items(messages(1)))
            assert await session.get_items(1) == messages(1)
            await session.add_items(messages(1))
            assert await session.get_items() == messages(0, 1, 1)
            await cancelled(store, session.pop_item())
            assert await session.get_items() == messages(0, 1)
            assert await session.pop_item() == messages(1)[0]
            assert await session.get_items() == messages(0)

        asyncio.run(test())

    def test_what_is_added_after_clearing_is_no_retry(self, session: SealedSession, store: SessionStore) -> None:
        async def test() -> None:
            await cancelled(store, session.add_items(messages(1)))
            await session.clear_session()
            await session.add_items(messages(1))
            assert await session.get_items() == messages(1)

        asyncio.run(test())

    def test_of_more_than_a_person_could_cancel_the_oldest_are_forgotten(
        self, session: SealedSession, store: SessionStore
    ) -> None:
        async def test() -> None:
            await cancelled(store, *(session.add_items(messages(n)) for n in range(1, MAX_UNHEARD + 6)))
            assert len(session._unheard) == MAX_UNHEARD
            assert len(await session.get_items()) == MAX_UNHEARD + 6

        asyncio.run(test())

    def test_the_first_item_of_a_conversation_can_be_cancelled_too(self, store: SessionStore) -> None:
        async def test() -> None:
            session = SealedSession("new", store)
            task = asyncio.ensure_future(session.add_items(messages(1)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await session.add_items(messages(1))
            assert await session.get_items() == messages(1)

        asyncio.run(test())


def messages_of(*numbers: int) -> list[list[Any]]:
    return [messages(number) for number in numbers]


Locked = Callable[[], AbstractContextManager[None]]


class TestUnknownOutcome:
    """The bytes are on the disk, and the ledger would not say so."""

    @pytest.fixture
    def hasty(self, home: Any) -> Iterator[SessionStore]:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.2)
        with open_store(config=config) as opened:
            yield opened

    def test_the_same_batch_again_is_saved_once(self, hasty: SessionStore, ledger_locked: Locked) -> None:
        async def test() -> None:
            session = SealedSession("chat", hasty)
            await session.add_items(messages(0))
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError) as caught:
                await session.add_items(messages(1))
            assert caught.value.outcome == "unknown"
            await session.add_items(messages(1))
            assert await session.get_items() == messages(0, 1)

        asyncio.run(test())

    def test_a_pop_made_again_takes_one_off(self, hasty: SessionStore, ledger_locked: Locked) -> None:
        async def test() -> None:
            session = SealedSession("chat", hasty)
            await session.add_items(messages(0, 1, 2))
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                await session.pop_item()
            assert await session.pop_item() == messages(2)[0]
            assert await session.get_items() == messages(0, 1)

        asyncio.run(test())

    def test_a_retry_is_known_behind_what_others_have_saved(self, hasty: SessionStore, ledger_locked: Locked) -> None:
        async def test() -> None:
            session, other = SealedSession("chat", hasty), SealedSession("chat", hasty)
            await session.add_items(messages(0))
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                await session.add_items(messages(1))
            await other.add_items(messages(2))
            await session.add_items(messages(1))
            assert await other.get_items() == messages(0, 1, 2)
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                await session.pop_item()
            await other.add_items(messages(3))
            assert await session.pop_item() == messages(2)[0]
            assert await other.get_items() == messages(0, 1, 3)

        asyncio.run(test())

    def test_a_pop_that_was_not_written_takes_off_what_is_newest_then(
        self, hasty: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> int:
            raise errors.StoreUnavailableError(reason="a fault", outcome="unknown")

        async def test() -> None:
            session, other = SealedSession("chat", hasty), SealedSession("chat", hasty)
            await session.add_items(messages(0, 1, 2))
            with monkeypatch.context() as patch, pytest.raises(errors.StoreUnavailableError):
                patch.setattr(hasty, "append", fail)
                await session.pop_item()
            await other.add_items(messages(3))
            assert await session.pop_item() == messages(3)[0]
            assert await session.get_items() == messages(0, 1, 2)

        asyncio.run(test())

    def test_a_pop_that_failed_before_somebody_cleared_takes_nothing_from_the_past(
        self, hasty: SessionStore, ledger_locked: Locked
    ) -> None:
        async def test() -> None:
            session, other = SealedSession("chat", hasty), SealedSession("chat", hasty)
            await session.add_items(messages(0, 1, 2))
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                await session.pop_item()
            await other.clear_session()
            await other.add_items(messages(7))
            assert await session.pop_item() == messages(7)[0]
            assert await session.get_items() == []

        asyncio.run(test())


class TestClosedStore:
    def test_what_is_asked_of_a_closed_store_is_refused(self, home: Any) -> None:
        with open_store(home) as store:
            session = SealedSession("chat", store)
            asyncio.run(session.add_items(messages(1)))
        with pytest.raises(errors.StoreUnavailableError):
            asyncio.run(session.add_items(messages(2)))
        assert not pool_of(store).is_closing
