"""The tests judge what people install: under tox, here and in child processes, the package comes from the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import sessionstore

pytestmark = pytest.mark.skipif(
    os.environ.get("TESTS_ON_WHEEL") != "1",
    reason="these tests run on a checkout; `tox` runs them on the built wheel",
)

WHERE = "import sessionstore; print(sessionstore.__file__)"


def installed() -> Path:
    return Path(sysconfig.get_path("purelib"), "sessionstore", "__init__.py").resolve()


class TestThePackageUnderTest:
    def test_it_is_the_installed_one(self) -> None:
        assert Path(sessionstore.__file__).resolve() == installed()

    def test_it_is_not_linked_back_to_the_checkout(self, repository: Path) -> None:
        assert not (repository / "sessionstore" / "__init__.py").samefile(sessionstore.__file__)

    @pytest.mark.parametrize("how", [["-c", WHERE], ["-W", "error", "-c", WHERE], ["-P", "-c", WHERE]])
    def test_a_child_started_in_the_checkout_gets_the_installed_one(self, repository: Path, how: list[str]) -> None:
        child = subprocess.run([sys.executable, *how], cwd=repository, capture_output=True, text=True, check=True)
        assert Path(child.stdout.strip()).resolve() == installed()

    def test_a_child_that_runs_a_module_gets_the_installed_one(self, repository: Path) -> None:
        child = subprocess.run(
            [sys.executable, "-m", "inspect", "--details", "sessionstore"],
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        )
        (origin,) = (line for line in child.stdout.splitlines() if line.startswith("Origin: "))
        assert Path(origin.removeprefix("Origin: ")).resolve() == installed()
