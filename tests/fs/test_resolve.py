"""Opening a directory by name, and finding the one path that leads back to it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import InvalidValueError
from sessionstore.fs import resolve
from sessionstore.fs.syscalls import KERNEL, Kernel, closing_fd

needs_openat2 = pytest.mark.skipif(
    KERNEL.openat2_state() != "available", reason="this kernel or sandbox has no openat2 (Linux 5.6 outside a sandbox)"
)


class Syscalls:
    """The C library with only `syscall`, which runs `before` each call and fails with the number that it returns."""

    def __init__(self, before: Callable[[int], int]) -> None:
        self._real = ctypes.CDLL(None, use_errno=True)
        self._before = before
        self.calls = 0

    def syscall(self, *args: Any) -> int:
        self.calls += 1
        number = self._before(self.calls)
        if number:
            ctypes.set_errno(number)
            return -1
        return int(self._real.syscall(*args))


@pytest.fixture(params=["openat2", "walk"])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The real kernel, and the same one without openat2."""
    return Kernel() if request.param == "openat2" else Kernel(None)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[tuple[bytes, int]]:
    """A path of more than 5,000 bytes and a descriptor of its directory."""
    path = os.fsencode(tmp_path)
    with ExitStack() as stack:
        fd = stack.enter_context(closing_fd(os.open(path, KERNEL.directory_flags)))
        while len(path) <= 5000:
            os.mkdir(b"d" * 250, dir_fd=fd)
            fd = stack.enter_context(closing_fd(os.open(b"d" * 250, KERNEL.directory_flags, dir_fd=fd)))
            path += b"/" + b"d" * 250
        yield path, fd


def same(fd: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(fd), path.stat())


class TestOpenNofollow:
    def test_opens_the_directory_at_a_path(self, kernel: Kernel, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        with closing_fd(resolve.open_nofollow(kernel, os.fsencode(tmp_path / "a" / "b"))) as fd:
            assert same(fd, tmp_path / "a" / "b")

    def test_opens_the_root_directory(self, kernel: Kernel) -> None:
        with closing_fd(resolve.open_nofollow(kernel, b"/")) as fd:
            assert same(fd, Path("/"))

    @pytest.mark.parametrize("place", ["link", "link/b"])
    def test_a_link_at_the_end_or_on_the_way_is_refused(self, kernel: Kernel, tmp_path: Path, place: str) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "link").symlink_to("a")
        with pytest.raises(OSError) as caught:
            resolve.open_nofollow(kernel, os.fsencode(tmp_path / place))
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)

    def test_a_path_longer_than_the_kernel_takes_is_walked(self, kernel: Kernel, deep: tuple[bytes, int]) -> None:
        path, fd = deep
        with closing_fd(resolve.open_nofollow(kernel, path)) as again:
            assert os.path.samestat(os.fstat(fd), os.fstat(again))

    @pytest.mark.parametrize(
        "path", [b"", b"a", b"/a/", b"//", b"//a", b"/a//b", b"/.", b"/a/../b", b"/a/./b", b"/a\0b", b"./a"]
    )
    def test_a_path_that_is_not_canonical_is_no_path(self, kernel: Kernel, path: bytes) -> None:
        with pytest.raises(InvalidValueError):
            resolve.open_nofollow(kernel, path)

    def test_a_slash_after_a_link_does_not_make_it_followed(self, kernel: Kernel, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "link").symlink_to("a")
        with pytest.raises(InvalidValueError):
            resolve.open_nofollow(kernel, os.fsencode(tmp_path) + b"/link/")

    @needs_openat2
    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
    def test_a_sandbox_entered_later_makes_it_walk(self, tmp_path: Path, number: int) -> None:
        libc = Syscalls(lambda call: number if call > 1 else 0)
        kernel = Kernel(libc)
        for _ in range(2):
            with closing_fd(resolve.open_nofollow(kernel, os.fsencode(tmp_path))) as fd:
                assert same(fd, tmp_path)
        assert libc.calls == 3

    @needs_openat2
    def test_an_error_of_the_file_system_is_not_walked_around(self, tmp_path: Path) -> None:
        kernel = Kernel(Syscalls(lambda call: errno.EIO if call > 1 else 0))
        with pytest.raises(OSError) as caught:
            resolve.open_nofollow(kernel, os.fsencode(tmp_path))
        assert caught.value.errno == errno.EIO

    def test_leaves_no_descriptor_behind(self, kernel: Kernel, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        before = os.listdir("/proc/self/fd")
        os.close(resolve.open_nofollow(kernel, os.fsencode(tmp_path)))
        with pytest.raises(NotADirectoryError):
            resolve.open_nofollow(kernel, os.fsencode(tmp_path / "file"))
        assert os.listdir("/proc/self/fd") == before


@pytest.fixture(params=["proc", "no proc"])
def teller(request: pytest.FixtureRequest) -> Kernel:
    """The real kernel, and the same one without /proc."""
    return Kernel() if request.param == "proc" else Kernel(proc_fds=b"/nowhere/fd")


def canonical(kernel: Kernel, spelling: bytes) -> bytes | None:
    with closing_fd(resolve.open_following(kernel, spelling)) as fd:
        return resolve.canonical_path(kernel, fd, spelling)


class TestCanonicalPath:
    @pytest.mark.parametrize("spelling", ["a/b", "a//b/", "a/./b/.", "link/b", "link/../a/b", "over"])
    def test_is_one_for_all_spellings(
        self, teller: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
    ) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "link").symlink_to("a")
        (tmp_path / "over").symlink_to(tmp_path / "link" / "b")
        monkeypatch.chdir(tmp_path)
        expected = os.fsencode(tmp_path.resolve() / "a" / "b")
        assert canonical(teller, os.fsencode(spelling)) == expected
        assert canonical(teller, b"//" + os.fsencode(tmp_path) + b"/" + os.fsencode(spelling)) == expected

    def test_a_parent_after_a_link_is_the_parent_of_its_target(self, teller: Kernel, tmp_path: Path) -> None:
        for name in ("a/x", "b/x", "b/c"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "a" / "link").symlink_to("../b/c")
        found = canonical(teller, os.fsencode(tmp_path) + b"/a/link/../x")
        assert found == os.fsencode(tmp_path.resolve() / "b" / "x")

    def test_the_root_directory_is_a_slash(self, teller: Kernel) -> None:
        assert canonical(teller, b"//") == b"/"

    def test_a_directory_may_be_called_deleted(self, teller: Kernel, tmp_path: Path) -> None:
        (tmp_path / "x (deleted)").mkdir()
        spelling = os.fsencode(tmp_path / "x (deleted)")
        assert canonical(teller, spelling) == os.fsencode(tmp_path.resolve() / "x (deleted)")

    def test_a_deleted_directory_has_none_even_if_another_is_called_deleted(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        (tmp_path / "x (deleted)").mkdir()
        with closing_fd(resolve.open_following(KERNEL, os.fsencode(tmp_path / "x"))) as fd:
            (tmp_path / "x").rmdir()
            assert resolve.proc_path(KERNEL, fd) == os.fsencode(tmp_path.resolve() / "x (deleted)")
            assert resolve.canonical_path(KERNEL, fd, os.fsencode(tmp_path / "x")) is None

    def test_a_deleted_directory_has_none(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        with closing_fd(resolve.open_following(KERNEL, os.fsencode(tmp_path / "x"))) as fd:
            (tmp_path / "x").rmdir()
            assert resolve.canonical_path(KERNEL, fd, b"") is None

    def test_a_directory_swapped_while_it_is_asked_for_has_none(self, tmp_path: Path) -> None:
        # Whatever stands under the name must be the directory that was opened, also without /proc.
        (tmp_path / "x").mkdir()
        kernel = Kernel(proc_fds=b"/nowhere/fd")
        with closing_fd(resolve.open_following(kernel, os.fsencode(tmp_path / "x"))) as fd:
            (tmp_path / "x").rename(tmp_path / "y")
            (tmp_path / "x").mkdir()
            assert resolve.canonical_path(kernel, fd, os.fsencode(tmp_path / "x")) is None
            assert resolve.canonical_path(KERNEL, fd, b"") == os.fsencode(tmp_path.resolve() / "y")

    def test_text_that_is_no_absolute_path_is_none(self, tmp_path: Path) -> None:
        with closing_fd(resolve.open_following(KERNEL, os.fsencode(tmp_path))) as fd:
            (tmp_path / str(fd)).symlink_to("somewhere")
            assert resolve.canonical_path(Kernel(proc_fds=os.fsencode(tmp_path)), fd, b"") is None

    def test_a_path_too_long_to_tell_is_an_error(self, deep: tuple[bytes, int]) -> None:
        with pytest.raises(OSError) as caught:
            resolve.canonical_path(KERNEL, deep[1], b".")
        assert caught.value.errno == errno.ENAMETOOLONG

    @needs_openat2
    def test_an_error_while_opening_it_again_is_an_error(self, tmp_path: Path) -> None:
        kernel = Kernel(Syscalls(lambda call: errno.EIO if call > 1 else 0))
        with pytest.raises(OSError) as caught:
            canonical(kernel, os.fsencode(tmp_path))
        assert caught.value.errno == errno.EIO


class TestIsInside:
    @pytest.mark.parametrize(
        ("path", "root", "inside"),
        [
            (b"/a/b", b"/a", True),
            (b"/a", b"/a", True),
            (b"/a", b"/", True),
            (b"/", b"/", True),
            (b"/ab", b"/a", False),
            (b"/a", b"/a/b", False),
            (b"/", b"/a", False),
            (b"/A/b", b"/a", False),
            (b"/b/a", b"/a", False),
        ],
    )
    def test_compares_whole_components(self, path: bytes, root: bytes, inside: bool) -> None:
        assert resolve.is_inside(path, root) is inside


class TestAncestry:
    def test_names_every_directory_up_to_the_root(self, kernel: Kernel, tmp_path: Path) -> None:
        place = tmp_path.resolve()
        expected = tuple((status.st_dev, status.st_ino) for status in (d.stat() for d in (place, *place.parents)))
        assert resolve.ancestry(kernel, os.fsencode(tmp_path)) == expected

    def test_climbs_from_where_a_link_leads(self, kernel: Kernel, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "link").symlink_to("a/b")
        found = resolve.ancestry(kernel, os.fsencode(tmp_path / "link"))
        assert found == resolve.ancestry(kernel, os.fsencode(tmp_path / "a" / "b"))

    def test_of_the_root_directory_is_itself(self, kernel: Kernel) -> None:
        status = os.stat("/")
        assert resolve.ancestry(kernel, b"/") == ((status.st_dev, status.st_ino),)

    def test_leaves_no_descriptor_behind(self, kernel: Kernel, tmp_path: Path) -> None:
        before = os.listdir("/proc/self/fd")
        resolve.ancestry(kernel, os.fsencode(tmp_path))
        assert os.listdir("/proc/self/fd") == before
