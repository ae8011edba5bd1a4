"""The example on the page runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_example_of_the_page_runs_in_an_empty_directory(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "howto" / "adk.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "place").mkdir()
    # What the SDK warns of in its own code is not ours to mend.
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path / "place", capture_output=True, text=True
    )
    assert (child.returncode, child.stdout) == (0, "I heard 1 messages.\nI heard 3 messages.\n"), child.stderr
