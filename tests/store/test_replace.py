"""Other entries in the place of all that a session has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sessionstore import Config, Message, SessionStore, Todo, errors, open_store

Stored = Callable[[SessionStore, str], bytes]


@pytest.fixture
def id(store: SessionStore) -> str:
    """A session of three entries, with state that changed on the way."""
    id = store.create(name="old", tags=["a"], config={"c": 1}, key="k").id
    for number in range(3):
        store.append(id, [{"n": number}], todos=[Todo(f"t{number}")], name=f"name {number}")
    return id


class TestReplace:
    def test_the_new_entries_stand_alone_and_the_state_stays(self, store: SessionStore, id: str) -> None:
        before = store.load(id)
        assert store.replace(id, [{"n": 7}, Message("user", "hello")]) == 5
        session = store.load(id)
        assert session.entries == ({"n": 7}, {"role": "user", "content": "hello"})
        assert (session.name, session.tags, session.config, session.todos) == (
            "name 2",
            ("a",),
            {"c": 1},
            (Todo("t2"),),
        )
        assert (session.key, session.created_at, session.provenance) == ("k", before.created_at, "native")
        assert session.updated_at > before.updated_at
        assert [result.code for result in store.verify(id)] == ["ok"]

    def test_the_old_bytes_are_gone(self, store: SessionStore, id: str, stored: Stored) -> None:
        store.replace(id, [])
        assert b'{"n":' not in stored(store, id)
        assert store.load(id).entries == ()

    def test_saving_goes_on_behind_it(self, store: SessionStore, id: str) -> None:
        store.replace(id, [{"n": 7}])
        assert store.append(id, [{"n": 8}]) == 6
        assert store.load(id).entries == ({"n": 7}, {"n": 8})

    def test_many_entries_are_sealed_in_steps(self, store: SessionStore, id: str) -> None:
        store.replace(id, ({"n": number, "text": "x" * 500_000} for number in range(5)))
        assert [entry["n"] for entry in store.load(id).entries] == [0, 1, 2, 3, 4]

    def test_another_revision_than_expected_is_refused(self, store: SessionStore, id: str, stored: Stored) -> None:
        before = stored(store, id)
        with pytest.raises(errors.ConflictError) as caught:
            store.replace(id, [], expected_rev=3)
        assert caught.value.fields["found"] == 4
        assert stored(store, id) == before
        assert store.replace(id, [], expected_rev=4) == 5

    def test_what_cannot_be_kept_changes_nothing(self, store: SessionStore, id: str, stored: Stored) -> None:
        before = stored(store, id)
        with pytest.raises(errors.MalformedError):
            store.replace(id, [{"n": 7}, {"n": float("nan")}])
        with pytest.raises(errors.TooLargeError):
            store.replace(id, ({"text": "x" * 3_000_000} for _ in range(4)))
        assert stored(store, id) == before
        assert store.append(id, [{"n": 3}]) == 5

    def test_a_retry_with_the_last_key_is_still_the_same_save(self, store: SessionStore, id: str) -> None:
        store.append(id, [{"n": 3}], idempotency_key="last")
        rev = store.replace(id, [{"n": 7}])
        assert store.append(id, [{"n": 3}], idempotency_key="last") == rev

    def test_a_changed_session_is_not_replaced(self, store: SessionStore, id: str) -> None:
        log = store._ground.backend.open(f"{id}.jsonl", writable=True)
        assert log is not None
        data = log.read(0, 1 << 20)
        log.close()
        store._ground.backend.write(f"{id}.jsonl", [data.replace(b'"n":1', b'"n":7')], replace=True)
        with pytest.raises(errors.InvalidSignatureError):
            store.replace(id, [])

    def test_one_whose_head_was_not_written_is_adopted(
        self, home: Path, ledger_locked: Callable[[], AbstractContextManager[None]]
    ) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.2)
        with open_store(config=config) as store:
            id = store.create(entries=[{"n": 0}]).id
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError) as caught:
                store.replace(id, [{"n": 7}])
            assert caught.value.fields["outcome"] == "unknown"
            assert store.load(id).entries == ({"n": 7},)
            assert store.append(id, [{"n": 8}]) == 3

    def test_no_id_is_refused(self, store: SessionStore) -> None:
        with pytest.raises(errors.InvalidIdError):
            store.replace("../x", [])
        with pytest.raises(errors.SessionNotFoundError):
            store.replace("00000000-0000-4000-8000-000000000000", [])
