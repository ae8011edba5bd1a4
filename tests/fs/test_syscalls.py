"""The system calls beyond `os`, on the real kernel, and on one that lacks some of them."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import InvalidValueError
from sessionstore.fs.syscalls import (
    AT_EMPTY_PATH,
    AT_HANDLE_FID,
    KERNEL,
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    Kernel,
    Statx,
    closing_fd,
)

NOFOLLOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
MISSING, FORBIDDEN = errno.ENOSYS, errno.EPERM

needs_openat2 = pytest.mark.skipif(
    KERNEL.openat2_state() != "available", reason="this kernel or sandbox has no openat2 (Linux 5.6 outside a sandbox)"
)


class Libc:
    """The C library, with some calls answered by an error number or by a function instead of by the kernel."""

    def __init__(self, **answers: int | Callable[..., int]) -> None:
        self._real = ctypes.CDLL(None, use_errno=True)
        self._answers = answers
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*args: Any) -> int:
            self.calls.append((name, args))
            answer = self._answers.get(name)
            if answer is None:
                return int(getattr(self._real, name)(*args))
            if callable(answer):
                return answer(*args)
            ctypes.set_errno(answer)
            return -1

        return call


def opened(path: Path) -> int:
    return os.open(path, KERNEL.directory_flags)


class TestOpenat2:
    @needs_openat2
    def test_opens_a_directory_below_another(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        with closing_fd(opened(tmp_path)) as base:
            fd = KERNEL.openat2(base, b"a/b", KERNEL.directory_flags, NOFOLLOW)
        with closing_fd(fd):
            assert os.path.samestat(os.fstat(fd), (tmp_path / "a" / "b").stat())
            assert not os.get_inheritable(fd)

    @needs_openat2
    def test_refuses_a_link_in_the_middle(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "link").symlink_to("a")
        with closing_fd(opened(tmp_path)) as base, pytest.raises(OSError) as caught:
            KERNEL.openat2(base, b"link/b", KERNEL.directory_flags, NOFOLLOW)
        assert caught.value.errno == errno.ELOOP

    def test_a_nul_byte_does_not_cut_the_path_short(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        with closing_fd(opened(tmp_path)) as base, pytest.raises(InvalidValueError, match="NUL"):
            KERNEL.openat2(base, b"a\0b", KERNEL.directory_flags, NOFOLLOW)

    @needs_openat2
    def test_an_interrupted_call_is_made_again(self, tmp_path: Path) -> None:
        real = ctypes.CDLL(None, use_errno=True)
        interruptions = [errno.EINTR, errno.EINTR]

        def syscall(*args: Any) -> int:
            if interruptions:
                ctypes.set_errno(interruptions.pop())
                return -1
            return int(real.syscall(*args))

        with closing_fd(opened(tmp_path)) as base:
            os.close(Kernel(Libc(syscall=syscall)).openat2(base, b".", KERNEL.directory_flags, NOFOLLOW))
        assert interruptions == []

    def test_without_a_c_library_it_is_a_call_that_does_not_exist(self) -> None:
        with pytest.raises(OSError) as caught:
            Kernel(None).openat2(0, b".", 0, 0)
        assert caught.value.errno == errno.ENOSYS


class TestOpenat2State:
    @pytest.mark.parametrize(("number", "state"), [(MISSING, "missing"), (FORBIDDEN, "forbidden")])
    def test_an_old_kernel_and_a_sandbox_are_told_apart_and_remembered(self, number: int, state: str) -> None:
        libc = Libc(syscall=number)
        kernel = Kernel(libc)
        assert [kernel.openat2_state(), kernel.openat2_state()] == [state, state]
        assert len(libc.calls) == 1

    @needs_openat2
    def test_a_usable_call_is_available_and_leaves_nothing_open(self) -> None:
        before = os.listdir("/proc/self/fd")
        assert Kernel().openat2_state() == "available"
        assert os.listdir("/proc/self/fd") == before

    def test_an_error_that_says_nothing_about_openat2_is_raised_and_not_remembered(self) -> None:
        kernel = Kernel()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(OSError) as caught:
                kernel.openat2_state()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caught.value.errno == errno.EMFILE
        assert kernel.openat2_state() == KERNEL.openat2_state()

    def test_a_failing_call_is_raised_too(self) -> None:
        with pytest.raises(OSError) as caught:
            Kernel(Libc(syscall=errno.EIO)).openat2_state()
        assert caught.value.errno == errno.EIO


class TestHandle:
    def test_names_a_directory_the_same_through_every_descriptor_and_name(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        with closing_fd(opened(tmp_path / "a")) as first:
            (tmp_path / "a").rename(tmp_path / "b")
            with closing_fd(opened(tmp_path / "b")) as second:
                assert KERNEL.handle(first) == KERNEL.handle(second)

    def test_tells_a_directory_from_a_deleted_one_with_the_same_inode_number(self, tmp_path: Path) -> None:
        seen = set()
        for _ in range(20):
            (tmp_path / "a").mkdir()
            with closing_fd(opened(tmp_path / "a")) as fd:
                handle = KERNEL.handle(fd)
                if handle is None:
                    pytest.skip("the file system of the temporary directory gives no handles")
                seen.add(handle)
            (tmp_path / "a").rmdir()
        assert len(seen) == 20

    def test_asks_for_one_that_only_identifies_where_there_is_no_other(self, tmp_path: Path) -> None:
        flags = []

        def name_to_handle_at(fd: Any, name: Any, buffer: Any, mount_id: Any, flag: ctypes.c_int) -> int:
            flags.append(flag.value)
            if not flag.value & AT_HANDLE_FID:
                ctypes.set_errno(errno.EOPNOTSUPP)
                return -1
            struct.pack_into("=Ii3s", buffer, 0, 3, 248, b"a\0b")
            return 0

        with closing_fd(opened(tmp_path)) as fd:
            assert Kernel(Libc(name_to_handle_at=name_to_handle_at)).handle(fd) == (248, b"a\0b")
        assert flags == [AT_EMPTY_PATH, AT_EMPTY_PATH | AT_HANDLE_FID]

    def test_the_identifying_kind_can_be_asked_for_alone(self, tmp_path: Path) -> None:
        def name_to_handle_at(fd: Any, name: Any, buffer: Any, mount_id: Any, flag: ctypes.c_int) -> int:
            struct.pack_into("=Ii1s", buffer, 0, 1, flag.value, b"x")
            return 0

        with closing_fd(opened(tmp_path)) as fd:
            kernel = Kernel(Libc(name_to_handle_at=name_to_handle_at))
            assert kernel.handle(fd) == (AT_EMPTY_PATH, b"x")
            assert kernel.identifying_handle(fd) == (AT_EMPTY_PATH | AT_HANDLE_FID, b"x")
            assert Kernel(None).identifying_handle(fd) is None

    def test_comes_with_the_mount_id_that_statx_tells(self, tmp_path: Path) -> None:
        with closing_fd(opened(tmp_path)) as fd:
            mount_id = KERNEL.statx(fd).mount_id
            if mount_id is None:
                pytest.skip("mount ids need Linux 5.8")
            assert KERNEL.handle_on_mount(fd) == (KERNEL.handle(fd), mount_id)
            assert Kernel(Libc(name_to_handle_at=MISSING)).handle_on_mount(fd) == (None, mount_id)

    @pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EOVERFLOW, errno.EINVAL, MISSING, FORBIDDEN])
    def test_is_none_where_kernel_sandbox_or_file_system_has_none(self, tmp_path: Path, number: int) -> None:
        with closing_fd(opened(tmp_path)) as fd:
            assert Kernel(Libc(name_to_handle_at=number)).handle(fd) is None

    def test_an_interrupted_call_is_made_again(self, tmp_path: Path) -> None:
        answers = [errno.EINTR, errno.EINTR]

        def name_to_handle_at(fd: Any, name: Any, buffer: Any, *rest: Any) -> int:
            if answers:
                ctypes.set_errno(answers.pop())
                return -1
            struct.pack_into("=Ii1s", buffer, 0, 1, 5, b"x")
            return 0

        with closing_fd(opened(tmp_path)) as fd:
            assert Kernel(Libc(name_to_handle_at=name_to_handle_at)).handle(fd) == (5, b"x")

    def test_a_failing_file_system_is_an_error_and_not_a_missing_handle(self, tmp_path: Path) -> None:
        with closing_fd(opened(tmp_path)) as fd, pytest.raises(OSError) as caught:
            Kernel(Libc(name_to_handle_at=errno.EIO)).handle(fd)
        assert caught.value.errno == errno.EIO


class TestStatx:
    def test_the_birth_time_is_when_the_directory_was_made_and_stays(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        made_ns = (tmp_path / "a").stat().st_mtime_ns
        os.utime(tmp_path / "a", ns=(1, 1))
        (tmp_path / "a" / "file").touch()
        with closing_fd(opened(tmp_path / "a")) as fd:
            born_ns = KERNEL.statx(fd).birth_time_ns
        if born_ns is None:
            pytest.skip("the file system of the temporary directory keeps no birth times")
        assert born_ns == made_ns

    def test_the_mount_id_is_the_one_that_proc_shows(self, tmp_path: Path) -> None:
        with closing_fd(opened(tmp_path)) as fd:
            lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
            mount_id = KERNEL.statx(fd).mount_id
        if mount_id is None:
            pytest.skip("mount ids need Linux 5.8")
        assert f"mnt_id:\t{mount_id}" in lines

    @pytest.mark.parametrize(
        ("mask", "seconds", "expected"),
        [
            (0x1800, 2, Statx(2_000_000_005, 77)),
            (0x1800, -1, Statx(-999_999_995, 77)),
            (0x0800, 2, Statx(2_000_000_005, None)),
            (0x1000, 2, Statx(None, 77)),
        ],
    )
    def test_takes_only_what_the_kernel_says_it_filled_in(self, mask: int, seconds: int, expected: Statx) -> None:
        def statx(fd: Any, name: Any, flags: Any, wanted: Any, buffer: Any) -> int:
            struct.pack_into("=I", buffer, 0, mask)
            struct.pack_into("=qI", buffer, 0x50, seconds, 5)
            struct.pack_into("=Q", buffer, 0x90, 77)
            return 0

        assert Kernel(Libc(statx=statx)).statx(0) == expected

    def test_a_birth_time_of_zero_is_none(self) -> None:
        def statx(fd: Any, name: Any, flags: Any, wanted: Any, buffer: Any) -> int:
            struct.pack_into("=I", buffer, 0, 0x1800)
            return 0

        assert Kernel(Libc(statx=statx)).statx(0).birth_time_ns is None

    @pytest.mark.parametrize("number", [MISSING, FORBIDDEN])
    def test_is_empty_where_kernel_or_sandbox_has_no_such_call(self, number: int) -> None:
        assert Kernel(Libc(statx=number)).statx(0) == (None, None)

    def test_a_failing_file_system_is_an_error(self) -> None:
        with pytest.raises(OSError) as caught:
            Kernel(Libc(statx=errno.EIO)).statx(0)
        assert caught.value.errno == errno.EIO


class TestFsType:
    def test_is_the_magic_number_of_the_file_system(self) -> None:
        with closing_fd(opened(Path("/proc"))) as fd:
            assert KERNEL.fs_type(fd) == 0x9FA0

    def test_is_none_where_it_cannot_be_asked(self) -> None:
        assert Kernel(None).fs_type(0) is None


class TestKernel:
    def test_a_directory_is_opened_without_permission_on_it_and_closed_on_exec(self) -> None:
        assert Kernel().directory_flags == os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

    def test_a_system_without_o_path_does_not_wait_for_a_driver(self) -> None:
        assert Kernel(o_path=None).directory_flags == os.O_RDONLY | os.O_NONBLOCK | os.O_DIRECTORY | os.O_CLOEXEC
        assert not Kernel(o_path=None).has_o_path


class TestClosingFd:
    def test_closes_also_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError), closing_fd(opened(tmp_path)) as fd:
            raise ZeroDivisionError
        with pytest.raises(OSError) as caught:
            os.fstat(fd)
        assert caught.value.errno == errno.EBADF
