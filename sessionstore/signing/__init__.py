"""Keys and message authentication codes: pure functions of bytes, no I/O, nothing decoded."""

from __future__ import annotations

from sessionstore.signing.keyring import (
    KEY_BYTES,
    Key,
    Keyring,
    KeyRows,
    KeyStatus,
    Purpose,
    key_id,
    new_key,
    salt_check,
    waiting_key,
)
from sessionstore.signing.lifecycle import added, closed, promoted, replaced, retired, unfinished, waiting
from sessionstore.signing.mac import MAC_BYTES, MacKey, TagMismatch, pae
from sessionstore.signing.origin import OriginKey, origin_key
from sessionstore.signing.passphrase import (
    BLOCK_SIZE,
    KEY_COST,
    KEY_COSTS,
    NONCE_BYTES,
    PARALLEL,
    PASSPHRASE_KEY_ID,
    SALT_BYTES,
    check_passphrase,
    decrypted,
    encrypted,
    passphrase_key,
)

__all__ = [
    "BLOCK_SIZE",
    "KEY_BYTES",
    "KEY_COST",
    "KEY_COSTS",
    "MAC_BYTES",
    "NONCE_BYTES",
    "PARALLEL",
    "PASSPHRASE_KEY_ID",
    "SALT_BYTES",
    "Key",
    "KeyRows",
    "KeyStatus",
    "Keyring",
    "MacKey",
    "OriginKey",
    "Purpose",
    "TagMismatch",
    "added",
    "check_passphrase",
    "closed",
    "decrypted",
    "encrypted",
    "key_id",
    "new_key",
    "origin_key",
    "pae",
    "passphrase_key",
    "promoted",
    "replaced",
    "retired",
    "salt_check",
    "unfinished",
    "waiting",
    "waiting_key",
]
