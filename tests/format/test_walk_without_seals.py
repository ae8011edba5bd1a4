"""Walking a file that has no seal where one must be: given up at once, whatever its size."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sessionstore.format.log import walk
from sessionstore.format.seal import SEGMENT_BYTES, Broken

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def good(shop: Any) -> bytes:
    """Four saves, four seals, some 2.5 KB."""
    data: bytes = shop.file()
    return data


class TestFilesWithoutSeals:
    """A segment ends behind the line that fills it, so what has no seal there is given up at once."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\n" * 9 * MEBIBYTE,
            b"x\n" * 4 * MEBIBYTE,
            b'{"entry":{"a":1}}\n' * MEBIBYTE,
            b'{"seal"!' + b"\n{" * 4 * MEBIBYTE,
        ],
        ids=lambda data: ascii(data[:10]),
    )
    @pytest.mark.parametrize("step", [100_000, MEBIBYTE, 16 * MEBIBYTE])
    def test_only_its_first_mebibyte_is_looked_at(self, shop: Any, data: bytes, step: int) -> None:
        asked = []

        def read(start: int, size: int) -> bytes:
            asked.append(start)
            return data[start : start + size]

        with pytest.raises(Broken):
            list(walk(shop.sealer(), read, end=len(data), step_bytes=step))
        assert max(asked) <= 2 * MEBIBYTE

    @pytest.mark.parametrize("beginning", [b'{"entry":', b""])
    def test_one_endless_line_is_read_once_in_growing_steps(self, shop: Any, beginning: bytes) -> None:
        data = beginning + b"x" * 20 * MEBIBYTE
        asked = []

        def read(start: int, size: int) -> bytes:
            asked.append((start, size))
            return data[start : start + size]

        assert list(walk(shop.sealer(), read, end=len(data), step_bytes=1000)) == []
        assert sum(size for _, size in asked) == len(data)
        assert len(asked) < 40
        assert max(size for _, size in asked) <= MEBIBYTE  # and no more is held

    @pytest.mark.parametrize("step", [1000, MEBIBYTE, 1 << 30])
    @pytest.mark.parametrize("over", [-1, 0, 1, 5 * MEBIBYTE])
    def test_a_line_that_ends_after_all_is_read_again_and_handed_out(self, shop: Any, step: int, over: int) -> None:
        lines = (shop.opening(), shop.entry("x" * (MEBIBYTE + over)), shop.entry("next"))
        data = shop.file(lines)
        assert b"".join(segment.body for segment in shop.segments(data, step_bytes=step)) == b"".join(lines)
        assert shop.handed_out(data[:-1], step_bytes=step)[1] != "Broken"

    @pytest.mark.parametrize("step", [1000, MEBIBYTE, 1 << 30])
    @pytest.mark.parametrize("lines", [1, 2, 50])
    def test_a_seal_behind_a_segment_that_was_full_before_is_not_ours(self, shop: Any, step: int, lines: int) -> None:
        filling = shop.entry("x" * SEGMENT_BYTES)
        body = shop.opening() + filling
        sealed = shop.save(None, body)[1]
        assert len(shop.segments(body + sealed.line, step_bytes=step)) == 1
        late = body + shop.entry() * lines
        made = shop.sealer().make(None, late, replace(sealed.seal, at=len(late)))
        assert shop.handed_out(late + made.line, step_bytes=step) == ([], "Broken")

    @pytest.mark.parametrize("step", [1000, MEBIBYTE, 1 << 30])
    @pytest.mark.parametrize(("over", "error"), [(-1, ""), (0, "Broken"), (1, "Broken")])
    def test_and_full_means_exactly_one_mebibyte(self, shop: Any, step: int, over: int, error: str) -> None:
        room = SEGMENT_BYTES - len(shop.opening()) - len(shop.entry("")) + over
        body = shop.opening() + shop.entry("x" * room) + shop.entry()
        made = shop.sealer().make(None, body, replace(shop.save(None)[1].seal, at=len(body)))
        found, ended = shop.handed_out(body + made.line, step_bytes=step)
        assert (len(found), ended) == (0 if error else 1, error)

    @pytest.mark.parametrize("step", [1000, MEBIBYTE, 1 << 30])
    @pytest.mark.parametrize("over", [-1, 0, 1])
    def test_a_segment_is_full_at_exactly_one_mebibyte(self, shop: Any, step: int, over: int) -> None:
        room = SEGMENT_BYTES - len(shop.opening()) - len(shop.entry("")) + over
        data = shop.file((shop.opening(), shop.entry("x" * room), shop.entry("next")))
        segments = shop.segments(data, step_bytes=step)
        assert len(segments) == (1 if over < 0 else 2)
        assert b"".join(segment.body + segment.sealed.line for segment in segments) == data

    def test_good_segments_before_it_are_handed_out(self, shop: Any, good: bytes) -> None:
        found, error = shop.handed_out(good + b"\n" * 3 * MEBIBYTE)
        assert (len(found), error) == (4, "Broken")
