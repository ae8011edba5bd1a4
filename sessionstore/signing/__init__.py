"""Keys and message authentication codes: pure functions of bytes, no I/O, nothing decoded."""

from __future__ import annotations

from sessionstore.signing.keyring import Key, Keyring, KeyStatus, Purpose, key_id, new_key, salt_check
from sessionstore.signing.mac import MAC_BYTES, MacKey, TagMismatch, pae
from sessionstore.signing.origin import OriginKey, origin_key
from sessionstore.signing.passphrase import PASSPHRASE_KEY_ID, SALT_BYTES, passphrase_key

__all__ = [
    "MAC_BYTES",
    "PASSPHRASE_KEY_ID",
    "SALT_BYTES",
    "Key",
    "KeyStatus",
    "Keyring",
    "MacKey",
    "OriginKey",
    "Purpose",
    "TagMismatch",
    "key_id",
    "new_key",
    "origin_key",
    "pae",
    "passphrase_key",
    "salt_check",
]
