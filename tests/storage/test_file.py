"""Logs as files: what is refused and under which session's name, what is shown, where locks and kept bytes go."""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from sessionstore.errors import StoreUnavailableError, UnsafeFileError
from sessionstore.fs import Directory, Locks
from sessionstore.storage import Backend, FileBackend, FileRuns, Log, Stamp

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
NAME = f"{ID}.jsonl"
OTHER = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl"

Place = Any


def opened(backend: Backend, *, writable: bool = False) -> Log:
    log = backend.open(NAME, writable=writable)
    assert log is not None
    return log


def make_odd(path: Path, kind: str) -> None:
    if kind == "link":
        path.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "directory":
        path.mkdir()
    else:
        path.touch(mode=0o600)
        try:
            os.chown(path, 65534, 65534)
        except OSError as exc:
            pytest.skip(f"only a real root can give a file away: {exc.strerror}")


class TestOpen:
    @pytest.mark.parametrize("kind", ["link", "fifo", "directory", "foreign"])
    def test_what_is_no_file_of_ours_is_refused_by_session_and_shown_without_a_stamp(
        self, place: Place, kind: str
    ) -> None:
        make_odd(place.sessions / NAME, kind)
        make_odd(place.sessions / "odd.name", kind)
        for writable in (False, True):
            with pytest.raises(UnsafeFileError) as caught:
                place.backend.open(NAME, writable=writable)
            assert (caught.value.session_id, caught.value.name) == (ID, NAME)
        with pytest.raises(UnsafeFileError) as caught:
            place.backend.open("odd.name")
        assert (caught.value.session_id, caught.value.name) == ("", "odd.name")
        assert place.backend.stamp(NAME) is None
        assert dict(place.backend.scan()) == {NAME: None, "odd.name": None}

    def test_a_directory_in_a_logs_place_is_neither_replaced_nor_removed(self, place: Place) -> None:
        (place.sessions / NAME).mkdir()
        for call in (lambda: place.backend.write(NAME, [b"x"], replace=True), lambda: place.backend.delete(NAME)):
            with pytest.raises(UnsafeFileError, match="it is a directory") as caught:
                call()
            assert caught.value.session_id == ID

    def test_a_loose_mode_is_told_and_mended_on_writing(self, place: Place) -> None:
        place.backend.write(NAME, [b"x"], replace=False)
        (place.sessions / NAME).chmod(0o664)
        for writable, after in ((False, 0o664), (True, 0o600)):
            log = opened(place.backend, writable=writable)
            assert log.notices == ("loose_mode",)
            assert stat.S_IMODE((place.sessions / NAME).stat().st_mode) == after
            log.close()

    def test_a_log_with_several_links_is_readable_told_and_replaced_by_one_of_its_own(
        self, place: Place, tmp_path: Path
    ) -> None:
        place.backend.write(NAME, [b"old"], replace=False)
        os.link(place.sessions / NAME, tmp_path / "other")
        log = opened(place.backend)
        assert (log.notices, log.read(0, 9)) == (("several_links",), b"old")
        place.backend.write(NAME, [b"new"], replace=True)
        assert log.current_stamp() is None and opened(place.backend).notices == ()
        assert (tmp_path / "other").read_bytes() == b"old"


class TestCurrent:
    def test_a_log_knows_when_its_name_was_given_to_another(self, place: Place) -> None:
        place.backend.write(NAME, [b"old"], replace=False)
        log = opened(place.backend, writable=True)
        path = place.sessions / NAME
        aside = place.sessions / "aside"
        path.rename(aside)
        assert log.current_stamp() is None
        path.write_bytes(b"old")
        assert log.current_stamp() is None
        path.unlink()
        path.symlink_to("aside")
        assert log.current_stamp() is None
        aside.rename(path)
        assert log.current_stamp() == log.stamp()
        os.link(path, aside)
        assert log.current_stamp() is None  # whoever saves next looks closer

    def test_every_change_of_the_file_changes_its_stamp(self, place: Place) -> None:
        stamps = [place.backend.write(NAME, [b"one"], replace=False)]
        log = opened(place.backend, writable=True)
        stamps.append(log.append(3, [b"two"]))
        os.utime(place.sessions / NAME, ns=(0, 0))
        stamps.append(log.stamp())
        os.chmod(place.sessions / NAME, 0o400)
        stamps.append(log.stamp())
        stamps.append(place.backend.write(NAME, [b"onetwo"], replace=True))
        assert len(set(stamps)) == 5
        log.close()


class TestDelete:
    def test_it_syncs_the_directory_also_when_a_killed_deleter_was_here_before(self, place: Place) -> None:
        place.backend.write(NAME, [b"x"], replace=False)
        for _ in range(2):
            synced: list[bool] = []

            def hook(frame: object, event: str, arg: object, synced: list[bool] = synced) -> None:
                if event == "c_call" and getattr(arg, "__name__", "") == "fsync":
                    synced.append(os.path.lexists(place.sessions / NAME))

            sys.setprofile(hook)
            try:
                place.backend.delete(NAME)
            finally:
                sys.setprofile(None)
            assert synced == [False]


class TestScan:
    def test_our_own_files_are_hidden_and_everything_else_is_shown(self, place: Place) -> None:
        names = {NAME, f"{ID}.json", "README", ".hidden", ".sessionstore", NAME.upper()}
        for name in names:
            (place.sessions / name).write_bytes(b"x")
        (place.sessions / ".sessionstore-1-0123456789abcdef.tmp").touch()
        assert (place.sessions / ".gitignore").exists()
        found = dict(place.backend.scan())
        assert set(found) == names
        status = (place.sessions / NAME).stat()
        assert found[NAME] == Stamp(status.st_ino, 1, status.st_mtime_ns, status.st_ctime_ns)

    def test_a_name_that_vanishes_during_the_scan_breaks_nothing(self, place: Place) -> None:
        for number in range(50):
            place.backend.write(f"{number}", [], replace=False)
        scan = place.backend.scan()
        first, _ = next(scan)
        for number in range(50):
            place.backend.delete(f"{number}")
        assert {first} <= {first, *(name for name, _ in scan)} <= {f"{number}" for number in range(50)}

    def test_the_names_have_a_token_once_their_last_change_is_settled(self, place: Place) -> None:
        place.backend.write(NAME, [b"x"], replace=False)
        assert place.backend.names_token() is None
        os.utime(place.sessions, ns=(0, 0))
        assert place.backend.names_token() is None  # that time can be set back; the one that counts cannot
        with freeze_time(datetime.now(UTC) + timedelta(seconds=3)):
            token = place.backend.names_token()
            assert token is not None and token == place.backend.names_token()
            place.backend.delete(NAME)
            assert place.backend.names_token() != token


class TestLock:
    def test_there_is_one_lock_file_per_session_among_the_locks(self, place: Place) -> None:
        with place.backend.lock(ID, timeout_s=0), Directory.open(place.locks) as again:
            others = FileBackend(again, lambda: again, Locks(again), FileRuns(again, again))
            with pytest.raises(StoreUnavailableError, match="locked by another process"):
                others.lock(ID, timeout_s=0).__enter__()
        assert sorted(os.listdir(place.locks)) == [".gitignore", f"{ID}.write"]
        assert list(place.backend.scan()) == []


class TestKeep:
    def test_kept_bytes_are_private_named_by_time_and_never_replaced(self, place: Place) -> None:
        assert not place.quarantine.exists()
        kept = [Path(place.backend.keep(NAME, iter([b"torn", b"%d" % number]))) for number in range(3)]
        assert [path.read_bytes() for path in kept] == [b"torn0", b"torn1", b"torn2"]
        for path in kept:
            assert path.parent == place.quarantine
            assert re.fullmatch(re.escape(NAME) + r"\.\d{8}T\d{12}Z(\.\d+)?", path.name)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.quarantine.stat().st_mode) == 0o700

    def test_a_clock_that_stands_still_gives_names_all_the_same(self, place: Place) -> None:
        with freeze_time("2026-01-31T12:00:00Z"):
            kept = [Path(place.backend.keep(NAME, [b"%d" % number])).name for number in range(3)]
        assert [name.partition("Z")[2] for name in kept] == ["", ".2", ".3"]

    def test_the_longest_name_can_be_kept(self, place: Place) -> None:
        kept = Path(place.backend.keep("\U0001f984" * 63, [b"x"]))
        assert kept.read_bytes() == b"x"


class TestPurge:
    def test_it_looks_into_every_directory_beside_the_logs(self, place: Place, tmp_path: Path) -> None:
        place.backend.keep(f"{ID}.tail", [b"x"])
        for name in ("retired", "other"):
            (tmp_path / name).mkdir(mode=0o700)
            (tmp_path / name / f"{ID}.json").write_bytes(b"x")
        (tmp_path / "retired" / f"{ID}").write_bytes(b"not of it: no dot behind the id")
        (tmp_path / "retired" / f".sessionstore-1-{'0' * 16}.tmp").write_bytes(b"x")
        found = place.backend.purge(ID)
        assert [name for name in found.removed if "quarantine" not in name] == [
            f"other/{ID}.json",
            f"retired/{ID}.json",
            "retired/(temporary)",
        ]
        assert len(found.removed) == 4
        assert os.listdir(tmp_path / "retired") == [ID]

    def test_what_is_not_safe_to_open_and_what_is_a_directory_is_left_and_named(
        self, place: Place, tmp_path: Path
    ) -> None:
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        (tmp_path / "retired").mkdir(mode=0o700)
        (tmp_path / "retired" / f"{ID}.d").mkdir()
        assert place.backend.purge(ID).left == ("open/", f"retired/{ID}.d")
        assert (tmp_path / "retired" / f"{ID}.d").is_dir()

    def test_without_a_directory_above_only_the_logs_are_looked_through(self, place: Place, tmp_path: Path) -> None:
        place.backend._data = None
        place.backend.keep(f"{ID}.tail", [b"x"])
        (tmp_path / "sessions" / f"{ID}.json").write_bytes(b"x")
        assert place.backend.purge(ID).removed == (f"sessions/{ID}.json",)


class TestRetire:
    def test_a_retired_file_is_moved_and_replaces_none(self, place: Place) -> None:
        for number in range(3):
            place.backend.write(NAME, [b"%d" % number], replace=False)
            inode = os.stat(place.sessions / NAME).st_ino
            where = place.backend.retire(NAME)
            assert where is not None and os.stat(where).st_ino == inode
        found = {path.name: path.read_bytes() for path in place.retired.glob("[!.]*")}
        assert found == {NAME: b"0", f"{NAME}.2": b"1", f"{NAME}.3": b"2"}

    def test_a_missing_one_makes_no_directory(self, place: Place) -> None:
        assert place.backend.retire(NAME) is None
        assert not place.retired.exists()

    def test_one_that_vanishes_meanwhile_is_missing(self, place: Place) -> None:
        place.backend.write(NAME, [b"x"], replace=False)

        def late() -> Directory:
            (place.sessions / NAME).unlink()
            return Directory.open(place.retired, create=True)

        place.backend._retired = late
        assert place.backend.retire(NAME) is None

    def test_a_system_that_refuses_leaves_it_where_it_is(self, place: Place) -> None:
        place.backend.write(NAME, [b"x"], replace=False)
        if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(place.sessions).st_dev:
            pytest.skip("needs a second file system")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
            os.chmod(other, 0o700)
            place.backend._retired = lambda: Directory.open(other)
            with pytest.raises(StoreUnavailableError) as caught:
                place.backend.retire(NAME)
        assert caught.value.fields["outcome"] == "not_written"
        assert (place.sessions / NAME).read_bytes() == b"x"

    def test_only_what_was_retired_under_the_name_is_dropped(self, place: Place) -> None:
        for name in (NAME, NAME, OTHER):
            place.backend.write(name, [b"x"], replace=False)
            place.backend.retire(name)
        (place.retired / f"{NAME}.note").write_text("a person's own")
        place.backend.drop_retired(NAME)
        assert sorted(path.name for path in place.retired.glob("[!.]*")) == sorted([f"{NAME}.note", OTHER])
