"""The migration files are found in a wheel and in a checkout, and nobody else's are taken for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sessionstore
from sessionstore.migrations import migrations_dir

ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from sessionstore import errors, migrations
assert migrations.__file__.startswith(sys.argv[1]), migrations.__file__
try:
    print(migrations.migrations_dir())
except errors.StoreUnavailableError as refusal:
    print(refusal.code, refusal.outcome)
"""

OURS = '[project]\nname = "sessionstore"\n'


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[], str]:
    """Lay the package into an empty directory; the answer is what a fresh process finds there."""
    shutil.copytree(
        Path(sessionstore.__file__).parent,
        tmp_path / "sessionstore",
        ignore=shutil.ignore_patterns("_migrations", "__pycache__"),
    )

    def answer() -> str:
        child = subprocess.run(
            [sys.executable, "-W", "error", "-c", ASK, str(tmp_path)], capture_output=True, text=True, check=True
        )
        return child.stdout.strip()

    return answer


class TestMigrationsDir:
    def test_the_package_under_test_has_its_migrations(self) -> None:
        names = {entry.name for entry in migrations_dir().iterdir()}
        assert {"README.md", "format"} <= names

    def test_the_files_can_be_read_through_it(self) -> None:
        text = migrations_dir().joinpath("format", "README.md").read_text(encoding="utf-8")
        assert text.startswith("# ")

    def test_an_installed_package_uses_its_own(self, tmp_path: Path, ask: Callable[[], str]) -> None:
        (tmp_path / "sessionstore" / "_migrations").mkdir()
        assert ask() == str(tmp_path / "sessionstore" / "_migrations")

    def test_a_checkout_uses_the_directory_beside_the_package(self, tmp_path: Path, ask: Callable[[], str]) -> None:
        (tmp_path / "migrations").mkdir()
        (tmp_path / "pyproject.toml").write_text(OURS, encoding="utf-8")
        assert ask() == str(tmp_path / "migrations")

    def test_a_stranger_beside_an_installed_package_is_not_taken(self, tmp_path: Path, ask: Callable[[], str]) -> None:
        (tmp_path / "migrations").mkdir()
        assert ask() == "store_unavailable not_written"

    @pytest.mark.parametrize("project", ['[project]\nname = "other"\n', "[tool]\n", "not = [toml", b"\xff\xfe"])
    def test_another_projects_directory_is_not_taken(
        self, tmp_path: Path, ask: Callable[[], str], project: str | bytes
    ) -> None:
        (tmp_path / "migrations").mkdir()
        (tmp_path / "pyproject.toml").write_bytes(project if isinstance(project, bytes) else project.encode())
        assert ask() == "store_unavailable not_written"

    def test_a_package_without_any_says_so(self, ask: Callable[[], str]) -> None:
        assert ask() == "store_unavailable not_written"
