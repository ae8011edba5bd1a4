"""The bytes of the keyring file: written, and read with every check that needs nothing but the bytes.

    {"keyring":{"format":1,"generation":1,"keys":[{"id":…,"secret":…,"status":…,"rows":…,"created_at":…}],…},"mac":…}

Rules:

* A key is recognised by the id derived from it, the signing salt by `check`, the whole by a MAC under the primary
  key. So a damaged key file is told from a wrong salt, and neither is taken for changed sessions.
* With a `KeyProvider`, `secret` is empty in the file, and the bytes come from there. Whether it is so is part of what
  is signed: a file that does not fit the setting is refused.
* Key bytes are in no error. What is raised here has frames that hold keys, and must be caught before it leaves the
  room.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from sessionstore.keystore.provider import KeyProvider
from sessionstore.signing import Key, Keyring, KeyRows, KeyStatus, TagMismatch, key_id, salt_check

_FORMAT = 1
_CONTEXT = b"sessionstore/keyring/2"
_KEY_ID = re.compile(r"[0-9a-f]{16}")


class _StoredKey(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    secret: str
    status: KeyStatus
    rows: KeyRows
    created_at: str


class _StoredKeyring(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    generation: int
    keys: list[_StoredKey]
    check: str


class _StoredFile(msgspec.Struct, forbid_unknown_fields=True):
    # Raw: the MAC is over these very bytes, not over what they would be if they were written again.
    keyring: msgspec.Raw
    mac: str


class RefusedError(Exception):
    """Why a keyring is not used. It is caught before it can carry its frames, which hold keys, out of this room."""

    def __init__(self, reason: str, kind: Literal["corrupt", "salt", "unreadable", "elsewhere"] = "corrupt") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


def encode(keyring: Keyring, salt: bytes, *, inside: bool) -> bytes:
    """The file that holds a keyring; `inside`: with the bytes of its keys."""
    primary = keyring.primary
    keys = [
        _StoredKey(key.id, key.secret.hex() if inside else "", key.status, key.rows, key.created_at)
        for key in keyring.keys
    ]
    check = salt_check(primary.secret, salt)
    body = msgspec.json.encode({"format": _FORMAT, "generation": keyring.generation, "keys": keys, "check": check})
    mac = keyring.mac_key("keyring").tag(_CONTEXT, body)
    return msgspec.json.encode(_StoredFile(msgspec.Raw(body), mac.hex())) + b"\n"


def decode(data: bytes, salt: bytes, provider: KeyProvider | None) -> Keyring:
    """The keyring that a file holds.

    Raises:
        RefusedError: It is not what `encode` made with this salt.
        Withheld: The provider does not give a key of it.
    """
    try:
        file = msgspec.json.decode(data, type=_StoredFile)
        body = bytes(file.keyring)
        stored = msgspec.json.decode(body, type=_StoredKeyring)
        mac = bytes.fromhex(file.mac)
        keys = [_decode_key(key, provider) for key in stored.keys]
        keyring = Keyring(keys, generation=stored.generation, salt=salt)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as exc:
        raise RefusedError("it is not a whole keyring") from exc
    if stored.format != _FORMAT:
        raise RefusedError("it is of a format that this release does not read")
    if any(key.secret and key_id(key.secret) != told.id for key, told in zip(keys, stored.keys, strict=True)):
        raise RefusedError("a key does not have the id it is stored under")
    if salt_check(keyring.primary.secret, salt) != stored.check:
        raise RefusedError("another signing salt", "salt")
    try:
        keyring.mac_key("keyring").verify(mac, _CONTEXT, body)
    except TagMismatch as exc:
        raise RefusedError("it was changed outside sessionstore") from exc
    if data != b'{"keyring":' + body + b',"mac":"' + mac.hex().encode() + b'"}\n':
        # What the MAC does not cover has one spelling, so that no changed byte passes.
        raise RefusedError("it was changed outside sessionstore")
    return keyring


def _decode_key(stored: _StoredKey, provider: KeyProvider | None) -> Key:
    if stored.status == "destroyed":
        # The MAC over the whole covers the id of a key whose bytes are gone.
        secret = bytes.fromhex(stored.secret)
        return Key(secret, stored.status, stored.created_at, rows=stored.rows, id=stored.id)
    if provider is None:
        if not stored.secret:
            raise RefusedError(
                "set key_provider to what this store was made with: its keys are not in the file", "elsewhere"
            )
        return Key(bytes.fromhex(stored.secret), stored.status, stored.created_at, rows=stored.rows)
    if stored.secret:
        raise RefusedError("set key_provider to file: that is where the keys of this store are", "elsewhere")
    if not _KEY_ID.fullmatch(stored.id):
        raise ValueError("a key id is 16 hex digits")
    return Key(provider.get(stored.id), stored.status, stored.created_at, rows=stored.rows)
