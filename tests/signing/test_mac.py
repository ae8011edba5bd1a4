"""Tags: what is signed is unambiguous, checking raises, and no key leaks."""

from __future__ import annotations

import copy
import hashlib
import pickle
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.signing import MAC_BYTES, MacKey, TagMismatch, pae

SECRET = bytes(range(100, 132))
PARTS = (b"context", b"store", b"payload")


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """RFC 2104, written from its definition."""
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + data).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


# RFC 4231, test cases 1-4, 6 and 7: key, data, HMAC-SHA-256. (Case 5 truncates the tag, which nothing here does.)
RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
]


class TestPae:
    @pytest.mark.parametrize(
        ("parts", "encoded"),
        [
            ((), u64(0)),
            ((b"",), u64(1) + u64(0)),
            ((b"test",), u64(1) + u64(4) + b"test"),
            ((b"ab", b"", b"c"), u64(3) + u64(2) + b"ab" + u64(0) + u64(1) + b"c"),
        ],
    )
    def test_it_is_the_count_and_then_each_length_and_part(self, parts: tuple[bytes, ...], encoded: bytes) -> None:
        assert pae(*parts) == encoded

    @given(st.lists(st.binary(max_size=40), max_size=6))
    def test_an_encoding_can_be_taken_apart_again_so_no_two_lists_share_one(self, parts: list[bytes]) -> None:
        data, found = pae(*parts), []
        count, at = int.from_bytes(data[:8], "little"), 8
        for _ in range(count):
            size = int.from_bytes(data[at : at + 8], "little")
            found.append(data[at + 8 : at + 8 + size])
            at += 8 + size
        assert found == parts
        assert at == len(data)

    @given(st.binary(min_size=1, max_size=60), st.data())
    def test_the_same_bytes_cut_in_other_places_have_another_encoding(self, data: bytes, draw: st.DataObject) -> None:
        cuts = st.sets(st.integers(0, len(data)), max_size=4).map(sorted)
        one, other = draw.draw(cuts), draw.draw(cuts)
        encoded = [
            pae(*(data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)))
            for places in (one, other)
        ]
        assert (encoded[0] == encoded[1]) == (one == other)

    def test_a_part_that_looks_like_an_encoding_is_only_a_part(self) -> None:
        assert pae(b"a", b"b") != pae(pae(b"a", b"b")[8:])
        assert pae(pae(b"a")) != pae(b"a")


class TestTag:
    @pytest.mark.parametrize(("key", "data", "tag"), RFC_4231)
    def test_the_yardstick_of_these_tests_is_the_standard_itself(self, key: bytes, data: bytes, tag: str) -> None:
        assert hmac_sha256(key, data).hex() == tag

    @given(st.lists(st.binary(max_size=100), max_size=5))
    def test_it_is_hmac_sha256_over_the_encoded_parts(self, parts: list[bytes]) -> None:
        assert MacKey("0" * 16, SECRET).tag(*parts) == hmac_sha256(SECRET, pae(*parts))

    def test_it_has_32_bytes(self) -> None:
        assert len(MacKey("0" * 16, SECRET).tag(*PARTS)) == MAC_BYTES == 32


class TestVerify:
    key = MacKey("0" * 16, SECRET)
    tag = key.tag(*PARTS)

    def test_the_right_tag_passes_and_says_nothing(self) -> None:
        assert self.key.verify(self.tag, *PARTS) is None

    def test_a_tag_with_any_one_bit_changed_raises(self) -> None:
        for bit in range(MAC_BYTES * 8):
            changed = bytearray(self.tag)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(TagMismatch):
                self.key.verify(bytes(changed), *PARTS)

    @pytest.mark.parametrize("size", [0, 1, 16, 31])
    def test_a_shortened_tag_raises_although_its_bytes_are_right(self, size: int) -> None:
        with pytest.raises(TagMismatch):
            self.key.verify(self.tag[:size], *PARTS)

    def test_a_lengthened_tag_raises(self) -> None:
        with pytest.raises(TagMismatch):
            self.key.verify(self.tag + b"\0", *PARTS)

    @pytest.mark.parametrize(
        "parts",
        [(), PARTS[:2], (*PARTS, b""), (b"context", b"stor", b"epayload"), (b"store", b"context", b"payload")],
    )
    def test_other_parts_raise(self, parts: tuple[bytes, ...]) -> None:
        with pytest.raises(TagMismatch):
            self.key.verify(self.tag, *parts)

    def test_another_key_raises(self) -> None:
        with pytest.raises(TagMismatch):
            MacKey("0" * 16, SECRET[::-1]).verify(self.tag, *PARTS)


class TestWhatAMacKeyShows:
    key = MacKey("0123456789abcdef", SECRET)

    @pytest.mark.parametrize("show", [repr, str, "{0}".format, "{0!r}".format, lambda key: f"{[key]}"])
    def test_only_its_id(self, show: Callable[[object], str]) -> None:
        assert show(self.key).strip("[]") == "MacKey(0123456789abcdef)"

    @pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps, lambda key: pickle.dumps({"key": key})])
    def test_it_is_neither_copied_nor_pickled(self, take: Callable[[object], object]) -> None:
        with pytest.raises(TypeError, match="not pickled or copied"):
            take(self.key)

    def test_a_traceback_with_all_variables_shows_neither_key_nor_expected_tag(self) -> None:
        with pytest.raises(TagMismatch) as caught:
            self.key.verify(bytes(32), *PARTS)
        shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert "MacKey(0123456789abcdef)" in shown
        for secret in (SECRET, self.key.tag(*PARTS)):
            assert secret.hex() not in shown
            assert repr(secret)[2:20] not in shown
