"""The install key, its derived keys, and which of them may do what.

Rules of this file:

* An install key is 32 random bytes. It signs nothing itself: every purpose has its own key, derived with HKDF-SHA256
  under its own label, so that a tag made for one purpose is never valid for another.
* A key id is derived from the key, so a damaged key is recognised when it is read and is not taken for tampering.
* Exactly one key is primary, and only the primary makes tags for new data. A disabled or destroyed key does nothing.
* The signing salt (a setting) goes into every derived key. `salt_check` tells a wrong salt from a wrong key.

Source: HKDF, RFC 5869.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from sessionstore.errors import KeyDisabledError, UnknownKeyError
from sessionstore.signing.mac import MacKey

KEY_BYTES = 32
KEY_ID_BYTES = 8

KeyStatus = Literal["primary", "verify_only", "disabled", "destroyed"]
Purpose = Literal["session", "attempts", "audit", "export", "head", "inventory", "keyring", "policy", "store"]

_LABEL = "sessionstore/v2/"


class Key:
    """One install key. Its bytes never appear in a representation.

    Attributes:
        id: 16 hex digits, derived from the secret.
        status: `primary` signs and verifies, `verify_only` verifies, `disabled` and `destroyed` do neither.
        created_at: RFC 3339 text.
        secret: 32 bytes.
    """

    __slots__ = ("created_at", "id", "secret", "status")

    def __init__(self, secret: bytes, status: KeyStatus, created_at: str) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"an install key is {KEY_BYTES} bytes")
        self.id = key_id(secret)
        self.secret = secret
        self.status = status
        self.created_at = created_at

    def __repr__(self) -> str:
        return f"Key({self.id}, {self.status})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled or copied")


class Keyring:
    """All keys of one installation. Immutable and safe to share between threads.

    Args:
        keys: The keys, exactly one of them primary.
        generation: Counts the changes of the keyring, so that a process can tell that its copy is old.
        salt: The configured signing salt, empty for none.

    Raises:
        ValueError: None or several of `keys` are primary, or a key is there twice.
    """

    def __init__(self, keys: Sequence[Key], *, generation: int, salt: bytes = b"") -> None:
        primaries = [key for key in keys if key.status == "primary"]
        if len(primaries) != 1:
            raise ValueError("a keyring has exactly one primary key")
        self.keys = tuple(keys)
        self.primary = primaries[0]
        self.generation = generation
        self._salt = salt
        self._by_id = {key.id: key for key in keys}
        if len(self._by_id) != len(self.keys):
            raise ValueError("a key is in a keyring once, with one status")
        self._derived: dict[tuple[Purpose, str], MacKey] = {}

    def __repr__(self) -> str:
        return f"Keyring(primary={self.primary.id}, keys={len(self.keys)}, generation={self.generation})"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not pickled or copied")

    def mac_key(self, purpose: Purpose, key_id: str | None = None) -> MacKey:
        """The key derived for `purpose` from the install key `key_id`, or from the primary one.

        Raises:
            UnknownKeyError: `key_id` is not in this keyring.
            KeyDisabledError: Its status forbids any use.
        """
        wanted = self.primary.id if key_id is None else key_id
        found = self._derived.get((purpose, wanted))
        if found is not None:
            return found
        key = self._by_id.get(wanted)
        if key is None:
            raise UnknownKeyError(key_id=wanted)
        if key.status not in ("primary", "verify_only"):
            raise KeyDisabledError(key_id=key.id, status=key.status)
        derived = MacKey(key.id, _hkdf(key.secret, self._salt, purpose, KEY_BYTES))
        self._derived[purpose, wanted] = derived
        return derived


def new_key(created_at: str) -> Key:
    """A fresh random primary key from the operating system's generator."""
    return Key(os.urandom(KEY_BYTES), "primary", created_at)


def key_id(secret: bytes) -> str:
    """The id of an install key: 8 derived bytes in hex. It does not depend on the salt."""
    return _hkdf(secret, b"", "kid", KEY_ID_BYTES).hex()


def salt_check(secret: bytes, salt: bytes) -> str:
    """Eight derived bytes in hex that tell whether (key, salt) is the pair the keyring was made with."""
    return _hkdf(secret, salt, "check", KEY_ID_BYTES).hex()


@lru_cache(maxsize=1)
def _primitives() -> tuple[type, type]:
    # Imported at first use: it is the slowest import of the package, and `import sessionstore` must stay cheap.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF, SHA256


def _hkdf(secret: bytes, salt: bytes, label: str, length_bytes: int) -> bytes:
    hkdf, sha256 = _primitives()
    derived = hkdf(algorithm=sha256(), length=length_bytes, salt=salt or None, info=(_LABEL + label).encode())
    return bytes(derived.derive(secret))
