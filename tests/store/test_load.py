"""Reading: the whole session, its entries in part, and what is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, errors, open_store

NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
Stored = Callable[[SessionStore, str], bytes]
FIVE = [{"n": number} for number in range(5)]


class TestLoad:
    def test_it_gives_what_was_saved_and_changes_nothing(self, store: SessionStore, stored: Stored) -> None:
        id = store.create(name="n").id
        store.append(id, FIVE)
        before = stored(store, id)
        session = store.load(id)
        assert session.entries == tuple(FIVE)
        assert (session.id, session.name, session.rev, session.warnings) == (id, "n", 2, ())
        assert session.size_bytes == len(before)
        assert stored(store, id) == before

    def test_numbers_and_text_come_back_to_the_bit(self, store: SessionStore) -> None:
        entry = {
            "ints": [-(2**63), 2**64 - 1, 0],
            "floats": [0.1, 1e-300, -0.0, 1e22],
            "text": ["", "\0", "é", "e\u0301", "\U0010ffff", "</script>"],
            "rest": [True, False, None, [], {}],
        }
        id = store.create(entries=[entry]).id
        (found,) = store.load(id).entries
        assert repr(found) == repr(entry)

    def test_a_tuple_comes_back_as_a_list(self, store: SessionStore) -> None:
        id = store.create(entries=[{"pair": (1, 2)}]).id
        assert store.load(id).entries == ({"pair": [1, 2]},)

    def test_an_unknown_id_is_not_found_and_a_text_that_is_none_is_not_repeated(self, store: SessionStore) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            store.load(NOBODY)
        for bad in ("x\x1b[31m", NOBODY.upper(), f"{NOBODY}\n", f" {NOBODY}", "..", "", NOBODY.replace("-", "")):
            with pytest.raises(errors.InvalidIdError) as caught:
                store.load(bad)
            assert (str(caught.value), caught.value.fields) == ("that is not a session id", {})

    def test_of_two_sessions_each_gives_its_own(self, store: SessionStore) -> None:
        first, second = store.create(entries=[{"of": 1}]).id, store.create(entries=[{"of": 2}]).id
        assert store.load(first).entries == ({"of": 1},)
        assert store.load(second).entries == ({"of": 2},)


class TestEntries:
    @pytest.mark.parametrize(
        ("start", "limit", "expected"),
        [
            (0, None, [0, 1, 2, 3, 4]),
            (2, None, [2, 3, 4]),
            (0, 2, [0, 1]),
            (1, 3, [1, 2, 3]),
            (3, 9, [3, 4]),
            (5, None, []),
            (9, 1, []),
            (-1, None, [4]),
            (-3, 2, [2, 3]),
            (-5, 1, [0]),
            (-99, None, [0, 1, 2, 3, 4]),
            (2, 0, []),
            (0, 99, [0, 1, 2, 3, 4]),
        ],
    )
    @pytest.mark.parametrize("saves", [1, 5])
    def test_a_part_is_what_a_slice_would_be(
        self, store: SessionStore, start: int, limit: int | None, expected: list[int], saves: int
    ) -> None:
        id = store.create(entries=FIVE if saves == 1 else ()).id
        for entry in FIVE if saves == 5 else ():
            store.append(id, [entry], name=f"after {entry['n']}")
        assert [entry["n"] for entry in store.entries(id, start, limit)] == expected

    def test_a_negative_limit_gives_nothing(self, store: SessionStore) -> None:
        id = store.create(entries=FIVE).id
        for start in (0, 1, -2):
            assert list(store.entries(id, start, -2)) == []

    def test_a_reading_that_goes_on_beside_a_save_gives_what_was_there_when_it_began(self, store: SessionStore) -> None:
        id = store.create(entries=FIVE).id
        reading = store.entries(id)
        first = next(reading)
        store.append(id, [{"n": 5}])
        store.rewind(id, 0)
        assert [first, *reading] == FIVE

    def test_errors_are_those_of_load(self, store: SessionStore) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            next(store.entries(NOBODY))
        with pytest.raises(errors.InvalidIdError):
            next(store.entries("x"))


class TestSummary:
    def test_it_is_the_line_of_the_list(self, store: SessionStore, stored: Stored) -> None:
        session = store.create(name="n", tags=["a"], key="k", entries=FIVE)
        summary = store.summary(session.id)
        assert (summary.id, summary.name, summary.tags, summary.key) == (session.id, "n", ("a",), "k")
        assert (summary.entries, summary.rev, summary.size_bytes) == (5, 1, len(stored(store, session.id)))
        assert (summary.state, summary.integrity, summary.provenance) == ("saved", "listed", "native")
        assert (summary.created_at, summary.updated_at) == (session.created_at, session.updated_at)
        assert store.list().sessions == (summary,)

    def test_errors_are_those_of_load(self, store: SessionStore) -> None:
        id = store.create().id
        store.delete(id)
        for gone in (id, NOBODY):
            with pytest.raises(errors.SessionNotFoundError):
                store.summary(gone)
        with pytest.raises(errors.InvalidIdError):
            store.summary("x")


class TestFind:
    @pytest.mark.parametrize("key", ["k", "../../etc/passwd", "K", "k ", "e\u0301", "\u00e9", "\0", "k" * 512, "%"])
    def test_a_key_is_any_text_and_finds_its_own_session_only(self, store: SessionStore, key: str) -> None:
        other = store.create(key="another")
        session = store.create(key=key)
        assert store.find(key) == store.summary(session.id)
        assert store.find("another") == store.summary(other.id)
        assert store.find(key + "x" if len(key) < 512 else "x") is None

    def test_a_deleted_session_is_not_found_by_its_key(self, store: SessionStore) -> None:
        store.delete(store.create(key="k").id)
        assert store.find("k") is None

    @pytest.mark.parametrize("key", ["", "\ud800", 5])
    def test_what_is_no_key_is_refused(self, store: SessionStore, key: Any) -> None:
        with pytest.raises(errors.InvalidValueError):
            store.find(key)


class TestGetOrCreate:
    def test_it_makes_a_session_once(self, store: SessionStore) -> None:
        made = store.get_or_create("k", name="first", entries=[{"n": 1}])
        assert (made.key, made.name, made.entries) == ("k", "first", ({"n": 1},))
        found = store.get_or_create("k", name="second")
        assert found == made
        assert len(store.list().sessions) == 1

    def test_after_a_delete_it_makes_a_new_one(self, store: SessionStore) -> None:
        made = store.get_or_create("k")
        store.delete(made.id)
        assert store.get_or_create("k").id != made.id

    def test_a_taken_id_is_an_error_and_no_endless_try(self, store: SessionStore) -> None:
        store.create(id=NOBODY)
        with pytest.raises(errors.AlreadyExistsError) as caught:
            store.get_or_create("k", id=NOBODY)
        assert caught.value.fields == {"what": "id"}


class TestRecorded:
    def test_it_says_by_id_or_key_what_the_list_says(self, store: SessionStore) -> None:
        session = store.create(name="n", key="k", tags=["t"])
        store.append(session.id, [{"n": 1}])
        assert store.recorded(id=session.id) == store.recorded(key="k") == store.summary(session.id)

    def test_it_says_so_also_of_a_session_whose_file_is_broken_or_gone(self, home: Path) -> None:
        with open_store(home, environ={}) as store:
            session = store.create(name="n", key="k")
            path = home / "data" / "sessions" / f"{session.id}.jsonl"
            before = store.recorded(key="k")
            path.write_bytes(b"x")
            assert store.recorded(id=session.id) == store.recorded(key="k") == before
            path.unlink()
            assert store.recorded(id=session.id) == before

    def test_of_what_is_not_there_there_is_none(self, store: SessionStore) -> None:
        session = store.create(key="k")
        store.delete(session.id)
        assert store.recorded(key="k") is None
        assert store.recorded(id=session.id) is None
        assert store.recorded(id="00000000-0000-4000-8000-000000000000") is None

    @pytest.mark.parametrize("asked", [{}, {"id": "00000000-0000-4000-8000-000000000000", "key": "k"}])
    def test_it_takes_one_of_the_two(self, store: SessionStore, asked: dict[str, str]) -> None:
        with pytest.raises(errors.InvalidValueError):
            store.recorded(**asked)
