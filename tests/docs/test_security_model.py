"""The table of the security model is whole and true: every row has tests that exist, every attack has a row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "security-model.md"
NAME = re.compile(r"`((?:attacks|faults)/\w+\.py::\w+)`")


def rows() -> list[list[str]]:
    """The cells of the table of attacks and defences, without its head."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Attacks and defences\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def attacks_of(path: Path) -> dict[str, str]:
    """Each test of a file with the class that it stands in: what a row may name, both of them by their ids."""
    found = {}
    place = f"{path.parent.name}/{path.name}"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for test in inner:
            if isinstance(test, ast.FunctionDef) and test.name.startswith("test_"):
                top = node.name if isinstance(node, ast.ClassDef) else test.name
                found[f"{place}::{top}::{test.name}"] = f"{place}::{top}"
    return found


class TestTable:
    def test_every_row_says_attack_defence_place_and_test(self) -> None:
        assert len(rows()) > 30
        for row in rows():
            attack, defence, places, tests = row
            assert attack and defence and NAME.findall(tests)
            names = re.findall(r"`([^`]+)`", places)
            assert names and all((ROOT / name).is_file() for name in names), places

    def test_every_test_that_is_named_exists(self) -> None:
        there = {
            top
            for room in ("attacks", "faults")
            for path in (ROOT / "tests" / room).glob("test_*.py")
            for top in attacks_of(path).values()
        }
        assert not {name for row in rows() for name in NAME.findall(row[3])} - there

    def test_every_attack_that_is_tested_has_its_row(self) -> None:
        named = {name for row in rows() for name in NAME.findall(row[3])}
        paths = sorted((ROOT / "tests" / "attacks").glob("test_*.py"))
        missing = [test for path in paths for test, top in attacks_of(path).items() if top not in named]
        assert len(paths) > 8 and not missing
