"""The newest entries first: at the price of what is taken, and refused where somebody wrote past the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, errors, open_store
from sessionstore.format.chain import Unchained

FIVE = [{"n": number} for number in range(5)]


def log_of(home: Path, session_id: str) -> Path:
    return home / "data" / "sessions" / f"{session_id}.jsonl"


def put_back(path: Path, data: bytes) -> None:
    """Write other bytes of the same length into the file, and give it back its time of change, as far as one can."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


class TestNewest:
    @pytest.mark.parametrize("saves", [1, 5])
    def test_it_gives_the_entries_the_last_one_first(self, store: SessionStore, saves: int) -> None:
        id = store.create(entries=FIVE if saves == 1 else ()).id
        for entry in FIVE if saves > 1 else ():
            store.append(id, [entry])
        store.append(id, name="a save without entries")
        assert list(store.newest(id)) == FIVE[::-1]
        assert next(store.newest(id)) == {"n": 4}

    def test_a_session_without_entries_has_none(self, store: SessionStore) -> None:
        assert list(store.newest(store.create().id)) == []

    def test_it_reads_rewritten_and_long_sessions(self, store: SessionStore) -> None:
        id = store.create(entries=FIVE).id
        store.pop(id, 2)
        assert list(store.newest(id)) == FIVE[2::-1]
        store.append(id, [{"long": "x" * 700_000, "n": number} for number in range(4)])
        assert [entry["n"] for entry in store.newest(id)] == [3, 2, 1, 0, 2, 1, 0]

    def test_it_is_the_session_of_its_first_step(self, store: SessionStore) -> None:
        id = store.create(entries=FIVE).id
        newest = store.newest(id)
        assert next(newest) == {"n": 4}
        store.append(id, [{"n": 5}])
        store.clear(id)
        assert list(newest) == FIVE[3::-1]

    def test_an_unsigned_session_is_read_too(self, home: Path, directory: Path, unsigned: Any) -> None:
        id = "3f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        (directory / f"{id}.json").write_bytes(unsigned(id, messages=3))
        with open_store(home) as store:
            assert tuple(store.newest(id)) == store.load(id).entries[::-1]

    def test_what_is_not_here_is_not_found(self, store: SessionStore) -> None:
        id = store.create().id
        store.delete(id)
        with pytest.raises(errors.SessionNotFoundError):
            next(store.newest(id))
        with pytest.raises(errors.InvalidIdError):
            next(store.newest("../a"))

    def test_a_tail_that_belongs_to_no_save_is_left_out(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=FIVE).id
            with log_of(home, id).open("ab") as file:
                file.write(b'{"entry":{"n":5}}\n')
            assert list(store.newest(id)) == FIVE[::-1]


class TestTampering:
    @pytest.fixture
    def session(self, home: Path) -> Any:
        with open_store(home) as store:
            id = store.create().id
            for number in range(300):
                store.append(id, [{"n": number, "text": f"turn {number:03d} " + "x" * 1000}])
            yield store, id, log_of(home, id)

    @pytest.mark.parametrize("turn", [b"turn 000", b"turn 150", b"turn 299"])
    def test_a_change_anywhere_refuses_the_newest_entry(self, session: Any, turn: bytes) -> None:
        store, id, path = session
        put_back(path, path.read_bytes().replace(turn, turn.replace(b"turn", b"TURN")))
        with pytest.raises(errors.InvalidSignatureError):
            next(store.newest(id))
        assert [event.event for event in store.audit(session=id)][-1] == "tampering_found"

    def test_a_change_that_no_time_tells_of_is_refused_where_it_is_read(self, session: Any, monkeypatch: Any) -> None:
        store, id, path = session
        data = path.read_bytes()
        put_back(path, data.replace(b"turn 100", b"TURN 100"))
        # Who can set the clock or the change time of a file gets this far.
        monkeypatch.setattr("sessionstore.backward.stamp_of", lambda head: store._ground.backend.stamp(path.name))
        newest = store.newest(id)
        assert next(newest)["n"] == 299
        with pytest.raises(errors.InvalidSignatureError):
            list(newest)
        assert [event.event for event in store.audit(session=id)][-1] == "tampering_found"

    def test_what_cannot_be_read_back_is_refused_although_all_of_it_verifies(
        self, session: Any, monkeypatch: Any
    ) -> None:
        def unreadable(*args: Any) -> Any:
            raise Unchained(b"")

        store, id, _ = session
        monkeypatch.setattr("sessionstore.backward.segments_back", unreadable)
        with pytest.raises(errors.InvalidSignatureError):
            next(store.newest(id))

    def test_an_older_file_in_its_place_is_refused(self, session: Any) -> None:
        store, id, path = session
        old = path.read_bytes()
        store.append(id, [{"n": 300}])
        path.write_bytes(old)
        with pytest.raises(errors.RollbackError):
            next(store.newest(id))


class TestSavedUnder:
    def test_it_is_the_revision_of_the_newest_save_with_that_key(self, store: SessionStore) -> None:
        id = store.create(entries=FIVE).id
        wanted = {key: store.append(id, [{"of": key}], idempotency_key=key) for key in ("a", "b", "c")}
        store.append(id, [{"of": None}])
        assert {key: store.saved_under(id, key) for key in wanted} == wanted
        again = store.append(id, [{"of": "a"}], idempotency_key="a")
        assert store.saved_under(id, "a") == again
        assert store.saved_under(id, "d") is None

    def test_a_save_of_several_segments_counts_with_its_last_one(self, store: SessionStore) -> None:
        id = store.create().id
        rev = store.append(id, [{"long": "x" * 700_000} for _ in range(4)], idempotency_key="a")
        store.append(id, FIVE)
        assert store.saved_under(id, "a") == rev

    def test_history_that_was_written_anew_tells_of_its_last_save_alone(self, store: SessionStore) -> None:
        id = store.create().id
        store.append(id, FIVE, idempotency_key="a")
        store.append(id, FIVE, idempotency_key="b")
        rev = store.pop(id)
        assert (store.saved_under(id, "a"), store.saved_under(id, "b")) == (None, rev)

    def test_an_unsigned_session_has_none(self, home: Path, directory: Path, unsigned: Any) -> None:
        id = "3f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        (directory / f"{id}.json").write_bytes(unsigned(id))
        with open_store(home) as store:
            assert store.saved_under(id, "a") is None

    def test_a_changed_session_and_what_is_no_key_or_id_are_refused(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=FIVE).id
            with pytest.raises(errors.InvalidIdError):
                store.saved_under("x", "a")
            with pytest.raises(errors.InvalidValueError):
                store.saved_under(id, "")
            path = log_of(home, id)
            path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":7'))
            with pytest.raises(errors.InvalidSignatureError):
                store.saved_under(id, "a")
