"""What a record holds, with identity and without, and what is told about the system."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sessionstore.errors import ProjectPathError
from sessionstore.fs.project import (
    PinningReport,
    ancestry,
    capability,
    capture,
    capture_or_state,
    pinning_report,
    stated,
)
from sessionstore.fs.syscalls import FUSE_SUPER_MAGIC, KERNEL, Kernel
from sessionstore.model.records import ProjectRecord

Run = Callable[..., list[str]]
ActingAs = Callable[[int], AbstractContextManager[None]]


class TestCapture:
    def test_records_what_the_kernel_says_of_the_directory(self, tmp_path: Path) -> None:
        place = tmp_path / "p"
        place.mkdir()
        place.chmod(0o2750)
        record = capture(place)
        status = place.stat()
        assert record.has_identity
        assert record == ProjectRecord(
            path=os.fsencode(place.resolve()),
            given_path=os.fsencode(place),
            inode=status.st_ino,
            handle=record.handle,
            handle_type=record.handle_type,
            birth_time_ns=record.birth_time_ns,
            fs_type=record.fs_type,
            device=status.st_dev,
            fsid=os.statvfs(place).f_fsid,
            owner_uid=status.st_uid,
            owner_gid=status.st_gid,
            mode=0o2750,
            capability="full",
        )
        assert (record.handle is None) == (record.handle_type is None)
        assert isinstance(record.fs_type, int)

    def test_is_the_same_again_for_the_same_directory(self, tmp_path: Path) -> None:
        first = capture(tmp_path)
        (tmp_path / "file").write_text("contents changed")
        assert capture(tmp_path) == first

    def test_tells_a_directory_from_one_made_later_under_the_same_name(self, tmp_path: Path) -> None:
        seen = set()
        for _ in range(10):
            (tmp_path / "p").mkdir()
            record = capture(tmp_path / "p")
            if record.handle is None and record.birth_time_ns is None:
                pytest.skip("the file system of the temporary directory has neither handles nor birth times")
            seen.add((record.inode, record.handle, record.birth_time_ns))
            (tmp_path / "p").rmdir()
        assert len(seen) == 10

    def test_changes_nothing_in_the_directory(self, tmp_path: Path) -> None:
        before = tmp_path.stat()
        capture(tmp_path)
        after = tmp_path.stat()
        assert (before.st_mtime_ns, before.st_ctime_ns, list(tmp_path.iterdir())) == (
            after.st_mtime_ns,
            after.st_ctime_ns,
            [],
        )

    def test_leaves_no_descriptor_behind(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        before = os.listdir("/proc/self/fd")
        capture(tmp_path, allowed_roots=[tmp_path])
        with pytest.raises(ProjectPathError, match="not_a_directory"):
            capture(tmp_path / "file")
        assert os.listdir("/proc/self/fd") == before

    def test_a_handle_that_lasts_only_as_long_as_the_mount_is_left_out(self, tmp_path: Path) -> None:
        class Fuse(Kernel):
            def fs_type(self, fd: int) -> int:
                return FUSE_SUPER_MAGIC

        record = capture(tmp_path, kernel=Fuse())
        assert (record.handle, record.handle_type, record.fs_type) == (None, None, FUSE_SUPER_MAGIC)


class TestStated:
    @pytest.mark.parametrize("path", ["C:\\proj", "/nowhere/at/all", "relative//x/", b"/\xff", "~"])
    def test_keeps_the_path_and_carries_no_identity(self, path: str | bytes) -> None:
        record = stated(path)
        assert record == ProjectRecord(path=os.fsencode(path), given_path=os.fsencode(path))
        assert (record.has_identity, record.capability) == (False, "none")

    def test_does_not_look_at_the_directory(self, tmp_path: Path) -> None:
        assert not stated(tmp_path).has_identity

    @pytest.mark.parametrize("path", ["", "/a\0b", "\ud800"])
    def test_what_cannot_be_a_path_is_refused(self, path: str) -> None:
        with pytest.raises(ProjectPathError, match="invalid_path"):
            stated(path)


class TestCaptureOrState:
    def test_captures_a_directory_that_opens(self, tmp_path: Path) -> None:
        assert capture_or_state(tmp_path) == capture(tmp_path)

    def test_states_what_is_missing_no_directory_or_unsupported(self, tmp_path: Path, windows: Kernel) -> None:
        (tmp_path / "file").touch()
        for path in (tmp_path / "p", tmp_path / "file", Path("/" + "a" * 300)):
            assert capture_or_state(path) == stated(path)
        assert capture_or_state(tmp_path, kernel=windows) == stated(tmp_path)

    def test_states_a_directory_that_nobody_vouched_for(self, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p").chmod(0o777)
        assert capture_or_state(tmp_path / "p") == stated(tmp_path / "p")

    def test_states_the_directory_of_a_stranger_or_behind_a_closed_door(
        self, shared: Path, acting_as: ActingAs, somebody: int
    ) -> None:
        (shared / "closed" / "p").mkdir(parents=True)
        (shared / "closed").chmod(0o700)
        (shared / "strange").mkdir()
        os.chown(shared / "strange", somebody + 1, somebody + 1)
        assert capture_or_state(shared / "strange") == stated(shared / "strange")
        with acting_as(somebody):
            assert capture_or_state(shared / "closed" / "p") == stated(shared / "closed" / "p")

    def test_a_relative_path_from_elsewhere_is_never_looked_up_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "p").mkdir()
        monkeypatch.chdir(tmp_path)
        assert capture_or_state("p") == stated("p")
        assert capture_or_state(".") == stated(".")

    def test_what_cannot_be_a_path_is_refused(self) -> None:
        with pytest.raises(ProjectPathError, match="invalid_path"):
            capture_or_state("/a\0b")


class TestAncestry:
    def test_starts_at_the_current_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert ancestry() == ancestry(tmp_path)
        record = capture(tmp_path)
        assert ancestry()[0] == (record.device, record.inode)

    def test_finds_a_recorded_project_from_below_it(self, tmp_path: Path) -> None:
        (tmp_path / "p" / "src" / "deep").mkdir(parents=True)
        record = capture(tmp_path / "p")
        assert ancestry(tmp_path / "p" / "src" / "deep")[2] == (record.device, record.inode)

    def test_what_cannot_be_opened_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ProjectPathError, match="missing"):
            ancestry(tmp_path / "p")
        with pytest.raises(ProjectPathError, match="invalid_path"):
            ancestry("")
        with pytest.raises(ProjectPathError, match="not_a_directory"):
            ancestry("/dev/null")

    def test_a_directory_mounted_below_itself_does_not_end_the_climb(
        self, tmp_path: Path, with_own_mounts: Run
    ) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        script = (
            "os.chdir(sys.argv[1])\n"
            "mount(b'a', b'a/b', None, 0x1000)\n"
            "found, above = project.ancestry('a/b'), project.ancestry('a')\n"
            "print(found[0] == above[0], found[1:] == above)"
        )
        assert with_own_mounts(script, tmp_path) == ["True True"]


class TestCapability:
    def test_is_full_with_openat2_and_with_a_walk_that_needs_no_read_permission(self) -> None:
        assert (capability(), capability(Kernel(None))) == ("full", "full")

    def test_is_leaf_only_without_o_path_and_none_without_relative_opening(self, windows: Kernel) -> None:
        assert (capability(Kernel(None, o_path=None)), capability(windows)) == ("leaf_only", "none")


class TestPinningReport:
    def test_says_what_this_system_offers(self, tmp_path: Path) -> None:
        record = capture(tmp_path)
        assert pinning_report(tmp_path) == PinningReport(
            pinning="full",
            openat2=KERNEL.openat2_state(),
            handles=record.handle is not None,
            birth_times=record.birth_time_ns is not None,
            proc=True,
        )

    def test_says_what_is_lacking(self, windows: Kernel) -> None:
        lacking = Kernel(None, proc_fds=b"/nowhere")
        assert pinning_report(kernel=lacking) == PinningReport("full", "missing", False, False, False)
        assert pinning_report(kernel=windows) == PinningReport("none", "missing", False, False, False)

    def test_a_directory_that_cannot_be_opened_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ProjectPathError, match="missing"):
            pinning_report(tmp_path / "p")
