"""Reading on: only what is new, verified, and everything again where that cannot be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store

Make = Callable[..., SessionStore]


def numbers(entries: tuple[dict[str, Any], ...]) -> list[int]:
    return [entry["n"] for entry in entries]


@pytest.fixture
def id(store: SessionStore) -> str:
    """A session of two entries."""
    id = store.create(config={"c": 1}).id
    store.append(id, [{"n": 0}])
    store.append(id, [{"n": 1}])
    return id


class TestFollow:
    def test_the_first_look_gives_everything(self, store: SessionStore, id: str) -> None:
        reading = store.follow(id)
        assert (reading.is_whole, numbers(reading.entries), reading.config) == (True, [0, 1], {"c": 1})
        assert (reading.session_id, reading.rev) == (id, 3)
        assert reading.size_bytes == store.summary(id).size_bytes

    def test_the_next_gives_what_came_since(self, store: SessionStore, id: str) -> None:
        reading = store.follow(id)
        store.append(id, [{"n": 2}])
        store.append(id, [{"n": 3}], config={"c": 2})
        reading = store.follow(id, reading)
        assert (reading.is_whole, numbers(reading.entries), reading.config) == (False, [2, 3], {"c": 2})
        store.append(id, [{"n": 4}])
        reading = store.follow(id, reading)
        assert (numbers(reading.entries), reading.config, reading.rev) == ([4], {"c": 2}, 6)

    def test_where_nothing_is_new_it_gives_nothing(self, store: SessionStore, id: str) -> None:
        reading = store.follow(id, store.follow(id))
        assert (reading.is_whole, reading.entries, reading.rev) == (False, (), 3)

    @pytest.mark.parametrize("edit", ["rewind", "clear", "replace", "pop"])
    def test_after_a_rewrite_it_gives_everything_again(self, store: SessionStore, id: str, edit: str) -> None:
        reading = store.follow(id)
        edits: dict[str, Callable[[], int]] = {
            "rewind": lambda: store.rewind(id, 1),
            "clear": lambda: store.clear(id),
            "replace": lambda: store.replace(id, [{"n": 7}]),
            "pop": lambda: store.pop(id),
        }
        edits[edit]()
        store.append(id, [{"n": 8}])
        reading = store.follow(id, reading)
        assert reading.is_whole
        assert reading.entries == store.load(id).entries

    def test_a_reading_of_another_session_is_not_continued(self, store: SessionStore, id: str) -> None:
        other = store.create(entries=[{"n": 9}]).id
        reading = store.follow(other, store.follow(id))
        assert (reading.is_whole, numbers(reading.entries)) == (True, [9])

    def test_a_save_of_several_segments_is_followed(self, store: SessionStore, id: str) -> None:
        reading = store.follow(id)
        store.append(id, [{"n": number, "text": "x" * 700_000} for number in range(2, 6)])
        assert numbers(store.follow(id, reading).entries) == [2, 3, 4, 5]

    def test_what_another_store_saved_is_followed(self, make_store: Make) -> None:
        one = make_store()
        two = make_store() if one._ground.backend.__class__.__name__ == "FileBackend" else one
        id = one.create().id
        reading = one.follow(id)
        for number in range(3):
            two.append(id, [{"n": number}])
            reading = one.follow(id, reading)
            assert (reading.is_whole, numbers(reading.entries)) == (False, [number])

    def test_a_deleted_session_is_not_found(self, store: SessionStore, id: str) -> None:
        reading = store.follow(id)
        store.delete(id)
        with pytest.raises(errors.SessionNotFoundError):
            store.follow(id, reading)

    def test_no_id_is_refused(self, store: SessionStore) -> None:
        with pytest.raises(errors.InvalidIdError):
            store.follow("../x")


@pytest.fixture
def filed(home: Path) -> Iterator[SessionStore]:
    """A store of files; what these tests do to them is done from outside."""
    config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.2)
    with open_store(config=config) as store:
        yield store


class TestDamage:
    def log(self, home: Path, id: str) -> Path:
        return home / "data" / "sessions" / f"{id}.jsonl"

    def test_only_new_bytes_are_read(self, filed: SessionStore, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        id = filed.create(entries=[{"n": 0, "text": "x" * 2_000_000}]).id
        reading = filed.follow(id)
        filed.append(id, [{"n": 1}])
        read = 0
        real = os.pread

        def counted(fd: int, size: int, offset: int) -> bytes:
            nonlocal read
            data = real(fd, size, offset)
            read += len(data)
            return data

        monkeypatch.setattr(os, "pread", counted)
        assert numbers(filed.follow(id, reading).entries) == [1]
        assert 0 < read < 10_000

    def test_a_byte_changed_in_what_was_read_before_is_found(self, filed: SessionStore, home: Path) -> None:
        id = filed.create(entries=[{"n": 0}]).id
        reading = filed.follow(id)
        log = self.log(home, id)
        log.write_bytes(log.read_bytes().replace(b'"n":0', b'"n":7'))
        with pytest.raises(errors.InvalidSignatureError):
            filed.follow(id, reading)
        assert [record.event for record in filed.audit(events=["tampering_found"])]

    def test_a_byte_changed_in_what_is_new_is_found(self, filed: SessionStore, home: Path) -> None:
        id = filed.create(entries=[{"n": 0}]).id
        reading = filed.follow(id)
        filed.append(id, [{"n": 1}])
        log = self.log(home, id)
        before = log.stat()
        log.write_bytes(log.read_bytes().replace(b'"n":1', b'"n":7'))
        os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(errors.InvalidSignatureError):
            filed.follow(id, reading)

    def test_new_bytes_are_verified_though_nothing_else_gives_them_away(
        self, filed: SessionStore, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id = filed.create(entries=[{"n": 0}]).id
        reading = filed.follow(id)
        filed.append(id, [{"n": 1}])
        log = self.log(home, id)
        log.write_bytes(log.read_bytes().replace(b'"n":1', b'"n":7'))
        # An attacker who can set even the times back: the stamp says nothing any more.
        monkeypatch.setattr("sessionstore.follow.stamp_of", lambda head: filed._ground.backend.stamp(log.name))
        with pytest.raises(errors.InvalidSignatureError):
            filed.follow(id, reading)

    def test_a_touched_log_is_read_again_and_good(self, filed: SessionStore, home: Path) -> None:
        id = filed.create(entries=[{"n": 0}]).id
        reading = filed.follow(id)
        os.utime(self.log(home, id), ns=(1, 1))
        reading = filed.follow(id, reading)
        assert (reading.is_whole, numbers(reading.entries)) == (True, [0])
        assert not filed.follow(id, reading).is_whole

    def test_a_lost_log_is_missing(self, filed: SessionStore, home: Path) -> None:
        id = filed.create(entries=[{"n": 0}]).id
        reading = filed.follow(id)
        self.log(home, id).unlink()
        with pytest.raises(errors.MissingError):
            filed.follow(id, reading)

    def test_what_is_on_the_disk_and_not_in_the_ledger_is_followed(
        self, filed: SessionStore, ledger_locked: Callable[[], Any]
    ) -> None:
        id = filed.create(entries=[{"n": 0}]).id
        reading = filed.follow(id)
        with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
            filed.append(id, [{"n": 1}])
        reading = filed.follow(id, reading)
        assert numbers(reading.entries) == [0, 1]
