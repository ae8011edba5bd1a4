"""The awaited store is the blocking one: these tests look at what differs, and that nothing else does."""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sessionstore import AsyncSessionStore, SessionStore, open_async_store, open_store
from sessionstore.config import Config
from sessionstore.errors import ConflictError, InvalidValueError, SessionNotFoundError, StoreUnavailableError

UNKNOWN = "00000000-0000-4000-8000-000000000000"
WAIT_S = 30

# Ways into and out of a store, which the awaited one has in its own form.
OWN = {"close", "resume"}


def public(cls: type) -> dict[str, Any]:
    return {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_") and name not in OWN}


@asynccontextmanager
async def in_memory() -> AsyncIterator[AsyncSessionStore]:
    async with open_async_store(backend="memory", environ={}) as store:
        yield store


def entry(number: int) -> dict[str, Any]:
    return {"role": "user", "content": f"turn {number}"}


class TestTheSameCalls:
    def test_it_has_every_public_name_of_the_blocking_store_and_no_other(self) -> None:
        attributes = {"config", "notices"}  # set when a store is made, so that the class does not show them
        assert set(public(AsyncSessionStore)) == set(public(SessionStore)) | attributes

    @pytest.mark.parametrize("name", sorted(name for name, value in public(SessionStore).items() if callable(value)))
    def test_a_method_takes_the_same_arguments_and_is_awaited_or_iterated(self, name: str) -> None:
        blocking, awaited = getattr(SessionStore, name), getattr(AsyncSessionStore, name)
        assert inspect.signature(awaited) == inspect.signature(blocking)
        assert awaited.__doc__
        yields = "Iterator" in str(inspect.signature(blocking).return_annotation)
        assert inspect.iscoroutinefunction(awaited) is not yields

    def test_a_session_goes_from_its_making_to_its_end(self) -> None:
        async def main() -> None:
            async with in_memory() as store:
                made = await store.create(name="first", tags=["a"])
                rev = await store.append(made.id, [entry(0), entry(1)], expected_rev=made.rev)
                loaded = await store.load(made.id)
                assert (loaded.rev, loaded.entries, loaded.name) == (rev, (entry(0), entry(1)), "first")
                assert [line.id for line in (await store.list(tag="a")).sessions] == [made.id]
                assert await store.tag(made.id, add=["b"]) == ("a", "b")
                await store.rename(made.id, "second")
                assert (await store.summary(made.id)).name == "second"
                assert [result.ok async for result in store.verify()] == [True]
                assert [hit.entry async for hit in store.search("turn 1")] == [1]
                assert (await store.fork(made.id)).parent == made.id
                assert (await store.stats()).sessions == 2
                saved = await store.save((await store.load(made.id)).append(entry(2)))
                assert len(saved.entries) == 3
                await store.rewind(made.id, 1)
                assert [found async for found in store.entries(made.id)] == [entry(0)]
                await store.delete(made.id)
                with pytest.raises(SessionNotFoundError):
                    await store.load(made.id)

        asyncio.run(main(), debug=True)

    def test_what_one_writes_the_other_reads(self, tmp_path: Path) -> None:
        async def main() -> str:
            async with open_async_store(tmp_path, environ={}) as store:
                made = await store.get_or_create("key", name="shared")
                await store.append(made.id, [entry(0)])
                return made.id

        session_id = asyncio.run(main())
        with open_store(tmp_path, environ={}) as store:
            assert store.load(session_id).entries == (entry(0),)

    def test_errors_arrive_as_themselves(self) -> None:
        async def main() -> None:
            async with in_memory() as store:
                with pytest.raises(SessionNotFoundError):
                    await store.load(UNKNOWN)
                with pytest.raises(SessionNotFoundError):
                    async for _ in store.entries(UNKNOWN):
                        pass
                made = await store.create()
                with pytest.raises(ConflictError):
                    await store.append(made.id, [entry(0)], expected_rev=made.rev + 1)
                assert made.entries == (await store.load(made.id)).entries

        asyncio.run(main(), debug=True)

    def test_many_tasks_append_to_one_session_and_nothing_is_lost(self) -> None:
        async def main() -> None:
            async with in_memory() as store:
                made = await store.create()
                revs = await asyncio.gather(*(store.append(made.id, [entry(number)]) for number in range(40)))
                assert len(set(revs)) == 40
                found = [item["content"] async for item in store.entries(made.id)]
                assert sorted(found) == sorted(entry(number)["content"] for number in range(40))

        asyncio.run(main(), debug=True)

    def test_entries_stream_in_order_and_can_be_left(self) -> None:
        async def main() -> None:
            async with in_memory() as store:
                made = await store.create()
                await store.append(made.id, (entry(number) for number in range(500)))
                assert [found async for found in store.entries(made.id)] == [entry(number) for number in range(500)]
                assert [found async for found in store.entries(made.id, -2)] == [entry(498), entry(499)]
                assert [found async for found in store.entries(made.id, 5, 1)] == [entry(5)]
                async with aclosing(store.entries(made.id)) as entries:
                    assert await anext(entries) == entry(0)
                assert (await store.load(made.id)).rev >= made.rev

        asyncio.run(main(), debug=True)


class TestOpening:
    def test_it_opens_in_a_thread_and_closes_once(self) -> None:
        opened_in: list[str] = []

        def opener() -> SessionStore:
            opened_in.append(threading.current_thread().name)
            return open_store(backend="memory", environ={})

        async def main() -> None:
            store = AsyncSessionStore(opener)
            async with store as entered:
                assert entered is store
                assert store.config.max_sessions == 10_000
                assert len(store.store_id) == 36
                assert store.notices == ()
            await store.close()
            await asyncio.gather(store.close(), store.close())

        asyncio.run(main(), debug=True)
        assert len(opened_in) == 1
        assert opened_in[0].startswith("sessionstore")

    def test_before_and_after_its_block_it_refuses_calls(self) -> None:
        async def main() -> None:
            store = open_async_store(backend="memory", environ={})
            with pytest.raises(StoreUnavailableError, match="not open"):
                await store.load(UNKNOWN)
            with pytest.raises(StoreUnavailableError, match="not open"):
                store.entries(UNKNOWN)
            with pytest.raises(StoreUnavailableError, match="not open"):
                _ = store.config
            async with store:
                made = await store.create()
            with pytest.raises(StoreUnavailableError, match="closed"):
                await store.load(made.id)
            with pytest.raises(StoreUnavailableError, match="closed"):
                async with store:
                    pass

        asyncio.run(main(), debug=True)

    def test_what_fails_at_opening_is_raised_and_leaves_no_thread(self) -> None:
        def opener() -> SessionStore:
            raise StoreUnavailableError(reason="test", outcome="not_written")

        async def main() -> None:
            with pytest.raises(StoreUnavailableError, match="test"):
                async with AsyncSessionStore(opener):
                    pass

        asyncio.run(main(), debug=True)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("sessionstore")]

    def test_a_store_whose_opening_was_cancelled_is_closed_again(self) -> None:
        begun, may_end = threading.Event(), threading.Event()
        opened: list[SessionStore] = []

        def opener() -> SessionStore:
            begun.set()
            assert may_end.wait(WAIT_S)
            opened.append(open_store(backend="memory", environ={}))
            return opened[0]

        async def main() -> None:
            store = AsyncSessionStore(opener)
            entering = asyncio.ensure_future(store.__aenter__())
            assert await asyncio.to_thread(begun.wait, WAIT_S)
            entering.cancel()
            await asyncio.sleep(0)
            may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await entering

        asyncio.run(main(), debug=True)
        with pytest.raises(StoreUnavailableError, match="closed"):
            opened[0].create()

    @pytest.mark.parametrize("workers", [0, -1, 65])
    def test_a_number_of_threads_out_of_range_is_refused(self, workers: int) -> None:
        with pytest.raises(InvalidValueError, match="workers"):
            AsyncSessionStore(lambda: open_store(backend="memory", environ={}), workers=workers)


class Began:
    """Tags that say when the store looks at them, which it does in its thread and before it waits for the lock."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __iter__(self) -> Iterator[str]:
        self._event.set()
        return iter(["began"])

    async def wait(self) -> None:
        assert await asyncio.to_thread(self._event.wait, WAIT_S)


class TestCancelling:
    @pytest.fixture
    def hold(self, tmp_path: Path) -> Callable[[str], Callable[[], None]]:
        """Holds the write lock of a session, as another process would, so that its writers wait; gives the release."""

        def hold(session_id: str) -> Callable[[], None]:
            descriptor = os.open(tmp_path / "state" / "locks" / f"{session_id}.write", os.O_RDWR)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return lambda: os.close(descriptor)

        return hold

    def test_a_cancelled_append_goes_on_and_its_retry_saves_nothing_twice(
        self, tmp_path: Path, hold: Callable[[str], Callable[[], None]]
    ) -> None:
        async def main() -> None:
            config = Config(data_dir=tmp_path / "data", state_dir=tmp_path / "state", lock_timeout_s=WAIT_S)
            async with open_async_store(config=config) as store:
                made = await store.create()
                release = hold(made.id)
                began = Began()
                call = asyncio.ensure_future(store.append(made.id, [entry(0)], tags=began, idempotency_key="turn-1"))
                await began.wait()
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                release()
                rev = await store.append(made.id, [entry(0)], tags=["began"], idempotency_key="turn-1")
                loaded = await store.load(made.id)
                assert (loaded.rev, loaded.entries) == (rev, (entry(0),))
                assert rev == made.rev + 1

        asyncio.run(main(), debug=True)

    def test_leaving_the_block_waits_for_an_append_that_has_begun(
        self, tmp_path: Path, hold: Callable[[str], Callable[[], None]]
    ) -> None:
        async def main() -> str:
            config = Config(data_dir=tmp_path / "data", state_dir=tmp_path / "state", lock_timeout_s=WAIT_S)
            async with open_async_store(config=config) as store:
                made = await store.create()
                release = hold(made.id)
                began = Began()
                call = asyncio.ensure_future(store.append(made.id, [entry(0)], tags=began))
                await began.wait()
                call.cancel()
                closing = asyncio.ensure_future(store.close())
                await asyncio.sleep(0)
                closing.cancel()  # stops the waiting, not the closing
                with pytest.raises(asyncio.CancelledError):
                    await closing
                release()
                await store.close()
                return made.id

        session_id = asyncio.run(main(), debug=True)
        with open_store(tmp_path, environ={}) as store:
            assert store.load(session_id).entries == (entry(0),)
