"""A state directory and keyrings for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionstore.fs import Directory
from sessionstore.keystore import FileKeyStore


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
