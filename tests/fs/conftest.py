"""A directory of ours, children of ours, and whatever belongs to somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.fs import Directory

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def directory(home: Path) -> Iterator[Directory]:
    with Directory.open(home, create=True) as opened:
        yield opened


@pytest.fixture
def child() -> Callable[..., str]:
    """Runs Python code in a process of its own, which must end well; gives what it printed."""

    def run(code: str, *args: object, environ: dict[str, str] | None = None) -> str:
        command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def several_users(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where this process cannot become another user."""
    try:
        os.chown(tmp_path_factory.mktemp("given"), NOBODY, NOBODY)
    except OSError as exc:
        pytest.skip(f"only a real root can be several users: {exc.strerror}")


@pytest.fixture
def give_away() -> Callable[[Path], None]:
    """Gives a file or directory to another user."""

    def give(path: Path) -> None:
        try:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        except OSError as exc:
            pytest.skip(f"only a real root can give a file away: {exc.strerror}")

    return give
