"""What the SDK asks of a storage: bytes under keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from itertools import combinations
from typing import Any, TypeVar

import pytest

pytest.importorskip("strands", reason="needs Strands Agents: pip install 'sessionstore[strands]'")

from hypothesis import given, settings
from hypothesis import strategies as st
from strands.storage import Storage
from strands.storage.storage import _NamespacedStorage

from sessionstore import SessionStore, errors, open_store
from sessionstore.aio.borrowed import pool_of
from sessionstore.aio.store import DEFAULT_WORKERS
from sessionstore.integrations.strands import SealedStorage

T = TypeVar("T")
KEYS = [
    "",
    " ",
    "a",
    "A",
    "\u0430",
    "a\u0301",
    "á",
    "../a",
    "/a",
    "a/",
    "a//b",
    "a/b",
    "a\\b",
    "a\x00",
    '","',
    "k" * 600,
    "K" * 600,
]


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine, debug=True)


@pytest.fixture
def storage(store: SessionStore) -> SealedStorage:
    return SealedStorage(store)


class TestTheProtocol:
    def test_it_is_a_storage(self, storage: SealedStorage) -> None:
        assert isinstance(storage, Storage)

    @pytest.mark.parametrize(
        "data", [b"", b"text", "ü\u2028\x00 \U0010ffff".encode(), b"\xff\x00\x80", b"\xed\xa0\x80", b'{"a": NaN}']
    )
    def test_bytes_come_back_unchanged(self, storage: SealedStorage, data: bytes) -> None:
        run(storage.write("key", data))
        assert run(storage.read("key")) == data

    @settings(max_examples=10)
    @given(values=st.lists(st.binary(max_size=50) | st.text().map(lambda text: text.encode("utf-8", "ignore"))))
    def test_any_bytes_come_back_unchanged(self, values: list[bytes]) -> None:
        async def test(storage: SealedStorage) -> None:
            for value in values:
                await storage.write("key", value)
                assert await storage.read("key") == value

        with open_store(backend="memory", environ={}) as store:
            asyncio.run(test(SealedStorage(store)))

    @pytest.mark.parametrize("data", ["ü🎉".encode() * 700_000, bytes(range(128, 256)) * 20_000], ids=["text", "raw"])
    def test_long_values_are_kept_in_parts(self, storage: SealedStorage, data: bytes) -> None:
        run(storage.write("key", data))
        run(storage.write("key", data[::-1]))
        assert run(storage.read("key")) == data[::-1]

    def test_a_value_that_is_longer_than_a_session_is_refused_and_the_old_one_stays(
        self, storage: SealedStorage
    ) -> None:
        run(storage.write("key", b"old"))
        with pytest.raises(errors.TooLargeError):
            run(storage.write("key", b"x" * 12_000_000))
        assert run(storage.read("key")) == b"old"

    def test_what_is_missing_is_none_and_deleting_it_is_nothing(self, storage: SealedStorage) -> None:
        assert run(storage.read("key")) is None
        run(storage.delete("key"))
        run(storage.write("key", b"1"))
        run(storage.delete("key"))
        assert run(storage.read("key")) is None
        assert run(storage.list("")) == []
        run(storage.write("key", b"2"))
        assert run(storage.read("key")) == b"2"

    def test_keys_are_listed_in_order_by_their_beginning(self, storage: SealedStorage) -> None:
        async def test() -> None:
            for key in ("b/2", "a/1", "c/3", "a/2", "a"):
                await storage.write(key, b"")
            await storage.delete("a/2")
            assert await storage.list("") == await storage.list() == ["a", "a/1", "b/2", "c/3"]
            assert await storage.list("a/") == ["a/1"]
            assert await storage.list("z") == []

        run(test())

    def test_it_can_be_searched_and_scoped(self, storage: SealedStorage) -> None:
        async def test() -> None:
            scoped = _NamespacedStorage(storage, "session")
            await storage.write("notes", b"red apples")
            await scoped.write("other", b"green pears")
            assert [found.key for found in await storage.search("apples")] == ["notes"]
            assert [found.key for found in await scoped.search("pears")] == ["other"]
            assert await storage.list("") == ["notes", "session/other"]
            assert await scoped.list("") == ["other"]

        run(test())

    def test_look_alikes_case_twins_paths_long_and_empty_keys_are_different(self, storage: SealedStorage) -> None:
        async def test() -> None:
            for number, key in enumerate(KEYS):
                await storage.write(key, str(number).encode())
            for number, key in enumerate(KEYS):
                assert await storage.read(key) == str(number).encode()
            assert await storage.list("") == sorted(KEYS)
            assert await storage.list("kk") == ["k" * 600]
            await storage.delete("k" * 600)
            assert await storage.list("kk") == []

        run(test())
        assert all(one != other for one, other in combinations(KEYS, 2))

    @pytest.mark.parametrize("key", [None, 7, "\ud800"])
    def test_what_is_no_text_is_refused(self, storage: SealedStorage, key: Any) -> None:
        for call in (storage.read(key), storage.write(key, b""), storage.delete(key)):
            with pytest.raises(errors.InvalidValueError):
                run(call)


class TestTampering:
    def test_a_changed_value_is_refused_still_listed_and_can_be_deleted(
        self, storage: SealedStorage, flip: Any
    ) -> None:
        run(storage.write("a", b"first value"))
        run(storage.write("b", b"other"))
        flip(b"first value", b"FIRST value")
        for call in (storage.read("a"), storage.write("a", b"")):
            with pytest.raises(errors.InvalidSignatureError):
                run(call)
        assert run(storage.list("")) == ["a", "b"]  # nobody hides a value by breaking it
        assert run(storage.read("b")) == b"other"
        run(storage.delete("a"))
        assert run(storage.list("")) == ["b"]


class TestCancelled:
    def test_a_cancelled_write_is_over_when_the_cancellation_goes_on(
        self, storage: SealedStorage, store: SessionStore
    ) -> None:
        async def test() -> None:
            await storage.write("key", b"1")
            (line,) = store.list().sessions
            held, may_end = threading.Event(), threading.Event()

            def hold() -> None:
                with store._ground.locked(line.id):
                    held.set()
                    assert may_end.wait(30)

            thread = threading.Thread(target=hold)
            thread.start()
            assert held.wait(30)
            writing = asyncio.ensure_future(storage.write("key", b"2"))
            await asyncio.sleep(0)  # lets it begin
            writing.cancel()
            await asyncio.sleep(0)
            assert not writing.done()
            may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await writing
            thread.join()
            assert await storage.read("key") == b"2"
            await storage.write("key", b"2")
            assert await storage.read("key") == b"2"

        run(test())

    def test_what_the_caller_changes_meanwhile_does_not_matter(
        self, storage: SealedStorage, store: SessionStore
    ) -> None:
        async def test() -> None:
            may_go_on = threading.Event()
            busy = [pool_of(store).begin(may_go_on.wait, 30) for _ in range(DEFAULT_WORKERS)]
            data = bytearray(b"before")
            writing = asyncio.ensure_future(storage.write("key", data))  # type: ignore[arg-type]
            await asyncio.sleep(0)  # lets it queue
            data[:] = b"after!"
            may_go_on.set()
            await asyncio.gather(writing, *busy)
            assert await storage.read("key") == b"before"

        run(test())
