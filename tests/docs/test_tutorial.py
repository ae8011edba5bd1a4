"""The tutorial goes as it is written: every command is typed into a shell, what is shown of its output is compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorial/first-session.md"
PLACE = "/tmp/play"

# What differs from one reader to the next.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def steps() -> list[tuple[str, list[str]]]:
    """Each command with the lines that the page shows below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def plain(text: str) -> str:
    return _ID.sub("<id>", text)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, the shell that the tutorial is written for")
def test_every_command_does_what_the_page_shows(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "sessionstore"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sessionstore "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    script = ["set -u"]
    typed = [(text, shown) for text, shown in steps() if "~/" not in text]  # nobody's own transcripts
    for text, _ in typed:
        # Nobody is there to answer the question.
        text = re.sub(r"^sessionstore delete ", "sessionstore delete --confirm ", text)
        script += [f"{{ {text}\n}} 2>&1".replace(PLACE, str(tmp_path / "play"))]
        script += ["status=$?", "echo '=== next'", "(exit $status)"]  # the next command may ask for it
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    outputs = done.stdout.split("=== next\n")
    assert len(outputs) == len(typed) + 1, done
    for (text, shown), printed in zip(typed, outputs, strict=False):
        if shown and "[y/N]" not in shown[0]:
            assert plain(printed) == plain("".join(f"{line}\n" for line in shown)), text
    assert not (tmp_path / "play").exists(), "the last command removes what the tutorial made"
