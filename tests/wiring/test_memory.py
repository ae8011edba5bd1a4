"""Sessions in memory: a store that ends with the process, and leaves nothing."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, errors, open_store


class TestMemory:
    def test_nothing_of_it_is_left(self, home: Path, tmp_path: Path, monkeypatch: Any) -> None:
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
        with open_store(home, backend="memory") as store:
            id = store.create(entries=[{"n": 1}]).id
            assert store.load(id).entries == ({"n": 1},)
            (place,) = (tmp_path / "tmp").iterdir()
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            assert not home.exists()
        assert os.listdir(tmp_path / "tmp") == []

    def test_two_of_them_share_nothing(self) -> None:
        with open_store(backend="memory") as one, open_store(backend="memory") as two:
            id = one.create().id
            assert one.store_id != two.store_id
            with pytest.raises(errors.SessionNotFoundError):
                two.load(id)

    def test_limits_are_those_of_the_settings(self, home: Path) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", max_sessions=1)
        with open_store(backend="memory", config=config) as store:
            store.create()
            with pytest.raises(errors.SessionLimitError):
                store.create()

    def test_one_that_cannot_be_opened_leaves_nothing(self, tmp_path: Path, monkeypatch: Any) -> None:
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
        with pytest.raises(errors.StoreUnavailableError):
            open_store(backend="memory", read_only=True)
        assert os.listdir(tmp_path / "tmp") == []
