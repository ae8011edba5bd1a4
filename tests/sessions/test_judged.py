"""Genuine bytes in the wrong place or at the wrong time: each has its own name."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, open_store

ALL = {"load", "entries", "append", "rewind", "compact", "fork", "export", "verify"}
NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


def listed(place: Any) -> dict[str, str]:
    """What the list cannot show as a session, by name."""
    return {line.name: line.code for line in place.store.list().unreadable}


class TestRollback:
    def test_an_older_copy_is_refused_and_the_newest_is_good_again(self, place: Any) -> None:
        id = place.session()
        old = place.read(id)
        place.store.append(id, [{"n": 3}])
        new = place.read(id)
        place.put(id, old)
        with pytest.raises(errors.RollbackError) as caught:
            place.store.load(id)
        assert caught.value.fields == {"session_id": id, "rev": 4, "head_rev": 5}
        assert place.refusals(id) == {(call, "rollback") for call in ALL}
        assert listed(place) == {id: "rollback"}
        with pytest.raises(errors.RollbackError):
            place.store.summary(id)
        place.put(id, new)
        assert place.store.load(id).rev == 5

    def test_a_copy_from_before_a_rewind_is_refused(self, place: Any) -> None:
        id = place.session()
        old = place.read(id)
        place.store.rewind(id, 1)
        place.put(id, old)
        assert place.refusals(id) == {(call, "rollback") for call in ALL}

    def test_a_restored_backup_of_the_data_directory_is_noticed_too(self, place: Any) -> None:
        id = place.session()
        old = place.read(id)
        place.store.append(id, [{"n": 3}])
        place.close()
        place.put(id, old)
        place.reopen()
        assert place.refusals(id) == {(call, "rollback") for call in ALL}


class TestFork:
    def two_histories(self, place: Any, change: Callable[[str], object]) -> tuple[str, bytes]:
        """A session, and the bytes of a change to it that was abandoned for another one."""
        id = place.session()
        original = place.read(id)
        place.half_saved(lambda: change(id))
        abandoned = place.read(id)
        assert abandoned != original
        place.put(id, original)
        assert place.store.append(id, [{"n": "other"}]) == 5
        return id, abandoned

    @pytest.mark.parametrize("entry", [{"n": 3}, {"n": "OTHER"}])  # the second is as long as the one that was saved
    @pytest.mark.parametrize("tail", [b"", b"torn"])
    def test_another_save_of_the_same_revision_is_refused(
        self, place: Any, entry: dict[str, object], tail: bytes
    ) -> None:
        id, abandoned = self.two_histories(place, lambda id: place.store.append(id, [entry]))
        place.put(id, abandoned + tail)
        with pytest.raises(errors.ForkError) as caught:
            place.store.load(id)
        assert caught.value.fields == {"session_id": id, "rev": 5}
        assert place.refusals(id) == {(call, "fork") for call in ALL}
        assert listed(place) == {id: "fork"}

    def test_an_abandoned_rewrite_is_refused(self, place: Any) -> None:
        id, abandoned = self.two_histories(place, lambda id: place.store.rewind(id, 1))
        place.put(id, abandoned)
        assert place.refusals(id) == {(call, "fork") for call in ALL}

    def test_an_abandoned_rewrite_is_refused_also_when_the_session_went_on(self, place: Any) -> None:
        id, abandoned = self.two_histories(place, lambda id: place.store.rewind(id, 1))
        place.store.append(id, [{"n": "more"}])
        newest = place.read(id)
        place.put(id, abandoned)
        assert place.refusals(id) == {(call, "rollback") for call in ALL}
        place.put(id, newest)
        assert place.store.load(id).rev == 6

    def test_an_abandoned_rewrite_that_is_ahead_is_refused(self, place: Any) -> None:
        entries = [{"fill": "x" * 700_000}] * 4
        id = place.session()
        place.store.append(id, entries)
        original, rev = place.read(id), place.store.load(id).rev
        place.half_saved(lambda: place.store.rewind(id, 7))
        abandoned = place.read(id)
        place.put(id, original)
        assert place.store.append(id, [{"n": "other"}]) == rev + 1
        place.put(id, abandoned)  # its seals are rev + 1 and more, and name a seal that is not the head any more
        assert place.refusals(id) == {(call, "fork") for call in ALL}

    def test_so_is_a_rewrite_that_replaces_what_only_a_lost_ledger_knew(self, place: Any) -> None:
        ledger = place.home / "state" / "ledger.db"
        id = place.session()
        place.close()
        older, known = place.read(id), ledger.read_bytes()
        place.reopen(lock_timeout_s=0.05)
        place.store.append(id, [{"n": "one history"}])
        place.half_saved(lambda: place.store.rewind(id, 1))
        rewritten = place.read(id)
        place.close()
        ledger.write_bytes(known)  # an old backup of data and state
        place.put(id, older)
        place.reopen()
        place.store.append(id, [{"n": "another history"}])
        place.put(id, rewritten)
        assert place.refusals(id) == {(call, "fork") for call in ALL}

    def test_a_rewrite_of_an_older_state_is_no_way_back(self, place: Any) -> None:
        id = place.session()
        original = place.read(id)
        place.half_saved(lambda: place.store.clear(id))
        cleared = place.read(id)
        place.put(id, original)
        place.store.rewind(id, 2)
        rewound = place.read(id)
        place.put(id, cleared)
        assert place.refusals(id) == {(call, "fork") for call in ALL}
        place.put(id, rewound)
        assert place.store.load(id).entries == ({"n": 0}, {"n": 1})


class TestMissing:
    def test_a_known_session_without_its_file_is_missing(self, place: Any) -> None:
        id = place.session()
        data = place.read(id)
        place.file(id).unlink()
        with pytest.raises(errors.MissingError) as caught:
            place.store.load(id)
        assert caught.value.fields == {"session_id": id, "head_rev": 4}
        assert place.refusals(id) == {(call, "missing") for call in ALL}
        assert listed(place) == {id: "missing"}
        with pytest.raises(errors.SessionNotFoundError):
            place.store.inspect(id)
        place.put(id, data)
        place.file(id).chmod(0o600)
        assert place.store.load(id).rev == 4

    def test_it_can_be_given_up(self, place: Any) -> None:
        id = place.session()
        place.file(id).unlink()
        place.store.delete(id)
        with pytest.raises(errors.SessionNotFoundError):
            place.store.load(id)
        assert listed(place) == {}


class TestResurrected:
    def test_the_file_of_a_deleted_session_that_is_back_is_refused(self, place: Any) -> None:
        id = place.session()
        data = place.read(id)
        place.store.delete(id)
        place.put(id, data)
        with pytest.raises(errors.ResurrectedError):
            place.store.load(id)
        assert place.refusals(id) == {(call, "resurrected") for call in ALL}
        assert listed(place) == {id: "resurrected"}
        with pytest.raises(errors.ResurrectedError):
            place.store.summary(id)
        with pytest.raises(errors.ResurrectedError):
            place.store.delete(id)
        assert place.read(id) == data
        assert {result.session_id: result.code for result in place.store.verify()} == {id: "resurrected"}


class TestUnanchored:
    def test_a_sealed_file_that_no_ledger_knows_is_refused(self, place: Any) -> None:
        place.session()
        place.close()
        ledger = (place.home / "state" / "ledger.db").read_bytes()
        place.reopen()
        id = place.session()
        place.close()
        (place.home / "state" / "ledger.db").write_bytes(ledger)  # an old backup of the state
        place.reopen()
        assert place.refusals(id) == {(call, "unanchored") for call in ALL}
        assert listed(place) == {id: "unanchored"}
        with pytest.raises(errors.AlreadyExistsError):
            place.store.create(id=id)
        with pytest.raises(errors.UnanchoredError):
            place.store.delete(id)

    @pytest.mark.parametrize("content", [b"", b"\n", b"no seal", b"no seal\n", b"x" * 70_000 + b"\n"])
    def test_so_is_anything_else_under_an_unknown_id(self, place: Any, content: bytes) -> None:
        place.put(NOBODY, content)
        assert place.refusals(NOBODY) == {(call, "unanchored") for call in ALL}
        assert listed(place) == {NOBODY: "unanchored"}

    def test_a_session_copied_to_a_new_id_is_not_one(self, place: Any) -> None:
        id = place.session()
        shutil.copyfile(place.file(id), place.file(NOBODY))
        assert place.refusals(NOBODY) == {(call, "unanchored") for call in ALL}


class TestUnknownKey:
    def test_a_file_from_another_installation_names_its_key(self, place: Any, tmp_path: Path) -> None:
        with open_store(tmp_path / "other") as other:
            id = other.create(entries=[{"n": 1}]).id
            key_id = other._ground.keyring.primary.id
        shutil.copyfile(tmp_path / "other" / "data" / "sessions" / f"{id}.jsonl", place.file(id))
        with pytest.raises(errors.UnknownKeyError) as caught:
            place.store.load(id)
        assert caught.value.fields == {"key_id": key_id}
        assert place.refusals(id) == {(call, "unknown_key") for call in ALL}
        assert listed(place) == {id: "unknown_key"}
        assert "tamper" not in str(caught.value) + caught.value.hint


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)


KINDS: dict[str, Callable[[Path], object]] = {
    "symlink": lambda path: path.symlink_to(path.with_name("elsewhere")),
    "dangling": lambda path: path.symlink_to("/no/such/file"),
    "directory": lambda path: path.mkdir(),
    "fifo": make_fifo,
    "socket": make_socket,
}


class TestUnsafeFile:
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_no_ordinary_file_is_refused_and_left_alone(self, place: Any, kind: str) -> None:
        id = place.session()
        place.file(id).rename(place.file(id).with_name("elsewhere"))
        KINDS[kind](place.file(id))
        before = os.lstat(place.file(id))
        codes = place.refusals(id)
        assert codes == {(call, "unsafe_file") for call in ALL}
        assert listed(place) == {id: "unsafe_file"}
        with pytest.raises(errors.UnsafeFileError):
            place.store.inspect(id)
        assert os.lstat(place.file(id)).st_ino == before.st_ino
        assert len(list(place.store.verify())) == 1

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("suffix", [".jsonl", ".json"])
    def test_a_stranger_of_that_kind_is_listed(self, place: Any, kind: str, suffix: str) -> None:
        KINDS[kind](place.file(NOBODY, suffix))
        assert listed(place) == {NOBODY: "unsafe_file"}
        assert place.store.stats().unreadable == 1

    def test_another_users_file_is_refused(self, place: Any) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give files away; run the tests as root")
        id = place.session()
        os.chown(place.file(id), 54321, -1)
        assert place.refusals(id) == {(call, "unsafe_file") for call in ALL}
        assert listed(place) == {id: "unsafe_file"}

    def test_deleting_what_became_a_directory_fails_and_the_store_opens_all_the_same(self, place: Any) -> None:
        id, other = place.session(), place.session()
        place.file(id).unlink()
        place.file(id).mkdir()
        with pytest.raises(errors.UnsafeFileError):
            place.store.delete(id)
        place.reopen()
        assert place.store.load(other).rev == 4
        assert listed(place) == {id: "unsafe_file"}
        place.file(id).rmdir()
        place.reopen()
        assert listed(place) == {id: "missing"}  # nothing was removed, so the session was not given up
        place.store.delete(id)
        assert listed(place) == {}
