"""The project changed after a resume has pinned it and before it commits: refused, rolled back, and nothing runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore
from sessionstore.errors import ProjectPathError

# What a shell above the project does, and what is said of it.
CHANGES = {
    "rm -r project": "missing",
    "rm -r project; mkdir -m 755 project; echo attacker > project/marker": "replaced",
    "mv project moved": "missing",
    "mv ../up ../moved": "missing",
    "mv project moved; mkdir -m 755 project; echo attacker > project/marker": "replaced",
    "mv project moved; ln -s moved project": "symlink",
    "mv ../up ../moved; ln -s moved ../up": "symlink",
    "mv project moved; echo attacker > project": "not_a_directory",
    "chown 54321 project": "owner_changed",
    "chmod g+w project": "permissions_widened",
    "chmod o+w project": "permissions_widened",
}

# The command line, in a process that changes the project when it forks: after it was pinned, before the commit.
TYPED = """
import os, sys
session, above, change = sys.argv[1:]
def watch(event, args):
    if event == "os.fork":
        os.system(f"cd '{above}' && {change}")
sys.addaudithook(watch)
from sessionstore.cli import main
sys.argv = ["sessionstore", "resume", session, "--", "/bin/sh", "-c", "pwd; cat marker"]
sys.exit(main())
"""

VictimOf = Callable[[Path], Any]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "up" / "project"
    path.mkdir(0o755, parents=True)
    path.chmod(0o755)
    (path / "marker").write_text("genuine")
    return path


@pytest.fixture(params=CHANGES)
def change(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("chown") and os.geteuid() != 0:
        pytest.skip("only root can give directories away; run the tests as root")
    return str(request.param)


class TestBetweenPinAndCommit:
    def test_in_code_it_is_refused_and_rolled_back(
        self, change: str, project: Path, store: SessionStore, victim_of: VictimOf
    ) -> None:
        victim, ended = victim_of(project), list[int]()
        with store.resume(victim.id) as run:
            run.commit()
        before = os.listdir("/proc/self/fd")
        with pytest.raises(ProjectPathError) as refused, store.resume(victim.id) as run:
            assert run.project is not None
            tool = run.project.start(["/bin/cat"], stdin=subprocess.PIPE)

            def end() -> None:
                tool.communicate()
                ended.append(tool.returncode)

            run.on_rollback(end)
            subprocess.run(change, shell=True, cwd=project.parent, check=True)  # noqa: S602
            run.commit()
        assert refused.value.verdict == CHANGES[change]
        assert ended == [0] and victim.path.read_bytes() == victim.good
        assert os.listdir("/proc/self/fd") == before
        with pytest.raises(ProjectPathError) as again, store.resume(victim.id):
            raise AssertionError("it was given back")
        assert again.value.verdict == CHANGES[change]

    def test_a_command_that_waits_at_the_gate_is_never_started(
        self, change: str, project: Path, victim_of: VictimOf
    ) -> None:
        victim = victim_of(project)
        done = subprocess.run(
            [sys.executable, "-c", TYPED, victim.id, project.parent, change],
            capture_output=True,
            text=True,
            env={**os.environ, "SESSIONSTORE_HOME": str(victim.root)},
            timeout=60,
        )
        # The pipes are at their end, so the command in waiting, which had them too, is gone.
        assert (done.returncode, done.stdout) == (5, "")
        assert f": {CHANGES[change]} (" in done.stderr
        assert victim.path.read_bytes() == victim.good
