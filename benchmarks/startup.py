"""What `import sessionstore` and `sessionstore --version` add to a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Row, in_turns

RUNS = 15


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark; nothing is written to `directory`."""
    bare, imported, version = in_turns(
        RUNS,
        lambda: _python("-c", "pass"),
        lambda: _python("-c", "import sessionstore"),
        lambda: _python("-m", "sessionstore", "--version"),
    )
    return [
        Row("import sessionstore, above bare Python", imported - bare, "the bound", 60.0, "<= 1"),
        Row("sessionstore --version, above bare Python", version - bare, "the bound", 90.0, "<= 1"),
    ]


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
