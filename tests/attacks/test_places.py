"""Something else in a session file's place, or around it. Opening never blocks, never follows, never harms the rest."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionstore import open_store
from sessionstore.errors import (
    AlreadyExistsError,
    SessionNotFoundError,
    SessionStoreError,
    StoreMismatchError,
    UnsafeFileError,
)

NEXT = {"role": "user", "content": "next"}


def fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def directory(path: Path) -> None:
    path.mkdir(0o700)


def full_directory(path: Path) -> None:
    path.mkdir(0o700)
    (path / "x").write_bytes(b"x")


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def link_to_the_real_file(path: Path) -> None:
    path.symlink_to(path.with_suffix(".moved"))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def a_socket(path: Path) -> None:
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(path.parent)  # the name of a socket is short
        listening.bind(path.name)
        os.chdir(here)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only a real root can make a device")


KINDS = [fifo, directory, full_directory, dangling_link, link_to_the_real_file, link_to_itself, a_socket, device]


@pytest.mark.parametrize("put", KINDS, ids=lambda put: put.__name__)
class TestKinds:
    def test_in_a_sessions_place_it_is_refused_everywhere_and_harms_no_other(
        self, victim: Any, another: Any, put: Callable[[Path], None]
    ) -> None:
        victim.path.rename(victim.path.with_suffix(".moved"))
        put(victim.path)
        assert isinstance(victim.refusal(), UnsafeFileError)
        for call in (
            lambda: victim.store.append(victim.id, [NEXT]),
            lambda: victim.store.rewind(victim.id, 0),
            lambda: victim.store.export(victim.id),
            lambda: victim.store.fork(victim.id),
            lambda: victim.store.inspect(victim.id),
            lambda: victim.store.summary(victim.id),
            lambda: list(victim.store.entries(victim.id, -1)),
        ):
            with pytest.raises(UnsafeFileError):
                call()
        assert victim.listed() == {victim.id: "unsafe_file"}
        assert [line.id for line in victim.store.list().sessions] == [another.id]
        victim.store.append(another.id, [NEXT])
        assert victim.path.with_suffix(".moved").read_bytes() == victim.good

    def test_a_deletion_that_a_dead_process_left_keeps_no_other_session_closed(
        self, victim: Any, another: Any, put: Callable[[Path], None]
    ) -> None:
        """One directory in its place once kept the whole store from opening, at every start."""
        ledger = victim.store._ground.ledger
        head = ledger.head(victim.id)
        ledger.commit(msgspec.structs.replace(head, state="deleting"), old=head)
        victim.store.close()
        victim.path.unlink()
        put(victim.path)
        with open_store(victim.root, environ={}) as again:
            assert again.load(another.id) == another.session
            with pytest.raises((SessionNotFoundError, UnsafeFileError)):
                again.load(victim.id)
            left = {victim.id: "unsafe_file"} if victim.path.is_dir() and not victim.path.is_symlink() else {}
            assert {line.name: line.code for line in again.list().unreadable} == left

    def test_a_creation_that_a_dead_process_left_keeps_no_other_session_closed(
        self, victim: Any, another: Any, put: Callable[[Path], None]
    ) -> None:
        ledger = victim.store._ground.ledger
        head = ledger.head(victim.id)
        ledger.commit(msgspec.structs.replace(head, state="creating", rev=0, tag="", end=0, seal_at=0), old=head)
        victim.store.close()
        victim.path.unlink()
        put(victim.path)
        with open_store(victim.root, environ={}) as again:
            assert again.load(another.id) == another.session

    def test_a_deletion_that_is_refused_leaves_everything_as_it_was(
        self, victim: Any, put: Callable[[Path], None]
    ) -> None:
        victim.path.unlink()
        put(victim.path)
        if victim.path.is_dir() and not victim.path.is_symlink():
            with pytest.raises(UnsafeFileError):
                victim.store.delete(victim.id)
            assert victim.listed() == {victim.id: "unsafe_file"}
            return
        victim.store.delete(victim.id)
        assert not os.path.lexists(victim.path) and victim.listed() == {}

    def test_where_a_new_session_is_to_be_it_is_not_replaced(self, victim: Any, put: Callable[[Path], None]) -> None:
        new = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        put(victim.file(new))
        before = os.lstat(victim.file(new))
        with pytest.raises((UnsafeFileError, AlreadyExistsError)):
            victim.store.create(id=new)
        assert os.lstat(victim.file(new)).st_ino == before.st_ino
        assert victim.listed() == {new: "unsafe_file"}

    def test_in_the_place_of_a_lock_it_stops_only_that_session(
        self, victim: Any, another: Any, put: Callable[[Path], None]
    ) -> None:
        victim.store.close()
        lock = victim.root / "state" / "locks" / f"{victim.id}.write"
        lock.unlink()
        put(lock)
        with open_store(victim.root, environ={}) as again:
            with pytest.raises(UnsafeFileError):
                again.append(victim.id, [NEXT])
            assert again.load(victim.id) == victim.session
            again.append(another.id, [NEXT])


@pytest.mark.parametrize("name", ["state", "data", "data/sessions", "state/locks"])
@pytest.mark.parametrize(
    "put", [kind for kind in KINDS if "directory" not in kind.__name__], ids=lambda put: put.__name__
)
def test_in_the_place_of_a_directory_of_the_store_it_is_refused(
    victim: Any, put: Callable[[Path], None], name: str
) -> None:
    victim.store.close()
    place = victim.root / name
    place.rename(victim.root / "aside")
    put(place)
    with pytest.raises(UnsafeFileError):
        open_store(victim.root, environ={})


class TestHardLink:
    def test_it_is_read_with_a_warning_and_the_next_save_leaves_it_behind(self, victim: Any) -> None:
        outside = victim.root / "outside"
        os.link(victim.path, outside)
        session = victim.store.load(victim.id)
        assert [warning.code for warning in session.warnings] == ["several_links"]
        victim.store.append(victim.id, [NEXT])
        assert outside.read_bytes() == victim.good
        assert victim.path.stat().st_nlink == 1
        assert victim.store.load(victim.id).warnings == ()


class TestOwnerAndMode:
    def test_another_users_file_is_refused(self, victim: Any) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(victim.path, 65534, 65534)
        assert isinstance(victim.refusal(), UnsafeFileError)
        with pytest.raises(UnsafeFileError):
            victim.store.append(victim.id, [NEXT])
        assert victim.listed() == {victim.id: "unsafe_file"}

    @pytest.mark.parametrize("name", ["state", "data", "data/sessions", "state/locks"])
    def test_another_users_directory_is_refused(self, victim: Any, name: str) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a directory away")
        victim.store.close()
        os.chown(victim.root / name, 65534, 65534)
        with pytest.raises(UnsafeFileError):
            open_store(victim.root, environ={})

    @pytest.mark.parametrize("mode", [0o644, 0o666, 0o606, 0o777])
    def test_a_loose_mode_is_told_and_closed_by_the_next_save(self, victim: Any, mode: int) -> None:
        victim.path.chmod(mode)
        assert [warning.code for warning in victim.store.load(victim.id).warnings] == ["loose_mode"]
        victim.store.append(victim.id, [NEXT])
        assert stat.S_IMODE(victim.path.stat().st_mode) == 0o600
        assert victim.store.load(victim.id).warnings == ()

    @pytest.mark.parametrize(("name", "mode"), [("state", 0o750), ("state/locks", 0o701), ("data", 0o770)])
    def test_a_directory_open_to_others_is_refused(self, victim: Any, name: str, mode: int) -> None:
        victim.store.close()
        (victim.root / name).chmod(mode)
        with pytest.raises(UnsafeFileError):
            open_store(victim.root, environ={})

    def test_what_a_store_makes_is_private_whatever_the_umask(self, root: Path) -> None:
        made = "import os, sys; os.umask(0)\nfrom sessionstore import open_store\n"
        made += "with open_store(sys.argv[1], environ={}) as store: store.append(store.create().id, [{}])\n"
        subprocess.run([sys.executable, "-c", made, str(root)], check=True)
        for path in [root, *root.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


class TestOtherData:
    def test_a_copied_data_directory_is_not_the_one_that_was_bound(self, victim: Any) -> None:
        victim.store.close()
        data = victim.root / "data"
        subprocess.run(["cp", "-a", data, victim.root / "copy"], check=True)
        data.rename(victim.root / "original")
        (victim.root / "copy").rename(data)
        with pytest.raises(StoreMismatchError):
            open_store(victim.root, environ={})

    @pytest.mark.parametrize(
        "content",
        [b"", b"{}", b"[]", b'{"store":5}', b'{"store":"\xff"}', b'{"store":"\\ud800"}', b"\xff\xfe", b"x" * 5000],
        ids=["empty", "no id", "a list", "a number", "no text", "half a pair", "no JSON", "long"],
    )
    def test_a_damaged_store_file_is_refused_in_our_words(self, victim: Any, content: bytes) -> None:
        victim.store.close()
        (victim.root / "data" / "store.json").write_bytes(content)
        with pytest.raises(SessionStoreError):
            open_store(victim.root, environ={})

    def test_hostile_names_are_shown_without_their_control_characters_and_break_no_list(self, victim: Any) -> None:
        names = [
            b"\xff\xfe.jsonl",
            b"\x1b[31m.json",
            b"a\nb.jsonl",
            b"x" * 240 + b".jsonl",
            victim.id.encode() + b".json",
        ]
        for name in names:
            Path(os.fsdecode(bytes(victim.path.parent) + b"/" + name)).write_bytes(b"{}")
        page = victim.store.list()
        assert [line.id for line in page.sessions] == [victim.id]
        assert len(page.unreadable) == len(names)
        assert all(line.name.isprintable() and line.text.isprintable() for line in page.unreadable)

    def test_a_file_put_in_with_the_directorys_time_set_back_is_listed(self, victim: Any) -> None:
        sessions = victim.path.parent
        os.utime(sessions, ns=(0, 10**18))
        assert victim.listed() == {}
        (sessions / "stray.jsonl").write_bytes(b"x")
        os.utime(sessions, ns=(0, 10**18))
        assert list(victim.listed()) == ["stray.jsonl"]
