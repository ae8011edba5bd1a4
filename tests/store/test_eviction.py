"""A full store: a new session is refused, or has the room of the oldest closed one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.storage import Holder

Make = Callable[..., SessionStore]


@pytest.fixture
def store(make_store: Make) -> SessionStore:
    """A store for three sessions that evicts."""
    return make_store(max_sessions=3, when_full="evict")


@pytest.fixture
def ids(store: SessionStore) -> list[str]:
    """Three closed sessions that fill it; the second one was made first, and closed last."""
    first, second, third = (store.create(name=name).id for name in ("b", "a", "c"))
    for id in (second, third, first):
        store.close_session(id)
    return [second, third, first]


def evicted(store: SessionStore) -> list[str | None]:
    return [event.session_id for event in store.audit(events=["eviction"])]


class TestRefuse:
    def test_it_is_the_default(self, make_store: Make) -> None:
        store = make_store(max_sessions=1)
        store.close_session(store.create().id)
        with pytest.raises(errors.SessionLimitError):
            store.create()
        assert len(store.list().sessions) == 1


class TestEvict:
    def test_the_closed_one_that_was_saved_longest_ago_goes_for_good(self, store: SessionStore, ids: list[str]) -> None:
        made = store.create().id
        assert {line.id for line in store.list().sessions} == {ids[1], ids[2], made}
        with pytest.raises(errors.SessionNotFoundError):
            store.load(ids[0])
        with pytest.raises(errors.AlreadyExistsError):
            store.create(id=ids[0])

    def test_it_is_written_down_with_counts_only(self, store: SessionStore, ids: list[str]) -> None:
        store.create()
        (event,) = store.audit(events=["eviction"])
        assert (event.session_id, event.fields) == (ids[0], {"rev": 2, "limit": 3})

    def test_as_long_as_there_is_room_nothing_goes(self, store: SessionStore, ids: list[str]) -> None:
        store.delete(ids[2])
        store.create()
        assert store.load(ids[0]).closed_at is not None
        assert evicted(store) == []

    def test_sessions_that_are_not_closed_are_never_evicted(self, store: SessionStore) -> None:
        open_ones = {store.create().id for _ in range(3)}
        with pytest.raises(errors.SessionLimitError):
            store.create()
        assert {line.id for line in store.list().sessions} == open_ones

    def test_one_that_is_running_is_passed_over(self, store: SessionStore, ids: list[str]) -> None:
        with store._ground.backend.run(ids[0], Holder()):
            store.create()
        assert evicted(store) == [ids[1]]

    def test_one_that_was_saved_since_it_was_listed_is_passed_over(
        self, store: SessionStore, ids: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_rest = store._ground.backend.at_rest
        saved: list[str] = []

        def save_first(session_id: str) -> object:
            if not saved:
                saved.append(session_id)
                store.append(session_id, [{"n": 1}])
            return at_rest(session_id)

        monkeypatch.setattr(store._ground.backend, "at_rest", save_first)
        store.create()
        assert (saved, evicted(store)) == ([ids[0]], [ids[1]])
        assert store.load(ids[0]).rev == 3

    def test_one_that_another_process_evicts_first_is_passed_over(
        self, store: SessionStore, ids: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_rest, delete = store._ground.backend.at_rest, store.delete
        deleted: list[str] = []

        def delete_first(session_id: str) -> object:
            if not deleted:
                deleted.append(session_id)
                delete(session_id)
            return at_rest(session_id)

        monkeypatch.setattr(store._ground.backend, "at_rest", delete_first)
        store.create()
        assert evicted(store) == []
        assert len(store.list().sessions) == 3

    def test_the_one_that_is_forked_is_not_evicted_for_its_fork(self, store: SessionStore, ids: list[str]) -> None:
        fork = store.fork(ids[0])
        assert store.load(fork.parent or "").id == ids[0]
        assert evicted(store) == [ids[1]]

    def test_a_store_that_is_over_a_lowered_limit_makes_room_down_to_it(self, home: Path) -> None:
        with open_store(home) as store:
            ids = [store.create().id for _ in range(5)]
            for id in ids:
                store.close_session(id)
        config = Config(data_dir=home / "data", state_dir=home / "state", max_sessions=3, when_full="evict")
        with open_store(config=config) as store:
            store.create()
            assert (len(store.list().sessions), evicted(store)) == (3, ids[:3])

    def test_a_taken_id_evicts_nothing(self, store: SessionStore, ids: list[str]) -> None:
        with pytest.raises(errors.AlreadyExistsError):
            store.create(id=ids[2])
        assert evicted(store) == []

    def test_one_that_does_not_verify_stays_as_evidence(self, home: Path) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", max_sessions=2, when_full="evict")
        with open_store(config=config) as store:
            bad, good = (store.create(entries=[{"n": 1}]).id for _ in range(2))
            store.close_session(bad)
            store.close_session(good)
            file = home / "data" / "sessions" / f"{bad}.jsonl"
            file.write_bytes(file.read_bytes().replace(b'"n":1', b'"n":2'))
            store.create()
            assert evicted(store) == [good]
            assert file.exists()

    def test_without_an_audit_log_nothing_is_evicted(self, home: Path) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", max_sessions=1, when_full="evict")
        with open_store(config=config) as store:
            id = store.create().id
            store.close_session(id)
            (home / "state" / "audit").write_bytes(b"in the way")
            with pytest.raises(errors.SessionStoreError):
                store.create()
            assert store.load(id).closed_at is not None
