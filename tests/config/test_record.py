from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionstore.config import Config
from sessionstore.errors import ConfigError

MIB = 1 << 20


class TestConfig:
    def test_the_defaults_are_those_of_the_contract(self, make: Callable[..., Config]) -> None:
        config = make()
        assert config.max_session_bytes == 10 * MIB
        assert config.max_entry_bytes == 8 * MIB
        assert config.max_sessions == 10_000
        assert config.cleanup_days is None
        assert config.lock_timeout_s == 10.0
        assert config.sync_interval_s == 5.0
        assert config.legacy == "adopt"
        assert (config.resume_limit, config.resume_global_limit, config.resume_window_seconds) == (5, 60, 60)
        assert config.resume_storage_uri is None
        assert config.signing_salt is None
        assert config.config_file is None

    def test_it_does_not_change_once_it_is_made(self, make: Callable[..., Config]) -> None:
        with pytest.raises(AttributeError):
            make().max_sessions = 5  # type: ignore[misc]

    def test_it_survives_copy_and_pickle_while_it_holds_no_salt(self, make: Callable[..., Config]) -> None:
        config = make(max_sessions=7)
        assert pickle.loads(pickle.dumps(config)) == copy.copy(config) == copy.deepcopy(config) == config  # noqa: S301

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("data_dir", "/srv/data"),
            ("data_dir", Path("data")),
            ("state_dir", Path("/srv/\0")),
            ("state_dir", None),
            ("config_file", "config.toml"),
            ("config_file", Path("config.toml")),
            ("max_session_bytes", 64 * 1024 - 1),
            ("max_session_bytes", (1 << 40) + 1),
            ("max_session_bytes", "10MiB"),
            ("max_session_bytes", 10.0 * MIB),
            ("max_session_bytes", True),
            ("max_entry_bytes", 1023),
            ("max_entry_bytes", False),
            ("max_entry_bytes", -1),
            ("resume_limit", -1),
            ("resume_limit", 10_001),
            ("resume_global_limit", True),
            ("resume_window_seconds", 0),
            ("resume_window_seconds", 60.0),
            ("resume_storage_uri", "redis://host:6379"),
            ("max_sessions", 0),
            ("max_sessions", 10_000_001),
            ("max_sessions", None),
            ("cleanup_days", 0),
            ("cleanup_days", 36_501),
            ("cleanup_days", "off"),
            ("lock_timeout_s", -0.1),
            ("lock_timeout_s", 3601),
            ("lock_timeout_s", math.nan),
            ("lock_timeout_s", "10"),
            ("sync_interval_s", 60.1),
            ("sync_interval_s", True),
            ("legacy", "accept"),
            ("legacy", None),
            ("signing_salt", "text"),
        ],
    )
    def test_a_value_of_the_wrong_kind_or_out_of_range_is_refused(
        self, make: Callable[..., Config], setting: str, value: Any
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            make(**{setting: value})
        assert (caught.value.setting, caught.value.source) == (setting, "argument")
        assert "needed" in caught.value.reason

    def test_a_changed_copy_is_checked_like_a_new_one(self, make: Callable[..., Config]) -> None:
        members = msgspec.structs.asdict(make())
        assert Config(**(members | {"max_sessions": 5})).max_sessions == 5
        with pytest.raises(ConfigError):
            Config(**(members | {"max_sessions": 0}))


class TestLimitsThatGoTogether:
    def test_an_entry_limit_over_the_session_limit_is_refused(self, make: Callable[..., Config]) -> None:
        assert make(max_session_bytes=MIB, max_entry_bytes=MIB).max_entry_bytes == MIB
        with pytest.raises(ConfigError, match="1048577 is more than max_session_bytes, which is 1048576") as caught:
            make(max_session_bytes=MIB, max_entry_bytes=MIB + 1)
        assert caught.value.setting == "max_entry_bytes"

    def test_lowering_the_session_limit_alone_lowers_the_entry_limit_with_it(self, make: Callable[..., Config]) -> None:
        assert make(max_session_bytes=MIB).max_entry_bytes == MIB
        assert make(max_session_bytes=9 * MIB).max_entry_bytes == 8 * MIB

    def test_the_default_said_aloud_is_not_lowered(self, make: Callable[..., Config]) -> None:
        with pytest.raises(ConfigError, match="max_entry_bytes"):
            make(max_session_bytes=MIB, max_entry_bytes=8 * MIB)

    @pytest.mark.parametrize(("data", "state"), [("a", "a"), ("a", "a/state"), ("a/data", "a"), ("a", "a/b/c")])
    def test_data_and_state_must_lie_apart(
        self, tmp_path: Path, make: Callable[..., Config], data: str, state: str
    ) -> None:
        with pytest.raises(ConfigError, match="apart") as caught:
            make(data_dir=tmp_path / data, state_dir=tmp_path / state)
        assert caught.value.setting == "state_dir"

    def test_neighbours_with_a_common_beginning_are_apart(self, tmp_path: Path, make: Callable[..., Config]) -> None:
        assert make(data_dir=tmp_path / "a", state_dir=tmp_path / "a-state").state_dir == tmp_path / "a-state"
