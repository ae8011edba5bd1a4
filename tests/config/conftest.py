"""A home with nothing in it, and a configuration file that is written as a user would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore.config import Config, LoadedConfig, load_config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def write(root: Path) -> Callable[[str | bytes], Path]:
    """Writes `config.toml` of the root, as the user's own file."""

    def write(content: str | bytes) -> Path:
        path = root / "config.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def load(root: Path) -> Callable[..., LoadedConfig]:
    """Loads the root's configuration with nothing in the environment but what the test names."""

    def load(**environ: str) -> LoadedConfig:
        return load_config(root=root, environ=environ)

    return load


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Config]:
    """Makes a `Config` in code; the places are given unless the test gives them."""

    def make(**given: Any) -> Config:
        places: dict[str, Any] = {"data_dir": tmp_path / "data", "state_dir": tmp_path / "state"}
        return Config(**(places | given))

    return make
