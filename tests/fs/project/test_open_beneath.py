"""Opening things in a held project, and nothing outside of it."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs.project import ProjectRoot, capture, pin
from sessionstore.fs.syscalls import KERNEL, Kernel

Run = Callable[..., list[str]]

needs_openat2 = pytest.mark.skipif(
    KERNEL.openat2_state() != "available", reason="this kernel or sandbox has no openat2 (Linux 5.6 outside a sandbox)"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project with a file, and a secret beside it."""
    made = tmp_path.resolve() / "p"
    (made / "a" / "b").mkdir(parents=True)
    (made / "a" / "file").write_text("mine")
    (tmp_path / "secret").write_text("theirs")
    return made


@pytest.fixture
def root(place: Path, kernel: Kernel) -> Iterator[ProjectRoot]:
    with pin(capture(place), kernel=kernel) as held:
        yield held


@pytest.fixture
def resolving(place: Path) -> Iterator[ProjectRoot]:
    """Held on a system with openat2."""
    with pin(capture(place)) as held:
        yield held


def read(root: ProjectRoot, rel: Any) -> str:
    with open(root.open(rel)) as file:
        return file.read()


def verdict(root: ProjectRoot, rel: Any, *arguments: int) -> str:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ProjectPathError) as caught:
        root.open(rel, *arguments)
    assert os.listdir("/proc/self/fd") == before
    return str(caught.value.verdict)


class TestOpen:
    @pytest.mark.parametrize("rel", ["a/file", b"a/file", Path("a/file"), "a//file", "./a/./file"])
    def test_opens_by_any_kind_of_relative_path(self, root: ProjectRoot, rel: Any) -> None:
        assert read(root, rel) == "mine"

    @pytest.mark.parametrize("rel", [".", "./", "a", "a/", "a/b/.", "a/b//"])
    def test_opens_directories(self, root: ProjectRoot, place: Path, rel: str) -> None:
        fd = root.open(rel)
        assert os.path.samestat(os.fstat(fd), (place / rel).stat())
        os.listdir(fd)
        os.close(fd)

    def test_follows_the_directory_and_not_its_name(self, root: ProjectRoot, place: Path) -> None:
        place.rename(place.with_name("moved"))
        (place / "a").mkdir(parents=True)
        (place / "a" / "file").write_text("theirs")
        assert read(root, "a/file") == "mine"

    def test_serves_as_an_opener(self, root: ProjectRoot, place: Path) -> None:
        with open("a/new", "w", opener=root.open) as file:
            file.write("text")
        with open("a/new", "a+b", opener=root.open) as file:
            file.write(b"more")
        with pytest.raises(ProjectPathError, match="EEXIST"):
            root.open("a/new", os.O_CREAT | os.O_EXCL)
        assert (place / "a" / "new").read_text() == "textmore"

    def test_makes_a_file_with_the_mode_asked_for_less_the_umask(self, root: ProjectRoot, place: Path) -> None:
        old = os.umask(0o027)
        try:
            os.close(root.open("made", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o666))
        finally:
            os.umask(old)
        assert stat.S_IMODE((place / "made").stat().st_mode) == 0o640

    def test_takes_flags_that_only_name_a_thing(self, root: ProjectRoot, place: Path) -> None:
        (place / "link").symlink_to("a/file")
        fd = root.open("a/file", os.O_PATH)
        assert stat.S_ISREG(os.fstat(fd).st_mode)
        os.close(fd)
        fd = root.open("link", os.O_PATH | os.O_NOFOLLOW)
        assert stat.S_ISLNK(os.fstat(fd).st_mode)
        os.close(fd)

    def test_the_descriptor_is_not_inherited_and_waits_as_usual(self, root: ProjectRoot) -> None:
        fd = root.open("a/file")
        assert not os.get_inheritable(fd)
        assert os.get_blocking(fd)
        os.close(fd)
        fd = root.open("a/file", os.O_RDONLY | os.O_NONBLOCK)
        assert not os.get_blocking(fd)
        os.close(fd)

    @pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY])
    def test_does_not_wait_for_a_fifo(self, root: ProjectRoot, place: Path, flags: int) -> None:
        os.mkfifo(place / "fifo")
        if flags == os.O_WRONLY:
            assert verdict(root, "fifo", flags) == "inaccessible"
        else:
            assert read(root, "fifo") == ""

    @pytest.mark.parametrize(
        ("rel", "expected"),
        [
            ("", "invalid_path"), ("a\0b", "invalid_path"), ("/", "invalid_path"), ("/etc", "invalid_path"),
            ("//", "invalid_path"), ("x" * 256, "invalid_path"), ("nothing", "missing"), ("nothing/x", "missing"),
            ("a/file/x", "not_a_directory"), ("a/file/", "not_a_directory"), ("a/file/.", "not_a_directory"),
            ("..", "outside_allowed_roots"), ("../secret", "outside_allowed_roots"),
            ("a/../../secret", "outside_allowed_roots"), ("../p/a/file", "outside_allowed_roots"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, root: ProjectRoot, rel: str, expected: str) -> None:
        assert verdict(root, rel) == expected

    def test_the_absolute_path_of_something_inside_is_refused_too(self, root: ProjectRoot, place: Path) -> None:
        assert verdict(root, place / "a" / "file") == "invalid_path"

    def test_what_is_no_path_is_a_wrong_argument(self, root: ProjectRoot) -> None:
        with pytest.raises(InvalidValueError, match="rel"):
            root.open(3)  # type: ignore[arg-type]

    def test_the_cause_is_what_the_system_said(self, root: ProjectRoot) -> None:
        with pytest.raises(ProjectPathError) as caught:
            root.open("nothing")
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        assert caught.value.path.endswith("/p/nothing")


OUTWARD = ["../secret", "{}/secret", "a/../../secret", "/proc/self/cwd", "/proc/self/root"]


class TestLinks:
    @pytest.mark.parametrize("target", OUTWARD)
    @pytest.mark.parametrize("where", ["last", "on the way"])
    def test_that_lead_out_are_refused(
        self, root: ProjectRoot, place: Path, tmp_path: Path, target: str, where: str
    ) -> None:
        target = target.format(tmp_path)
        if where == "last":
            (place / "link").symlink_to(target)
            assert verdict(root, "link") in ("outside_allowed_roots", "symlink")
            assert verdict(root, "link", os.O_PATH) in ("outside_allowed_roots", "symlink")
        else:
            (place / "link").symlink_to(os.path.dirname(target))
            assert verdict(root, "link/secret") in ("outside_allowed_roots", "symlink")

    @needs_openat2
    def test_a_magic_one_is_a_link_that_is_never_followed_wherever_it_leads(self) -> None:
        if not os.path.exists("/proc/self/root"):
            pytest.skip("there is no /proc")
        with pin(capture("/")) as everything:
            assert verdict(everything, "proc/self/root") == "symlink"
            assert verdict(everything, "proc/self/cwd/x") == "symlink"

    def test_a_file_is_not_made_through_one(self, root: ProjectRoot, place: Path, tmp_path: Path) -> None:
        (place / "link").symlink_to("../made")
        assert verdict(root, "link", os.O_CREAT | os.O_WRONLY) in ("outside_allowed_roots", "symlink")
        assert not (tmp_path / "made").exists()

    def test_a_circle_is_refused(self, root: ProjectRoot, place: Path) -> None:
        (place / "loop").symlink_to("loop")
        assert verdict(root, "loop") == "symlink"

    def test_the_last_one_is_not_followed_if_the_caller_says_so(self, root: ProjectRoot, place: Path) -> None:
        (place / "link").symlink_to("a/file")
        assert verdict(root, "link", os.O_RDONLY | os.O_NOFOLLOW) == "symlink"

    def test_a_path_that_grows_too_long_inside_does_not_get_out(
        self, root: ProjectRoot, place: Path, tmp_path: Path
    ) -> None:
        # os.path.realpath gives up half way through such a path and calls the rest of it inside.
        deep = "/".join(["d" * 200] * 12)
        (place / deep).mkdir(parents=True)
        (place / "a" / "down").symlink_to(f"../{deep}")
        (place / deep / "again").symlink_to("../" * 12 + deep)
        (place / deep / "out").symlink_to("../" * 13)
        assert verdict(root, "a/down/again/again/again/out/secret") in ("outside_allowed_roots", "symlink")

    @needs_openat2
    def test_inside_are_followed(self, resolving: ProjectRoot, place: Path) -> None:
        (place / "link").symlink_to("a/b/../file")
        (place / "dir").symlink_to("./a")
        assert read(resolving, "link") == "mine"
        assert read(resolving, "dir/file") == "mine"

    @needs_openat2
    def test_a_parent_after_one_is_the_parent_of_its_target(self, resolving: ProjectRoot, place: Path) -> None:
        (place / "x").write_text("beside the link")
        (place / "a" / "x").write_text("beside its target")
        (place / "link").symlink_to("a/b")
        assert read(resolving, "link/../x") == "beside its target"

    @pytest.mark.parametrize("rel", ["link", "dir/file", "dir/b/", "a/../a/file", "a/.."])
    def test_without_openat2_not_even_those_that_stay_inside(self, place: Path, rel: str) -> None:
        (place / "link").symlink_to("a/file")
        (place / "dir").symlink_to("a")
        with pin(capture(place), kernel=Kernel(None)) as root:
            assert verdict(root, rel) == ("symlink" if ".." not in rel else "outside_allowed_roots")
            assert verdict(root, rel, os.O_PATH) == ("symlink" if ".." not in rel else "outside_allowed_roots")


class TestBetweenCalls:
    @needs_openat2
    def test_a_sandbox_entered_since_makes_it_walk(self, place: Path) -> None:
        class Sandboxed(Kernel):
            entered = False

            def openat2(self, *arguments: Any) -> int:
                if self.entered:
                    raise OSError(errno.EPERM, "text")
                return super().openat2(*arguments)

        (place / "link").symlink_to("a")
        kernel = Sandboxed()
        with pin(capture(place), kernel=kernel) as root:
            kernel.entered = True
            assert read(root, "a/file") == "mine"
            assert verdict(root, "link/file") == "symlink"

    @needs_openat2
    @pytest.mark.parametrize("times", [15, 16])
    def test_a_rename_that_unsettles_the_kernel_is_tried_again_and_not_for_ever(self, place: Path, times: int) -> None:
        class Unsettled(Kernel):
            left = 0

            def openat2(self, *arguments: Any) -> int:
                if self.left:
                    self.left -= 1
                    raise OSError(errno.EAGAIN, "text")
                return super().openat2(*arguments)

        kernel = Unsettled()
        with pin(capture(place), kernel=kernel) as root:
            kernel.left = times
            if times == 16:
                assert verdict(root, "a/../a/file") == "inaccessible"
            else:
                assert read(root, "a/../a/file") == "mine"

    def test_a_component_removed_while_a_refusal_is_worded_is_one_all_the_same(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.stat

        def removing(path: Any, **arguments: Any) -> os.stat_result:
            if path == b"link":
                raise FileNotFoundError(errno.ENOENT, "text")
            return real(path, **arguments)

        (place / "link").symlink_to("a")
        with pin(capture(place), kernel=Kernel(None)) as root:
            monkeypatch.setattr(os, "stat", removing)
            assert verdict(root, "link/file") == "not_a_directory"

    def test_a_component_exchanged_all_the_time_never_lets_it_out(
        self, root: ProjectRoot, place: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("theirs")
        stop = threading.Event()

        def attack() -> None:
            (place / "link").symlink_to("..")
            while not stop.is_set():
                (place / "a").rename(place / "aside")
                (place / "link").rename(place / "a")
                (place / "a").rename(place / "link")
                (place / "aside").rename(place / "a")

        attacker = threading.Thread(target=attack)
        attacker.start()
        try:
            seen = set()
            for _ in range(300):
                try:
                    seen.add(read(root, "a/file"))
                except ProjectPathError as exc:
                    seen.add(exc.verdict)
        finally:
            stop.set()
            attacker.join()
        assert seen <= {"mine", "missing", "symlink", "outside_allowed_roots", "not_a_directory", "inaccessible"}
