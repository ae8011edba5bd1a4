"""Keys from passphrases, for documents that travel."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from sessionstore.errors import InvalidValueError
from sessionstore.signing import (
    PASSPHRASE_KEY_ID,
    SALT_BYTES,
    TagMismatch,
    decrypted,
    encrypted,
    key_id,
    passphrase_key,
)

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


class TestEncrypted:
    @pytest.mark.parametrize("cost", [2**15, 2**16, 2**17, 2**18])
    def test_each_allowed_cost_is_its_own_key(self, cost: int) -> None:
        sealed = encrypted("correct horse", SALT, bytes(12), b"plain", b"beside", cost=cost)
        assert decrypted("correct horse", SALT, bytes(12), sealed, b"beside", cost=cost) == b"plain"
        other = 2**16 if cost == 2**15 else 2**15
        with pytest.raises(TagMismatch):
            decrypted("correct horse", SALT, bytes(12), sealed, b"beside", cost=other)

    @pytest.mark.parametrize("cost", [0, 1, 2**14, 2**15 + 1, 2**19, 2**60])
    def test_another_cost_is_refused_before_it_is_paid(self, cost: int) -> None:
        with pytest.raises(ValueError, match=r"N from 2\^15 to 2\^18 is needed"):
            decrypted("correct horse", SALT, bytes(12), bytes(32), b"", cost=cost)
        with pytest.raises(ValueError, match=r"N from 2\^15 to 2\^18 is needed"):
            encrypted("correct horse", SALT, bytes(12), b"", b"", cost=cost)
