"""Keys from passphrases, for documents that travel."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from sessionstore.errors import InvalidValueError
from sessionstore.signing import PASSPHRASE_KEY_ID, SALT_BYTES, TagMismatch, key_id, passphrase_key

SALT = bytes(range(SALT_BYTES))


def scrypt(passphrase: bytes) -> bytes:
    return hashlib.scrypt(passphrase, salt=SALT, n=2**15, r=8, p=1, dklen=32, maxmem=64 * 1024 * 1024)


class TestPassphraseKey:
    @pytest.mark.parametrize("passphrase", ["correct horse", "pässwörd", "12345678"])
    def test_it_is_scrypt_with_the_documented_cost(self, passphrase: str) -> None:
        expected = hmac.digest(scrypt(passphrase.encode()), bytes(8), "sha256")
        assert passphrase_key(passphrase, SALT).tag() == expected

    def test_its_id_is_sixteen_zeros_which_no_install_key_has(self) -> None:
        assert passphrase_key("correct horse", SALT).key_id == PASSPHRASE_KEY_ID == "0" * 16 != key_id(bytes(32))

    def test_another_salt_or_passphrase_is_another_key(self) -> None:
        tag = passphrase_key("correct horse", SALT).tag(b"x")
        for other in (passphrase_key("correct horse", SALT[::-1]), passphrase_key("correct Horse", SALT)):
            with pytest.raises(TagMismatch):
                other.verify(tag, b"x")

    @pytest.mark.parametrize("passphrase", ["", "seven77"])
    def test_a_short_one_is_refused_and_not_repeated(self, passphrase: str) -> None:
        with pytest.raises(InvalidValueError) as caught:
            passphrase_key(passphrase, SALT)
        assert caught.value.fields == {"what": "passphrase", "reason": "at least 8 characters are needed"}

    def test_bytes_of_the_terminal_that_are_no_text_are_taken_as_they_are(self) -> None:
        typed = b"caf\xe9 caf\xe9".decode("utf-8", "surrogateescape")
        expected = hmac.digest(scrypt(typed.encode("utf-8", "surrogatepass")), bytes(8), "sha256")
        assert passphrase_key(typed, SALT).tag() == expected
