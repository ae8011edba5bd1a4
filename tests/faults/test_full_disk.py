"""A disk that fills up, and a limit on the size of one file: what was there stays, and the words say why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory, Locks
from sessionstore.storage import FileBackend, FileRuns

Child = Callable[..., list[Any]]


@pytest.fixture
def backend(home: Path, mount: Callable[[str], None]) -> Iterator[FileBackend]:
    mount("size=128k,mode=0700")
    with Directory.open(home) as directory:
        yield FileBackend(
            directory,
            lambda: Directory.open(home / "kept", create=True),
            Locks(directory),
            FileRuns(directory, directory),
        )


class TestFullDisk:
    @pytest.mark.parametrize("size", [1_000_000, 100_000], ids=["far too much", "a part fits"])
    @pytest.mark.parametrize("streamed", [False, True])
    def test_an_append_that_does_not_fit_leaves_the_log_as_it_was(
        self, backend: FileBackend, home: Path, size: int, streamed: bool
    ) -> None:
        old = os.urandom(50_000)
        backend.write("a", [old], replace=False)
        log = backend.open("a", writable=True)
        assert log is not None
        stamp = log.stamp()
        chunks = [b"x" * 1000] * (size // 1000)
        with pytest.raises(StoreUnavailableError, match="a: the disk is full") as caught:
            log.append(len(old), iter(chunks) if streamed else chunks)
        assert caught.value.outcome == "not_written"
        assert (home / "a").read_bytes() == old
        assert log.stamp()[:2] == stamp[:2]
        assert log.append(len(old), [b"short"]).size == len(old) + 5
        log.close()

    @pytest.mark.parametrize("replace", [False, True])
    def test_a_new_file_that_does_not_fit_leaves_nothing(self, backend: FileBackend, home: Path, replace: bool) -> None:
        backend.write("a", [b"old"], replace=False)
        with pytest.raises(StoreUnavailableError, match="the disk is full") as caught:
            backend.write("a" if replace else "b", [b"x" * 1_000_000], replace=replace)
        assert caught.value.outcome == "not_written"
        assert os.listdir(home) == ["a"] and (home / "a").read_bytes() == b"old"

    def test_a_disk_without_room_for_names_refuses_and_says_why(self, home: Path, mount: Callable[[str], None]) -> None:
        mount("nr_inodes=2,mode=0700")
        with Directory.open(home) as directory, pytest.raises(StoreUnavailableError, match="the disk is full"):
            directory.create("a", b"x")
            directory.create("b", b"x")
        with pytest.raises(StoreUnavailableError, match="the disk is full"):
            Directory.open(home / "x" / "y", create=True)


class TestFileSizeLimit:
    def test_an_append_over_the_limit_is_taken_back_and_a_shorter_one_fits(self, child: Child, home: Path) -> None:
        told = child(
            "backend.write('a', [b'old\\n'], replace=False)\n"
            "log = backend.open('a', writable=True)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
            "tell(refusal(lambda: log.append(4, [b'x' * 10000])), content())\n"
            "tell(refusal(lambda: backend.write('b', [b'x' * 10000], replace=False)), left())\n"
            "log.append(4, [b'y' * 4092]); tell(len(content()))\n"
        )
        words = "the limit for the size of one file is reached (ulimit -f, or the file system's own)"
        assert told == [
            ["StoreUnavailableError", "not_written", f"a: {words}"],
            "old\n",
            ["StoreUnavailableError", "not_written", f"b: {words}"],
            ["a"],
            4096,
        ]
