"""The front door: every public name is there, and opening the door costs next to nothing."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sessionstore

HEAVY = {
    "asyncio",
    "click",
    "cryptography",
    "limits",
    "msgspec",
    "platformdirs",
    "rich",
    "sqlite3",
    "subprocess",
}


@pytest.fixture
def loaded_by(unmeasured: dict[str, str]) -> Callable[[str], set[str]]:
    """The top-level modules that a fresh process has loaded after a statement."""

    def answer(statement: str) -> set[str]:
        code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
        child = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], env=unmeasured, capture_output=True, text=True, check=True
        )
        return set(child.stdout.split())

    return answer


class TestPublicNames:
    @pytest.mark.parametrize("name", sessionstore.__all__)
    def test_every_public_name_is_there(self, name: str) -> None:
        assert getattr(sessionstore, name) is getattr(sessionstore, name)

    def test_the_names_are_those_of_the_contract(self) -> None:
        assert set(sessionstore.__all__) == {
            "AsyncSessionStore",
            "Config",
            "Message",
            "Session",
            "SessionStore",
            "SessionSummary",
            "Todo",
            "__version__",
            "errors",
            "open_async_store",
            "open_store",
        }

    def test_dir_shows_exactly_the_public_names(self) -> None:
        assert dir(sessionstore) == sorted(sessionstore.__all__)

    def test_an_unknown_name_is_an_ordinary_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
            _ = sessionstore.no_such_name

    def test_the_module_of_errors_is_the_one_that_is_imported_directly(self) -> None:
        assert sessionstore.errors is importlib.import_module("sessionstore.errors")

    def test_type_checkers_see_the_names_in_the_same_places(self) -> None:
        tree = ast.parse(Path(sessionstore.__file__).read_text(encoding="utf-8"))
        (block,) = (node for node in tree.body if isinstance(node, ast.If))
        seen = {
            alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert seen == {**sessionstore._HOMES, "errors": "sessionstore"}

    def test_the_version_is_a_plain_release_number(self) -> None:
        assert re.fullmatch(r"\d+\.\d+\.\d+", sessionstore.__version__)


class TestCost:
    def test_importing_the_package_loads_nothing_heavy(self, loaded_by: Callable[[str], set[str]]) -> None:
        assert not HEAVY & loaded_by("import sessionstore")

    def test_importing_the_package_loads_no_room_of_it(self, loaded_by: Callable[[str], set[str]]) -> None:
        statement = "import sessionstore; assert not [n for n in sys.modules if n.startswith('sessionstore.')]"
        assert "sessionstore" in loaded_by(statement)

    def test_catching_errors_loads_nothing_heavy(self, loaded_by: Callable[[str], set[str]]) -> None:
        assert not HEAVY & loaded_by("from sessionstore import errors; errors.VerificationError")

    def test_a_name_that_is_used_loads_only_its_own_room(self, loaded_by: Callable[[str], set[str]]) -> None:
        assert "sqlite3" not in loaded_by("from sessionstore import Session")
