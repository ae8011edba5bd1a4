"""One opened file: appended to at exact offsets, cut, and refusing to go on after a doubtful end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory, File


@pytest.fixture
def file(directory: Directory) -> Iterator[File]:
    directory.create("a", b"old\n")
    opened = directory.open_file("a", writable=True)
    assert opened is not None
    with opened:
        yield opened


def system_calls(call: Callable[[], object]) -> list[str]:
    """The names of the functions of `os` and `fcntl` that `call` used."""
    names: list[str] = []

    def hook(frame: object, event: str, arg: object) -> None:
        if event == "c_call" and getattr(arg, "__module__", "") in ("posix", "fcntl"):
            names.append(getattr(arg, "__name__", ""))

    sys.setprofile(hook)
    try:
        call()
    finally:
        sys.setprofile(None)
    return names


class TestAppend:
    def test_one_turn_is_one_write_and_one_sync(self, file: File) -> None:
        calls = system_calls(lambda: file.append(4, [b"1", b"2", b"3"]))
        assert calls == ["fstat", "pwrite", "fstat", "fdatasync", "fstat"]

    def test_a_long_source_is_written_in_blocks_and_synced_once(self, file: File, home: Path) -> None:
        calls = system_calls(lambda: file.append(4, (b"x" * 1000 for _ in range(1000))))
        assert calls.count("fdatasync") == 1
        assert calls.count("pwrite") < 10
        assert (home / "a").read_bytes() == b"old\n" + b"x" * 1_000_000

    def test_the_state_it_returns_is_that_of_the_file_afterwards(self, file: File, home: Path) -> None:
        assert file.append(4, (b"new\n",)) == (home / "a").stat()

    @pytest.mark.parametrize("offset", [0, 3, 5, -1])
    def test_only_the_end_is_an_offset_to_append_at(self, file: File, home: Path, offset: int) -> None:
        with pytest.raises(StoreUnavailableError, match=r"a: it holds 4 bytes, .* were expected") as caught:
            file.append(offset, [b"new"])
        assert caught.value.outcome == "not_written"
        assert (home / "a").read_bytes() == b"old\n"

    def test_another_programs_write_meanwhile_is_found_out_and_the_file_is_left_as_it_is(
        self, file: File, home: Path
    ) -> None:
        def chunks() -> Iterator[bytes]:
            with open(home / "a", "ab") as foreign:
                foreign.write(b"a foreign line\n")
            yield b"new\n"

        with pytest.raises(StoreUnavailableError, match="another program changes it") as caught:
            file.append(4, chunks())
        assert caught.value.outcome == "unknown"
        assert (home / "a").read_bytes() == b"old\nnew\nreign line\n"
        for call in (lambda: file.append(19, [b"more"]), lambda: file.cut(0)):
            with pytest.raises(StoreUnavailableError, match="an earlier write failed, open it again") as caught:
                call()
            assert caught.value.outcome == "not_written"

    def test_an_error_of_the_source_is_the_callers_own(self, file: File, home: Path) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"x" * 400_000
            raise OSError("the source broke")

        with pytest.raises(OSError, match="the source broke"):
            file.append(4, chunks())
        assert (home / "a").read_bytes() == b"old\n"

    def test_an_interrupt_between_write_and_sync_leaves_a_handle_that_refuses(self, file: File) -> None:
        def hook(frame: object, event: str, arg: object) -> None:
            if event == "c_call" and getattr(arg, "__name__", "") == "fdatasync":
                raise KeyboardInterrupt

        sys.setprofile(hook)
        try:
            with pytest.raises(KeyboardInterrupt):
                file.append(4, [b"new"])
        finally:
            sys.setprofile(None)
        with pytest.raises(StoreUnavailableError, match="open it again"):
            file.append(7, [b"more"])


class TestCut:
    def test_it_drops_the_end_and_syncs(self, file: File, home: Path) -> None:
        assert system_calls(lambda: file.cut(2)) == ["fstat", "ftruncate", "fdatasync"]
        assert (home / "a").read_bytes() == b"ol"

    @pytest.mark.parametrize("offset", [5, -1])
    def test_it_never_makes_a_file_longer(self, file: File, home: Path, offset: int) -> None:
        with pytest.raises(StoreUnavailableError, match="it holds 4 bytes"):
            file.cut(offset)
        assert (home / "a").read_bytes() == b"old\n"


class TestReading:
    def test_a_read_larger_than_one_call_gives_gets_everything(self, directory: Directory) -> None:
        content = os.urandom(9 * 1024 * 1024 + 1)
        directory.create("big", content)
        with directory.open_file("big") or pytest.fail("missing") as big:
            assert big.read(0, 1 << 40) == content
            assert big.read(1, len(content) - 2) == content[1:-1]
            assert big.read(len(content), 1) == b""

    def test_a_closed_file_says_so(self, file: File) -> None:
        file.close()
        file.close()
        for call in (file.stat, lambda: file.read(0, 1), lambda: file.append(4, [b"x"]), lambda: file.cut(0)):
            with pytest.raises(StoreUnavailableError, match="a: it is closed"):
                call()

    def test_a_file_opened_to_read_is_not_changed(self, directory: Directory, file: File, home: Path) -> None:
        with directory.open_file("a") or pytest.fail("missing") as reader:
            for call in (lambda: reader.append(4, [b"x"]), lambda: reader.cut(0)):
                with pytest.raises(StoreUnavailableError, match="open for reading only"):
                    call()
        assert (home / "a").read_bytes() == b"old\n"
