"""A change of the keyring: one step, under the lock that starts are made under, and then the ledger is told.

The order: load what is stored, take the step, put the result in place atomically, follow in the ledger. A kill before
the keyring is in place changes nothing. A kill after it leaves a keyring that is newer than the ledger; whoever opens
the store next brings the ledger up to it. Until then running processes go on with the keys they have.
"""

from __future__ import annotations

from collections.abc import Callable

from sessionstore.fs import Locks
from sessionstore.keystore.file import FileKeyStore
from sessionstore.signing import Keyring

LOCK = "init"

Step = Callable[[Keyring], Keyring | None]


class KeyChanges:
    """Changes the keyring of one state directory. Safe to use from several threads and processes.

    Args:
        keys: Where the keyring is kept.
        locks: Of the state directory.
        timeout_s: How long to wait for others who start or change.
    """

    def __init__(self, keys: FileKeyStore, locks: Locks, timeout_s: float) -> None:
        self._keys = keys
        self._locks = locks
        self._timeout_s = timeout_s

    @property
    def takes(self) -> bool:
        """Whether a new key can be kept where the keys of this store are."""
        return self._keys.takes

    def change(self, step: Step, follow: Callable[[Keyring], None]) -> bool:
        """Take one step from the stored keyring; whether there was anything to do.

        Args:
            step: Gives the next keyring, None if it is as it should be.
            follow: Told the keyring as it is stored then, also where there was nothing to do: somebody else may have
                done it. `Generations.follow`.

        Raises:
            KeyringError: The stored keyring cannot be used, or the step is refused.
            StoreUnavailableError: The lock was not had, or the file system refused; after `unknown` look again.
        """
        with self._locks.hold(LOCK, timeout_s=self._timeout_s):
            stored = self._keys.found()
            newer = step(stored)
            if newer is not None:
                self._keys.replace(newer)
            follow(stored if newer is None else newer)
            return newer is not None

    def drop_destroyed(self) -> None:
        """See to it that the bytes of destroyed keys are gone from where they are kept.

        Raises:
            KeyringError: The stored keyring cannot be used, or the provider refused.
            StoreUnavailableError: The lock was not had.
        """
        with self._locks.hold(LOCK, timeout_s=self._timeout_s):
            self._keys.drop_destroyed(self._keys.found())
