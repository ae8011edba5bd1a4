"""The example on the page runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("langgraph.graph", reason="LangGraph itself is not here: pip install langgraph")


def test_the_example_of_the_page_runs_in_an_empty_directory(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "howto" / "langgraph.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "place").mkdir()
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path / "place", capture_output=True, text=True
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "You are Ada.\n", "")
