"""The key of the other tool: derived as that tool does it, compared in the one place, and never shown."""

from __future__ import annotations

import copy
import hashlib
import hmac
import pickle
import traceback
from collections.abc import Callable

import pytest

from sessionstore.signing import OriginKey, TagMismatch, origin_key

SALT, SECRET, HOST = "application salt", b"0123456789abcdef" * 4, "devbox"
MESSAGE = b"{}"


def derived(salt: bytes, secret: bytes, host: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", salt, salt + secret + host, 100_000, 32)


class TestOriginKey:
    @pytest.mark.parametrize(
        ("salt", "secret", "host"), [(SALT, SECRET, HOST), ("s\u00e4lt", b"\xff\x00\n", "h\u00f6st"), ("", b"", "")]
    )
    def test_it_is_pbkdf2_over_the_three_in_a_row(self, salt: str, secret: bytes, host: str) -> None:
        tag = hmac.digest(derived(salt.encode(), secret, host.encode()), MESSAGE, "sha256")
        origin_key(salt, secret, host).verify(tag, MESSAGE)

    def test_text_that_is_none_makes_a_key_that_fits_nothing(self) -> None:
        with pytest.raises(TagMismatch):
            origin_key("\udcff", SECRET, "\ud83d").verify(bytes(32), MESSAGE)

    def test_any_flipped_bit_of_the_tag_raises(self) -> None:
        key, tag = OriginKey(SECRET), bytearray(hmac.digest(SECRET, MESSAGE, "sha256"))
        key.verify(bytes(tag), MESSAGE)
        for at in range(256):
            tag[at // 8] ^= 1 << at % 8
            with pytest.raises(TagMismatch):
                key.verify(bytes(tag), MESSAGE)
            tag[at // 8] ^= 1 << at % 8

    @pytest.mark.parametrize("size", [0, 16, 31, 33])
    def test_a_tag_of_another_length_raises(self, size: int) -> None:
        tag = hmac.digest(SECRET, MESSAGE, "sha256") + b"x"
        with pytest.raises(TagMismatch):
            OriginKey(SECRET).verify(tag[:size], MESSAGE)

    def test_another_message_raises(self) -> None:
        with pytest.raises(TagMismatch):
            OriginKey(SECRET).verify(hmac.digest(SECRET, MESSAGE, "sha256"), MESSAGE + b" ")

    def test_it_cannot_make_a_tag(self) -> None:
        assert not hasattr(OriginKey(SECRET), "tag")

    def test_it_shows_nothing(self) -> None:
        assert repr(OriginKey(SECRET)) == str(OriginKey(SECRET)) == "OriginKey()"

    @pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_it_is_neither_copied_nor_pickled(self, take: Callable[[object], object]) -> None:
        with pytest.raises(TypeError, match="not pickled or copied"):
            take(OriginKey(SECRET))

    def test_a_traceback_with_all_variables_shows_neither_key_nor_expected_tag(self) -> None:
        with pytest.raises(TagMismatch) as caught:
            OriginKey(SECRET).verify(bytes(32), MESSAGE)
        shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert "OriginKey()" in shown
        for secret in (SECRET, hmac.digest(SECRET, MESSAGE, "sha256")):
            assert secret.hex() not in shown
            assert repr(secret)[2:20] not in shown
