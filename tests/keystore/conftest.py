"""A state directory and keyrings for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionstore.fs import Directory
from sessionstore.keystore import FileKeyStore
from sessionstore.signing import Keyring


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Directory]:
    (tmp_path / "state").mkdir(mode=0o700)
    with Directory.open(tmp_path / "state", strict=True) as directory:
        yield directory


@pytest.fixture
def folder(state: Directory) -> Path:
    return Path(state.path)


@pytest.fixture
def keys(state: Directory) -> FileKeyStore:
    return FileKeyStore(state)


@pytest.fixture
def keyring(keys: FileKeyStore) -> Keyring:
    """A keyring that lies in the state directory."""
    keyring = keys.fresh("2026-01-31T12:00:00.000000Z")
    keys.prepare(keyring)
    keys.promote()
    return keyring


@pytest.fixture
def file(keyring: Keyring, folder: Path) -> Path:
    return folder / "keyring"
