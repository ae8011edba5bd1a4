"""Somebody else changes a session between two steps: readers look again, writers do not go on from what was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.sessions.opened import MAX_IDLE_LOGS

Eventful = Callable[..., SessionStore]


class TestReaders:
    def test_a_torn_save_that_was_finished_meanwhile_is_read_whole(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": 3}]))
        whole = place.read(id)
        place.put(id, whole[:-9])
        store = eventful(place.store, lock=lambda: place.put(id, whole))
        session = store.load(id)
        assert (session.rev, session.warnings) == (5, ())

    @pytest.mark.parametrize("read", ["entries", "summary", "verify", "compact"])
    def test_so_it_is_by_every_other_way(self, place: Any, eventful: Eventful, read: str) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": 3}]))
        whole = place.read(id)
        place.put(id, whole[:-9])
        store = eventful(place.store, lock=lambda: place.put(id, whole))
        before = len(os.listdir("/proc/self/fd"))
        found = {
            "entries": lambda: len(list(store.entries(id))),
            "summary": lambda: store.summary(id).entries,
            "verify": lambda: next(store.verify(id)).rev - 1,
            "compact": lambda: 4 + store.compact(id),
        }[read]()
        assert found == 4
        assert len(os.listdir("/proc/self/fd")) == before

    def test_what_looked_like_a_refusal_is_read_if_it_was_a_rewrite(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        good = place.read(id)
        place.put(id, good[:-9])
        store = eventful(place.store, lock=lambda: place.put(id, good))
        assert store.load(id).rev == 4

    def test_what_is_still_refused_the_second_time_is_refused_as_it_is_then(
        self, place: Any, eventful: Eventful
    ) -> None:
        id = place.session()
        place.put(id, place.read(id)[:-9])
        store = eventful(place.store, lock=lambda: place.file(id).unlink())
        with pytest.raises(errors.MissingError):
            store.load(id)

    def test_a_tail_that_stays_is_told(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        place.put(id, place.read(id) + b"torn")
        store = eventful(place.store, lock=lambda: None)
        assert [warning.code for warning in store.load(id).warnings] == ["uncommitted_tail"]

    def test_a_file_that_is_mended_while_its_damage_is_looked_for_is_read(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        good = place.read(id)
        tag = good.split(b"ss2.")[2][17:81]
        place.put(id, good.replace(tag, b"0" * 64))
        store = eventful(place.store, read=lambda: place.put(id, good))
        assert store.load(id).rev == 4


class TestWriters:
    def test_of_two_taggers_at_once_neither_loses_its_tags(self, place: Any, eventful: Eventful) -> None:
        id = place.store.create(tags=["old"]).id
        store = eventful(place.store, write=lambda: place.store.tag(id, add=["theirs"], remove=["old"]))
        assert store.tag(id, add=iter(["ours"])) == ("theirs", "ours")
        assert place.store.load(id).tags == ("theirs", "ours")

    def test_of_two_compactions_at_once_one_is_told(self, place: Any, eventful: Eventful) -> None:
        id = place.store.create(tags=[f"{number:03}" + "t" * 61 for number in range(64)]).id
        for number in range(230):
            place.store.append(id, [{"n": number}])
        store = eventful(place.store, write=lambda: place.store.compact(id))
        with pytest.raises(errors.ConflictError):
            store.compact(id)
        assert store.compact(id) is False
        assert len(store.load(id).entries) == 230

    def test_a_snapshot_that_somebody_else_overtakes_is_refused(self, place: Any, eventful: Eventful) -> None:
        session = place.store.create()
        store = eventful(place.store, write=lambda: place.store.append(session.id, [{"by": "other"}]))
        with pytest.raises(errors.ConflictError):
            store.save(session.append({"by": "us"}))
        assert place.store.load(session.id).entries == ({"by": "other"},)

    def test_a_session_saved_while_it_is_cleaned_up_stays(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        store = eventful(place.store, write=lambda: place.store.append(id, [{"n": "late"}]))
        report = store.cleanup(keep_last=0)
        assert (report.removed, [line.code for line in report.skipped]) == ((), ["conflict"])
        assert len(place.store.load(id).entries) == 4

    def test_a_log_that_vanishes_under_a_writer_is_missing(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        store = eventful(place.store, open=lambda: place.file(id).unlink())
        with pytest.raises(errors.MissingError):
            store.append(id, [{"n": 3}])

    def test_also_if_it_is_back_at_once(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        file, away = place.file(id), place.file(id).with_name("away")

        def goes() -> None:
            file.rename(away)
            store._ground.backend._events["look"] = lambda: away.rename(file)  # type: ignore[attr-defined]

        store = eventful(place.store, open=goes)
        with pytest.raises(errors.MissingError):
            store.append(id, [{"n": 3}])
        assert place.store.append(id, [{"n": 3}]) == 5

    def test_a_ledger_that_refuses_what_was_verified_leaves_the_session_as_it_was(self, place: Any) -> None:
        id = place.session()
        place.reopen(lock_timeout_s=0.05)
        os.utime(place.file(id), (0, 0))
        before = len(os.listdir("/proc/self/fd"))
        with place.locked(), pytest.raises(errors.StoreUnavailableError) as caught:
            place.store.append(id, [{"n": 3}])
        assert caught.value.outcome == "not_written"
        assert place.store.load(id).rev == 4
        assert len(os.listdir("/proc/self/fd")) <= before + 2  # lock and ledger
        assert place.store.append(id, [{"n": 3}]) == 5

    def test_also_right_after_it_was_verified(self, place: Any, eventful: Eventful) -> None:
        id = place.session()
        os.utime(place.file(id), (0, 0))
        # Not at the first opening, but at the second.
        store = eventful(place.store, open=lambda: store._ground.backend._events.update(open=place.file(id).unlink))
        with pytest.raises(errors.MissingError) as caught:
            store.append(id, [{"n": 3}])
        assert caught.value.fields == {"session_id": id, "head_rev": 4}

    def test_a_log_kept_open_is_let_go_when_somebody_else_saved_or_deleted(self, place: Any) -> None:
        id = place.session()
        with open_store(place.home) as other:
            other.append(id, [{"by": "other"}])
            assert place.store.append(id, [{"by": "us"}]) == 6
            other.rewind(id, 1)
            assert place.store.append(id, [{"by": "us"}]) == 8
            other.delete(id)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(errors.SessionNotFoundError):
            place.store.append(id, [{"by": "us"}])
        assert len(os.listdir("/proc/self/fd")) == before - 1

    def test_no_more_logs_than_the_limit_are_kept_open(self, place: Any) -> None:
        ids = [place.store.create().id for _ in range(MAX_IDLE_LOGS + 3)]
        before = len(os.listdir("/proc/self/fd"))
        for id in ids:
            place.store.append(id, [{"n": 1}])
        logs = [fd for fd in os.listdir("/proc/self/fd") if link(fd).endswith(".jsonl")]
        assert len(logs) == MAX_IDLE_LOGS
        assert len(os.listdir("/proc/self/fd")) - before >= MAX_IDLE_LOGS
        assert place.store.append(ids[0], [{"n": 2}]) == 3


def link(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


class TestWhatNoStampShows:
    """Damage in memory that leaves size and times as they were, as a bad disk would."""

    @pytest.fixture
    def store(self, home: Any) -> Any:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.05)
        with open_store(config=config, backend="memory") as store:
            yield store

    def test_a_log_that_went_is_missing_though_it_is_held_open(self, store: Any) -> None:
        id = store.create().id
        store.append(id, [{"n": 1}])
        store._ground.backend.delete(f"{id}.jsonl")
        with pytest.raises(errors.MissingError):
            store.append(id, [{"n": 2}])

    def test_another_history_of_the_same_length_is_not_gone_on_with(self, store: Any) -> None:
        id = store.create().id
        log = store._ground.backend._logs[f"{id}.jsonl"]
        before = bytes(log.content)
        other = sqlite3.connect(store._ground.ledger._database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.StoreUnavailableError):
            store.append(id, [{"n": 1}])
        other.close()
        abandoned = bytes(log.content)
        log.content[:] = before
        store.append(id, [{"n": 2}])
        store._ground.backend._logs[f"{id}.jsonl"].content[:] = abandoned
        store._writer.close()
        with pytest.raises(errors.ForkError):
            store.append(id, [{"n": 3}])

    def damaged(self, store: Any, id: str, old: bytes, new: bytes) -> None:
        content = store._ground.backend._logs[f"{id}.jsonl"].content
        at = content.rindex(old)
        content[at : at + len(old)] = new

    def test_a_damaged_last_seal_is_found_before_the_next_save(self, store: Any) -> None:
        id = store.create(entries=[{"n": 1}]).id
        self.damaged(store, id, b'"rev":1', b'"rev":2')
        with pytest.raises(errors.InvalidSignatureError):
            store.append(id, [{"n": 2}])

    def test_a_damaged_entry_is_never_sealed_in(self, store: Any) -> None:
        id = store.create(entries=[{"n": 1}]).id
        store.append(id, [{"n": 2}])
        self.damaged(store, id, b'"n":1', b'"n":7')
        store.append(id, [{"n": 3}])
        with pytest.raises(errors.InvalidSignatureError) as caught:
            store.load(id)
        assert caught.value.fields == {"session_id": id, "line": 1, "last_good_rev": 0}
        assert next(store.verify(id)).code == "invalid_signature"

    def test_after_somebody_elses_save_the_last_seal_is_verified_in_a_log_kept_open(self, store: Any) -> None:
        id = store.create(entries=[{"n": 1}]).id
        store.append(id, [{"n": 2}])
        kept = store._writer.logs._idle[id]
        kept.head = replace(kept.head, tag="another's")
        self.damaged(store, id, b'"rev":2', b'"rev":3')
        with pytest.raises(errors.InvalidSignatureError):
            store.append(id, [{"n": 3}])
