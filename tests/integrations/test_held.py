"""What an adapter holds: bounded, brought up to date, and begun anew in a new process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, errors, open_store
from sessionstore.follow import Reading
from sessionstore.integrations import held as held_module
from sessionstore.integrations.followed import Followed
from sessionstore.integrations.held import MAX_HELD, Held, refuse_unreadable


class Texts(Followed):
    """A session of texts."""

    def __init__(self, store: SessionStore, key: str) -> None:
        super().__init__(store, key)
        self.texts: list[str] = []

    def _begin(self, reading: Reading) -> None:
        self.texts = []

    def _add(self, entry: dict[str, Any]) -> None:
        if "text" not in entry:
            raise errors.MalformedError(session_id="", reason="no text")
        self.texts.append(entry["text"])


@pytest.fixture
def store(home: Path) -> Iterator[SessionStore]:
    with open_store(home) as opened:
        yield opened


@pytest.fixture
def held(store: SessionStore) -> Held[str, Texts]:
    return Held(lambda name: Texts(store, name), 1_000_000)


class TestFollowed:
    def test_it_is_up_to_date_whoever_saved_rewrote_deleted_or_made_it_again(
        self, store: SessionStore, home: Path
    ) -> None:
        texts = Texts(store, "k")
        assert not texts.read()
        with open_store(home) as other:
            id = other.create(key="k", entries=[{"text": "a"}, {"text": "b"}]).id
            assert texts.read() and texts.texts == ["a", "b"]
            other.append(id, [{"text": "c"}])
            assert texts.read() and texts.texts == ["a", "b", "c"]
            other.rewind(id, 1)
            assert texts.read() and texts.texts == ["a"]
            other.redact(id, patterns=["a"])
            assert texts.read() and texts.texts == ["[redacted:pattern]"]
            other.delete(id)
            other.create(key="k", entries=[{"text": "d"}])
            assert texts.read() and texts.texts == ["d"]
        store.delete(texts.session_id() or "")
        assert not texts.read()
        assert texts.size_bytes == 0

    def test_what_cannot_be_taken_is_refused_each_time(self, store: SessionStore) -> None:
        id = store.create(key="k", entries=[{"text": "a"}]).id
        texts = Texts(store, "k")
        assert texts.read()
        store.append(id, [{"text": "b"}, {"other": "c"}])
        for _ in range(2):
            with pytest.raises(errors.MalformedError):
                texts.read()
        store.pop(id)
        assert texts.read() and texts.texts == ["a", "b"]

    def test_what_was_taken_half_way_is_taken_anew(self, store: SessionStore) -> None:
        class Failing(Texts):
            fails = False

            def _add(self, entry: dict[str, Any]) -> None:
                if self.fails and entry["text"] == "c":
                    self.fails = False
                    raise MemoryError
                super()._add(entry)

        id = store.create(key="k", entries=[{"text": "a"}]).id
        texts = Failing(store, "k")
        assert texts.read()
        store.append(id, [{"text": "b"}, {"text": "c"}])
        texts.fails = True
        with pytest.raises(MemoryError):
            texts.read()
        assert texts.read() and texts.texts == ["a", "b", "c"]

    def test_one_that_is_damaged_can_be_deleted_and_one_that_is_gone_is_no_error(
        self, store: SessionStore, home: Path
    ) -> None:
        id = store.create(key="k", entries=[{"text": "a"}]).id
        log = home / "data" / "sessions" / f"{id}.jsonl"
        log.write_bytes(log.read_bytes()[:-10] + b"xxxxxxxxx\n")
        texts = Texts(store, "k")
        with pytest.raises(errors.VerificationError):
            texts.read()
        texts.delete()
        assert store.find("k") is None
        texts.delete()
        id = store.create(key="k").id
        assert texts.read()
        store.delete(id)
        texts.delete()  # what is held does not know it yet
        assert not texts.read()

    def test_its_size_may_be_asked_for_while_another_thread_forgets_it(self, store: SessionStore) -> None:
        store.create(key="k", entries=[{"text": "a"}])
        texts = Texts(store, "k")
        assert texts.read()
        seen: list[Reading | None] = [texts._reading]

        class Racing(Texts):
            """Forgotten by another thread after the first look."""

            @property
            def _reading(self) -> Reading | None:
                return seen.pop() if seen else None

            @_reading.setter
            def _reading(self, reading: Reading | None) -> None: ...

        assert Racing(store, "k").size_bytes > 0


class TestHeld:
    def test_the_number_is_bounded(self, held: Held[str, Texts]) -> None:
        for number in range(MAX_HELD + 5):
            with held.use(f"{number}"):
                pass
        assert len(held) == MAX_HELD
        with held.use(f"{MAX_HELD + 4}") as last, held.use("5") as old:
            assert last is not old
        assert len(held) == MAX_HELD

    def test_one_name_is_used_by_one_thread_at_a_time_others_go_on(self, held: Held[str, Texts]) -> None:
        entered: list[str] = []

        def use(name: str) -> None:
            with held.use(name):
                entered.append(name)

        with held.use("a"):
            same, other = (threading.Thread(target=use, args=(name,)) for name in "ab")
            same.start()
            other.start()
            other.join()
            assert entered == ["b"]
        same.join()
        assert entered == ["b", "a"]

    def test_a_new_process_begins_with_nothing_and_no_lock_of_the_old_one(
        self, held: Held[str, Texts], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, pid = held._lock, os.getpid()
        with held.use("a") as before:
            assert old.acquire(timeout=10)  # a thread of the parent had it during the fork
            monkeypatch.setattr(held_module.os, "getpid", lambda: pid + 1)
            with held.use("a") as after:
                assert after is not before
            assert len(held) == 1
            old.release()

    def test_of_two_threads_that_come_first_in_a_new_process_none_gets_the_old_lock(
        self, held: Held[str, Texts], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pid, lock = os.getpid(), threading.Lock
        seen: list[bool] = []

        def making() -> Any:
            seen.append(held._process == pid)  # so a second thread does what the first one does
            return lock()

        monkeypatch.setattr(held_module.os, "getpid", lambda: pid + 1)
        monkeypatch.setattr(held_module.threading, "Lock", making)
        with held.use("a"):
            pass
        assert seen[0] is True


class TestUnreadable:
    def test_only_what_is_wanted_is_refused(self, store: SessionStore, home: Path) -> None:
        ours, other, none = store.create(key="ours:a").id, store.create(key="other:a").id, store.create().id
        sessions = home / "data" / "sessions"

        def damage(id: str) -> None:
            log = sessions / f"{id}.jsonl"
            log.write_bytes(log.read_bytes()[:-10] + b"xxxxxxxxx\n")

        def refuse() -> None:
            refuse_unreadable(store, store.list(), lambda key: key.startswith("ours:"))

        (sessions / "no-id.jsonl").write_bytes(b"x")
        damage(other)
        damage(none)
        refuse()
        damage(ours)
        with pytest.raises(errors.VerificationError) as refused:
            refuse()
        assert refused.value.session_id == ours  # type: ignore[attr-defined]
        (sessions / f"{ours}.jsonl").unlink()
        with pytest.raises(errors.VerificationError):
            refuse()
