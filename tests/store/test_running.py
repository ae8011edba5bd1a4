"""Sessions that are run: shown in lists, saved as ever, and deleted by nobody."""

from __future__ import annotations

import threading

import pytest

from sessionstore import SessionStore, errors
from sessionstore.model import SessionPage
from sessionstore.storage import Holder

HOLDER = Holder(4711, "2026-01-31T12:00:00.000000Z")


def states(page: SessionPage) -> dict[str, str]:
    return {line.name: line.state for line in page.sessions}


class TestList:
    def test_what_is_run_says_so_while_it_is(self, store: SessionStore) -> None:
        ids = {name: store.create(name=name).id for name in "abc"}
        with store._ground.backend.run(ids["b"], HOLDER):
            assert states(store.list()) == {"a": "saved", "b": "running", "c": "saved"}
            assert states(store.list(limit=2)) == {"c": "saved", "b": "running"}
            assert [store.summary(id).state for id in ids.values()] == ["saved", "running", "saved"]
        assert set(states(store.list()).values()) == {"saved"}

    def test_only_these_or_only_the_others_also_in_pages(self, store: SessionStore) -> None:
        ids = {name: store.create(name=name, tags=["t"] if name in "ab" else []).id for name in "abcd"}
        backend = store._ground.backend
        with backend.run(ids["a"], HOLDER), backend.run(ids["c"], HOLDER):
            assert list(states(store.list(running=True))) == ["c", "a"]
            assert list(states(store.list(running=False))) == ["d", "b"]
            assert list(states(store.list(running=True, tag="t"))) == ["a"]
            first = store.list(running=True, limit=1)
            assert list(states(first)) == ["c"]
            assert list(states(store.list(running=True, limit=1, cursor=first.next_cursor))) == ["a"]
        assert store.list(running=True).sessions == ()

    def test_a_run_of_what_is_no_session_here_is_not_listed(self, store: SessionStore) -> None:
        store.create(name="a")
        with store._ground.backend.run("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d", HOLDER):
            assert states(store.list()) == {"a": "saved"}
            assert store.list(running=True).sessions == ()


class TestChanges:
    def test_it_is_saved_renamed_and_rewritten_while_it_is_run(self, store: SessionStore) -> None:
        id = store.create(entries=[{"n": 1}]).id
        with store._ground.backend.run(id, HOLDER):
            assert store.append(id, [{"n": 2}]) == 2
            store.rename(id, "renamed")
            store.tag(id, add=["t"])
            store.rewind(id, 1)
            store.compact(id)
            store.fork(id)
            assert store.list(running=True).sessions[0].name == "renamed"

    def test_nobody_deletes_it_not_even_who_runs_it(self, store: SessionStore) -> None:
        id = store.create(entries=[{"n": 1}]).id
        refusals: list[errors.AlreadyRunningError] = []

        def delete() -> None:
            with pytest.raises(errors.AlreadyRunningError) as caught:
                store.delete(id)
            refusals.append(caught.value)

        with store._ground.backend.run(id, HOLDER):
            delete()
            thread = threading.Thread(target=delete)
            thread.start()
            thread.join()
        assert [(error.session_id, error.pid) for error in refusals] == [(id, 4711)] * 2
        assert "process 4711" in refusals[0].hint
        assert len(store.load(id).entries) == 1
        store.delete(id)

    def test_nobody_begins_to_run_it_while_it_is_deleted(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id = store.create().id
        backend, removed = store._ground.backend, store._lifecycle._remove
        outcome: list[str] = []

        def run() -> None:
            with backend.run(id, HOLDER):
                outcome.append("runs")

        other = threading.Thread(target=run)

        def remove(*args: object) -> None:
            other.start()
            removed(*args)  # type: ignore[arg-type]
            outcome.append("deleted")

        monkeypatch.setattr(store._lifecycle, "_remove", remove)
        store.delete(id)
        other.join()
        assert outcome == ["deleted", "runs"]

    def test_two_that_delete_the_same_do_not_take_each_other_for_a_run(self, store: SessionStore) -> None:
        id = store.create().id
        with store._ground.backend.at_rest(id):
            store.delete(id)
        with pytest.raises(errors.SessionNotFoundError):
            store.delete(id)
