"""The tag that stands beside the content of each row: made and checked here.

Rules:

* Tag = MAC(key of the purpose, PAE(context, store id, row name, key id, payload)): a row is good for one store, one
  name and one kind. Nothing is decoded before its tag was checked.
* New rows are tagged with the primary key. A row names its key; whether rows under that one count is the keyring's
  decision, asked for every row, because the keyring may be exchanged at any time.
* A row that names a key which is not known, or does not count, may be that of a process with a newer keyring: the
  keyring is loaded again before the row is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from sessionstore.errors import KeyringError, LedgerCorruptError, UnknownKeyError
from sessionstore.signing import Keyring, MacKey, Purpose, TagMismatch

T = TypeVar("T", bound=msgspec.Struct)


class RowSeal(Generic[T]):
    """Makes and checks rows of one kind for one store. Safe to share between threads.

    Args:
        keyring: Where the keys come from; new rows are made with its primary key.
        purpose: Whose derived key.
        context: First part of every pre-image.
        store_id: The store whose rows these are, "" for rows of no store.
        kind: The struct that the payload holds.
        path: The ledger's path, for errors.
    """

    def __init__(
        self, keyring: Keyring, purpose: Purpose, context: bytes, store_id: str, kind: type[T], path: str
    ) -> None:
        self._keyring = keyring
        self._purpose: Purpose = purpose
        self._context = context
        self._store = store_id.encode()
        self._path = path
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: Callable[[bytes], T] = msgspec.msgpack.Decoder(kind).decode

    def payload(self, value: T) -> bytes:
        """The bytes that stand for `value`."""
        return self._encode(value)

    def sign(self, name: str, payload: bytes) -> tuple[str, bytes]:
        """Id of the primary key, and its tag on a row."""
        key = self._keyring.mac_key(self._purpose)
        return key.key_id, key.tag(self._context, self._store, name.encode(), key.key_id.encode(), payload)

    def open(self, name: str, key_id: str, payload: bytes, mac: bytes) -> T:
        """The value of a row, after its tag was checked.

        Raises:
            LedgerCorruptError: Any of the four is not what was written, or it names a key that the keyring lacks.
            KeyDisabledError: Its key may not be used any more.
        """
        try:
            key = self._key(key_id)
            key.verify(mac, self._context, self._store, name.encode(), key.key_id.encode(), payload)
            return self._decode(payload)
        except UnknownKeyError as exc:
            raise self.corrupt("a row names a key that is not in the keyring") from exc
        except (TagMismatch, TypeError, AttributeError, UnicodeError) as exc:
            # SQLite stores any type in any column: a hand can put text, a number or NULL where bytes belong.
            raise self.corrupt("a row was changed outside sessionstore") from exc
        except msgspec.DecodeError as exc:
            raise self.corrupt("a row is of another release") from exc

    def corrupt(self, reason: str) -> LedgerCorruptError:
        """The error for something in the ledger that cannot be."""
        return LedgerCorruptError(path=self._path, reason=reason)

    def _key(self, key_id: str) -> MacKey:
        try:
            return self._keyring.row_key(self._purpose, key_id)
        except KeyringError:
            # A row of a process that knows a newer keyring.
            if self._keyring.reload():
                return self._key(key_id)
            known = self._keyring.find(key_id)
            if known is not None and known.status == "verify_only":
                raise self.corrupt("a row is under an old key, and all of those were made anew") from None
            raise
