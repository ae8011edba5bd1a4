"""Limits: the same at save and at load, exact to the byte; a save over one leaves every byte as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import SessionStore, errors

KIB = 1024
Make = Callable[..., SessionStore]
Stored = Callable[[SessionStore, str], bytes]


def entry_of(size_bytes: int) -> dict[str, str]:
    """An entry that is so long when it is written as JSON."""
    return {"x": "a" * (size_bytes - len('{"x":""}'))}


class TestEntry:
    def test_exactly_at_the_cap_it_is_kept_and_one_byte_over_it_is_not(self, make_store: Make, stored: Stored) -> None:
        store = make_store(max_entry_bytes=2 * KIB)
        id = store.create(entries=[entry_of(2 * KIB)]).id
        assert store.append(id, [entry_of(2 * KIB)]) == 2
        before = stored(store, id)
        calls: list[Callable[[], object]] = [
            lambda: store.append(id, [{"n": 1}, entry_of(2 * KIB + 1)]),
            lambda: store.create(entries=[entry_of(2 * KIB + 1)]),
            lambda: store.append(id, config=entry_of(2 * KIB + 1)),
        ]
        for call in calls:
            with pytest.raises(errors.TooLargeError) as caught:
                call()
            fields = caught.value.fields
            assert (fields["size_bytes"], fields["limit_bytes"]) == (2 * KIB + 1, 2 * KIB)
            assert fields["setting"] == "max_entry_bytes"
        assert stored(store, id) == before
        assert len(store.list().sessions) == 1

    def test_the_size_is_that_of_the_bytes_not_of_the_characters(self, make_store: Make) -> None:
        store = make_store(max_entry_bytes=KIB)
        with pytest.raises(errors.TooLargeError) as caught:
            store.create(entries=[{"x": "\U0001f984" * 300}])
        assert caught.value.fields["size_bytes"] == 1208


class TestSession:
    def test_exactly_at_the_cap_it_is_kept_and_one_byte_over_it_is_not(self, make_store: Make, stored: Stored) -> None:
        limit = 64 * KIB
        store = make_store(max_session_bytes=limit)
        id = store.create().id
        size = limit - KIB
        before = stored(store, id)
        while True:  # from too long downwards: the first that is kept fills it to the byte
            try:
                store.append(id, [entry_of(size)])
                break
            except errors.TooLargeError as error:
                assert error.fields["what"] == "session"
                assert (error.fields["limit_bytes"], error.fields["setting"]) == (limit, "max_session_bytes")
                assert stored(store, id) == before
                size -= error.fields["size_bytes"] - limit
        session = store.load(id)
        assert session.size_bytes == len(stored(store, id)) == limit
        assert len(list(store.entries(id))) == 1
        assert [result.code for result in store.verify(id)] == ["ok"]
        with pytest.raises(errors.TooLargeError):
            store.append(id, [{"n": 1}])
        assert len(stored(store, id)) == limit

    def test_a_full_session_can_be_rewound_and_goes_on(self, make_store: Make) -> None:
        store = make_store(max_session_bytes=64 * KIB)
        id = store.create().id
        for _ in range(3):
            store.append(id, [entry_of(18 * KIB)])
        with pytest.raises(errors.TooLargeError):
            store.append(id, [entry_of(18 * KIB)])
        assert store.rewind(id, 1) == 5
        assert store.append(id, [entry_of(18 * KIB)]) == 6

    def test_a_create_over_the_cap_leaves_nothing(self, make_store: Make) -> None:
        store = make_store(max_session_bytes=64 * KIB)
        with pytest.raises(errors.TooLargeError):
            store.create(entries=[entry_of(KIB)] * 70)
        assert (store.list().sessions, list(store._ground.backend.scan())) == ((), [])

    def test_a_save_of_many_segments_over_the_cap_leaves_every_byte(self, make_store: Make, stored: Stored) -> None:
        store = make_store(max_session_bytes=4 * KIB * KIB)
        id = store.create().id
        before = stored(store, id)
        with pytest.raises(errors.TooLargeError):
            store.append(id, [entry_of(700 * KIB)] * 8)
        assert stored(store, id) == before
        assert store.append(id, [entry_of(700 * KIB)] * 4) > 2


def name_of(size_bytes: int) -> str:
    """A name that is so long in UTF-8, of at most 200 characters."""
    return "\U0001f984" * (size_bytes // 4) + "n" * (size_bytes % 4)


class TestSeal:
    @pytest.mark.parametrize("member", ["name", "tags"])
    def test_the_longest_name_and_tags_fit_into_a_seal(self, store: SessionStore, member: str) -> None:
        worst: dict[str, Any] = {"name": "\U0001f984" * 200, "tags": ["\U0001f984" * 62 + f"{n:02}" for n in range(48)]}
        id = store.create().id
        store.append(id, **{member: worst[member]})
        assert getattr(store.load(id), member) == (worst[member] if member == "name" else tuple(worst[member]))

    def test_exactly_at_16_kib_it_is_kept_and_one_byte_over_it_is_not(self, store: SessionStore) -> None:
        id = store.create().id
        tags = ["\U0001f984" * 62 + f"{number:02}" for number in range(61)]
        size = 16 * KIB  # of the name: too long at first, then as the error says
        with pytest.raises(errors.TooLargeError) as caught:
            store.append(id, tags=tags, name=name_of(800))
        room = 800 - (caught.value.fields["size_bytes"] - size)
        with pytest.raises(errors.TooLargeError) as caught:
            store.append(id, tags=tags, name=name_of(room + 1))
        assert caught.value.fields["size_bytes"] == size + 1
        assert store.append(id, tags=tags, name=name_of(room)) == 2
        assert store.load(id).tags == tuple(tags)

    def test_a_seal_over_16_kib_is_refused_with_its_size(self, store: SessionStore, stored: Stored) -> None:
        id = store.create(name="\U0001f984" * 200).id
        before = stored(store, id)
        tags = ["\U0001f984" * 62 + f"{number:02}" for number in range(64)]
        with pytest.raises(errors.TooLargeError) as caught:
            store.append(id, tags=tags)
        assert (caught.value.fields["what"], caught.value.fields["limit_bytes"]) == ("seal", 16 * KIB)
        assert caught.value.fields["size_bytes"] > 16 * KIB
        assert stored(store, id) == before
        with pytest.raises(errors.TooLargeError):
            store.create(name="\U0001f984" * 200, tags=tags)
        assert len(store.list().sessions) == 1
