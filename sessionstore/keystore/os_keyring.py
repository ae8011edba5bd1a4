"""Keys in the keyring of the operating system: the extra `sessionstore[keyring]`, library `keyring`.

Service `sessionstore`, one entry for each key, named by its id. So several stores share it; a rotation adds an entry.

Rules:

* The library is imported here and nowhere else, when a key is asked for.
* What was put there is read back: a backend that keeps nothing says so by giving nothing.

Not promised: what the backend does with it. Some keep it in a readable file; `keyring --list-backends` tells which.
"""

from __future__ import annotations

import re
from typing import Any

from sessionstore.keystore.provider import Withheld
from sessionstore.signing import key_id as id_of

SERVICE = "sessionstore"
WHERE = "the keyring of the operating system"

_HEX = re.compile(r"[0-9a-f]{64}")
_UNLOCK = "unlock it, or see `keyring --list-backends` for what is there"


class OsKeyring:
    """Keeps keys in the default keyring of this user."""

    name = "keyring"
    takes = True

    def __repr__(self) -> str:
        return "OsKeyring()"

    def first(self) -> None:
        """None: a store gets a random key, and that is put there."""

    def get(self, key_id: str) -> bytes:
        """The key of that id. Errors as `KeyProvider.get`."""
        text = self._ask("get_password", SERVICE, key_id)
        if text is None:
            raise Withheld("missing", WHERE, f"put the entry {key_id} of {SERVICE} back; it holds 64 hex digits")
        if _is_key(text, key_id):
            return bytes.fromhex(text)
        del text
        raise Withheld("other", WHERE, f"the entry {key_id} of {SERVICE} is not that key: put the right one back")

    def put(self, key_id: str, secret: bytes) -> None:
        """Keep a key and look that it is there. Errors as `KeyProvider.put`."""
        if _is_key(self._ask("get_password", SERVICE, key_id), key_id):
            return
        self._ask("set_password", SERVICE, key_id, secret.hex())
        del secret
        if not _is_key(self._ask("get_password", SERVICE, key_id), key_id):
            raise Withheld("unreadable", WHERE, f"it did not keep the key; {_UNLOCK}")

    def drop(self, key_id: str) -> None:
        """Remove a key. Errors as `KeyProvider.drop`."""
        if self._ask("get_password", SERVICE, key_id) is not None:
            self._ask("delete_password", SERVICE, key_id)

    def warnings(self) -> tuple[str, ...]:
        """Nothing to tell."""
        return ()

    def _ask(self, function: str, *arguments: str) -> Any:
        refused = ""
        try:
            import keyring  # pyright: ignore[reportMissingImports]
            from keyring.errors import KeyringError  # pyright: ignore[reportMissingImports]

            try:
                return getattr(keyring, function)(*arguments)
            except (KeyringError, OSError, RuntimeError) as exc:
                refused = type(exc).__name__
        except ImportError:
            raise Withheld("unreadable", WHERE, "pip install 'sessionstore[keyring]'") from None
        finally:
            del arguments
        raise Withheld("unreadable", WHERE, f"{_UNLOCK} ({refused})")


def _is_key(text: str | None, key_id: str) -> bool:
    """Whether the entry is the key of that id; the id is made of the key, so nothing secret is compared."""
    return text is not None and _HEX.fullmatch(text) is not None and id_of(bytes.fromhex(text)) == key_id
