from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sessionstore.config import LoadedConfig, describe
from sessionstore.config.settings import SETTINGS

Load = Callable[..., LoadedConfig]


class TestDescribe:
    def test_there_is_a_line_for_every_setting_and_one_for_the_file(self, load: Load) -> None:
        assert [line.name for line in describe(load())] == [*(setting.name for setting in SETTINGS), "config_file"]

    def test_each_line_says_value_source_default_and_unit(self, load: Load) -> None:
        lines = {line.name: line for line in describe(load(SESSIONSTORE_MAX_SESSION_BYTES="1048577"))}
        line = lines["max_session_bytes"]
        assert (line.value_text, line.source) == ("1048577", "environment SESSIONSTORE_MAX_SESSION_BYTES")
        assert (line.default_text, line.unit) == ("10 MiB", "bytes")
        assert lines["cleanup_days"].value_text == "off"
        assert lines["lock_timeout_s"].value_text == "10"
        assert all(line.what for line in lines.values())

    def test_what_it_shows_can_be_put_back_into_the_environment(self, load: Load) -> None:
        changed = {"MAX_SESSION_BYTES": "5 MiB", "CLEANUP_DAYS": "30", "LOCK_TIMEOUT_S": "0.25", "LEGACY": "ask"}
        first = load(**{f"SESSIONSTORE_{name}": value for name, value in changed.items()})
        shown = {line.name: line.value_text for line in describe(first)}
        names = [setting.name for setting in SETTINGS if setting.name != "signing_salt"]
        again = load(**{f"SESSIONSTORE_{name.upper()}": shown[name] for name in names})
        assert again.config == first.config

    def test_the_defaults_in_words_are_the_defaults(self, load: Load) -> None:
        in_words = {"data_dir", "state_dir", "max_entry_bytes", "config_file"}
        for line in describe(load()):
            if line.name not in in_words:
                assert line.value_text == line.default_text

    def test_it_says_where_a_file_was_looked_for(self, root: Path, load: Load, write: Callable[[str], Path]) -> None:
        assert describe(load())[-1].value_text == f"none ({root / 'config.toml'})"
        write("")
        assert describe(load())[-1].value_text == str(root / "config.toml")
