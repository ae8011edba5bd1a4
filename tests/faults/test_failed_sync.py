"""Calls that fail as broken hardware makes them fail. Each case is a process whose C library refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Child = Callable[..., list[Any]]

UNAVAILABLE = "StoreUnavailableError"
BROKEN = "a: the disk failed (input/output error)"


class TestAppend:
    def test_after_a_failed_sync_the_outcome_is_unknown_and_the_log_takes_no_more(self, faulty: Child) -> None:
        told = faulty(
            "backend.write('a', [b'old'], replace=False)\n"
            "log = backend.open('a', writable=True)\n"
            "fault('fdatasync', errno.EIO); tell(refusal(lambda: log.append(3, [b'new'])))\n"
            "fault('fdatasync', '')\n"
            "tell(refusal(lambda: log.append(6, [b'x'])), refusal(lambda: log.cut(3)), content())\n"
            "again = backend.open('a', writable=True); tell(again.append(6, [b'more']).size)\n"
        )
        refused = [UNAVAILABLE, "not_written", "a: an earlier write failed, open it again"]
        assert told == [[UNAVAILABLE, "unknown", BROKEN], refused, refused, "oldnew", 10]

    def test_a_cut_that_could_not_be_synced_is_unknown_too(self, faulty: Child) -> None:
        told = faulty(
            "backend.write('a', [b'old'], replace=False)\n"
            "log = backend.open('a', writable=True)\n"
            "fault('fdatasync', errno.EIO); tell(refusal(lambda: log.cut(1)))\n"
            "fault('fdatasync', ''); tell(refusal(lambda: log.append(1, [b'x']))[1])\n"
        )
        assert told == [[UNAVAILABLE, "unknown", BROKEN], "not_written"]

    def test_a_failed_write_is_taken_back(self, faulty: Child) -> None:
        told = faulty(
            "backend.write('a', [b'old'], replace=False)\n"
            "log = backend.open('a', writable=True)\n"
            "def chunks():\n"
            "    yield b'x' * 300000\n"
            "    fault('pwrite', errno.EIO)\n"
            "    yield b'y' * 300000\n"
            "tell(refusal(lambda: log.append(3, chunks())), content())\n"
            "fault('pwrite', ''); tell(log.append(3, [b'new']).size)\n"
        )
        assert told == [[UNAVAILABLE, "not_written", BROKEN], "old", 6]

    def test_what_cannot_be_taken_back_is_unknown(self, faulty: Child) -> None:
        told = faulty(
            "backend.write('a', [b'old'], replace=False)\n"
            "log = backend.open('a', writable=True)\n"
            "def chunks():\n"
            "    yield b'x' * 2_000_000\n"
            "    fault('pwrite', errno.ENOSPC); fault('ftruncate', errno.EIO)\n"
            "    yield b'y' * 2_000_000\n"
            "tell(refusal(lambda: log.append(3, chunks())))\n"
            "fault('pwrite', ''); fault('ftruncate', '')\n"
            "tell(refusal(lambda: log.append(3, [b'new']))[2])\n"
        )
        assert told == [[UNAVAILABLE, "unknown", BROKEN], "a: an earlier write failed, open it again"]

    def test_a_write_that_fails_at_once_leaves_nothing_to_take_back(self, faulty: Child) -> None:
        told = faulty(
            "backend.write('a', [b'old'], replace=False)\n"
            "log = backend.open('a', writable=True)\n"
            "before = log.stamp()\n"
            "fault('pwrite', errno.ENOSPC); fault('ftruncate', errno.EIO)\n"
            "tell(refusal(lambda: log.append(3, [b'new']))[1])\n"
            "tell(log.stamp() == before)\n"
        )
        assert told == ["not_written", True]

    def test_writes_that_take_a_few_bytes_at_a_time_are_continued(self, faulty: Child) -> None:
        told = faulty(
            "fault('pwrite_most', 7)\n"
            "backend.write('a', [b'0123456789' * 5], replace=False)\n"
            "log = backend.open('a', writable=True); log.append(50, [b'abcdefghij' * 5, b'!'])\n"
            "tell(content())\n"
        )
        assert told == ["0123456789" * 5 + "abcdefghij" * 5 + "!"]


class TestNewDirectory:
    def test_one_whose_name_could_not_be_synced_is_unknown_and_can_be_made_again(self, faulty: Child) -> None:
        told = faulty(
            "at('mkdir', 'c_return', lambda: fault('fsync', errno.EIO))\n"
            "tell(refusal(lambda: Directory.open(home + '/new', create=True)))\n"
            "fault('fsync', ''); Directory.open(home + '/new', create=True).create('a', b'')\n"
        )
        assert told == [[UNAVAILABLE, "unknown", "new: the disk failed (input/output error)"]]


class TestNewFile:
    @pytest.mark.parametrize("replace", [False, True])
    def test_what_could_not_be_synced_gets_no_name(self, faulty: Child, replace: bool) -> None:
        told = faulty(
            "replace = sys.argv[2] == 'True'\n"
            "if replace: backend.write('a', [b'old'], replace=False)\n"
            "fault('fsync', errno.EIO)\n"
            "tell(refusal(lambda: backend.write('a', [b'new'], replace=replace)), content(), left())\n",
            replace,
        )
        stands = ["old", ["a"]] if replace else [None, []]
        assert told == [[UNAVAILABLE, "not_written", BROKEN], *stands]

    def test_a_name_that_could_not_be_synced_is_unknown(self, faulty: Child) -> None:
        told = faulty(
            "backend.write('a', [b'old'], replace=False)\n"
            "at('rename', 'c_return', lambda: fault('fsync', errno.EIO))\n"
            "tell(refusal(lambda: backend.write('a', [b'new'], replace=True)), content(), left())\n"
            "tell(refusal(lambda: backend.delete('a')), left())\n"
        )
        assert told == [[UNAVAILABLE, "unknown", BROKEN], "new", ["a"], [UNAVAILABLE, "unknown", BROKEN], []]

    def test_file_systems_that_cannot_sync_a_directory_are_usable(self, faulty: Child) -> None:
        told = faulty(
            "at('rename', 'c_return', lambda: fault('fsync', errno.EINVAL))\n"
            "backend.write('a', [b'new'], replace=True); backend.delete('b'); tell(content())\n"
        )
        assert told == ["new"]

    @pytest.mark.parametrize("code", ["ENOSYS", "EINVAL", "EPERM"])
    def test_without_rename_that_refuses_a_second_link_does_it(self, faulty: Child, code: str) -> None:
        told = faulty(
            "fault('renameat2', getattr(errno, sys.argv[2]))\n"
            "backend.write('a', [b'new'], replace=False)\n"
            "tell(content(), backend.open('a').notices, left())\n"
            "tell(refusal(lambda: backend.write('a', [b'newer'], replace=False))[0], content(), left())\n",
            code,
        )
        assert told == ["new", [], ["a"], "AlreadyExistsError", "new", ["a"]]

    def test_where_neither_works_nothing_is_replaced(self, faulty: Child) -> None:
        told = faulty(
            "backend.write('a', [b'old'], replace=False)\n"
            "fault('renameat2', errno.EINVAL); fault('linkat', errno.EPERM)\n"
            "tell(refusal(lambda: backend.write('b', [b'new'], replace=False)), left(), content())\n"
        )
        assert told == [[UNAVAILABLE, "not_written", "b: not permitted"], ["a"], "old"]


class TestNoLocks:
    def test_where_nothing_can_be_locked_files_are_written_and_nothing_is_swept(self, faulty: Child) -> None:
        told = faulty(
            "fault('flock', errno.ENOLCK)\n"
            "backend.write('a', [b'new'], replace=False)\n"
            "open(home + '/.sessionstore-1-0123456789abcdef.tmp', 'w').close()\n"
            "tell(content(), directory.sweep(), left())\n"
            "tell(refusal(lambda: backend.lock('id', timeout_s=1).__enter__()))\n"
        )
        temporary = ".sessionstore-1-0123456789abcdef.tmp"
        assert told[:3] == ["new", 0, [temporary, "a"]]
        assert told[3][:2] == [UNAVAILABLE, "not_written"]
