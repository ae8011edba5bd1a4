"""Directories that are refused, each with its verdict, and what a caller can vouch for."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs import project
from sessionstore.fs.project import ancestry, capture, capture_or_state
from sessionstore.fs.syscalls import KERNEL, Kernel

Run = Callable[..., list[str]]
ActingAs = Callable[[int], AbstractContextManager[None]]

needs_openat2 = pytest.mark.skipif(
    KERNEL.openat2_state() != "available", reason="this kernel or sandbox has no openat2 (Linux 5.6 outside a sandbox)"
)


def refusal(path: Any, **arguments: Any) -> ProjectPathError:
    with pytest.raises(ProjectPathError) as caught:
        capture(path, **arguments)
    assert caught.value.code == "project_path_security_violation"
    return caught.value


def verdict(path: Any, **arguments: Any) -> str:
    return str(refusal(path, **arguments).verdict)


class TestRefused:
    @pytest.mark.parametrize("path", ["", b"", "\0", "{}\0/x", "\ud800", "a" * 256, "/a" * 2100])
    def test_what_cannot_be_a_path(self, tmp_path: Path, path: str | bytes) -> None:
        given = path.format(tmp_path) if isinstance(path, str) else path
        assert verdict(given) == "invalid_path"

    def test_nothing_there(self, tmp_path: Path) -> None:
        (tmp_path / "dangling").symlink_to("nothing")
        assert verdict(tmp_path / "p") == "missing"
        assert verdict(tmp_path / "dangling") == "missing"
        assert verdict(tmp_path / "p" / "q") == "missing"
        assert not (tmp_path / "p").exists()

    def test_neither_tilde_nor_percent_encoding_is_resolved(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert verdict("~") == "missing"
        assert verdict("%2e") == "missing"
        assert verdict("$HOME") == "missing"

    def test_a_deleted_current_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "p").mkdir()
        monkeypatch.chdir(tmp_path / "p")
        (tmp_path / "p").rmdir()
        (tmp_path / "p (deleted)").mkdir()
        assert verdict(".") == "missing"
        assert "deleted" in refusal(".").detail

    @pytest.mark.parametrize("kind", ["file", "fifo", "socket", "device"])
    def test_something_that_is_no_directory_and_without_waiting_for_it(self, tmp_path: Path, kind: str) -> None:
        path = {"device": Path("/dev/null")}.get(kind, tmp_path / kind)
        with socket.socket(socket.AF_UNIX) as held:
            if kind == "file":
                path.touch()
            elif kind == "fifo":
                os.mkfifo(path)
            elif kind == "socket":
                held.bind(os.fspath(path))
            assert verdict(path) == "not_a_directory"
            assert verdict(f"{path}/") == "not_a_directory"
            assert verdict(path / "below") == "not_a_directory"
            assert verdict(path, kernel=Kernel(None, o_path=None)) == "not_a_directory"

    def test_a_loop_of_links(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        assert (refusal(tmp_path / "loop").verdict, refusal(tmp_path / "loop").detail) == ("inaccessible", "ELOOP")

    def test_an_ancestor_that_may_not_be_searched(self, shared: Path, acting_as: ActingAs, somebody: int) -> None:
        (shared / "closed" / "p").mkdir(parents=True)
        (shared / "closed").chmod(0o700)
        with acting_as(somebody):
            error = refusal(shared / "closed" / "p")
        assert (error.verdict, error.detail) == ("inaccessible", "EACCES, which may pass")

    def test_too_many_open_files(self, tmp_path: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(ProjectPathError) as caught:
                capture(tmp_path)
            with pytest.raises(ProjectPathError) as stated_instead:
                capture_or_state(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (caught.value.verdict, caught.value.detail) == ("inaccessible", "EMFILE, which may pass")
        assert stated_instead.value.verdict == "inaccessible"

    @needs_openat2
    def test_a_directory_swapped_between_the_two_openings(self, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "other").mkdir()
        KERNEL.openat2_state()
        real = ctypes.CDLL(None, use_errno=True)

        class Attacker:
            calls = 0

            def syscall(self, *args: Any) -> int:
                self.calls += 1
                if self.calls == 2:  # the first asks whether openat2 exists, the second opens the canonical path
                    (tmp_path / "p").rename(tmp_path / "away")
                    (tmp_path / "other").rename(tmp_path / "p")
                return int(real.syscall(*args))

        assert verdict(tmp_path / "p", kernel=Kernel(Attacker())) == "replaced"

    def test_a_system_that_cannot_hold_a_directory_open(self, tmp_path: Path, windows: Kernel) -> None:
        assert verdict(tmp_path, kernel=windows) == "unsupported"
        assert verdict(tmp_path / "p", kernel=windows) == "unsupported"
        with pytest.raises(ProjectPathError, match="unsupported"):
            ancestry(tmp_path, kernel=windows)


class TestOwner:
    def test_a_stranger_is_refused_and_can_be_vouched_for(self, shared: Path, somebody: int) -> None:
        os.chown(shared, somebody, somebody)
        error = refusal(shared)
        assert (error.verdict, error.detail) == ("foreign_owner", f"it belongs to user {somebody}")
        assert "foreign_owner" in error.hint
        record = capture(shared, trust=["foreign_owner"])
        assert (record.owner_uid, record.trust) == (somebody, ("foreign_owner",))

    def test_who_is_not_root_cannot_claim_to_have_been_called_by_sudo(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch, acting_as: ActingAs, somebody: int
    ) -> None:
        os.chown(shared, somebody + 1, somebody + 1)
        monkeypatch.setenv("SUDO_UID", str(somebody + 1))
        with acting_as(somebody):
            assert verdict(shared) == "foreign_owner"

    @pytest.mark.parametrize(
        ("euid", "sudo_uid", "expected"),
        [
            (1000, None, {0, 1000}),
            (1000, "2000", {0, 1000}),
            (0, None, {0}),
            (0, "", {0}),
            (0, "2000", {0, 2000}),
            (0, "-1", {0}),
            (0, "2000 ", {0}),
            (0, "\u0662", {0}),
            (0, "alice", {0}),
        ],
    )
    def test_accepted_are_this_user_root_and_the_caller_of_sudo(
        self, euid: int, sudo_uid: str | None, expected: set[int]
    ) -> None:
        environ = {} if sudo_uid is None else {"SUDO_UID": sudo_uid}
        assert project.accepted_owners(euid, environ) == expected


class TestWorldWritable:
    @pytest.mark.parametrize("mode", [0o777, 0o707, 0o702, 0o2777])
    def test_is_refused_and_can_be_vouched_for(self, tmp_path: Path, mode: int) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p").chmod(mode)
        error = refusal(tmp_path / "p")
        assert error.verdict == "world_writable"
        assert f"{mode:04o}" in error.detail
        record = capture(tmp_path / "p", trust=("world_writable",))
        assert (record.mode, record.trust) == (mode, ("world_writable",))

    def test_one_word_does_not_vouch_for_the_other(self, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p").chmod(0o777)
        assert verdict(tmp_path / "p", trust=["foreign_owner"]) == "world_writable"


class TestTrust:
    def test_is_recorded_once_and_also_if_not_needed(self, tmp_path: Path) -> None:
        record = capture(tmp_path, trust=["world_writable", "foreign_owner", "world_writable"])
        assert record.trust == ("world_writable", "foreign_owner")

    @pytest.mark.parametrize("trust", [["everything"], ["foreign_owner", ""], "foreign_owner", "", [3]])
    def test_an_unknown_word_is_a_wrong_argument(self, tmp_path: Path, trust: Sequence[str]) -> None:
        with pytest.raises(InvalidValueError):
            capture(tmp_path, trust=trust)


class TestAllowedRoots:
    def test_are_recorded_in_canonical_form_and_once(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "p").mkdir(parents=True)
        (tmp_path / "link").symlink_to("a")
        record = capture(
            tmp_path / "a" / "p", allowed_roots=[f"{tmp_path}//link/", tmp_path / "a", os.fsencode(tmp_path)]
        )
        place = os.fsencode(tmp_path.resolve())
        assert record.allowed_roots == (place + b"/a", place)

    def test_the_root_itself_is_inside_and_any_of_several_will_do(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        assert capture(tmp_path / "a", allowed_roots=[tmp_path / "b", tmp_path / "a"]).has_identity

    @pytest.mark.parametrize("root", ["{}/a", "{}/pp", "{}/p/below"])
    def test_a_project_elsewhere_is_refused(self, tmp_path: Path, root: str) -> None:
        for name in ("a", "p/below", "pp"):
            (tmp_path / name).mkdir(parents=True)
        assert verdict(tmp_path / "p", allowed_roots=[root.format(tmp_path)]) == "outside_allowed_roots"

    def test_a_link_inside_to_a_directory_outside_is_outside(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "p").mkdir()
        (tmp_path / "root" / "link").symlink_to("../p")
        assert verdict(tmp_path / "root" / "link", allowed_roots=[tmp_path / "root"]) == "outside_allowed_roots"
        assert verdict(f"{tmp_path}/root/../p", allowed_roots=[tmp_path / "root"]) == "outside_allowed_roots"

    def test_a_root_that_cannot_be_opened_is_refused_by_its_own_name(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, allowed_roots=[tmp_path / "nothing"])
        assert (error.verdict, error.path) == ("missing", os.fspath(tmp_path / "nothing"))

    def test_one_path_instead_of_a_collection_is_a_wrong_argument(self, tmp_path: Path) -> None:
        for roots in (os.fspath(tmp_path), os.fsencode(tmp_path), tmp_path):
            with pytest.raises(InvalidValueError, match="allowed_roots"):
                capture(tmp_path, allowed_roots=roots)  # type: ignore[arg-type]
