"""Notes: made and removed by name, nothing followed, and whatever stands there read as nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory, Notes


@pytest.fixture
def notes(directory: Directory) -> Notes:
    return Notes(directory)


class TestNotes:
    def test_what_was_put_comes_back_until_it_is_removed(self, notes: Notes, home: Path) -> None:
        old = os.umask(0)
        try:
            notes.put("a", b"one")
        finally:
            os.umask(old)
        notes.put("a", b"two!")
        assert (notes.names(), notes.read("a", 4)) == (["a"], b"two!")
        assert stat.S_IMODE((home / "a").stat().st_mode) == 0o600
        assert (notes.remove("a"), notes.remove("a")) == (True, False)
        assert (notes.names(), notes.read("a", 4)) == ([], None)

    def test_one_that_is_too_long_says_nothing(self, notes: Notes) -> None:
        notes.put("a", b"12345")
        assert (notes.read("a", 5), notes.read("a", 4)) == (b"12345", None)

    def test_a_link_in_its_place_is_replaced_and_never_followed(self, notes: Notes, home: Path, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(b"precious")
        (home / "a").symlink_to(tmp_path / "target")
        assert notes.read("a", 100) is None
        notes.put("a", b"new")
        assert (notes.read("a", 100), (tmp_path / "target").read_bytes()) == (b"new", b"precious")

    def test_a_fifo_in_its_place_keeps_nobody_waiting(self, notes: Notes, home: Path) -> None:
        os.mkfifo(home / "a")
        assert notes.read("a", 100) is None
        notes.put("a", b"new")
        assert notes.read("a", 100) == b"new"

    def test_a_directory_in_its_place_is_left_alone_and_refused(self, notes: Notes, home: Path) -> None:
        (home / "a").mkdir()
        assert (notes.read("a", 100), notes.remove("a")) == (None, False)
        with pytest.raises(StoreUnavailableError) as caught:
            notes.put("a", b"new")
        assert caught.value.outcome == "not_written"

    def test_one_that_cannot_be_written_is_not_left_behind(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = (
            "import resource, signal, sys; from sessionstore.fs import Directory, Notes\n"
            "from sessionstore.errors import StoreUnavailableError\n"
            "notes = Notes(Directory.open(sys.argv[1]))\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (2, limits[1]))\n"
            "try: notes.put('a', b'new')\n"
            "except StoreUnavailableError as error: told = error.outcome\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
            "print(told, notes.names())\n"
        )
        assert child(code, home) == "not_written []"

    def test_in_a_closed_directory_removing_is_no_error(self, home: Path) -> None:
        directory = Directory.open(home, create=True)
        notes = Notes(directory)
        notes.put("a", b"x")
        directory.close()
        assert not notes.remove("a") and notes.read("a", 9) is None
        with pytest.raises(StoreUnavailableError, match="it is closed"):
            notes.put("a", b"x")
