"""Walking a file that was changed, or is another one: only bytes that a good seal commits are handed out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.format.log import Segment
from sessionstore.format.seal import MAX_SEAL_BYTES

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


class TestChangedFiles:
    """Whatever is done to a file: what is handed out is a beginning of what was saved, and never all of it."""

    def refused(self, shop: Any, changed: bytes, good: bytes, all_of_it: Any, step: int = MEBIBYTE) -> None:
        found, error = shop.handed_out(changed, step_bytes=step)
        assert facts(found) == all_of_it[: len(found)]
        assert len(found) < len(all_of_it)
        assert error in ("Broken", "UnknownKeyError", "")

    def test_every_single_bit(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        for at in range(len(good)):
            for bit in range(8):
                changed = bytearray(good)
                changed[at] ^= 1 << bit
                self.refused(shop, bytes(changed), good, all_of_it)

    def test_every_byte_left_out(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        for at in range(len(good)):
            self.refused(shop, good[:at] + good[at + 1 :], good, all_of_it)

    @pytest.mark.parametrize("byte", [b"\n", b"\0", b"\r", b"}", b" ", b"0"])
    def test_a_byte_put_in_anywhere(self, shop: Any, good: bytes, all_of_it: Any, byte: bytes) -> None:
        for at in range(len(good) - 1):
            self.refused(shop, good[:at] + byte + good[at:], good, all_of_it)

    @given(st.data())
    def test_any_piece_exchanged_for_any_other(
        self, shop: Any, good: bytes, all_of_it: Any, data: st.DataObject
    ) -> None:
        start = data.draw(st.integers(0, len(good) - 1))
        end = data.draw(st.integers(start, len(good)))
        other = data.draw(st.binary(max_size=20) | st.integers(0, len(good)).map(lambda at: good[at : at + 200]))
        changed = good[:start] + other + good[end:]
        if not changed.startswith(good):
            self.refused(shop, changed, good, all_of_it, step=data.draw(st.sampled_from([7, 1000, MEBIBYTE])))

    def test_any_two_lines_swapped(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        lines = good.splitlines(keepends=True)
        for one in range(len(lines)):
            for other in range(one):
                changed = list(lines)
                changed[one], changed[other] = changed[other], changed[one]
                if changed != lines:
                    self.refused(shop, b"".join(changed), good, all_of_it)

    def test_any_line_repeated_or_left_out(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        lines = good.splitlines(keepends=True)
        for one in range(len(lines)):
            self.refused(shop, b"".join(lines[:one] + lines[one + 1 :]), good, all_of_it)
            for place in range(len(lines) - 1):
                self.refused(shop, b"".join([*lines[:place], lines[one], *lines[place:]]), good, all_of_it)

    def test_any_run_of_lines_left_out(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        lines = good.splitlines(keepends=True)
        for start in range(len(lines)):
            for end in range(start + 1, len(lines) + 1):
                self.refused(shop, b"".join(lines[:start] + lines[end:]), good, all_of_it)

    def test_segments_of_two_histories_of_one_session_do_not_mix(self, shop: Any, good: bytes) -> None:
        other = shop.file((shop.opening(), shop.state(name="Other")), (shop.entry("fünf"),), (shop.entry("sechs"),))
        one, two = ([segment.body + segment.sealed.line for segment in shop.segments(data)] for data in (good, other))
        for place in range(1, len(two)):
            for mixed in (one[:place] + two[place:], two[:place] + one[place:]):
                found, error = shop.handed_out(b"".join(mixed))
                assert ([segment.body + segment.sealed.line for segment in found], error) == (mixed[:place], "Broken")

    @pytest.mark.parametrize(
        "changed",
        [
            lambda good: b"\xef\xbb\xbf" + good,
            lambda good: good.replace(b"\n", b"\r\n"),
            lambda good: b"\n" + good,
            lambda good: good.decode("latin-1").encode("utf-16"),
            lambda good: bytes(len(good)),
            lambda good: b"",
            lambda good: good[: len(good) // 2] + bytes(len(good) - len(good) // 2),
        ],
    )
    def test_what_editors_and_crashes_do(self, shop: Any, good: bytes, all_of_it: Any, changed: Any) -> None:
        self.refused(shop, changed(good), good, all_of_it)


class TestStrangeFiles:
    def test_the_file_of_one_session_under_the_name_of_another(self, shop: Any, good: bytes) -> None:
        other = shop.sealer(session="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4e")
        assert shop.handed_out(good, other) == ([], "Broken")

    def test_the_file_of_another_store(self, shop: Any, good: bytes) -> None:
        other = shop.sealer(store="5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e50")
        assert shop.handed_out(good, other) == ([], "Broken")

    def test_the_file_of_another_installation(self, shop: Any, good: bytes) -> None:
        assert shop.handed_out(good, shop.sealer(shop.other_keyring())) == ([], "UnknownKeyError")

    def test_a_disabled_key(self, shop: Any, good: bytes) -> None:
        assert shop.handed_out(good, shop.sealer(shop.keyring("disabled", "primary"))) == ([], "KeyDisabledError")

    def test_a_key_we_do_not_have_further_on(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        more, _ = shop.save(sealed, shop.entry(), sealer=shop.sealer(shop.other_keyring()))
        found, error = shop.handed_out(data + more)
        assert (len(found), error) == (1, "UnknownKeyError")

    def test_an_entry_that_holds_a_copy_of_a_seal_line_is_an_entry(self, shop: Any, good: bytes) -> None:
        copied = shop.segments(good)[0].sealed.line.decode()
        data = shop.file((shop.opening(),), (shop.entry(f"look:\n{copied}and on"),), (shop.entry(copied),))
        assert len(shop.segments(data)) == 3

    def test_a_copy_of_a_seal_line_behind_a_raw_line_end_is_broken(self, shop: Any, good: bytes) -> None:
        segments = shop.segments(good)
        raw = b'{"entry":{"a":"\n' + segments[0].sealed.line + b'"}}\n'
        changed = good[: segments[0].sealed.end] + raw + good[segments[0].sealed.end :]
        found, error = shop.handed_out(changed)
        assert (len(found), error) == (1, "Broken")

    def test_a_seal_line_cannot_be_sealed_as_a_line(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        inner, _ = shop.save(sealed, shop.entry("inner"))
        lying, _ = shop.save(sealed, *inner.splitlines(keepends=True), shop.entry("outer"))
        found, error = shop.handed_out(data + lying)
        assert ([segment.body for segment in found[1:]], error) == ([shop.entry("inner")], "Broken")

    @pytest.mark.parametrize("step", [1000, MEBIBYTE])
    def test_a_tail_without_a_seal_ends_the_walk_and_breaks_nothing(self, shop: Any, good: bytes, step: int) -> None:
        for tail in (
            b"{",
            shop.entry(),
            bytes(4096),
            b"\n\n\n",
            b'{"seal":',
            b'{"seal":' + b"x" * 10_000,
            b"x" * 500_000,
        ):
            found, error = shop.handed_out(good + tail, step_bytes=step)
            assert (len(found), error) == (4, "")

    @pytest.mark.parametrize("step", [1000, MEBIBYTE])
    def test_a_tail_that_begins_like_a_seal_and_is_longer_than_any_is_broken(
        self, shop: Any, good: bytes, step: int
    ) -> None:
        found, error = shop.handed_out(good + b'{"seal":' + b"x" * 50_000, step_bytes=step)
        assert (len(found), error) == (4, "Broken")

    def test_a_seal_line_over_16_kib_is_broken_with_a_good_tag_too(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        long = shop.forge(shop.forge_seal(sealed)[:-102].replace(b'"Atlas"', b'"Atlas"' + b" " * MAX_SEAL_BYTES))
        assert shop.handed_out(data[: sealed.seal.at] + long) == ([], "Broken")
