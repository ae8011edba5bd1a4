"""A file backend in a fresh place, and the memory backend, for the tests of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sessionstore.fs import Directory, Locks
from sessionstore.storage import FileBackend, MemoryBackend


@dataclass
class Place:
    """A file backend, and where its parts are on disk."""

    backend: FileBackend
    sessions: Path
    locks: Path
    quarantine: Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    quarantine = tmp_path / "quarantine"
    with (
        Directory.open(tmp_path / "sessions", create=True) as sessions,
        Directory.open(tmp_path / "locks", create=True, strict=True) as locks_directory,
    ):
        locks = Locks(locks_directory)
        backend = FileBackend(sessions, lambda: Directory.open(quarantine, create=True), locks)
        yield Place(backend, tmp_path / "sessions", tmp_path / "locks", quarantine)
        locks.close()


@pytest.fixture(params=["memory", "file"])
def backend(request: pytest.FixtureRequest) -> FileBackend | MemoryBackend:
    if request.param == "memory":
        return MemoryBackend()
    found: Place = request.getfixturevalue("place")
    return found.backend
