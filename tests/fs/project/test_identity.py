"""What tells the recorded directory from another one under its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace

from sessionstore.errors import ProjectPathError
from sessionstore.fs.project import capture
from sessionstore.fs.syscalls import FileHandle, Kernel, Statx
from sessionstore.model.records import ProjectRecord

Run = Callable[..., list[str]]
Resumed = Callable[..., list[str]]
Refused = Callable[..., ProjectPathError]
ActingAs = Callable[[int], AbstractContextManager[None]]


class Told(Kernel):
    """The real system, which is told what to say about handles and birth times."""

    def __init__(
        self,
        plain: FileHandle | None = None,
        identifying: FileHandle | None = None,
        born_ns: int | None = None,
        fs_type: int = 1,
    ) -> None:
        super().__init__()
        self._fs_type = fs_type
        self._told = (plain, identifying, born_ns)

    def handle_on_mount(self, fd: int) -> tuple[FileHandle | None, int | None]:
        return self._told[0] or self._told[1], 1

    def identifying_handle(self, fd: int) -> FileHandle | None:
        return self._told[1]

    def statx(self, fd: int) -> Statx:
        return Statx(self._told[2], 1)

    def fs_type(self, fd: int) -> int:
        return self._fs_type


OLD, NEW, OTHER = FileHandle(1, b"old"), FileHandle(1, b"new"), FileHandle(2, b"old")


class TestIdentity:
    """What decides is the first thing that can be compared: the handle, the birth time, the device."""

    @pytest.fixture
    def record(self, place: Path) -> ProjectRecord:
        return replace(capture(place), handle=OLD.value, handle_type=OLD.type, birth_time_ns=5, fs_type=1)

    @pytest.mark.parametrize(
        ("kernel", "accepted"),
        [
            (Told(OLD), True),
            (Told(OLD, born_ns=6), True),
            (Told(NEW), False),
            (Told(NEW, born_ns=5), False),  # the birth time does not outweigh the handle
            (Told(None, OLD), True),
            (Told(None, NEW, 5), False),
            # A file system that has learned to make handles of the better kind still makes the recorded one.
            (Told(OTHER, OLD), True),
            (Told(OTHER, NEW), False),
            (Told(OTHER, NEW, 5), False),
            # No handle of the recorded kind at all: the birth time can say that it is the same, the device cannot.
            (Told(OTHER, OTHER, 5), True),
            (Told(OTHER, None, 5), True),
            (Told(OTHER, OTHER, 6), False),
            (Told(OTHER, OTHER), False),
            (Told(OTHER, None), False),
            # A sandbox that forbids asking.
            (Told(born_ns=5), True),
            (Told(born_ns=6), False),
        ],
    )
    def test_handles_and_birth_times(
        self, record: ProjectRecord, resumed: Resumed, refused: Refused, kernel: Told, accepted: bool
    ) -> None:
        assert record.device is not None
        if accepted:
            assert "weak_identity" not in resumed(record, kernel=kernel)
            assert "device_changed" in resumed(replace(record, device=record.device + 1), kernel=kernel)
        else:
            assert refused(record, kernel=kernel).verdict == "replaced"

    def test_the_device_decides_where_there_is_nothing_else(
        self, record: ProjectRecord, resumed: Resumed, refused: Refused
    ) -> None:
        assert record.device is not None
        assert "weak_identity" in resumed(record, kernel=Told())
        assert refused(replace(record, device=record.device + 1), kernel=Told()).verdict == "replaced"

    def test_the_inode_number_has_to_be_the_same_whatever_else_is(
        self, record: ProjectRecord, refused: Refused
    ) -> None:
        assert record.inode is not None
        assert refused(replace(record, inode=record.inode + 1), kernel=Told(OLD, OLD, 5)).verdict == "replaced"

    def test_a_birth_time_on_overlayfs_says_nothing(
        self, record: ProjectRecord, resumed: Resumed, refused: Refused
    ) -> None:
        container = replace(record, handle=None, handle_type=None, fs_type=0x794C7630)
        assert "weak_identity" in resumed(container, kernel=Told(born_ns=6))
        assert record.device is not None
        moved = replace(container, device=record.device + 1)
        assert refused(moved, kernel=Told(born_ns=5)).verdict == "replaced"

    def test_a_birth_time_of_another_kind_of_file_system_says_nothing(
        self, record: ProjectRecord, refused: Refused
    ) -> None:
        """Whoever mounts a file system of his own over the project chooses inode numbers and birth times in it."""
        assert refused(record, kernel=Told(OTHER, OTHER, 5, fs_type=2)).verdict == "replaced"
        assert record.device is not None
        bare = replace(record, handle=None, handle_type=None, device=record.device + 1)
        assert refused(bare, kernel=Told(born_ns=5, fs_type=2)).verdict == "replaced"

    def test_a_handle_that_was_not_recorded_is_not_missed(self, record: ProjectRecord, resumed: Resumed) -> None:
        assert "weak_identity" not in resumed(replace(record, handle=None, handle_type=None), kernel=Told(NEW, NEW, 5))

    def test_a_directory_made_again_with_the_same_inode_number_is_another_one(
        self, place: Path, refused: Refused
    ) -> None:
        same_number = 0
        for _ in range(200):
            record = capture(place)
            if record.handle is None and record.birth_time_ns is None:
                pytest.skip("the file system of the temporary directory has neither handles nor birth times")
            place.rmdir()
            place.mkdir()
            same_number += place.stat().st_ino == record.inode
            assert refused(record).verdict == "replaced"
            assert refused(replace(record, handle=None, handle_type=None)).verdict == "replaced"
        if not same_number:
            pytest.skip("this file system gives no inode number out twice; its directories were told apart")

    def test_another_directory_under_the_name_is_replaced(self, place: Path, kernel: Kernel, refused: Refused) -> None:
        record = capture(place)
        place.rename(place.with_name("away"))
        place.mkdir()
        error = refused(record, kernel=kernel)
        assert error.verdict == "replaced"
        assert "rebind" in error.hint

    def test_another_ancestor_under_the_name_is_replaced(self, place: Path, kernel: Kernel, refused: Refused) -> None:
        record = capture(place)
        place.parent.rename(place.parent.with_name("away"))
        place.mkdir(parents=True)
        assert refused(record, kernel=kernel).verdict == "replaced"

    def test_what_is_mounted_over_it_is_replaced(self, place: Path, with_own_mounts: Run) -> None:
        script = (
            "import sessionstore.errors\n"
            "record = project.capture(sys.argv[1])\n"
            "mount(b'none', sys.argv[1].encode(), b'tmpfs')\n"
            "try:\n"
            "    project.pin(record)\n"
            "except sessionstore.errors.ProjectPathError as exc:\n"
            "    print(exc.verdict)\n"
        )
        assert with_own_mounts(script, place) == ["replaced"]
