"""The reference page is complete: this fails when a setting is missing from it, or when it names one that is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from sessionstore.config import load_config
from sessionstore.config.patterns import Patterns
from sessionstore.config.settings import (
    BY_ENVIRONMENT_NAME,
    BY_NAME,
    ENVIRONMENT_PREFIX,
    HOME_NAME,
    KEY_NAME,
    PASSED_NAMES,
    PASSED_PREFIXES,
    SETTINGS,
)
from sessionstore.config.values import Count, Salt, Seconds, Size, StorageUri, Word

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


@pytest.fixture(scope="module")
def rows(page: str) -> dict[str, list[str]]:
    """The table of settings: key -> environment, default, allowed, what."""
    table = page.split("## Settings")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {row[0].strip("`"): row[1:] for row in cells[2:]}


class TestReferencePage:
    def test_it_has_a_row_for_every_setting_in_order_and_no_other(self, rows: dict[str, list[str]]) -> None:
        assert [*rows] == [setting.name for setting in SETTINGS]

    @pytest.mark.parametrize("name", BY_NAME)
    def test_a_row_gives_the_name_default_and_meaning_that_hold(self, name: str, rows: dict[str, list[str]]) -> None:
        setting = BY_NAME[name]
        environment, default, _, what = rows[name]
        assert (environment, default, what) == (f"`{setting.environment_name}`", setting.default_text, setting.what)

    @pytest.mark.parametrize("name", BY_NAME)
    def test_a_row_gives_the_range_that_holds(self, name: str, rows: dict[str, list[str]]) -> None:
        allowed = rows[name][2]
        match BY_NAME[name].kind:
            case Size(low=low, high=high) as kind:
                assert allowed.split(",")[0] == f"{kind.show(low)} to {kind.show(high)}"
            case Count(low=low, high=high, optional=optional):
                assert allowed == f"{low} to {high}" + ", or off" * optional
            case Seconds(low=low, high=high):
                assert allowed == f"{low:g} to {high:g}"
            case Word(words=words):
                assert allowed == ", ".join(words)
            case Salt(needed=needed):
                assert allowed == needed.removesuffix(" are needed")
            case Patterns(needed=needed):
                assert allowed == needed.removesuffix(" is needed")
            case StorageUri(needed=needed):
                assert allowed == needed.removesuffix(" is needed")
            case _:
                assert allowed.startswith("absolute path")

    def test_it_names_nothing_of_the_environment_that_means_nothing(self, page: str) -> None:
        known = {ENVIRONMENT_PREFIX, *BY_ENVIRONMENT_NAME, HOME_NAME, KEY_NAME, *PASSED_NAMES, *PASSED_PREFIXES}
        assert set(re.findall(r"SESSIONSTORE_[A-Z_]*", page)) == known

    def test_it_names_no_setting_that_does_not_exist(self, page: str) -> None:
        words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", page))
        assert words - {"config_invalid", "open_store"} == {name for name in BY_NAME if "_" in name}

    def test_its_example_file_is_a_good_file(self, page: str, tmp_path: Path) -> None:
        (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
        path = tmp_path / "config.toml"
        path.write_text(example)
        path.chmod(0o600)
        loaded = load_config(root=tmp_path, environ={})
        assert tomllib.loads(example).keys() <= {name for name, source in loaded.sources.items() if source != "default"}
        assert loaded.config.max_session_bytes == 256 << 20
