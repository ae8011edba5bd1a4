"""The keyring as a file: `keyring` in the state directory, mode 0600.

    {"keyring":{"format":1,"generation":1,"keys":[{"id":…,"secret":…,"status":…,"rows":…,"created_at":…}],…},"mac":…}

Rules:

* The file is judged on its descriptor: ordinary, our own, one link, nothing for group or others. All of it is refused
  otherwise, before a byte is used; nothing is repaired, because nobody can say who has read it.
* A key is recognised by the id derived from it, the signing salt by `check`, the whole by a MAC under the primary
  key. So a damaged key file is told from a wrong salt, and neither is taken for changed sessions.
* The first keyring is written as `keyring.new` and gets its name last, by a rename that never replaces. A changed one
  takes the place of the old one by an atomic rename: a kill leaves the one or the other, whole.
* Key bytes are in no error, representation or log, and in no local variable of a frame that an error leaves through.

Not promised: secrecy from processes of the same user, or erasure from memory.
"""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from sessionstore.errors import (
    KeyCorruptError,
    KeyPermissionsError,
    KeyUnavailableError,
    StoreUnavailableError,
    TooLargeError,
)
from sessionstore.fs import Directory
from sessionstore.fs.refusal import unavailable
from sessionstore.fs.rename import rename_new
from sessionstore.signing import Key, Keyring, KeyRows, KeyStatus, TagMismatch, key_id, new_key, salt_check

NAME = "keyring"
PENDING = "keyring.new"

_FORMAT = 1
_MAX_BYTES = 1024 * 1024
_CONTEXT = b"sessionstore/keyring/2"


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


class _RefusedError(Exception):
    """Why a keyring is not used. It is caught before it can carry its frames, which hold keys, out of this file."""

    def __init__(self, reason: str, kind: Literal["corrupt", "salt", "unreadable"] = "corrupt") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class FileKeyStore:
    """The keyring of one state directory.

    One process at a time may change it: callers hold the state lock around everything but `load`.

    Args:
        state: The state directory, opened with `strict`; it must stay open as long as this.
        salt: The configured signing salt, empty for none.
    """

    def __init__(self, state: Directory, salt: bytes = b"") -> None:
        self.path = os.path.join(state.path, NAME)
        self._state = state
        self._salt = salt

    def __repr__(self) -> str:
        return f"FileKeyStore({self.path!r})"

    def load(self) -> Keyring | None:
        """The keyring, None if there is no file.

        Raises:
            KeyPermissionsError: It is a symbolic link, no ordinary file, another user's, open to others, or has several
                links.
            KeyUnavailableError: `unreadable`: the kernel refused. `salt`: it was made with another signing salt.
            KeyCorruptError: It is not what this release wrote.
        """
        return self._load(NAME)

    def fresh(self, created_at: str) -> Keyring:
        """A new keyring with one random key, not stored yet; `created_at` is RFC 3339 text."""
        return Keyring([new_key(created_at)], generation=1, salt=self._salt)

    def prepare(self, keyring: Keyring) -> None:
        """Write `keyring` durably under the pending name.

        Raises:
            StoreUnavailableError: The file system refused.
        """
        self._state.write_atomic(PENDING, (_encode(keyring, self._salt),), replace=True)

    def replace(self, keyring: Keyring) -> None:
        """Put a changed keyring in the place of the one before, durably; a kill leaves either.

        Raises:
            StoreUnavailableError: The file system refused. After `unknown` the new one may be in place.
        """
        self._state.write_atomic(NAME, (_encode(keyring, self._salt),), replace=True)

    def found(self) -> Keyring:
        """The keyring of a store that is in use. Errors as `load`.

        Raises:
            KeyUnavailableError: `missing`: there is no file any more.
        """
        keyring = self.load()
        if keyring is None:
            raise KeyUnavailableError(reason="missing", path=self.path)
        return keyring

    def pending(self) -> Keyring | None:
        """The keyring that `prepare` left, None if there is none or it is not whole. Other errors as `load`."""
        try:
            return self._load(PENDING)
        except KeyCorruptError:
            return None

    def promote(self) -> None:
        """Give the pending keyring its name, durably; never in the place of another.

        Raises:
            StoreUnavailableError: There is a keyring already, or none is pending, or the file system refused.
        """
        try:
            rename_new(self._state.fd, PENDING, NAME)
        except OSError as exc:
            raise unavailable(exc, NAME) from exc
        self._state.sync(outcome_of=NAME)

    def is_promoted(self) -> bool:
        """Whether the pending name is a second link of the keyring: left by a `promote` that could only link."""
        keyring, pending = self._state.stat(NAME), self._state.stat(PENDING)
        return keyring is not None and pending is not None and os.path.samestat(keyring, pending)

    def discard_pending(self) -> None:
        """Remove a pending keyring, if there is one."""
        if self._state.stat(PENDING) is not None:
            self._state.unlink(PENDING)

    def _load(self, name: str) -> Keyring | None:
        path = os.path.join(self._state.path, name)
        try:
            return _decode_file(self._state, name, self._salt)
        except _RefusedError as exc:
            reason, kind = exc.reason, exc.kind
        # Raised out here, the errors below carry no frame that held a key.
        if kind == "corrupt":
            raise KeyCorruptError(path=path, reason=reason)
        if kind == "salt":
            hint = "start with the signing salt that this store was made with (SESSIONSTORE_SIGNING_SALT)"
            raise KeyUnavailableError(reason=kind, path=path, hint=hint)
        raise KeyUnavailableError(reason=kind, path=path, hint=f"{reason}; make it readable for this user")


def _encode(keyring: Keyring, salt: bytes) -> bytes:
    primary = keyring.primary
    keys = [_StoredKey(key.id, key.secret.hex(), key.status, key.rows, key.created_at) for key in keyring.keys]
    check = salt_check(primary.secret, salt)
    body = msgspec.json.encode({"format": _FORMAT, "generation": keyring.generation, "keys": keys, "check": check})
    mac = keyring.mac_key("keyring").tag(_CONTEXT, body)
    return msgspec.json.encode(_StoredFile(msgspec.Raw(body), mac.hex())) + b"\n"


def _decode_file(state: Directory, name: str, salt: bytes) -> Keyring | None:
    path = os.path.join(state.path, name)
    try:
        data = state.read(
            name, _MAX_BYTES, strict=True, refuse=lambda reason: KeyPermissionsError(path=path, reason=reason)
        )
    except StoreUnavailableError as exc:
        raise _RefusedError(exc.fields["reason"], "unreadable") from exc
    except TooLargeError as exc:
        raise _RefusedError("it is too long") from exc
    return None if data is None else _decode(data, salt)


def _decode(data: bytes, salt: bytes) -> Keyring:
    try:
        file = msgspec.json.decode(data, type=_StoredFile)
        body = bytes(file.keyring)
        stored = msgspec.json.decode(body, type=_StoredKeyring)
        mac = bytes.fromhex(file.mac)
        keys = [_decode_key(key) for key in stored.keys]
        keyring = Keyring(keys, generation=stored.generation, salt=salt)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as exc:
        raise _RefusedError("it is not a whole keyring") from exc
    if stored.format != _FORMAT:
        raise _RefusedError("it is of a format that this release does not read")
    if any(key.secret and key_id(key.secret) != told.id for key, told in zip(keys, stored.keys, strict=True)):
        raise _RefusedError("a key does not have the id it is stored under")
    if salt_check(keyring.primary.secret, salt) != stored.check:
        raise _RefusedError("another signing salt", "salt")
    try:
        keyring.mac_key("keyring").verify(mac, _CONTEXT, body)
    except TagMismatch as exc:
        raise _RefusedError("it was changed outside sessionstore") from exc
    if data != b'{"keyring":' + body + b',"mac":"' + mac.hex().encode() + b'"}\n':
        # What the MAC does not cover has one spelling, so that no changed byte passes.
        raise _RefusedError("it was changed outside sessionstore")
    return keyring


def _decode_key(stored: _StoredKey) -> Key:
    # The MAC over the whole covers the id of a key whose bytes are gone.
    id = stored.id if stored.status == "destroyed" else None
    return Key(bytes.fromhex(stored.secret), stored.status, stored.created_at, rows=stored.rows, id=id)
