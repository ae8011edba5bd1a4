"""A directory held open: its names, its files, its temporary files."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.errors import (
    AlreadyExistsError,
    InvalidValueError,
    StoreUnavailableError,
    UnsafeFileError,
)
from sessionstore.fs import Directory
from sessionstore.fs.temporary import is_temporary


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def put(path: Path, content: bytes = b"x", permissions: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(permissions)
    return path


class TestHolding:
    def test_whoever_exchanges_the_directory_moves_nothing_of_ours(self, directory: Directory, home: Path) -> None:
        home.rename(home.with_name("elsewhere"))
        home.mkdir(mode=0o700)
        put(home / "a", b"theirs")
        directory.create("b", b"ours")
        assert directory.read("a", 100) is None
        assert os.listdir(home) == ["a"]
        assert (home.with_name("elsewhere") / "b").read_bytes() == b"ours"

    def test_it_tells_its_path_and_what_it_is(self, directory: Directory, home: Path) -> None:
        assert directory.path == str(home)
        assert directory.identity == (home.stat().st_dev, home.stat().st_ino)
        assert not os.get_inheritable(directory.fd)
        with directory.sub("inner", create=True) as inner:
            assert inner.path == str(home / "inner")

    def test_a_closed_one_says_so_and_closing_again_does_nothing(self, directory: Directory) -> None:
        directory.close()
        directory.close()
        for call in (directory.names, directory.sync, directory.sweep, lambda: directory.stat("a")):
            with pytest.raises(StoreUnavailableError, match="home: it is closed"):
                call()

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/etc/passwd", "a\0b", "n" * 256, "\ud800"])
    def test_a_name_that_leaves_the_directory_is_refused_and_not_repeated(
        self, directory: Directory, name: str
    ) -> None:
        calls: tuple[Callable[[str], object], ...] = (
            directory.stat,
            directory.open_file,
            directory.unlink,
            directory.sub,
            lambda name: directory.read(name, 10),
            lambda name: directory.create(name, b""),
            lambda name: directory.write_atomic(name, [b""], replace=True),
        )
        for call in calls:
            with pytest.raises(InvalidValueError) as caught:
                call(name)
            assert not name.strip("./") or name not in str(caught.value)
        assert directory.names() == []


class TestWriting:
    @pytest.mark.parametrize("replace", [False, True])
    def test_a_new_file_is_private_and_its_state_is_told(self, directory: Directory, home: Path, replace: bool) -> None:
        old = os.umask(0)
        try:
            status = directory.write_atomic("a", iter([b"1", b"", b"2" * 600_000]), replace=replace)
        finally:
            os.umask(old)
        assert (home / "a").read_bytes() == b"1" + b"2" * 600_000
        now = directory.stat("a")
        assert now is not None and (now.st_ino, now.st_ctime_ns) == (status.st_ino, status.st_ctime_ns)
        assert mode(home / "a") == 0o600
        assert directory.names() == ["a"]

    def test_until_it_is_whole_it_has_a_name_of_our_own(self, directory: Directory, home: Path) -> None:
        put(home / "a", b"old")
        seen: list[str] = []

        def chunks() -> Iterator[bytes]:
            seen.extend(name for name in os.listdir(home) if name not in ("a", ".gitignore"))
            assert (home / "a").read_bytes() == b"old"
            assert directory.names() == ["a"]
            assert mode(home / seen[0]) == 0o600
            yield b"new"

        directory.write_atomic("a", chunks(), replace=True)
        assert re.fullmatch(rf"\.sessionstore-{os.getpid()}-[0-9a-f]{{16}}\.tmp", *seen)
        assert os.listdir(home) == ["a", ".gitignore"] or os.listdir(home) == [".gitignore", "a"]

    def test_a_taken_name_is_refused_whatever_has_it(self, directory: Directory, home: Path) -> None:
        put(home / "file")
        (home / "dangling").symlink_to("nowhere")
        (home / "inner").mkdir()
        for name in ("file", "dangling", "inner"):
            with pytest.raises(AlreadyExistsError):
                directory.write_atomic(name, [b"new"], replace=False)
            with pytest.raises(AlreadyExistsError):
                directory.create(name, b"new")
        assert sorted(os.listdir(home)) == [".gitignore", "dangling", "file", "inner"]
        assert (home / "file").read_bytes() == b"x"

    def test_a_link_is_replaced_itself_and_a_directory_is_refused(
        self, directory: Directory, home: Path, tmp_path: Path
    ) -> None:
        target = put(tmp_path / "target", b"theirs")
        (home / "link").symlink_to(target)
        (home / "inner").mkdir()
        directory.write_atomic("link", [b"ours"], replace=True)
        with pytest.raises(UnsafeFileError, match="inner: it is a directory"):
            directory.write_atomic("inner", [b"ours"], replace=True)
        assert target.read_bytes() == b"theirs"
        assert not (home / "link").is_symlink() and (home / "link").read_bytes() == b"ours"
        assert sorted(os.listdir(home)) == [".gitignore", "inner", "link"]

    def test_removing_takes_the_name_alone(self, directory: Directory, home: Path, tmp_path: Path) -> None:
        target = put(tmp_path / "target")
        (home / "link").symlink_to(target)
        (home / "inner").mkdir()
        directory.unlink("link")
        directory.unlink("link")
        with pytest.raises(UnsafeFileError, match="inner: it is a directory"):
            directory.unlink("inner")
        assert target.exists()
        assert directory.names() == ["inner"]


class TestScanning:
    def test_scans_at_the_same_time_miss_nothing(self, directory: Directory, home: Path) -> None:
        expected = {f"{number:05}" for number in range(2000)}
        for name in expected:
            (home / name).touch()
        first = directory.entries()
        seen = {next(first).name}
        assert set(directory.names()) == expected
        assert seen | {entry.name for entry in first} == expected

    def test_names_that_are_no_text_are_shown_and_usable(self, directory: Directory, home: Path) -> None:
        (home / os.fsdecode(b"\xff\xfe")).write_bytes(b"odd")
        (name,) = directory.names()
        assert directory.read(name, 10) == b"odd"


class TestSweeping:
    def test_what_a_killed_writer_left_is_removed_and_a_living_writers_file_is_not(
        self, directory: Directory, home: Path
    ) -> None:
        code = (
            "import os, sys; from sessionstore.fs import Directory\n"
            "def chunks():\n"
            "    yield b'x' * 500_000\n"
            "    os.kill(os.getpid(), 9)\n"
            "Directory.open(sys.argv[1]).write_atomic('a', chunks(), replace=True)\n"
        )
        killed = subprocess.run([sys.executable, "-c", code, str(home)], timeout=60)
        assert killed.returncode == -signal.SIGKILL
        assert [is_temporary(name) for name in os.listdir(home) if name != ".gitignore"] == [True]

        def chunks() -> Iterator[bytes]:
            assert directory.sweep() == 1
            assert len([name for name in os.listdir(home) if is_temporary(name)]) == 1
            yield b"alive"

        directory.write_atomic("b", chunks(), replace=True)
        assert directory.read("b", 10) == b"alive"
        assert os.listdir(home) != [] and directory.sweep() == 0

    def test_a_sweep_between_the_making_and_the_lock_loses_nothing(self, directory: Directory, home: Path) -> None:
        swept: list[int] = []

        def hook(frame: object, event: str, arg: object) -> None:
            if event == "c_call" and getattr(arg, "__name__", "") == "flock" and not swept:
                swept.append(0)
                swept[0] = directory.sweep()

        sys.setprofile(hook)
        try:
            directory.write_atomic("a", [b"new"], replace=False)
        finally:
            sys.setprofile(None)
        assert swept == [1]
        assert directory.read("a", 10) == b"new"

    def test_another_users_file_is_not_swept(
        self, directory: Directory, home: Path, give_away: Callable[[Path], None]
    ) -> None:
        give_away(put(home / ".sessionstore-1-0123456789abcdef.tmp"))
        assert directory.sweep() == 0

    def test_what_only_looks_like_ours_is_left_alone(self, directory: Directory, home: Path, tmp_path: Path) -> None:
        name = ".sessionstore-1-0123456789abcdef.tmp"
        (home / name).symlink_to(put(tmp_path / "target"))
        os.mkfifo(home / name.replace("0123", "aaaa"))
        others = [".sessionstore-1-0123456789abcdeg.tmp", "x" + name, name + "x", name + "\n", ".sessionstore.tmp"]
        for other in others:
            put(home / other)
        assert directory.sweep() == 0
        assert set(os.listdir(home)) == {".gitignore", name, name.replace("0123", "aaaa"), *others}
