"""A change of the stored keyring: under the lock, told to the ledger, and either done or not after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory, Locks
from sessionstore.keystore import LOCK, FileKeyStore, KeyChanges
from sessionstore.signing import Keyring, added, waiting_key

CREATED_AT = "2026-01-31T12:00:00.000000Z"

_KILLED = f"""
import os, signal, sys
from sessionstore.fs import Directory, Locks
from sessionstore.keystore import FileKeyStore, KeyChanges
from sessionstore.signing import added, waiting_key
when = sys.argv[2]
def die(*args): os.kill(os.getpid(), signal.SIGKILL)
real = os.rename
def rename(*args, **named):
    if when == "before": die()
    real(*args, **named)
    if when == "after": die()
os.rename = rename
state = Directory.open(sys.argv[1], strict=True)
changes = KeyChanges(FileKeyStore(state), Locks(state), 5)
changes.change(lambda ring: added(ring, waiting_key({CREATED_AT!r})), die)
"""


@pytest.fixture
def changes(keys: FileKeyStore, state: Directory) -> KeyChanges:
    return KeyChanges(keys, Locks(state), 0.05)


class TestChange:
    def test_it_is_stored_and_then_told(self, changes: KeyChanges, keys: FileKeyStore, keyring: Keyring) -> None:
        told: list[tuple[int, int]] = []

        def follow(newer: Keyring) -> None:
            told.append((newer.generation, keys.found().generation))

        assert changes.change(lambda ring: added(ring, waiting_key(CREATED_AT)), follow)
        assert told == [(2, 2)]
        assert not changes.change(lambda ring: added(ring, waiting_key(CREATED_AT)), follow)
        assert told == [(2, 2), (2, 2)]
        assert keyring.generation == 1

    def test_one_at_a_time(self, changes: KeyChanges, keyring: Keyring, state: Directory) -> None:
        with Locks(state).hold(LOCK, timeout_s=0), pytest.raises(StoreUnavailableError):
            changes.change(lambda ring: None, lambda newer: None)

    @pytest.mark.parametrize(("when", "generation"), [("before", 1), ("after", 2), ("told", 2)])
    def test_a_kill_leaves_the_old_one_or_the_new_one(
        self, keys: FileKeyStore, keyring: Keyring, folder: Path, state: Directory, when: str, generation: int
    ) -> None:
        done = subprocess.run([sys.executable, "-W", "error", "-c", _KILLED, folder, when], timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert keys.found().generation == generation
        state.sweep()
        assert [name for name in state.names() if name != LOCK] == ["keyring"]
