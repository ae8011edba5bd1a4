"""Walking a good file: every byte is handed out once, in any step, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from sessionstore.format.log import Segment, walk
from sessionstore.signing import key_id

MEBIBYTE = 1024 * 1024


def facts(segments: list[Segment]) -> list[tuple[bytes, bytes, bool]]:
    return [(segment.body, segment.sealed.line, segment.is_first) for segment in segments]


@pytest.fixture(scope="module")
def good(shop: Any) -> bytes:
    """Four saves, four seals, some 2.5 KB."""
    data: bytes = shop.file()
    return data


@pytest.fixture(scope="module")
def all_of_it(shop: Any, good: bytes) -> list[tuple[bytes, bytes, bool]]:
    return facts(shop.segments(good))


class TestGoodFiles:
    def test_every_byte_is_handed_out_once_and_in_order(self, good: bytes, all_of_it: Any) -> None:
        assert b"".join(body + line for body, line, _ in all_of_it) == good
        assert [is_first for *_, is_first in all_of_it] == [True, False, False, False]

    def test_any_step_gives_the_same_segments(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        for step in (*range(1, 40), *range(40, len(good) + 50, 37), len(good), 10 * len(good)):
            assert facts(shop.segments(good, step_bytes=step)) == all_of_it

    def test_any_step_finds_a_seal_behind_many_lines_that_it_cuts(self, shop: Any) -> None:
        data = shop.file((shop.opening(), *[shop.entry()] * 100), tuple([shop.entry()] * 100))
        whole = facts(shop.segments(data))
        for step in range(1, len(data), 61):
            assert facts(shop.segments(data, step_bytes=step)) == whole

    def test_a_reader_that_gives_less_than_asked_changes_nothing(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        def stingy(start: int, size: int) -> bytes:
            return good[start : start + max(1, size // 3)]

        assert facts(list(walk(shop.sealer(), stingy, end=len(good)))) == all_of_it

    def test_reading_can_begin_behind_any_seal(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        segments = shop.segments(good)
        for number, segment in enumerate(segments):
            assert facts(shop.segments(good, previous=segment.sealed)) == all_of_it[number + 1 :]

    def test_it_ends_at_the_end_that_is_given_and_at_the_last_whole_seal(
        self, shop: Any, good: bytes, all_of_it: Any
    ) -> None:
        ends = [segment.sealed.end for segment in shop.segments(good)]
        for end in range(len(good) + 1):
            assert facts(shop.segments(good, end=end)) == all_of_it[: sum(last <= end for last in ends)]

    def test_an_end_behind_the_end_of_the_file_ends_with_the_file(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        assert facts(shop.segments(good, end=len(good) + 1000)) == all_of_it

    def test_nothing_behind_the_end_is_asked_for(self, shop: Any, good: bytes) -> None:
        asked = []

        def read(start: int, size: int) -> bytes:
            asked.append(start + size)
            return good[start : start + size]

        list(walk(shop.sealer(), read, end=len(good) - 5))
        assert max(asked) == len(good) - 5

    def test_a_file_of_old_and_new_keys_is_walked_with_both(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        rotated = shop.keyring("verify_only", "primary")
        more, _ = shop.save(sealed, shop.entry(), sealer=shop.sealer(rotated))
        found = shop.segments(data + more, shop.sealer(rotated))
        assert [segment.sealed.key_id for segment in found] == [key_id(shop.secret), key_id(shop.other_secret)]

    def test_a_rewritten_file_begins_with_a_later_revision(self, shop: Any) -> None:
        data, _ = shop.save(None, shop.opening(), shop.entry(), first_rev=9, replaces="ss2.old")
        (segment,) = shop.segments(data)
        assert (segment.sealed.seal.rev, segment.sealed.seal.replaces) == (9, "ss2.old")

    @pytest.mark.parametrize("step", [1000, 100_000, MEBIBYTE, 1 << 30])
    def test_a_save_of_several_segments_is_walked_in_any_step(self, shop: Any, long_file: bytes, step: int) -> None:
        segments = shop.segments(long_file, step_bytes=step)
        assert [segment.sealed.seal.more for segment in segments] == [True, True, True, False, False]
        assert b"".join(body + line for body, line, _ in facts(segments)) == long_file


class TestMemory:
    def test_64_mib_are_walked_in_a_few(self, shop: Any, tmp_path: Path) -> None:
        path = tmp_path / "long.jsonl"
        line, previous, size = shop.entry("x" * 2000), None, 0
        first = [shop.opening()]
        with path.open("wb") as file:
            while size < 64 * MEBIBYTE:
                data, previous = shop.save(previous, *first, *[line] * 2000)
                size += file.write(data)
                first = []
        with path.open("rb", buffering=0) as file:

            def read(start: int, count: int) -> bytes:
                file.seek(start)
                return file.read(count)

            tracemalloc.start()
            try:
                last = None
                for segment in walk(shop.sealer(), read, end=size):
                    last = segment.sealed
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert last is not None and last.end == size
        assert peak < 16 * MEBIBYTE

    def test_an_entry_of_8_mib_costs_a_few_times_itself(self, shop: Any) -> None:
        data = shop.file((shop.opening(), shop.entry("x" * 8 * MEBIBYTE)), (shop.entry(),))
        tracemalloc.start()
        try:
            assert (
                sum(1 for _ in walk(shop.sealer(), lambda start, size: data[start : start + size], end=len(data))) == 2
            )
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 48 * MEBIBYTE
