"""Keys: one primary, one derived key for each purpose, and a status that decides what may be done."""

from __future__ import annotations

import copy
import hmac
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import KeyDisabledError, UnknownKeyError
from sessionstore.signing import Key, Keyring, KeyStatus, Purpose, TagMismatch, key_id, new_key, salt_check

CREATED = "2026-01-31T12:00:00.000000Z"
FIRST, SECOND, THIRD, FOURTH = (bytes([number]) * 16 + bytes(range(16)) for number in range(1, 5))
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, written from its definition."""
    prk = hmac.digest(salt or bytes(32), secret, "sha256")
    made, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([number]), "sha256")
        made += block
    return made[:length]


# RFC 5869, appendix A, test cases 1-3: IKM, salt, info, OKM.
RFC_5869 = [
    (
        b"\x0b" * 22,
        bytes(range(13)),
        bytes(range(0xF0, 0xFA)),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)),
        bytes(range(0x60, 0xB0)),
        bytes(range(0xB0, 0x100)),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        b"\x0b" * 22,
        b"",
        b"",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


def ring(*statuses: KeyStatus, salt: bytes = b"") -> Keyring:
    secrets = (FIRST, SECOND, THIRD, FOURTH)
    keys = [Key(secret, status, CREATED) for secret, status in zip(secrets, statuses, strict=False)]
    return Keyring(keys, generation=1, salt=salt)


class TestKey:
    @pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
    def test_it_has_32_bytes_and_the_refusal_does_not_repeat_them(self, size: int) -> None:
        with pytest.raises(ValueError, match=r"^an install key is 32 bytes$"):
            Key(b"s" * size, "primary", CREATED)

    def test_its_id_comes_from_its_bytes_alone(self) -> None:
        ids = {Key(FIRST, status, CREATED).id for status in get_args(KeyStatus)}
        assert ids == {key_id(FIRST)} == {hkdf_sha256(FIRST, b"", b"sessionstore/v2/kid", 8).hex()}

    def test_another_bit_is_another_id(self) -> None:
        damaged = bytes([FIRST[0] ^ 1]) + FIRST[1:]
        assert key_id(damaged) != key_id(FIRST)

    def test_a_new_one_is_primary_random_and_dated(self) -> None:
        one, other = new_key(CREATED), new_key(CREATED)
        assert (one.status, one.created_at, len(one.secret)) == ("primary", CREATED, 32)
        assert one.secret != other.secret

    @pytest.mark.parametrize("show", [repr, str, "{0}".format, lambda key: f"{[key]}".strip("[]")])
    def test_it_shows_its_id_and_status_only(self, show: Callable[[object], str]) -> None:
        assert show(Key(FIRST, "verify_only", CREATED)) == f"Key({key_id(FIRST)}, verify_only)"

    @pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_it_is_neither_copied_nor_pickled(self, take: Callable[[object], object]) -> None:
        with pytest.raises(TypeError, match="not pickled or copied"):
            take(Key(FIRST, "primary", CREATED))


class TestKeyring:
    @pytest.mark.parametrize("statuses", [(), ("verify_only",), ("primary", "primary"), ("disabled", "destroyed")])
    def test_it_has_exactly_one_primary_key(self, statuses: tuple[KeyStatus, ...]) -> None:
        with pytest.raises(ValueError, match="exactly one primary"):
            ring(*statuses)

    def test_a_key_cannot_be_there_under_two_statuses(self) -> None:
        with pytest.raises(ValueError, match="once"):
            Keyring([Key(FIRST, "primary", CREATED), Key(FIRST, "disabled", CREATED)], generation=1)

    def test_it_tells_its_keys_its_primary_and_its_generation(self) -> None:
        keys = [Key(FIRST, "verify_only", CREATED), Key(SECOND, "primary", CREATED)]
        keyring = Keyring(keys, generation=7)
        assert (keyring.keys, keyring.primary, keyring.generation) == (tuple(keys), keys[1], 7)

    def test_it_shows_no_secret_and_no_salt(self) -> None:
        keyring = ring("primary", salt=b"pepper")
        assert repr(keyring) == f"Keyring(primary={key_id(FIRST)}, keys=1, generation=1)"
        assert str(keyring) == repr(keyring)

    @pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_it_is_neither_copied_nor_pickled(self, take: Callable[[object], object]) -> None:
        with pytest.raises(TypeError, match="not pickled or copied"):
            take(ring("primary"))


class TestDerivedKeys:
    @pytest.mark.parametrize(("secret", "salt", "info", "okm"), RFC_5869)
    def test_the_yardstick_of_these_tests_is_the_standard_itself(
        self, secret: bytes, salt: bytes, info: bytes, okm: str
    ) -> None:
        assert hkdf_sha256(secret, salt, info, len(okm) // 2).hex() == okm

    @pytest.mark.parametrize("purpose", PURPOSES)
    @pytest.mark.parametrize("salt", [b"", b"pepper"])
    def test_each_is_hkdf_of_key_salt_and_its_own_label(self, purpose: Purpose, salt: bytes) -> None:
        derived = ring("primary", salt=salt).mac_key(purpose)
        expected = hkdf_sha256(FIRST, salt, b"sessionstore/v2/" + purpose.encode(), 32)
        assert derived.tag() == hmac.digest(expected, bytes(8), "sha256")
        assert derived.key_id == key_id(FIRST)

    @given(st.lists(st.binary(max_size=20), max_size=3))
    def test_a_tag_made_for_one_purpose_is_good_for_no_other(self, parts: list[bytes]) -> None:
        keyring = ring("primary")
        tags = {keyring.mac_key(purpose).tag(*parts) for purpose in PURPOSES}
        assert len(tags) == len(PURPOSES) == 9

    def test_another_salt_is_another_key_with_the_same_id(self) -> None:
        plain, salted = ring("primary").mac_key("session"), ring("primary", salt=b"pepper").mac_key("session")
        assert plain.key_id == salted.key_id
        with pytest.raises(TagMismatch):
            salted.verify(plain.tag(b"x"), b"x")

    def test_threads_that_derive_at_once_get_the_same_keys(self) -> None:
        keyring = ring("primary", "verify_only")
        wanted = [(purpose, key.id) for purpose in PURPOSES for key in keyring.keys] * 8
        with ThreadPoolExecutor(8) as pool:
            tags = list(pool.map(lambda item: keyring.mac_key(*item).tag(b"x"), wanted))
        assert tags == [keyring.mac_key(*item).tag(b"x") for item in wanted]


class TestWhatAStatusAllows:
    keyring = ring("primary", "verify_only", "disabled", "destroyed")

    def test_new_tags_are_made_with_the_primary_key(self) -> None:
        assert self.keyring.mac_key("session").key_id == key_id(FIRST)

    def test_a_key_that_only_verifies_is_found_by_its_id(self) -> None:
        tag = ring("primary").mac_key("head", key_id(FIRST)).tag(b"x")
        rotated = Keyring([Key(FIRST, "verify_only", CREATED), Key(SECOND, "primary", CREATED)], generation=2)
        rotated.mac_key("head", key_id(FIRST)).verify(tag, b"x")

    @pytest.mark.parametrize("purpose", PURPOSES)
    @pytest.mark.parametrize(("secret", "status"), [(THIRD, "disabled"), (FOURTH, "destroyed")])
    def test_a_disabled_or_destroyed_key_does_nothing(self, purpose: Purpose, secret: bytes, status: str) -> None:
        with pytest.raises(KeyDisabledError) as caught:
            self.keyring.mac_key(purpose, key_id(secret))
        assert caught.value.fields == {"key_id": key_id(secret), "status": status}

    @pytest.mark.parametrize("wanted", ["0" * 16, "", key_id(FIRST).upper(), key_id(FIRST)[:-1]])
    def test_an_id_that_is_not_exactly_there_is_unknown(self, wanted: str) -> None:
        with pytest.raises(UnknownKeyError) as caught:
            self.keyring.mac_key("session", wanted)
        assert caught.value.fields == {"key_id": wanted}

    @pytest.mark.parametrize("wanted", ["f" * 16, key_id(THIRD)])
    def test_tracebacks_with_all_variables_show_no_key(self, wanted: str) -> None:
        self.keyring.mac_key("session")
        with pytest.raises((UnknownKeyError, KeyDisabledError)) as caught:
            self.keyring.mac_key("session", wanted)
        shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert "Keyring(primary=" in shown
        for secret in (FIRST, SECOND, THIRD, FOURTH, hkdf_sha256(FIRST, b"", b"sessionstore/v2/session", 32)):
            assert secret.hex() not in shown
            assert repr(secret)[2:20] not in shown


class TestSaltCheck:
    def test_it_is_eight_derived_bytes_that_do_not_depend_on_anything_else(self) -> None:
        expected = hkdf_sha256(FIRST, b"pepper", b"sessionstore/v2/check", 8).hex()
        assert salt_check(FIRST, b"pepper") == expected

    def test_it_tells_a_wrong_salt_and_a_wrong_key(self) -> None:
        right = salt_check(FIRST, b"pepper")
        assert right not in {salt_check(FIRST, b"Pepper"), salt_check(FIRST, b""), salt_check(SECOND, b"pepper")}


class TestImporting:
    def test_the_slow_library_is_loaded_at_first_use_and_not_before(self, unmeasured: dict[str, str]) -> None:
        code = (
            "import sys, sessionstore.signing as s\n"
            "assert not [name for name in sys.modules if name.startswith('cryptography')]\n"
            "s.key_id(bytes(32))\n"
            "assert 'cryptography.hazmat.primitives.kdf.hkdf' in sys.modules\n"
        )
        child = subprocess.run([sys.executable, "-c", code], env=unmeasured, capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
