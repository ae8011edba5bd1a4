"""From the last seal back: the same segments as forwards, nothing that was changed, no more than is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.format.backward import FIRST_STEP_BYTES, segments_back
from sessionstore.format.chain import Unchained
from sessionstore.format.seal import SEAL, SUFFIX_BYTES, Sealed


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda start, size: data[start : start + size]


def both_parts(segments: list[Any]) -> list[tuple[bytes, bytes]]:
    """Of each segment its lines, and the seal line that it follows."""
    seals = [b"", *(segment.sealed.line for segment in segments)]
    return [(segment.body, before) for segment, before in zip(segments, seals, strict=False)]


def last_seal(shop: Any, data: bytes) -> Sealed:
    return shop.segments(data)[-1].sealed


class TestSegmentsBack:
    def test_they_are_those_that_forward_reading_finds(self, shop: Any) -> None:
        data = shop.file()
        forward = both_parts(shop.segments(data))
        assert list(segments_back(reader(data), last_seal(shop, data))) == forward[::-1]

    def test_a_save_of_several_segments_is_read_in_all_of_them(self, shop: Any, long_file: bytes) -> None:
        forward = both_parts(shop.segments(long_file))
        assert len(forward) > 4
        assert list(segments_back(reader(long_file), last_seal(shop, long_file))) == forward[::-1]

    @given(sizes=st.lists(st.lists(st.integers(0, 3 * FIRST_STEP_BYTES), max_size=3), min_size=1, max_size=6))
    def test_any_file_is_read_the_same_in_both_directions(self, shop: Any, sizes: list[list[int]]) -> None:
        saves = [(shop.opening(),), *(tuple(shop.entry("x" * size) for size in save) for save in sizes if save)]
        data = shop.file(*saves)
        forward = both_parts(shop.segments(data))
        assert list(segments_back(reader(data), last_seal(shop, data))) == forward[::-1]

    def test_every_flipped_bit_of_what_is_read_is_refused(self, shop: Any) -> None:
        data = shop.file()
        last = last_seal(shop, data)
        for at in range(last.seal.at):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            with pytest.raises(Unchained):
                list(segments_back(reader(bytes(changed)), last))

    def test_what_was_handed_out_before_the_damage_is_good(self, shop: Any) -> None:
        data = shop.file()
        found = []
        with pytest.raises(Unchained):
            for body, _ in segments_back(reader(data.replace(b"eins", b"EINS")), last_seal(shop, data)):
                found.append(body)
        forward = [segment.body for segment in shop.segments(data)]
        assert found == forward[:1:-1]

    def test_a_chain_that_is_no_hexadecimal_is_refused_and_no_accident(self, shop: Any) -> None:
        data = shop.file()
        last = last_seal(shop, data)
        before = shop.segments(data)[-2].sealed
        for filler in (b"z" * 64, b"\xff" * 64, b" " * 64):
            changed = bytearray(data)
            at = before.end - SUFFIX_BYTES - 2 - 64
            assert changed[at : at + 64] == before.seal.chain.encode()
            changed[at : at + 64] = filler
            with pytest.raises(Unchained):
                list(segments_back(reader(bytes(changed)), last))

    def test_lines_put_in_that_look_like_seals_are_refused(self, shop: Any) -> None:
        data = shop.file()
        segments = shop.segments(data)
        last, before = segments[-1].sealed, segments[-2].sealed
        put_in = [SEAL + b"}\n", b'{"seal":\n', before.line, last.line]
        for line in put_in:
            changed = data[: before.end] + line + data[before.end :]
            with pytest.raises(Unchained):
                list(segments_back(reader(changed), last))

    def test_a_file_that_is_cut_in_front_or_shorter_than_it_was_is_refused(self, shop: Any) -> None:
        data = shop.file()
        last = last_seal(shop, data)
        for changed in (data[1:], data[: last.seal.at - 1], b"", data[100:]):
            with pytest.raises(Unchained):
                list(segments_back(reader(changed), last))

    def test_the_end_of_a_long_file_costs_one_step(self, shop: Any) -> None:
        data = shop.file((shop.opening(),), *((shop.entry(f"{number}" * 100),) for number in range(3000)))
        last = last_seal(shop, data)
        sizes = []

        def read(start: int, size: int) -> bytes:
            sizes.append(size)
            return data[start : start + size]

        segments = segments_back(read, last)
        for _ in range(20):
            next(segments)
        assert sizes == [FIRST_STEP_BYTES]
        assert len(list(segments)) == 3001 - 20
        assert sum(sizes) <= len(data)  # and none of it is read twice
