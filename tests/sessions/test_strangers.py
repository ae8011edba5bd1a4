"""Whatever lies in the directory, the list is there, shows it, and shows nothing that is not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from sessionstore import open_store
from sessionstore.model import SessionPage

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


def codes(page: SessionPage) -> list[tuple[str, str]]:
    return [(line.name, line.code) for line in page.unreadable]


class TestNames:
    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("notes.jsonl", "notes.jsonl"),
            (f"{ID.upper()}.jsonl", f"{ID.upper()}.jsonl"),
            (f"{ID}\n.jsonl", f"{ID}\N{REPLACEMENT CHARACTER}.jsonl"),
            ("\x1b[31m.json", "\N{REPLACEMENT CHARACTER}[31m.json"),
            (f" {ID}.jsonl", f" {ID}.jsonl"),
            (".jsonl", ".jsonl"),
        ],
    )
    def test_a_name_that_is_no_id_is_listed_without_control_characters(self, place: Any, name: str, shown: str) -> None:
        id = place.session()
        (place.home / "data" / "sessions" / name).write_bytes(b"x")
        page = place.store.list()
        assert codes(page) == [(shown, "invalid_id")]
        assert page.unreadable[0].text == "the file name is no session id"
        assert [line.id for line in page.sessions] == [id]
        assert [result.session_id for result in place.store.verify()] == [id]

    def test_a_name_that_is_not_utf8_is_listed(self, place: Any) -> None:
        directory = os.fsencode(place.home / "data" / "sessions")
        Path(os.fsdecode(directory + b"/\xff.jsonl")).write_bytes(b"")
        assert codes(place.store.list()) == [("\N{REPLACEMENT CHARACTER}.jsonl", "invalid_id")]

    @pytest.mark.parametrize("name", ["notes.txt", f"{ID}.jsonl~", f"{ID}", f"{ID}.jsonl.bak", ".gitignore", "core"])
    def test_other_files_are_none_of_ours(self, place: Any, name: str) -> None:
        (place.home / "data" / "sessions" / name).write_bytes(b"x")
        assert place.store.list() == SessionPage((), ())

    def test_rows_that_were_taken_away_are_told_with_no_file_to_tell_it(self, place: Any) -> None:
        id, other = place.session(), place.session()
        place.file(id).unlink()
        with closing(sqlite3.connect(place.home / "state" / "ledger.db")) as ledger, ledger:
            ledger.execute("DELETE FROM heads WHERE session_id = ?", (id,))
        page = place.store.list()
        assert ([line.id for line in page.sessions], codes(page)) == ([other], [("ledger.db", "ledger_corrupt")])
        assert "the row of 1 session was taken away" in page.unreadable[0].text

    def test_a_directory_in_the_sessions_directory_is_none_of_ours(self, place: Any) -> None:
        (place.home / "data" / "sessions" / "sub").mkdir()
        assert place.store.list() == SessionPage((), ())


class TestPages:
    def test_all_that_cannot_be_shown_as_a_session_stands_in_the_order_of_names(self, place: Any) -> None:
        broken = [place.session() for _ in range(3)]
        for id in broken:
            place.file(id).unlink()
        stranger = "77777777-3b61-4d7a-9c58-7e4f1a2b3c4d"
        place.put(stranger, b"x")
        expected = sorted([*((id, "missing") for id in broken), (stranger, "unanchored")])
        assert codes(place.store.list()) == expected
        assert codes(place.store.list(limit=5)) == expected

    def test_strangers_stand_on_the_first_page_only(self, place: Any) -> None:
        for _ in range(3):
            place.session(saves=0)
        place.put(ID, b"x")
        first = place.store.list(limit=2)
        assert (len(first.sessions), codes(first)) == (2, [(ID, "unanchored")])
        second = place.store.list(limit=2, cursor=first.next_cursor)
        assert (len(second.sessions), codes(second)) == (1, [])

    def test_a_broken_session_takes_no_place_on_a_page(self, place: Any) -> None:
        ids = [place.session(saves=0) for _ in range(4)]
        place.file(ids[2]).unlink()
        page = place.store.list(limit=2)
        assert [line.id for line in page.sessions] == [ids[3], ids[1]]
        assert codes(page) == [(ids[2], "missing")]
        rest = place.store.list(limit=2, cursor=page.next_cursor)
        assert ([line.id for line in rest.sessions], codes(rest)) == ([ids[0]], [])

    def test_a_filter_shows_strangers_all_the_same(self, place: Any) -> None:
        place.put(ID, b"x")
        assert codes(place.store.list(tag="t", search="s")) == [(ID, "unanchored")]


class TestChangedSessions:
    def test_a_file_touched_by_hand_is_judged_by_its_last_seal(self, place: Any) -> None:
        id = place.session()
        before = place.store.summary(id)
        os.utime(place.file(id), (0, 0))
        assert place.store.list().sessions == (before,)
        assert place.store.list(limit=1).sessions == (before,)

    def test_a_copy_with_the_same_bytes_is_the_session(self, place: Any) -> None:
        id = place.session()
        data = place.read(id)
        place.file(id).unlink()
        place.put(id, data)
        assert [line.rev for line in place.store.list().sessions] == [4]
        assert place.store.append(id, [{"n": 3}]) == 5


class TestRemembered:
    """What was found is not looked for again while neither names nor rows change. In memory every change shows."""

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        with open_store(backend="memory") as store:
            yield store

    def test_a_change_of_names_alone_is_noticed(self, store: Any) -> None:
        assert codes(store.list(limit=1)) == []
        store._ground.backend.write(f"{ID}.jsonl", [b"x"], replace=False)
        assert codes(store.list(limit=1)) == [(ID, "unanchored")]
        assert codes(store.list()) == [(ID, "unanchored")]
        store._ground.backend.delete(f"{ID}.jsonl")
        assert codes(store.list(limit=1)) == []

    def test_a_change_of_rows_alone_is_noticed(self, store: Any) -> None:
        store._ground.backend.write(f"{ID}.jsonl", [b"x"], replace=False)
        assert codes(store.list(limit=1)) == [(ID, "unanchored")]
        store._ground.backend.delete(f"{ID}.jsonl")
        store.create(id=ID)
        assert codes(store.list(limit=1)) == []

    def test_a_change_of_rows_by_another_process_is_noticed(self, place: Any, child: Any) -> None:
        id = place.session()
        data = place.read(id)
        with freeze_time("2100-01-01"):  # long after the last change of names
            assert codes(place.store.list(limit=9)) == []
        script = "import sys; from sessionstore import open_store; open_store(sys.argv[1]).delete(sys.argv[2])"
        child(script, place.home, id)
        place.put(id, data)
        with freeze_time("2100-01-01"):
            assert codes(place.store.list(limit=9)) == [(id, "resurrected")]


class TestBesideAWriter:
    @pytest.mark.parametrize("limit", [None, 9])
    def test_a_session_that_is_deleted_while_it_is_looked_at_is_not_shown(
        self, place: Any, eventful: Any, limit: int | None
    ) -> None:
        id, other = place.session(), place.session()
        os.utime(place.file(id), (0, 0))
        page = eventful(place.store, look=lambda: place.store.delete(id)).list(limit=limit)
        assert ([line.id for line in page.sessions], codes(page)) == ([other], [])

    def test_nor_is_it_verified_or_cleaned_up(self, place: Any, eventful: Any) -> None:
        other, id = place.session(), place.session()
        results = eventful(place.store, look=lambda: place.store.delete(id)).verify()
        assert [(result.session_id, result.code) for result in results] == [(other, "ok")]
        id = place.session()
        report = eventful(place.store, look=lambda: place.store.delete(id)).cleanup(keep_last=0)
        assert ([line.id for line in report.removed], report.skipped) == ([other], ())

    @pytest.mark.parametrize("limit", [None, 9])
    def test_what_came_went_or_changed_since_the_look_is_not_shown(
        self, place: Any, eventful: Any, limit: int | None
    ) -> None:
        comes, goes, vanishes, turns, stays = (f"{n}f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d" for n in range(5))
        deleted = place.session()
        for id in (comes, stays):
            place.put(id, b"x")
        for name in (place.file(vanishes), place.file(turns), place.file(goes, ".json"), place.file(turns, ".json")):
            name.symlink_to("nowhere")

        def then() -> None:
            place.file(comes).unlink()
            place.store.create(id=comes)
            place.store.delete(deleted)
            for name in (place.file(vanishes), place.file(turns), place.file(goes, ".json")):
                name.unlink()
            place.put(turns, b"x")

        page = eventful(place.store, scan=then).list(limit=limit)
        assert codes(page) == [(turns, "unsafe_file"), (stays, "unanchored")]
        assert codes(place.store.list()) == [(turns, "unanchored"), (turns, "unsafe_file"), (stays, "unanchored")]
