"""What every test stands on: surroundings of its own, the repository, and the sample transcripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, and no verdict that depends on how busy the machine is.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")

_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_DIRS")


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the tester's own sessions, settings and home out of reach, here and in child processes."""
    for name in list(os.environ):
        if name.startswith("SESSIONSTORE_") or name in _PLACES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def unmeasured(no_surroundings: None) -> dict[str, str]:
    """The environment for a child process that is asked what it has loaded: measuring coverage loads modules too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout that these tests lie in."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def samples(repository: Path) -> Path:
    """The directory of real sample transcripts, which lies beside the repository and is not part of it."""
    found = repository.parent / "shared" / "samples"
    if not found.is_dir():
        pytest.skip("no sample transcripts: put them into ../shared/samples beside the repository")
    return found
