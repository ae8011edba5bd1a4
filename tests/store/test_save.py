"""Saving a snapshot: the difference is written, and only on top of what the snapshot was loaded from."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from sessionstore import Message, SessionStore, Todo, errors

Stored = Callable[[SessionStore, str], bytes]


class TestSave:
    def test_new_entries_are_written_behind_the_old(self, store: SessionStore, stored: Stored) -> None:
        session = store.create(entries=[{"n": 1}])
        before = stored(store, session.id)
        saved = store.save(session.append({"n": 2}, Message("user", "hi")))
        assert saved.entries == ({"n": 1}, {"n": 2}, {"role": "user", "content": "hi"})
        assert saved.rev == 2
        assert saved == store.load(session.id)
        assert stored(store, session.id)[len(before) :].startswith(b'{"entry":{"n":2}}\n{"entry":{"role"')

    def test_changed_state_is_written(self, store: SessionStore) -> None:
        session = store.create(name="old", tags=["a"], config={"a": 1})
        changed = msgspec.structs.replace(session, name="new", tags=("b",), config={}, todos=(Todo("t"),))
        saved = store.save(changed)
        assert (saved.name, saved.tags, saved.config, saved.todos) == ("new", ("b",), {}, (Todo("t"),))
        assert (saved.rev, saved.entries) == (2, ())

    def test_only_what_changed_is_written(self, store: SessionStore, stored: Stored) -> None:
        session = store.create(tags=["a"], config={"a": 1})
        before = len(stored(store, session.id))
        store.save(msgspec.structs.replace(session, name="new"))
        assert stored(store, session.id)[before:].startswith(b'{"state":{"name":"new"}}\n{"seal":')

    def test_nothing_new_is_no_save(self, store: SessionStore, stored: Stored) -> None:
        session = store.create(name="n", tags=["a"], config={"a": 1}, todos=[Todo("t")], entries=[{"n": 1}])
        before = stored(store, session.id)
        assert store.save(session) == session
        assert stored(store, session.id) == before

    def test_values_that_python_calls_equal_are_told_apart(self, store: SessionStore) -> None:
        session = store.create(config={"stream": 1})
        saved = store.save(msgspec.structs.replace(session, config={"stream": True}))
        assert saved.config["stream"] is True
        assert saved.rev == 2

    @pytest.mark.parametrize(
        "member", [{"name": ""}, {"tags": ("",)}, {"config": {"x": float("nan")}}, {"todos": (Todo("\ud800"),)}]
    )
    def test_state_that_cannot_be_kept_is_refused(
        self, store: SessionStore, stored: Stored, member: dict[str, object]
    ) -> None:
        session = store.create(config={"x": None})
        before = stored(store, session.id)
        with pytest.raises((errors.InvalidValueError, errors.MalformedError)):
            store.save(msgspec.structs.replace(session, **member))
        assert stored(store, session.id) == before


class TestConflicts:
    def test_of_two_savers_the_second_is_refused(self, store: SessionStore, stored: Stored) -> None:
        session = store.create()
        store.save(session.append({"by": "first"}))
        before = stored(store, session.id)
        with pytest.raises(errors.ConflictError) as caught:
            store.save(session.append({"by": "second"}))
        assert caught.value.fields == {"session_id": session.id, "expected": 1, "found": 2}
        assert stored(store, session.id) == before

    def test_a_conflict_is_solved_by_loading_again(self, store: SessionStore) -> None:
        session = store.create()
        store.append(session.id, [{"by": "first"}])
        saved = store.save(store.load(session.id).append({"by": "second"}))
        assert saved.entries == ({"by": "first"}, {"by": "second"})

    @pytest.mark.parametrize(
        "entries", [({"n": 9}, {"n": 2}), ({"n": True}, {"n": 2}), ({"n": 1},), (), ({"n": 2}, {"n": 1}, {"n": 3})]
    )
    def test_earlier_entries_cannot_be_changed_by_a_save(
        self, store: SessionStore, stored: Stored, entries: tuple[dict[str, int], ...]
    ) -> None:
        session = store.create(entries=[{"n": 1}, {"n": 2}])
        before = stored(store, session.id)
        with pytest.raises(errors.ConflictError):
            store.save(msgspec.structs.replace(session, entries=entries))
        assert stored(store, session.id) == before

    def test_a_snapshot_from_before_a_rewind_is_refused(self, store: SessionStore) -> None:
        session = store.create(entries=[{"n": 1}])
        store.rewind(session.id, 1)
        with pytest.raises(errors.ConflictError):
            store.save(session.append({"n": 2}))

    def test_a_session_that_is_gone_is_not_made_again(self, store: SessionStore) -> None:
        session = store.create()
        store.delete(session.id)
        with pytest.raises(errors.SessionNotFoundError):
            store.save(session.append({"n": 1}))
        assert store.list().sessions == ()
