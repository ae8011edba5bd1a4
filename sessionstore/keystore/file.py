"""The keyring as a file: `keyring` in the state directory, mode 0600.

Rules:

* The file is judged on its descriptor: ordinary, our own, one link, nothing for group or others. All of it is refused
  otherwise, before a byte is used; nothing is repaired, because nobody can say who has read it.
* The first keyring is written as `keyring.new` and gets its name last, by a rename that never replaces. A changed one
  takes the place of the old one by an atomic rename: a kill leaves the one or the other, whole.
* With a `KeyProvider`, the file is the record of the keys, and their bytes come from there. They are put there before
  the file names them, and dropped after it says so.
* Key bytes are in no error, representation or log, and in no local variable of a frame that an error leaves through.

Not promised: secrecy from processes of the same user, or erasure from memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

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
from sessionstore.keystore.provider import KeyProvider, Withheld
from sessionstore.keystore.stored import RefusedError, decode, encode
from sessionstore.signing import Keyring, new_key

NAME = "keyring"
PENDING = "keyring.new"

_MAX_BYTES = 1024 * 1024

_Got = TypeVar("_Got")


class FileKeyStore:
    """The keyring of one state directory.

    One process at a time may change it: callers hold the state lock around everything but `load`.

    Args:
        state: The state directory, opened with `strict`; it must stay open as long as this.
        salt: The configured signing salt, empty for none.
        provider: What keeps the bytes of the keys; None: this file does.
    """

    def __init__(self, state: Directory, salt: bytes = b"", provider: KeyProvider | None = None) -> None:
        self.path = os.path.join(state.path, NAME)
        self._state = state
        self._salt = salt
        self._provider = provider

    def __repr__(self) -> str:
        return f"FileKeyStore({self.path!r})"

    @property
    def provider(self) -> str:
        """The word for where the bytes of the keys are."""
        return "file" if self._provider is None else self._provider.name

    @property
    def takes(self) -> bool:
        """Whether a new key can be kept there."""
        return self._provider is None or self._provider.takes

    def warnings(self) -> tuple[str, ...]:
        """What is worth telling of the way the key came, once."""
        return () if self._provider is None else self._provider.warnings()

    def load(self) -> Keyring | None:
        """The keyring, None if there is no file.

        Raises:
            KeyPermissionsError: It is a symbolic link, no ordinary file, another user's, open to others, or has several
                links.
            KeyUnavailableError: `unreadable`: the kernel or the provider refused. `salt`: it was made with another
                signing salt. `elsewhere`: its keys are not where the setting says. `missing`, `another`: the provider
                has no key of that id, or was given another.
            KeyCorruptError: It is not what this release wrote.
        """
        return self._load(NAME)

    def fresh(self, created_at: str) -> Keyring:
        """A new keyring with one key, random or given, not stored yet; `created_at` is RFC 3339 text.

        Raises:
            KeyUnavailableError: One has to be given, and is not.
        """
        provider = self._provider
        if provider is None:
            return Keyring([new_key(created_at)], generation=1, salt=self._salt)
        return _asked(lambda: Keyring([new_key(created_at, provider.first())], generation=1, salt=self._salt))

    def prepare(self, keyring: Keyring) -> None:
        """Write `keyring` durably under the pending name.

        Raises:
            StoreUnavailableError: The file system refused.
            KeyUnavailableError: The provider did.
        """
        self._put(keyring)
        self._state.write_atomic(PENDING, (self._encoded(keyring),), replace=True)

    def replace(self, keyring: Keyring) -> None:
        """Put a changed keyring in the place of the one before, durably; a kill leaves either.

        Raises:
            StoreUnavailableError: The file system refused. After `unknown` the new one may be in place.
            KeyUnavailableError: The provider refused. A key that was to be destroyed may still be there.
        """
        self._put(keyring)
        self._state.write_atomic(NAME, (self._encoded(keyring),), replace=True)
        self.drop_destroyed(keyring)

    def drop_destroyed(self, keyring: Keyring) -> None:
        """Have the provider forget the destroyed keys of `keyring`, which is stored.

        Raises:
            KeyUnavailableError: The provider refused: one of them may still be there.
        """

        def drop() -> None:
            for key in keyring.keys:
                if key.status == "destroyed" and self._provider is not None:
                    self._provider.drop(key.id)

        _asked(drop)

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

    def _encoded(self, keyring: Keyring) -> bytes:
        return encode(keyring, self._salt, inside=self._provider is None)

    def _put(self, keyring: Keyring) -> None:
        def put() -> None:
            for key in keyring.keys:
                if key.secret and self._provider is not None:
                    self._provider.put(key.id, key.secret)

        _asked(put)

    def _load(self, name: str) -> Keyring | None:
        path = os.path.join(self._state.path, name)
        try:
            return _asked(lambda: _decode_file(self._state, name, self._salt, self._provider))
        except RefusedError as exc:
            reason, kind = exc.reason, exc.kind
        # Raised out here, the errors below carry no frame that held a key.
        if kind == "corrupt":
            raise KeyCorruptError(path=path, reason=reason)
        if kind == "salt":
            hint = "start with the signing salt that this store was made with (SESSIONSTORE_SIGNING_SALT)"
            raise KeyUnavailableError(reason=kind, path=path, hint=hint)
        if kind == "elsewhere":
            raise KeyUnavailableError(reason=kind, path=path, hint=reason)
        raise KeyUnavailableError(reason=kind, path=path, hint=f"{reason}; make it readable for this user")


def _asked(ask: Callable[[], _Got]) -> _Got:
    """What a provider was asked for; its refusals carry no frame that held a key."""
    try:
        return ask()
    except Withheld as exc:
        reason, where, hint = "another" if exc.kind == "other" else exc.kind, exc.where, exc.hint
    raise KeyUnavailableError(reason=reason, path=where, hint=hint)


def _decode_file(state: Directory, name: str, salt: bytes, provider: KeyProvider | None) -> Keyring | None:
    path = os.path.join(state.path, name)
    try:
        data = state.read(
            name, _MAX_BYTES, strict=True, refuse=lambda reason: KeyPermissionsError(path=path, reason=reason)
        )
    except StoreUnavailableError as exc:
        raise RefusedError(exc.fields["reason"], "unreadable") from exc
    except TooLargeError as exc:
        raise RefusedError("it is too long") from exc
    return None if data is None else decode(data, salt, provider)
