"""Edits of the past: rewind, clear, compact and fork."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sessionstore import SessionStore, Todo, errors

NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
Stored = Callable[[SessionStore, str], bytes]
Make = Callable[..., SessionStore]


@pytest.fixture
def id(store: SessionStore) -> str:
    """A session of five entries in six saves, with state that changed on the way."""
    id = store.create(name="old", tags=["a"], config={"c": 1}, key="k").id
    for number in range(5):
        store.append(id, [{"n": number}], todos=[Todo(f"t{number}")], name=f"name {number}")
    return id


class TestRewind:
    def test_it_keeps_the_first_entries_and_the_newest_state(self, store: SessionStore, id: str) -> None:
        before = store.load(id)
        assert store.rewind(id, 2) == 7
        session = store.load(id)
        assert session.entries == ({"n": 0}, {"n": 1})
        assert (session.name, session.tags, session.config, session.todos) == (
            "name 4",
            ("a",),
            {"c": 1},
            (Todo("t4"),),
        )
        assert (session.key, session.created_at, session.provenance) == ("k", before.created_at, "native")
        assert session.updated_at > before.updated_at
        assert session.size_bytes < before.size_bytes
        assert store.summary(id).entries == 2

    def test_what_was_cut_is_gone_from_the_log(self, store: SessionStore, id: str, stored: Stored) -> None:
        store.rewind(id, 2)
        log = stored(store, id)
        assert b'{"n":1}' in log
        assert b'{"n":2}' not in log
        assert log.count(b"\n") == 5
        assert log.startswith(b'{"open":')

    def test_saving_goes_on_behind_it(self, store: SessionStore, id: str) -> None:
        store.rewind(id, 1)
        assert store.append(id, [{"new": 1}]) == 8
        assert store.load(id).entries == ({"n": 0}, {"new": 1})
        assert [result.code for result in store.verify(id)] == ["ok"]

    def test_to_the_whole_length_it_keeps_everything(self, store: SessionStore, id: str) -> None:
        entries = store.load(id).entries
        assert store.rewind(id, 5) == 7
        assert store.load(id).entries == entries

    @pytest.mark.parametrize("to", [6, -1])
    def test_more_than_there_is_is_refused(self, store: SessionStore, id: str, stored: Stored, to: int) -> None:
        before = stored(store, id)
        with pytest.raises(errors.InvalidValueError) as caught:
            store.rewind(id, to)
        assert "0 to 5" in str(caught.value)
        assert stored(store, id) == before

    def test_another_revision_than_expected_is_refused(self, store: SessionStore, id: str, stored: Stored) -> None:
        before = stored(store, id)
        for edit in (lambda: store.rewind(id, 1, expected_rev=5), lambda: store.clear(id, expected_rev=7)):
            with pytest.raises(errors.ConflictError) as caught:
                edit()
            assert caught.value.fields["found"] == 6
        assert stored(store, id) == before
        assert store.rewind(id, 1, expected_rev=6) == 7

    def test_an_unknown_session_is_not_found(self, store: SessionStore) -> None:
        for edit in (lambda: store.rewind(NOBODY, 0), lambda: store.clear(NOBODY), lambda: store.compact(NOBODY)):
            with pytest.raises(errors.SessionNotFoundError):
                edit()


class TestClear:
    def test_every_entry_goes_and_the_state_stays(self, store: SessionStore, id: str) -> None:
        assert store.clear(id) == 7
        session = store.load(id)
        assert (session.entries, session.name, session.todos) == ((), "name 4", (Todo("t4"),))
        assert store.append(id, [{"n": "new"}]) == 8

    def test_a_repeated_rewrite_goes_on_counting(self, store: SessionStore, id: str) -> None:
        assert [store.clear(id), store.clear(id), store.rewind(id, 0)] == [7, 8, 9]
        assert store.load(id).rev == 9


class TestCompact:
    def test_few_seals_are_left_alone(self, store: SessionStore, id: str, stored: Stored) -> None:
        before = stored(store, id)
        assert store.compact(id) is False
        assert stored(store, id) == before

    def test_seals_over_a_third_and_over_1_mib_are_written_anew(self, store: SessionStore, stored: Stored) -> None:
        id = store.create(tags=[f"{number:03}" + "t" * 61 for number in range(64)]).id
        for number in range(230):  # the tags make every seal 4.8 kB
            store.append(id, [{"n": number}])
        before, entries = stored(store, id), store.load(id).entries
        assert len(before) > 1024 * 1024
        assert store.compact(id) is True
        after = store.load(id)
        assert (after.entries, after.rev, len(after.tags)) == (entries, 232, 64)
        assert len(stored(store, id)) < len(before) // 10
        assert store.compact(id) is False


class TestFork:
    def test_a_copy_has_everything_but_key_and_id(self, store: SessionStore, id: str, stored: Stored) -> None:
        before, original = stored(store, id), store.load(id)
        copy = store.fork(id)
        assert copy.id != id
        assert (copy.parent, copy.key, copy.rev) == (id, None, 1)
        assert (copy.entries, copy.name, copy.tags) == (original.entries, original.name, original.tags)
        assert (copy.config, copy.todos, copy.provenance) == (original.config, original.todos, "native")
        assert stored(store, id) == before

    @pytest.mark.parametrize("at", [1, 3, 6])
    def test_at_a_revision_it_holds_what_was_there_then(self, store: SessionStore, id: str, at: int) -> None:
        copy = store.fork(id, at)
        assert copy.entries == tuple({"n": number} for number in range(at - 1))
        assert copy.name == ("old" if at == 1 else f"name {at - 2}")

    @pytest.mark.parametrize("at", [0, 7, -1])
    def test_a_revision_that_never_was_is_refused(self, store: SessionStore, id: str, at: int) -> None:
        with pytest.raises(errors.InvalidValueError):
            store.fork(id, at)
        assert len(store.list().sessions) == 1

    def test_a_revision_that_was_rewritten_away_is_refused(self, store: SessionStore, id: str) -> None:
        store.rewind(id, 1)
        with pytest.raises(errors.InvalidValueError):
            store.fork(id, 3)
        assert store.fork(id, 7).entries == ({"n": 0},)

    def test_a_revision_inside_one_big_save_is_refused(self, store: SessionStore) -> None:
        id = store.create().id
        rev = store.append(id, [{"fill": "x" * 700_000}] * 4)
        assert rev > 2
        with pytest.raises(errors.InvalidValueError):
            store.fork(id, 2)
        assert len(store.fork(id, rev).entries) == 4

    def test_both_go_on_apart(self, store: SessionStore, id: str) -> None:
        copy = store.fork(id)
        store.append(copy.id, [{"n": "copy"}])
        store.append(id, [{"n": "original"}])
        assert store.load(copy.id).entries[-1] == {"n": "copy"}
        assert store.load(id).entries[-1] == {"n": "original"}

    def test_a_fork_of_a_closed_session_is_open(self, store: SessionStore, id: str) -> None:
        store.close_session(id)
        copy = store.fork(id)
        assert copy.closed_at is None
        assert store.summary(copy.id).closed_at is None
