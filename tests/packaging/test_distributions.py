"""What people get: both archives hold what they must, and the wheel works in an empty environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("build", reason="needs the `build` package; `tox -e wheel` has it")

UNWANTED = {".venv", ".tox", ".git", ".hypothesis", ".mypy_cache", "__pycache__", "dist", "build", "htmlcov"}


class Distributions(NamedTuple):
    wheel: Path
    sdist: Path


def run(*argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in an environment where no setting of these tests is left; its output stands in the failure."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "PYTHON", "PIP_CONSTRAINT"))}
    done = subprocess.run([str(a) for a in argv], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def distributions(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Both archives, built from a copy of the repository in which somebody has been working."""
    work = tmp_path_factory.mktemp("build")
    source = work / "source"
    # Dot directories may be huge here; the ones that matter are planted below.
    shutil.copytree(repository, source, symlinks=True, ignore=shutil.ignore_patterns(*UNWANTED, "*.egg-info"))
    for place in (".venv/lib", ".tox/py", "dist", "scratch", "sessionstore/__pycache__", "tests/__pycache__"):
        (source / place).mkdir(parents=True, exist_ok=True)
        (source / place / "left-over.pyc").write_bytes(b"left over")
    (source / "notes.txt").write_text("left over", encoding="utf-8")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", work / "out", source, cwd=work)
    (wheel,) = (work / "out").glob("*.whl")
    (sdist,) = (work / "out").glob("*.tar.gz")
    return Distributions(wheel, sdist)


@pytest.fixture(scope="module")
def installation(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of commands of an empty environment into which only the wheel was installed."""
    place = tmp_path_factory.mktemp("installation")
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    run(place / "venv" / "bin" / "pip", "install", "--quiet", distributions.wheel, cwd=place)
    return place / "venv" / "bin"


class TestTheWheel:
    @pytest.fixture
    def names(self, distributions: Distributions) -> set[str]:
        with zipfile.ZipFile(distributions.wheel) as wheel:
            return set(wheel.namelist())

    def test_it_tells_type_checkers_that_it_is_typed(self, names: set[str]) -> None:
        assert "sessionstore/py.typed" in names

    def test_it_holds_every_file_of_the_package(self, names: set[str], repository: Path) -> None:
        package = repository / "sessionstore"
        files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {str(path.relative_to(repository)) for path in files} <= names

    def test_it_holds_every_migration(self, names: set[str], repository: Path) -> None:
        files = [path for path in (repository / "migrations").rglob("*") if path.is_file()]
        assert {f"sessionstore/_{path.relative_to(repository)}" for path in files} <= names

    def test_it_holds_nothing_but_the_package_and_its_metadata(self, names: set[str]) -> None:
        assert {name.partition("/")[0].partition("-")[0] for name in names} == {"sessionstore"}
        assert not [name for name in names if "left-over" in name or "__pycache__" in name]

    def test_it_holds_the_licence(self, names: set[str]) -> None:
        assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


class TestTheSourceArchive:
    @pytest.fixture
    def names(self, distributions: Distributions) -> set[str]:
        with tarfile.open(distributions.sdist) as sdist:
            return {name.partition("/")[2] for name in sdist.getnames()}

    def test_it_holds_what_the_tests_need(self, names: set[str], repository: Path) -> None:
        needed = {"pyproject.toml", "tox.ini", "README.md", "LICENSE", ".ci/run", ".ci/constraints.txt"}
        tests = {str(path.relative_to(repository)) for path in (repository / "tests").rglob("*.py")}
        assert needed | tests <= names

    def test_it_holds_the_package_and_the_migrations(self, names: set[str]) -> None:
        assert {"sessionstore/__init__.py", "sessionstore/py.typed", "migrations/README.md"} <= names

    def test_it_holds_nothing_that_was_left_lying_about(self, names: set[str]) -> None:
        assert not [name for name in names if UNWANTED & set(name.split("/"))]
        assert not [name for name in names if "left-over" in name or name.startswith(("scratch", "notes"))]


class TestTheInstalledWheel:
    @pytest.mark.parametrize("how", [["sessionstore"], ["python", "-m", "sessionstore"]], ids=" ".join)
    def test_it_tells_its_version(self, installation: Path, tmp_path: Path, how: list[str]) -> None:
        said = run(installation / how[0], *how[1:], "--version", cwd=tmp_path).stdout
        assert said.split()[-1] == run(installation / "python", "-c", VERSION, cwd=tmp_path).stdout.strip()

    def test_its_requirements_agree(self, installation: Path, tmp_path: Path) -> None:
        run(installation / "pip", "check", cwd=tmp_path)

    def test_it_finds_its_migrations(self, installation: Path, tmp_path: Path) -> None:
        said = run(installation / "python", "-c", MIGRATIONS, cwd=tmp_path).stdout.split()
        assert {"README.md", "format"} <= set(said)

    def test_the_demo_runs_with_nothing_but_the_wheel(self, installation: Path, tmp_path: Path) -> None:
        run(installation / "sessionstore", "demo", cwd=tmp_path)
        assert not list(tmp_path.rglob("*.jsonl"))


class TestTheBounds:
    def test_the_oldest_releases_that_are_tested_are_the_oldest_that_are_allowed(self, repository: Path) -> None:
        project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        pins = (repository / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
        tested = {line.replace("==", ">=") for line in pins if not line.startswith("#")}
        # The SDKs of adapters are pinned in the environments of their own.
        adapters = {path.stem for path in (repository / "sessionstore" / "integrations").iterdir()}
        extras = {
            line for name, lines in project["optional-dependencies"].items() if name not in adapters for line in lines
        }
        assert tested == {*project["dependencies"], *extras}


VERSION = "import sessionstore; print(sessionstore.__version__)"
MIGRATIONS = "from sessionstore.migrations import migrations_dir as d; print(*(e.name for e in d().iterdir()))"
