"""Every module has its floor, and the rules of the house hold for every file. `tox -e imports` judges the imports."""

from __future__ import annotations

import ast
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import sessionstore

MAX_LINES = 300
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "manager", "handler", "service", "misc"}

PACKAGE = Path(sessionstore.__file__).parent
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def floors(repository: Path) -> list[list[str]]:
    """The rooms of each floor, highest first, with the brackets of optional ones taken off."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
    assert contract["exhaustive"] is True
    return [re.findall(r"\w+", floor) for floor in contract["layers"]]


class TestFloors:
    def test_every_module_has_exactly_one_floor(self, repository: Path) -> None:
        rooms = [room for floor in floors(repository) for room in floor]
        modules = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}
        assert not modules - set(rooms)
        assert len(rooms) == len(set(rooms))

    def test_rooms_on_one_floor_are_kept_apart(self, repository: Path) -> None:
        project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
        (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
        # import-linter lets rooms divided by ":" import each other, those divided by "|" not.
        assert not [floor for floor in contract["layers"] if ":" in floor]

    def test_no_source_file_hides_in_a_directory_that_is_no_package(self) -> None:
        # import-linter and type checkers pass over such a directory without a word.
        homeless = {path.parent for path in SOURCES if not (PACKAGE / path.parent / "__init__.py").is_file()}
        assert not homeless

    def test_the_architecture_page_draws_the_same_floors(self, repository: Path) -> None:
        page = (repository / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| F(\d+) \| ([^|]+) \|", page, flags=re.MULTILINE)
        drawn = [sorted(re.findall(r"`(\w+)`", rooms)) for _, rooms in rows]
        assert drawn == [sorted(floor) for floor in floors(repository)]
        numbers = [int(number) for number, _ in rows]
        assert numbers == sorted(set(numbers), reverse=True)


@pytest.mark.parametrize("source", SOURCES, ids=str)
class TestEveryModule:
    def test_it_says_what_it_is_for(self, source: Path) -> None:
        assert ast.get_docstring(ast.parse((PACKAGE / source).read_text(encoding="utf-8")))

    def test_it_is_short_enough_to_be_read_at_once(self, source: Path) -> None:
        assert len((PACKAGE / source).read_text(encoding="utf-8").splitlines()) <= MAX_LINES

    def test_its_name_is_a_word_of_the_field(self, source: Path) -> None:
        assert not VAGUE_NAMES & {*source.parts, source.stem}
