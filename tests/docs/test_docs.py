"""The documentation is true: its examples run, its links lead somewhere, and the files it names are there.

A Python example that cannot run has `<!-- no-run -->` on the line before it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("migrations/**/*.md")])
DOCS = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]

FENCE = re.compile(
    r"^(?P<mark>(?:`{3,}|~{3,}))(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=mark)[ \t]*$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)(?:\s+\"[^\"]*\")?\)")
# `sessionstore/…` is also the beginning of key labels and of places in a user's home.
NAMED_FILE = re.compile(r"`((?:(?:docs|tests|migrations|benchmarks|\.ci)/[\w./-]*)|(?:sessionstore/[\w/]*(?:\.py|/)))`")


class Example(NamedTuple):
    page: Path
    line: int
    code: str


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def examples() -> list[Example]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for fence in FENCE.finditer(text):
            before = text[: fence.start()].rstrip().rpartition("\n")[2].strip()
            if fence["info"].strip() == "python" and before != "<!-- no-run -->":
                found.append(Example(page, text.count("\n", 0, fence.start()) + 1, fence["body"]))
    return found


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of the page's headings."""
    titles = re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), flags=re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", title).lower()).replace(" ", "-") for title in titles]
    return {slug if not slugs[:at].count(slug) else f"{slug}-{slugs[:at].count(slug)}" for at, slug in enumerate(slugs)}


class TestExamples:
    @pytest.mark.parametrize("example", examples(), ids=lambda example: f"{named(example.page)}:{example.line}")
    def test_it_runs_as_it_stands_in_an_empty_directory(self, example: Example, tmp_path: Path) -> None:
        place = tmp_path / "example"
        place.mkdir()
        (tmp_path / "example.py").write_text(example.code, encoding="utf-8")
        child = subprocess.run(
            [sys.executable, "-W", "error", str(tmp_path / "example.py")],
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert child.returncode == 0, child.stdout + child.stderr

    def test_the_readme_has_one(self) -> None:
        assert ROOT / "README.md" in {example.page for example in examples()}


@pytest.mark.parametrize("page", PAGES, ids=named)
class TestEveryPage:
    def test_its_links_lead_to_files_and_headings_that_are_there(self, page: Path) -> None:
        dead = []
        for link in LINK.finditer(prose(page)):
            if re.match(r"[a-z][a-z0-9+.-]*:", link["target"]):
                continue
            path, _, anchor = unquote(link["target"]).partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                dead.append(link["target"])
        assert not dead

    def test_its_links_stay_inside_the_repository(self, page: Path) -> None:
        targets = [unquote(link["target"]) for link in LINK.finditer(prose(page))]
        local = [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:|#", target)]
        assert not [t for t in local if not (page.parent / t.partition("#")[0]).resolve().is_relative_to(ROOT)]

    def test_the_files_it_names_are_there(self, page: Path) -> None:
        gone = [name for name in NAMED_FILE.findall(prose(page)) if not (ROOT / name).exists()]
        assert page.name == "CHANGELOG.md" or not gone  # a changelog may name what is gone

    def test_it_has_one_title(self, page: Path) -> None:
        assert len(re.findall(r"^# ", prose(page), flags=re.MULTILINE)) == 1


class TestTheIndex:
    def test_every_page_is_listed_in_the_index_of_its_directory_or_of_all(self) -> None:
        listed = set()
        for index in [page for page in DOCS if page.name == "README.md"]:
            targets = [link["target"].partition("#")[0] for link in LINK.finditer(prose(index))]
            listed |= {(index.parent / target).resolve() for target in targets if ":" not in target}
        assert not [named(page) for page in DOCS if page not in listed and page != ROOT / "docs" / "README.md"]


class TestTheCommands:
    def test_the_readme_and_the_ci_run_the_tests_in_the_same_way(self) -> None:
        command = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox"
        assert command in (ROOT / "README.md").read_text(encoding="utf-8")
        assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
