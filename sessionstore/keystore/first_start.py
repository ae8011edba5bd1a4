"""Where the keyring comes from when a store is opened: loaded, finished after a kill, or made once and never again.

A new key beside data signed with a lost one would make every session look forged, so the order is fixed. Under the
state lock, which the caller holds:

1. There is a keyring: use it.
2. There is a ledger: a kill can only have come between the last two steps of 4. If a pending keyring fits the ledger,
   promote it; else the key is lost.
3. There is anything signed: the key is lost.
4. Build the ledger (with its binding and inventory) under another name; write the pending keyring; place the ledger;
   promote the keyring. A kill before the ledger is placed leaves a store that was never started.

The loser of a race finds the winner's keyring in step 1. Not promised: anything without the lock.
"""

from __future__ import annotations

from typing import Protocol

from sessionstore.errors import KeyUnavailableError
from sessionstore.keystore.file import FileKeyStore
from sessionstore.signing import Keyring


class Ground(Protocol):
    """What a first start must know of the rest of the store, and do to it."""

    def has_ledger(self) -> bool:
        """Whether state holds a ledger, or a trace of one."""
        ...

    def has_signed(self) -> bool:
        """Whether there is an audit log, or a sealed file in the data directory."""
        ...

    def fits(self, keyring: Keyring) -> bool:
        """Whether the ledger is signed with `keyring`."""
        ...

    def build(self, keyring: Keyring) -> None:
        """Build the ledger under another name, durably; what a killed start left there is removed."""
        ...

    def place(self) -> None:
        """Give the ledger its name, durably."""
        ...


def obtain(keys: FileKeyStore, ground: Ground, created_at: str) -> Keyring:
    """The keyring of this installation, made at the first start.

    Args:
        keys: Where it is kept.
        ground: The rest of the store.
        created_at: The time, as RFC 3339 text, for a key that is made now.

    Raises:
        KeyUnavailableError: `missing`: there is no key, but something here was signed with one.
        KeyringError: As `FileKeyStore.load`.
        StoreUnavailableError: The file system refused.
    """
    # First: a rename made of two links can have been cut between them, and a keyring with two links is refused.
    if keys.is_promoted():
        keys.discard_pending()
    keyring = keys.load()
    if keyring is not None:
        return keyring
    if ground.has_ledger():
        pending = keys.pending()
        if pending is None or not ground.fits(pending):
            raise _missing(keys)
        keys.promote()
        return pending
    if ground.has_signed():
        raise _missing(keys)
    keys.discard_pending()
    keyring = keys.fresh(created_at)
    ground.build(keyring)
    keys.prepare(keyring)
    ground.place()
    keys.promote()
    return keyring


def _missing(keys: FileKeyStore) -> KeyUnavailableError:
    return KeyUnavailableError(reason="missing", path=keys.path)
