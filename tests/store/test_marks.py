"""Names, tags, the mark of a closed session, and deleting."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from freezegun import freeze_time

from sessionstore import SessionStore, errors, open_store

NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
Stored = Callable[[SessionStore, str], bytes]


class TestRename:
    def test_the_new_name_stands_in_the_session_and_in_the_list(self, store: SessionStore) -> None:
        id = store.create(name="old").id
        assert store.rename(id, "new") == 2
        assert (store.load(id).name, store.summary(id).name) == ("new", "new")

    @pytest.mark.parametrize("name", ["", "a\tb", "n" * 201, "\u2028", 5])
    def test_what_is_no_name_is_refused(self, store: SessionStore, stored: Stored, name: str) -> None:
        id = store.create(name="old").id
        before = stored(store, id)
        with pytest.raises(errors.InvalidValueError):
            store.rename(id, name)
        assert stored(store, id) == before

    def test_an_unknown_session_is_not_found(self, store: SessionStore) -> None:
        for change in (
            lambda: store.rename(NOBODY, "n"),
            lambda: store.tag(NOBODY),
            lambda: store.close_session(NOBODY),
        ):
            with pytest.raises(errors.SessionNotFoundError):
                change()


class TestTag:
    def test_tags_are_added_behind_and_removed_and_each_is_there_once(self, store: SessionStore) -> None:
        id = store.create(tags=["a"]).id
        assert store.tag(id, add=["b", "a", "b"]) == ("a", "b")
        assert store.tag(id, remove=["a", "unknown"]) == ("b",)
        assert store.tag(id, add=["c"], remove=["b"]) == ("c",)
        assert store.tag(id, add=["d"], remove=["d"]) == ("c",)
        assert (store.load(id).tags, store.summary(id).tags) == (("c",), ("c",))

    def test_nothing_to_change_is_no_save(self, store: SessionStore, stored: Stored) -> None:
        id = store.create(tags=["a"]).id
        before = stored(store, id)
        assert store.tag(id) == ("a",)
        assert store.tag(id, add=["a"], remove=["b"]) == ("a",)
        assert stored(store, id) == before

    def test_the_limit_counts_what_is_left(self, store: SessionStore, stored: Stored) -> None:
        full = [f"t{number}" for number in range(64)]
        id = store.create(tags=full).id
        assert store.tag(id, add=["new"], remove=["t0"]) == (*full[1:], "new")
        before = stored(store, id)
        with pytest.raises(errors.InvalidValueError):
            store.tag(id, add=["one more"])
        assert stored(store, id) == before

    @pytest.mark.parametrize("tags", ["word", [""], ["a\nb"], ["t" * 65]])
    def test_what_is_no_tag_is_refused(self, store: SessionStore, tags: list[str]) -> None:
        id = store.create().id
        for arguments in ({"add": tags}, {"remove": tags}):
            with pytest.raises(errors.InvalidValueError):
                store.tag(id, **arguments)
        assert store.load(id).rev == 1


class TestCloseSession:
    def test_it_marks_the_time_and_the_session_can_still_be_saved(self, store: SessionStore) -> None:
        id = store.create().id
        with freeze_time("2026-01-31 12:00:00"):
            assert store.close_session(id) == 2
        closed = datetime(2026, 1, 31, 12, tzinfo=UTC)
        assert (store.load(id).closed_at, store.summary(id).closed_at) == (closed, closed)
        assert store.append(id, [{"n": 1}]) == 3
        assert store.load(id).closed_at == closed

    def test_closing_again_sets_a_new_time(self, store: SessionStore) -> None:
        id = store.create().id
        with freeze_time("2026-01-31", auto_tick_seconds=1):
            store.close_session(id)
            first = store.load(id).closed_at
            assert store.close_session(id) == 3
        assert first is not None
        assert store.load(id).closed_at > first


class TestDelete:
    def test_nothing_of_it_is_left_but_that_it_was_here(self, store: SessionStore) -> None:
        id = store.create(name="secret", key="k", tags=["t"], entries=[{"n": 1}]).id
        store.delete(id)
        assert list(store._ground.backend.scan()) == []
        assert (store.list().sessions, store.list().unreadable, store.find("k")) == ((), (), None)
        head = store._ground.ledger.head(id)
        assert head is not None
        assert (head.state, head.rev, head.name, head.key, head.tags) == ("deleted", 1, "", None, ())

    def test_every_call_afterwards_says_not_found(self, store: SessionStore) -> None:
        id = store.create().id
        store.append(id, [{"n": 1}])
        store.delete(id)
        calls: list[Callable[[], object]] = [
            lambda: store.load(id),
            lambda: next(store.entries(id)),
            lambda: store.summary(id),
            lambda: store.append(id, [{"n": 2}]),
            lambda: store.rename(id, "n"),
            lambda: store.tag(id, add=["t"]),
            lambda: store.close_session(id),
            lambda: store.rewind(id, 0),
            lambda: store.clear(id),
            lambda: store.compact(id),
            lambda: store.fork(id),
            lambda: store.export(id),
            lambda: store.inspect(id),
            lambda: store.delete(id),
        ]
        for call in calls:
            with pytest.raises(errors.SessionNotFoundError):
                call()
        assert [result.code for result in store.verify(id)] == ["not_found"]

    def test_the_unknown_is_not_found(self, store: SessionStore) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            store.delete(NOBODY)
        with pytest.raises(errors.InvalidIdError):
            store.delete("../x")
        assert store._ground.ledger.head(NOBODY) is None

    def test_others_stay(self, store: SessionStore, stored: Stored) -> None:
        id, other = store.create().id, store.create(entries=[{"n": 1}]).id
        before = stored(store, other)
        store.delete(id)
        assert stored(store, other) == before
        assert [line.id for line in store.list().sessions] == [other]

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, to see what is open")
    def test_nothing_of_it_is_held_open(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "home", environ={}) as store:
            id = store.create().id
            store.append(id, [{"n": 1}])
            store.delete(id)
            held = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
            assert not [name for name in held if id in name and ".jsonl" in name]
