"""Reading and judging one file of a directory: caps, kinds, owners, modes, links."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.errors import (
    KeyPermissionsError,
    TooLargeError,
    UnsafeFileError,
)
from sessionstore.fs import Directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def put(path: Path, content: bytes = b"x", permissions: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(permissions)
    return path


class TestReading:
    def test_the_cap_is_a_size_that_is_still_read(self, directory: Directory, home: Path) -> None:
        put(home / "a", b"12345")
        assert directory.read("a", 5) == b"12345"
        with pytest.raises(TooLargeError) as caught:
            directory.read("a", 4)
        assert (caught.value.size_bytes, caught.value.limit_bytes) == (5, 4)
        assert directory.read("missing", 4) is None

    def test_the_cap_holds_whatever_the_size_says(self) -> None:
        here = f"/proc/{os.getpid()}"
        if not os.path.exists(here):
            pytest.skip("needs /proc")
        with Directory.open(here) as proc:
            status = proc.stat("status")
            assert status is not None and status.st_size == 0
            with pytest.raises(TooLargeError):
                proc.read("status", 10)

    def test_what_is_no_ordinary_file_is_named_and_never_waited_for(
        self, directory: Directory, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(tmp_path / "target")
        (home / "link").symlink_to(tmp_path / "target")
        (home / "dangling").symlink_to(tmp_path / "missing")
        os.mkfifo(home / "fifo", 0o600)
        (home / "inner").mkdir()
        monkeypatch.chdir(home)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
            kinds = {
                "link": "a symbolic link",
                "dangling": "a symbolic link",
                "fifo": "a FIFO",
                "inner": "a directory",
                "socket": "a socket",
            }
            for name, kind in kinds.items():
                for writable in (False, True):
                    with pytest.raises(UnsafeFileError) as caught:
                        directory.open_file(name, writable=writable)
                    assert (caught.value.name, caught.value.reason) == (name, f"it is {kind}")

    def test_another_users_file_is_refused(
        self, directory: Directory, home: Path, give_away: Callable[[Path], None]
    ) -> None:
        give_away(put(home / "a"))
        for writable in (False, True):
            with pytest.raises(UnsafeFileError, match="it belongs to user id 65534, this process runs as 0"):
                directory.open_file("a", writable=writable)

    @pytest.mark.parametrize("permissions", [0o640, 0o604, 0o620, 0o602, 0o777])
    def test_a_loose_mode_is_told_and_mended_when_opened_to_write(
        self, directory: Directory, home: Path, permissions: int
    ) -> None:
        put(home / "a", permissions=permissions)
        for writable, notices, after in ((False, ("loose_mode",), permissions), (True, ("loose_mode",), 0o600)):
            with directory.open_file("a", writable=writable) or pytest.fail("missing") as file:
                assert file.notices == notices
            assert mode(home / "a") == after
        with directory.open_file("a", writable=True) or pytest.fail("missing") as file:
            assert file.notices == ()

    def test_a_file_with_several_links_is_told_and_its_mode_is_left_alone(
        self, directory: Directory, home: Path, tmp_path: Path
    ) -> None:
        os.link(put(tmp_path / "other", permissions=0o644), home / "a")
        with directory.open_file("a", writable=True) or pytest.fail("missing") as file:
            assert set(file.notices) == {"several_links", "loose_mode"}
        assert mode(tmp_path / "other") == 0o644

    @pytest.mark.parametrize("permissions", [0o640, 0o604, 0o610, 0o601])
    def test_strict_refuses_what_others_may_touch_and_does_not_mend_it(
        self, directory: Directory, home: Path, permissions: int
    ) -> None:
        put(home / "a", permissions=permissions)
        for writable in (False, True):
            with pytest.raises(UnsafeFileError, match=f"others may read or write it .mode {permissions:04o}"):
                directory.open_file("a", writable=writable, strict=True)
        assert mode(home / "a") == permissions

    def test_strict_refuses_several_links(self, directory: Directory, home: Path, tmp_path: Path) -> None:
        os.link(put(home / "a"), tmp_path / "other")
        with pytest.raises(UnsafeFileError, match="it has 2 links"):
            directory.read("a", 10, strict=True)
        (tmp_path / "other").unlink()
        assert directory.read("a", 10, strict=True) == b"x"

    def test_the_caller_chooses_the_error(self, directory: Directory, home: Path) -> None:
        put(home / "key", permissions=0o644)
        with pytest.raises(KeyPermissionsError, match="others may read"):
            directory.read("key", 10, strict=True, refuse=lambda why: KeyPermissionsError(path="key", reason=why))

    def test_descriptors_are_not_inherited(self, directory: Directory, home: Path) -> None:
        put(home / "a")
        with directory.open_file("a") or pytest.fail("missing") as file:
            assert not os.get_inheritable(file.fd)
