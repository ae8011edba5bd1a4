"""Recorded projects that are refused at resume, each with its verdict, and what tells a directory from another one."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sessionstore.errors import ProjectPathError
from sessionstore.fs.project import capture, pin, stated
from sessionstore.fs.syscalls import Kernel

Run = Callable[..., list[str]]
Resumed = Callable[..., list[str]]
Refused = Callable[..., ProjectPathError]
ActingAs = Callable[[int], AbstractContextManager[None]]


class TestVerdicts:
    def test_no_identity(self, place: Path, kernel: Kernel, refused: Refused) -> None:
        error = refused(stated(place), kernel=kernel)
        assert error.verdict == "no_identity"
        assert "rebind" in error.hint

    def test_unsupported(self, place: Path, windows: Kernel, refused: Refused) -> None:
        assert refused(capture(place), kernel=windows).verdict == "unsupported"
        assert refused(stated(place), kernel=windows).verdict == "unsupported"

    @pytest.mark.parametrize("path", ["{}/", "{}/.", "{}/../p", "{}//", "p", "", "{}\0", "{}/" + "a" * 256])
    def test_invalid_path(self, place: Path, kernel: Kernel, refused: Refused, path: str) -> None:
        record = replace(capture(place), path=os.fsencode(path.format(place)))
        assert refused(record, kernel=kernel).verdict == "invalid_path"

    @pytest.mark.parametrize("gone", ["p", "a/p"])
    def test_missing(self, place: Path, kernel: Kernel, refused: Refused, gone: str) -> None:
        record = capture(place)
        place.rmdir()
        if gone == "a/p":
            place.parent.rmdir()
        assert refused(record, kernel=kernel).verdict == "missing"
        assert not place.exists()

    def test_missing_because_it_was_moved_and_the_current_directory_is_no_substitute(
        self, place: Path, kernel: Kernel, refused: Refused, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = capture(place)
        place.rename(place.with_name("q"))
        monkeypatch.chdir(place.with_name("q"))
        assert refused(record, kernel=kernel).verdict == "missing"

    def test_missing_because_it_was_deleted_once_it_was_open(self, place: Path, refused: Refused) -> None:
        record = capture(place)

        class Deleting(Kernel):
            def openat2_state(self) -> Any:
                return "available"

            def openat2(self, dir_fd: int, path: bytes, *rest: int) -> int:
                fd = os.open(path, self.directory_flags, dir_fd=dir_fd)
                place.rmdir()
                return fd

        error = refused(record, kernel=Deleting())
        assert (error.verdict, error.detail) == ("missing", "the directory was deleted and is only held open")

    @pytest.mark.parametrize("kind", ["file", "fifo", "socket"])
    @pytest.mark.parametrize("where", ["p", "a"])
    def test_not_a_directory_and_without_waiting_for_it(
        self, place: Path, kernel: Kernel, refused: Refused, monkeypatch: pytest.MonkeyPatch, kind: str, where: str
    ) -> None:
        record = capture(place)
        place.rmdir()
        there = place
        if where == "a":
            place.parent.rmdir()
            there = place.parent
        with socket.socket(socket.AF_UNIX) as held:
            if kind == "file":
                there.touch()
            elif kind == "fifo":
                os.mkfifo(there)
            else:
                monkeypatch.chdir(there.parent)
                held.bind(there.name)
            error = refused(record, kernel=kernel)
            leaf_only = refused(record, kernel=Kernel(None, o_path=None))
        assert (error.verdict, error.detail) == ("not_a_directory", f"{there} is not a directory")
        assert leaf_only.verdict == "not_a_directory"

    @pytest.mark.parametrize("target", ["the project itself", "another directory", "nothing", "itself", "a file"])
    @pytest.mark.parametrize("where", ["p", "a"])
    def test_symlink_names_the_component(
        self, place: Path, kernel: Kernel, refused: Refused, where: str, target: str
    ) -> None:
        record = capture(place)
        link = place if where == "p" else place.parent
        (place / "other").mkdir()
        (place.parent.parent / "file").touch()
        away = link.rename(link.with_name("away"))
        targets = {"the project itself": away, "another directory": "/", "itself": link.name, "a file": "../file"}
        link.symlink_to(targets.get(target, "nothing"))
        for looking in (kernel, Kernel(None, o_path=None)):
            error = refused(record, kernel=looking)
            assert (error.verdict, error.detail) == ("symlink", f"{link} is a symbolic link")

    def test_an_ancestor_that_may_not_be_searched_is_inaccessible_and_may_pass(
        self, shared: Path, kernel: Kernel, refused: Refused, acting_as: ActingAs, somebody: int
    ) -> None:
        (shared / "closed" / "p").mkdir(parents=True)
        record = capture(shared / "closed" / "p")
        (shared / "closed").chmod(0o700)
        with acting_as(somebody):
            error = refused(record, kernel=kernel)
        assert (error.verdict, error.detail) == ("inaccessible", "EACCES, which may pass")

    def test_too_many_open_files_are_never_fine(self, place: Path, kernel: Kernel) -> None:
        record = capture(place)
        kernel.openat2_state()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        for allowed in range(lowest + 4):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            try:
                pin(record, kernel=kernel).close()
            except ProjectPathError as exc:
                assert (exc.verdict, exc.detail) == ("inaccessible", "EMFILE, which may pass")
            else:
                assert allowed >= lowest + 2, "without room for two descriptors nothing can have been opened"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EXDEV, errno.EAGAIN, 9999])
    @pytest.mark.parametrize("where", ["openat2", "handle_on_mount"])
    def test_an_error_nobody_thought_of_is_a_refusal(
        self, place: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, number: int, where: str
    ) -> None:
        def fail(*args: Any) -> Any:
            raise OSError(number, "text")

        kernel = Kernel()
        monkeypatch.setattr(kernel, "openat2_state", lambda: "available")
        if where != "openat2":
            monkeypatch.setattr(kernel, "openat2", lambda fd, path, *rest: os.open(path, os.O_PATH, dir_fd=fd))
        monkeypatch.setattr(kernel, where, fail)
        error = refused(capture(place), kernel=kernel)
        assert error.verdict == "inaccessible"
        assert ("may pass" in error.detail) is (number in (errno.EIO, errno.ESTALE, errno.EAGAIN))

    def test_owner_changed(self, shared: Path, kernel: Kernel, refused: Refused, somebody: int) -> None:
        record = capture(shared, trust=["foreign_owner"])
        os.chown(shared, somebody, -1)
        error = refused(record, kernel=kernel)
        assert error.verdict == "owner_changed"
        assert error.detail == f"it belonged to user 0 and now to user {somebody}"

    def test_owner_changed_to_one_who_would_be_accepted(
        self, shared: Path, kernel: Kernel, refused: Refused, somebody: int
    ) -> None:
        os.chown(shared, somebody, -1)
        record = capture(shared, trust=["foreign_owner"])
        os.chown(shared, 0, -1)
        assert refused(record, kernel=kernel).verdict == "owner_changed"

    def test_foreign_owner_because_another_user_resumes(
        self, shared: Path, kernel: Kernel, refused: Refused, acting_as: ActingAs, somebody: int
    ) -> None:
        os.chown(shared, somebody, somebody)
        with acting_as(somebody):
            record = capture(shared)
        with acting_as(somebody + 1):
            assert refused(record, kernel=kernel).verdict == "foreign_owner"
        assert refused(record, kernel=kernel).verdict == "foreign_owner"

    @pytest.mark.parametrize(
        ("saved", "now", "who"),
        [
            (0o755, 0o775, "the group"), (0o755, 0o757, "others"), (0o700, 0o777, "the group and others"),
            (0o755, 0o1777, "the group and others"), (0o775, 0o777, "others"), (0o757, 0o777, "the group"),
        ],
    )  # fmt: skip
    def test_permissions_widened(
        self, place: Path, kernel: Kernel, refused: Refused, saved: int, now: int, who: str
    ) -> None:
        place.chmod(saved)
        record = capture(place, trust=["world_writable"])
        place.chmod(now)
        error = refused(record, kernel=kernel)
        assert error.verdict == "permissions_widened"
        assert error.detail == f"mode {now:04o}: {who} may write now"

    def test_world_writable_once_the_sticky_bit_is_gone(self, place: Path, kernel: Kernel, refused: Refused) -> None:
        place.chmod(0o1777)
        record = capture(place)
        place.chmod(0o777)
        assert refused(record, kernel=kernel).verdict == "world_writable"

    def test_outside_allowed_roots(self, place: Path, kernel: Kernel, refused: Refused) -> None:
        record = capture(place)
        here = os.fsencode(place)
        for root in (here + b"x", here + b"/below", here[:-1] + b"q", here[:-1], b"/nowhere"):
            error = refused(replace(record, allowed_roots=(root,)), kernel=kernel)
            assert error.verdict == "outside_allowed_roots"

    @pytest.mark.parametrize("mode", [0o757, 0o775, 0o777])
    def test_unsafe_ancestor_only_if_strict(
        self, shared: Path, kernel: Kernel, refused: Refused, resumed: Resumed, mode: int
    ) -> None:
        (shared / "a" / "p").mkdir(parents=True)
        record = capture(shared / "a" / "p")
        assert "ancestor_writable" not in resumed(record, kernel=kernel, strict=True)
        (shared / "a").chmod(mode)
        error = refused(record, kernel=kernel, strict=True)
        assert error.verdict == "unsafe_ancestor"
        assert error.detail.startswith(f"{shared}/a: mode {mode:04o}")
        resumed(record, kernel=kernel)


class TestSecondLook:
    """The look that words a refusal comes later, when everything may be in order again."""

    @pytest.mark.parametrize(
        ("number", "verdict", "detail"),
        [
            (errno.ELOOP, "symlink", "a symbolic link was on the way, and is gone by now"),
            (errno.ENOTDIR, "not_a_directory", "it, or something on the way to it, is not a directory"),
        ],
    )
    @pytest.mark.parametrize("since", ["in order", "removed"])
    def test_never_makes_the_directory_accepted(
        self,
        place: Path,
        refused: Refused,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        verdict: str,
        detail: str,
        since: str,
    ) -> None:
        def fail(*args: Any) -> int:
            raise OSError(number, "text")

        record = capture(place)
        if since == "removed":
            place.rmdir()
        kernel = Kernel()
        monkeypatch.setattr(kernel, "openat2_state", lambda: "available")
        monkeypatch.setattr(kernel, "openat2", fail)
        error = refused(record, kernel=kernel)
        assert (error.verdict, error.detail) == (verdict, detail)
