"""A file backend in a fresh place, and the memory backend, for the tests of both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from sessionstore.fs import Directory, Locks
from sessionstore.storage import FileBackend, FileRuns, MemoryBackend


@dataclass
class Place:
    """A file backend, and where its parts are on disk."""

    backend: FileBackend
    sessions: Path
    locks: Path
    runs: Path
    quarantine: Path
    retired: Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    quarantine, retired = tmp_path / "quarantine", tmp_path / "retired"
    with (
        ExitStack() as opened,
        Directory.open(tmp_path / "sessions", create=True) as sessions,
        Directory.open(tmp_path / "locks", create=True, strict=True) as locks_directory,
        Directory.open(tmp_path / "runs", create=True, strict=True) as runs_directory,
    ):
        locks, runs = Locks(locks_directory), FileRuns(locks_directory, runs_directory)
        data = opened.enter_context(Directory.open(tmp_path))
        backend = FileBackend(
            sessions,
            lambda: Directory.open(quarantine, create=True),
            locks,
            runs,
            retired=lambda: Directory.open(retired, create=True),
            data=data,
        )
        yield Place(backend, tmp_path / "sessions", tmp_path / "locks", tmp_path / "runs", quarantine, retired)
        locks.close()


@pytest.fixture(params=["memory", "file"])
def backend(request: pytest.FixtureRequest) -> FileBackend | MemoryBackend:
    if request.param == "memory":
        return MemoryBackend()
    found: Place = request.getfixturevalue("place")
    return found.backend
