"""The quick way through a file: one verified seal at the end, and the chain that leads to it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import KeyringError
from sessionstore.format.chain import Unchained, chained_bodies
from sessionstore.format.seal import SUFFIX_BYTES, Broken, Sealed


@pytest.fixture(scope="module")
def good(shop: Any) -> bytes:
    data: bytes = shop.file()
    return data


@pytest.fixture(scope="module")
def seals(shop: Any, good: bytes) -> list[Sealed]:
    return [segment.sealed for segment in shop.segments(good)]


def bodies(data: bytes, last: Sealed) -> list[bytes]:
    return [data[start:stop] for start, stop in chained_bodies(data, last)]


class TestGoodFiles:
    def test_it_finds_the_same_bodies_as_a_walk(self, shop: Any, good: bytes, seals: list[Sealed]) -> None:
        for number, last in enumerate(seals, 1):
            assert bodies(good, last) == [segment.body for segment in shop.segments(good)[:number]]

    def test_a_save_of_several_segments(self, shop: Any, long_file: bytes) -> None:
        segments = shop.segments(long_file)
        assert bodies(long_file, segments[-1].sealed) == [segment.body for segment in segments]

    def test_what_stands_behind_the_last_seal_is_not_looked_at(
        self, shop: Any, good: bytes, seals: list[Sealed]
    ) -> None:
        expected = [segment.body for segment in shop.segments(good)]
        for tail in (b"{", shop.entry(), b'{"seal":\n', good):
            assert bodies(good + tail, seals[-1]) == expected

    def test_seals_of_a_key_that_is_gone_are_vouched_for_by_the_last(self, shop: Any) -> None:
        data, first = shop.save(None, shop.opening())
        more, last = shop.save(first, shop.entry(), sealer=shop.sealer(shop.other_keyring()))
        assert bodies(data + more, last) == [shop.opening(), shop.entry()]


class TestChangedFiles:
    """Other bytes before the last seal are never taken for those that it commits."""

    def refused(self, good: bytes, changed: bytes, last: Sealed) -> None:
        if changed[: last.seal.at] == good[: last.seal.at]:
            return
        with pytest.raises(Unchained):
            chained_bodies(changed, last)

    def test_every_single_bit(self, good: bytes, seals: list[Sealed]) -> None:
        for at in range(seals[-1].seal.at):
            for bit in range(8):
                changed = bytearray(good)
                changed[at] ^= 1 << bit
                self.refused(good, bytes(changed), seals[-1])

    def test_every_byte_left_out_or_doubled(self, good: bytes, seals: list[Sealed]) -> None:
        for at in range(seals[-1].seal.at):
            self.refused(good, good[:at] + good[at + 1 :], seals[-1])
            self.refused(good, good[: at + 1] + good[at:], seals[-1])

    @given(st.data())
    def test_any_piece_exchanged_for_any_other(self, good: bytes, seals: list[Sealed], data: st.DataObject) -> None:
        start = data.draw(st.integers(0, seals[-1].seal.at))
        end = data.draw(st.integers(start, len(good)))
        other = data.draw(st.binary(max_size=20) | st.integers(0, len(good)).map(lambda at: good[at : at + 300]))
        self.refused(good, good[:start] + other + good[end:], seals[-1])

    def test_any_two_lines_swapped_and_any_line_repeated(self, good: bytes, seals: list[Sealed]) -> None:
        lines = good.splitlines(keepends=True)
        for one in range(len(lines) - 1):
            self.refused(good, b"".join([*lines[: one + 1], *lines[one:]]), seals[-1])
            for other in range(one):
                changed = list(lines)
                changed[one], changed[other] = changed[other], changed[one]
                self.refused(good, b"".join(changed), seals[-1])

    def test_a_shorter_file(self, good: bytes, seals: list[Sealed]) -> None:
        for end in range(0, seals[-1].seal.at, 7):
            self.refused(good, good[:end], seals[-1])

    def test_a_last_seal_that_is_cut(self, good: bytes, seals: list[Sealed]) -> None:
        with pytest.raises(Unchained):
            chained_bodies(good[:-1], seals[-1])

    @pytest.mark.parametrize("changed", [b"", b"\n" * 5000, b'{"seal":\n' * 500, b"x" * 5000])
    def test_files_that_are_none(self, seals: list[Sealed], changed: bytes) -> None:
        with pytest.raises(Unchained) as caught:
            chained_bodies(changed, seals[-1])
        assert caught.value.good == b""


class TestWhereItDiffers:
    def test_a_changed_body_leaves_the_seal_before_it_good(self, good: bytes, seals: list[Sealed]) -> None:
        for number, sealed in enumerate(seals):
            at = sealed.seal.at - 5
            with pytest.raises(Unchained) as caught:
                chained_bodies(good[:at] + b"#" + good[at + 1 :], seals[-1])
            assert caught.value.good == (seals[number - 1].line if number else b"")

    def test_the_seal_it_names_is_good_or_can_be_told_to_be_bad(
        self, shop: Any, good: bytes, seals: list[Sealed]
    ) -> None:
        genuine = {b"", *(sealed.line for sealed in seals)}
        for at in range(seals[-1].seal.at):
            changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
            with pytest.raises(Unchained) as caught:
                chained_bodies(changed, seals[-1])
            if caught.value.good not in genuine:
                with pytest.raises((Broken, KeyringError)):
                    shop.sealer().verify_line(caught.value.good)

    def test_chains_that_somebody_computed_anew_need_no_key_and_do_not_lead_to_the_last_seal(
        self, shop: Any, good: bytes, seals: list[Sealed]
    ) -> None:
        forged, chain, start = bytearray(good.replace(b"eins", b"EINS")), bytes(32), 0
        for sealed in seals:
            chain = sha256(chain + forged[start : sealed.seal.at]).digest()
            start, end = sealed.seal.at, sealed.end - SUFFIX_BYTES - len('"}')
            forged[end - 64 : end] = chain.hex().encode()
        with pytest.raises(Unchained) as caught:
            chained_bodies(bytes(forged), seals[-1])
        assert caught.value.good == forged[seals[-2].seal.at : seals[-2].end]
        with pytest.raises(Broken):
            shop.sealer().verify_line(caught.value.good)
        assert len(shop.handed_out(bytes(forged))[0]) == 1
