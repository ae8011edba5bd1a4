"""Appending: revisions, state, conflicts, idempotency keys; what is refused leaves every byte as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freezegun import freeze_time

from sessionstore import Message, SessionStore, Todo, errors

NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
Stored = Callable[[SessionStore, str], bytes]


class TestAppend:
    def test_every_save_adds_its_entries_and_one_to_the_revision(self, store: SessionStore) -> None:
        id = store.create().id
        assert store.append(id, [{"n": 1}]) == 2
        assert store.append(id, ({"n": number} for number in (2, 3))) == 3
        assert store.append(id, [Message("user", "hi")]) == 4
        session = store.load(id)
        assert session.entries == ({"n": 1}, {"n": 2}, {"n": 3}, {"role": "user", "content": "hi"})
        assert session.rev == 4

    def test_the_old_bytes_stay_and_the_new_stand_behind(self, store: SessionStore, stored: Stored) -> None:
        id = store.create().id
        before = stored(store, id)
        store.append(id, [{"n": 1}])
        after = stored(store, id)
        assert after.startswith(before)
        new = after[len(before) :]
        assert new.startswith(b'{"entry":{"n":1}}\n{"seal":')
        assert new.count(b"\n") == 2

    def test_state_is_replaced_member_by_member(self, store: SessionStore) -> None:
        id = store.create(name="old", tags=["a"], config={"a": 1}, todos=[Todo("t")]).id
        assert store.append(id, name="new") == 2
        assert store.append(id, tags=["b", "b", "c"], config={"b": 2}) == 3
        session = store.load(id)
        assert (session.name, session.tags, session.config) == ("new", ("b", "c"), {"b": 2})
        assert session.todos == (Todo("t"),)
        assert store.append(id, todos=[]) == 4
        assert store.load(id).todos == ()

    def test_entries_and_state_are_one_save(self, store: SessionStore) -> None:
        id = store.create().id
        assert store.append(id, [{"n": 1}], name="new", todos=[Todo("t", "completed")]) == 2
        session = store.load(id)
        assert (session.entries, session.name, session.todos) == (({"n": 1},), "new", (Todo("t", "completed"),))

    def test_nothing_to_save_is_no_save(self, store: SessionStore, stored: Stored) -> None:
        id = store.create().id
        before = stored(store, id)
        assert store.append(id) == 1
        assert store.append(id, [], idempotency_key="k") == 1
        assert stored(store, id) == before

    def test_text_that_only_looks_like_lines_and_seals_comes_back(self, store: SessionStore) -> None:
        id = store.create().id
        entry = {"text": '\n{"seal":{"rev":9}}\n\u2028\u2029\x85\r\0', "\u2028": "\U0001f984"}
        store.append(id, [entry])
        assert store.load(id).entries == (entry,)


def failing(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"n": number, "fill": "x" * 1000}
    raise ZeroDivisionError("in the caller's own generator")


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"entries": [{"n": 1}, {"n": float("nan")}]}, errors.MalformedError),
            ({"entries": [{"n": 1}, ["no", "dict"]]}, errors.MalformedError),
            ({"entries": [{"n": -(2**63) - 1}]}, errors.MalformedError),
            ({"config": {"n": float("inf")}}, errors.MalformedError),
            ({"name": ""}, errors.InvalidValueError),
            ({"name": None}, errors.InvalidValueError),
            ({"tags": ["a", ""]}, errors.InvalidValueError),
            ({"todos": [{"content": "x", "status": "done"}]}, errors.InvalidValueError),
            ({"todos": [Todo("\ud800")]}, errors.InvalidValueError),
            ({"entries": [{"n": 1}], "idempotency_key": ""}, errors.InvalidValueError),
            ({"entries": [{"n": 1}], "idempotency_key": "k" * 513}, errors.TooLargeError),
            ({"entries": [{"n": 1}], "expected_rev": 1}, errors.ConflictError),
            ({"entries": [{"n": 1}], "expected_rev": 3}, errors.ConflictError),
        ],
    )
    def test_a_refused_save_changes_nothing(
        self, store: SessionStore, stored: Stored, arguments: dict[str, Any], error: type[Exception]
    ) -> None:
        id = store.create().id
        store.append(id, [{"old": 1}])
        before, summary = stored(store, id), store.summary(id)
        with pytest.raises(error):
            store.append(id, **arguments)
        assert (stored(store, id), store.summary(id)) == (before, summary)
        assert store.append(id, [{"new": 1}]) == 3

    @pytest.mark.parametrize("count", [0, 3, 2500])
    def test_entries_that_raise_in_the_middle_are_not_saved_in_part(
        self, store: SessionStore, stored: Stored, count: int
    ) -> None:
        id = store.create().id
        before = stored(store, id)
        with pytest.raises(ZeroDivisionError):
            store.append(id, failing(count))
        assert stored(store, id) == before
        assert store.append(id, [{"n": 1}]) == 2
        assert store.load(id).entries == ({"n": 1},)

    def test_an_unknown_or_impossible_id_is_refused(self, store: SessionStore) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            store.append(NOBODY, [{"n": 1}])
        for bad in (NOBODY.upper(), NOBODY + "\n", "../x", "", NOBODY[:-1] + "\0"):
            with pytest.raises(errors.InvalidIdError) as caught:
                store.append(bad, [{"n": 1}])
            assert str(caught.value) == "that is not a session id"
        assert list(store._ground.backend.scan()) == []


class TestExpectedRevision:
    def test_the_right_one_saves_and_the_error_names_both(self, store: SessionStore) -> None:
        id = store.create().id
        assert store.append(id, [{"n": 1}], expected_rev=1) == 2
        with pytest.raises(errors.ConflictError) as caught:
            store.append(id, [{"n": 2}], expected_rev=1)
        assert caught.value.fields == {"session_id": id, "expected": 1, "found": 2}

    def test_it_is_checked_also_where_there_is_nothing_to_save(self, store: SessionStore) -> None:
        id = store.create().id
        with pytest.raises(errors.ConflictError):
            store.append(id, expected_rev=2)


class TestIdempotencyKey:
    def test_a_repeat_saves_nothing_and_gives_the_same_revision(self, store: SessionStore, stored: Stored) -> None:
        id = store.create().id
        assert store.append(id, [{"n": 1}], idempotency_key="turn-1") == 2
        before = stored(store, id)
        assert store.append(id, [{"n": 1}], idempotency_key="turn-1") == 2
        assert store.append(id, [{"n": 1}], idempotency_key="turn-1", expected_rev=1) == 2
        assert stored(store, id) == before

    def test_only_the_last_save_is_remembered(self, store: SessionStore) -> None:
        id = store.create().id
        store.append(id, [{"n": 1}], idempotency_key="a")
        assert store.append(id, [{"n": 2}], idempotency_key="b") == 3
        assert store.append(id, [{"n": 3}]) == 4
        assert store.append(id, [{"n": 4}], idempotency_key="b") == 5

    def test_keys_of_different_sessions_never_meet(self, store: SessionStore) -> None:
        first, second = store.create().id, store.create().id
        assert store.append(first, [{"n": 1}], idempotency_key="k") == 2
        assert store.append(second, [{"n": 2}], idempotency_key="k") == 2
        assert store.load(second).entries == ({"n": 2},)

    def test_a_save_of_many_segments_carries_its_key_at_the_end(self, store: SessionStore) -> None:
        id = store.create().id
        entries = [{"fill": "x" * 700_000}] * 4
        rev = store.append(id, entries, idempotency_key="big")
        assert store.append(id, entries, idempotency_key="big") == rev
        assert len(store.load(id).entries) == 4


class TestTime:
    def test_updated_at_grows_with_every_save_though_the_clock_is_set_back(self, store: SessionStore) -> None:
        with freeze_time("2026-01-31 12:00:00") as clock:
            id = store.create().id
            times = [store.load(id).updated_at]
            for step_s in (0, -3600, -1, 7200):
                clock.tick(timedelta(seconds=step_s))
                store.append(id, [{"step": step_s}])
                times.append(store.load(id).updated_at)
        start = datetime(2026, 1, 31, 12, tzinfo=UTC)
        tick = timedelta(microseconds=1)
        later = datetime(2026, 1, 31, 12, 59, 59, tzinfo=UTC)
        assert times == [start, start + tick, start + 2 * tick, start + 3 * tick, later]
        assert store.load(id).created_at == start
        assert store.summary(id).updated_at == later
