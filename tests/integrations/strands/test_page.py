"""The how-to page: its program runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("strands", reason="needs Strands Agents: pip install 'sessionstore[strands]'")


class TestThePage:
    def test_its_program_runs_in_an_empty_directory(self, repository: Path, tmp_path: Path) -> None:
        page = (repository / "docs" / "howto" / "strands.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
        (tmp_path / "example.py").write_text(code, encoding="utf-8")
        # The network is refused in the child too: an address that nobody answers would only make it slow.
        refuse = "import socket\ndef refuse(*a, **k): raise AssertionError('network')\nsocket.socket.connect = refuse\n"
        (tmp_path / "run.py").write_text(f"{refuse}exec(open('example.py').read())\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-I", "run.py"] if "PYTHONPATH" not in os.environ else [sys.executable, "run.py"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout == "California.\n"
