"""Runs on disk: the lock decides, notes are for people, and stale or hostile ones mislead nobody for long."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import AlreadyRunningError, StoreUnavailableError, UnsafeFileError
from sessionstore.fs import Directory
from sessionstore.storage import FileRuns, Holder
from sessionstore.storage.runs import read_note

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
OTHER = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4e"
STARTED = "2026-01-31T12:00:00.000000Z"
HOLDER = Holder(4711, STARTED)
NOTE = json.dumps({"pid": 4711, "started_at": STARTED}, separators=(",", ":")).encode()

Place = Any


def names(path: Path) -> list[str]:
    return sorted(set(os.listdir(path)) - {".gitignore"})


class TestFiles:
    def test_a_lock_file_that_stays_and_a_note_that_goes(self, place: Place) -> None:
        with place.backend.run(ID, HOLDER):
            assert (names(place.locks), names(place.runs)) == ([f"{ID}.run"], [f"{ID}.json"])
            note = place.runs / f"{ID}.json"
            assert (note.read_bytes(), stat.S_IMODE(note.stat().st_mode)) == (NOTE, 0o600)
        assert (names(place.locks), names(place.runs)) == ([f"{ID}.run"], [])
        assert list(place.backend.scan()) == []

    def test_a_run_whose_note_cannot_be_made_is_refused_and_frees_the_lock(self, place: Place) -> None:
        (place.runs / f"{ID}.json").mkdir()
        with pytest.raises(StoreUnavailableError):
            place.backend.run(ID, HOLDER).__enter__()
        (place.runs / f"{ID}.json").rmdir()
        with place.backend.run(ID, HOLDER):
            pass

    def test_a_block_that_outlives_its_directories_ends_without_an_error(self, place: Place) -> None:
        with Directory.open(place.locks) as locks, Directory.open(place.runs) as notes:
            held = FileRuns(locks, notes).run(ID, HOLDER)
            held.__enter__()
        held.__exit__(None, None, None)
        assert names(place.runs) == [f"{ID}.json"]
        assert place.backend.running() == {}
        with place.backend.run(ID, HOLDER):
            pass


class TestStale:
    def test_a_note_without_an_owner_is_not_believed_and_removed(self, place: Place) -> None:
        (place.runs / f"{ID}.json").write_bytes(NOTE.replace(b"4711", b"%d" % os.getpid()))
        assert place.backend.running() == {}
        assert names(place.runs) == []

    def test_who_looks_without_writing_leaves_it_and_makes_no_lock_file(self, place: Place) -> None:
        (place.runs / f"{ID}.json").write_bytes(NOTE)
        with Directory.open(place.locks) as locks, Directory.open(place.runs) as notes:
            looking = FileRuns(locks, notes, read_only=True)
            assert looking.running() == {}
            assert (names(place.locks), names(place.runs)) == ([], [f"{ID}.json"])
            with place.backend.run(ID, HOLDER):
                assert looking.running() == {ID: HOLDER}
                with pytest.raises(AlreadyRunningError):
                    looking.at_rest(ID).__enter__()

    def test_a_new_owner_puts_its_own_in_the_place_of_an_old_one(self, place: Place, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(b"precious")
        (place.runs / f"{ID}.json").symlink_to(tmp_path / "target")
        with place.backend.run(ID, HOLDER):
            assert place.backend.running() == {ID: HOLDER}
        assert (tmp_path / "target").read_bytes() == b"precious"

    def test_without_its_note_a_run_is_not_listed_and_still_nobody_else_can_run_it(self, place: Place) -> None:
        with place.backend.run(ID, HOLDER):
            (place.runs / f"{ID}.json").unlink()
            assert place.backend.running() == {}
            with pytest.raises(AlreadyRunningError) as caught:
                place.backend.run(ID, HOLDER).__enter__()
            assert (caught.value.pid, caught.value.started_at) == (0, "")


class TestOddFiles:
    def test_names_that_are_no_session_are_no_runs_and_left_alone(self, place: Place) -> None:
        odd = [ID, f"{ID}.txt", f"{ID.upper()}.json", "x.json", ".json", f"{ID}.json.json"]
        for name in odd:
            (place.runs / name).write_bytes(NOTE)
        assert place.backend.running() == {}
        assert names(place.runs) == sorted(odd)

    @pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), os.mkfifo, Path.mkdir])
    def test_what_is_no_lock_file_hides_no_other_run_and_cannot_be_run(self, place: Place, make: Any) -> None:
        make(place.locks / f"{ID}.run")
        (place.runs / f"{ID}.json").write_bytes(NOTE)
        with place.backend.run(OTHER, HOLDER):
            assert place.backend.running() == {OTHER: HOLDER}
        for call in (place.backend.at_rest, lambda id: place.backend.run(id, HOLDER)):
            with pytest.raises(UnsafeFileError):
                call(ID).__enter__()

    def test_a_directory_in_the_place_of_a_note_is_no_run(self, place: Place) -> None:
        (place.runs / f"{ID}.json").mkdir()
        assert place.backend.running() == {}


class TestNote:
    def test_what_a_holder_writes_comes_back(self) -> None:
        assert read_note(NOTE) == HOLDER

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            NOTE[:-1],
            NOTE + b"\n",
            b"null",
            b"[4711]",
            b"\xff" * 20,
            b"[" * 256,
            NOTE.replace(b"4711", b"0"),
            NOTE.replace(b"4711", b"-1"),
            NOTE.replace(b"4711", b"2147483648"),
            NOTE.replace(b"4711", b"4711.0"),
            NOTE.replace(b"4711", b"1" + b"0" * 100),
            NOTE.replace(b"4711", b'"4711"'),
            NOTE.replace(b"4711", b"true"),
            NOTE.replace(b"2026", b"20\x1b6"),
            NOTE.replace(b"2026-01-31", b"2026-02-31"),
            NOTE.replace(b"Z", b"+00:00"),
            NOTE.replace(b"Z", b""),
            NOTE.replace(STARTED.encode(), b"yesterday"),
            NOTE.replace(STARTED.encode(), b""),
            NOTE.replace(b'"pid":4711,', b""),
            NOTE.replace(b"{", b'{"pid":1,'),
            NOTE.replace(b"{", b'{"x":1,'),
            NOTE.replace(b":4", b": 4"),
        ],
    )
    def test_anything_else_says_nothing_and_the_run_is_listed_all_the_same(self, place: Place, data: bytes) -> None:
        assert read_note(data) == Holder(0, "")
        with place.backend.run(ID, HOLDER):
            (place.runs / f"{ID}.json").write_bytes(data)
            assert place.backend.running() == {ID: Holder()}

    def test_one_that_is_too_long_says_nothing(self, place: Place) -> None:
        with place.backend.run(ID, HOLDER):
            (place.runs / f"{ID}.json").write_bytes(NOTE + b" " * 256)
            assert place.backend.running() == {ID: Holder()}
