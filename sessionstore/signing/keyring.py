"""The install key, its derived keys, and which of them may do what.

Rules of this file:

* An install key is 32 random bytes. It signs nothing itself: every purpose has its own key, derived with HKDF-SHA256
  under its own label, so that a tag made for one purpose is never valid for another.
* A key id is derived from the key, so a damaged key is recognised when it is read and is not taken for tampering.
* Exactly one key is primary, and only the primary makes tags for new data. A disabled or destroyed key does nothing.
* A key that was primary still verifies the seals that rows of the ledger name. Rows under it count only until all were
  made anew, so that whoever has an old key cannot forge rows for ever.
* The signing salt (a setting) goes into every derived key. `salt_check` tells a wrong salt from a wrong key.

Source: HKDF, RFC 5869.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from sessionstore.errors import KeyDisabledError, UnknownKeyError
from sessionstore.signing.mac import MacKey

KEY_BYTES = 32
KEY_ID_BYTES = 8

KeyStatus = Literal["primary", "verify_only", "disabled", "destroyed"]
KeyRows = Literal["none", "counted", "closed"]
Purpose = Literal["session", "attempts", "audit", "export", "head", "inventory", "keyring", "policy", "store"]

_LABEL = "sessionstore/v2/"


class Key:
    """One install key. Its bytes never appear in a representation.

    Args:
        secret: 32 bytes; empty for a key whose bytes were destroyed.
        status: `primary` signs and verifies, `verify_only` verifies what was recorded under it, `disabled` and
            `destroyed` do neither.
        created_at: RFC 3339 text.
        rows: `none`: it never was primary, so nothing was signed with it. `counted`: rows of the ledger under it count.
            `closed`: all rows were made anew under a later key, so a row under this one is forged.
        id: Of a destroyed key, whose id cannot be derived any more.

    Attributes: as the arguments; `id` is 16 hex digits, derived from the secret.

    Raises:
        ValueError: The parts do not fit together.
    """

    __slots__ = ("created_at", "id", "rows", "secret", "status")

    def __init__(
        self, secret: bytes, status: KeyStatus, created_at: str, *, rows: KeyRows = "counted", id: str | None = None
    ) -> None:
        if len(secret) != (KEY_BYTES if id is None else 0):
            raise ValueError(f"an install key is {KEY_BYTES} bytes")
        if (id is not None and status != "destroyed") or (status == "primary" and rows != "counted"):
            raise ValueError("only a destroyed key has no bytes, and rows under the primary key count")
        self.id = key_id(secret) if id is None else id
        self.secret = b"" if status == "destroyed" else secret
        self.status: KeyStatus = status
        self.created_at = created_at
        self.rows: KeyRows = "closed" if status == "destroyed" else rows

    def __repr__(self) -> str:
        return f"Key({self.id}, {self.status})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled or copied")

    def changed(self, status: KeyStatus, rows: KeyRows | None = None) -> Key:
        """The same key with another status; destroying it drops its bytes."""
        if status == "destroyed":
            return Key(b"", status, self.created_at, id=self.id)
        return Key(self.secret, status, self.created_at, rows=self.rows if rows is None else rows)


class _Contents:
    """What a keyring holds at one moment; exchanged as a whole."""

    __slots__ = ("by_id", "derived", "generation", "keys", "primary")

    def __init__(self, keys: Sequence[Key], generation: int) -> None:
        primaries = [key for key in keys if key.status == "primary"]
        if len(primaries) != 1:
            raise ValueError("a keyring has exactly one primary key")
        self.keys = tuple(keys)
        self.primary = primaries[0]
        self.generation = generation
        self.by_id = {key.id: key for key in keys}
        if len(self.by_id) != len(self.keys):
            raise ValueError("a key is in a keyring once, with one status")
        self.derived: dict[tuple[Purpose, str, bool], MacKey] = {}


class Keyring:
    """All keys of one installation. Safe to share between threads.

    What it holds is never changed in place: `take` puts the contents of a newer one there at once, and everybody who
    shares this object goes on with those.

    Args:
        keys: The keys, exactly one of them primary.
        generation: Counts the changes of the keyring, so that a process can tell that its copy is old.
        salt: The configured signing salt, empty for none.

    Raises:
        ValueError: None or several of `keys` are primary, or a key is there twice.
    """

    def __init__(self, keys: Sequence[Key], *, generation: int, salt: bytes = b"") -> None:
        self._contents = _Contents(keys, generation)
        self._salt = salt
        self._load: Callable[[], Keyring] | None = None

    def __repr__(self) -> str:
        return f"Keyring(primary={self.primary.id}, keys={len(self.keys)}, generation={self.generation})"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not pickled or copied")

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every key, oldest first."""
        return self._contents.keys

    @property
    def primary(self) -> Key:
        """The one key that signs."""
        return self._contents.primary

    @property
    def generation(self) -> int:
        """Counts the changes."""
        return self._contents.generation

    def take(self, newer: Keyring) -> bool:
        """Go on with what a newer keyring holds; one that is not newer changes nothing. Whether it was newer."""
        if newer.generation <= self.generation:
            return False
        self._contents = newer._contents
        return True

    def loaded_by(self, load: Callable[[], Keyring]) -> None:
        """From now on `reload` asks `load` for the keyring as it is stored."""
        self._load = load

    def reload(self) -> bool:
        """Take what is stored, where that is newer; whether it was. Raises what loading it raises."""
        return self._load is not None and self.take(self._load())

    def changed(self, keys: Sequence[Key]) -> Keyring:
        """A keyring of the next generation with these keys; this one stays what it is."""
        return Keyring(keys, generation=self.generation + 1, salt=self._salt)

    def foreign(self, secret: bytes) -> Keyring:
        """A keyring with another machine's key alone, and the signing salt of this one."""
        return Keyring([Key(secret, "primary", self.primary.created_at)], generation=1, salt=self._salt)

    def check(self) -> str:
        """The check value of the primary key and the signing salt."""
        return salt_check(self.primary.secret, self._salt)

    def find(self, key_id: str) -> Key | None:
        """The key of that id, whatever its status."""
        return self._contents.by_id.get(key_id)

    def mac_key(self, purpose: Purpose, key_id: str | None = None) -> MacKey:
        """The key derived for `purpose` from the install key `key_id`, or from the primary one.

        Raises:
            UnknownKeyError: `key_id` is not in this keyring.
            KeyDisabledError: Its status forbids any use.
        """
        return self._derived(purpose, key_id, rows=False)

    def row_key(self, purpose: Purpose, key_id: str) -> MacKey:
        """The same for a row of the ledger. An old key serves only until every row was made anew.

        Raises:
            UnknownKeyError: `key_id` is not in this keyring.
            KeyDisabledError: Its status forbids any use, or rows under it do not count.
        """
        return self._derived(purpose, key_id, rows=True)

    def _derived(self, purpose: Purpose, key_id: str | None, *, rows: bool) -> MacKey:
        held = self._contents
        wanted = held.primary.id if key_id is None else key_id
        found = held.derived.get((purpose, wanted, rows))
        if found is not None:
            return found
        key = held.by_id.get(wanted)
        if key is None:
            raise UnknownKeyError(key_id=wanted)
        if key.status not in ("primary", "verify_only") or (rows and key.rows != "counted"):
            raise KeyDisabledError(key_id=key.id, status=key.status)
        derived = MacKey(key.id, _hkdf(key.secret, self._salt, purpose, KEY_BYTES))
        held.derived[purpose, wanted, rows] = derived
        return derived


def new_key(created_at: str, secret: bytes | None = None) -> Key:
    """A fresh primary key: the one given, or a random one from the operating system's generator."""
    return Key(os.urandom(KEY_BYTES) if secret is None else secret, "primary", created_at)


def waiting_key(created_at: str) -> Key:
    """A fresh random key that nothing was signed with yet; it is to become the primary one."""
    return Key(os.urandom(KEY_BYTES), "verify_only", created_at, rows="none")


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
