"""Children that start in a project directory held open."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs.project import ProjectRoot, capture, pin
from sessionstore.fs.project.root import entering
from sessionstore.fs.syscalls import Kernel

Run = Callable[..., list[str]]
ActingAs = Callable[[int], AbstractContextManager[None]]


class TestRun:
    def test_starts_in_the_held_directory_wherever_it_went(self, root: ProjectRoot, place: Path) -> None:
        (place / "mine").touch()
        place.rename(place.with_name("moved"))
        place.mkdir()
        (place / "theirs").touch()
        done = root.run(["/bin/sh", "-c", "ls; pwd"], capture_output=True, text=True)
        assert done.stdout.split() == ["mine", str(place.with_name("moved"))]
        with root.start(["ls"], stdout=subprocess.PIPE, text=True) as child:
            assert child.communicate()[0] == "mine\n"

    def test_starts_in_it_also_if_it_was_deleted(self, root: ProjectRoot, place: Path) -> None:
        place.rmdir()
        place.mkdir()
        (place / "theirs").touch()
        assert root.run(["ls"], capture_output=True, text=True).stdout == ""

    @pytest.mark.parametrize("env", [None, {"PWD": "/a", "OLDPWD": "/b", "KEPT": "1"}, {b"PWD": b"/a", b"KEPT": b"1"}])
    def test_the_environment_does_not_name_the_directory(
        self, root: ProjectRoot, place: Path, monkeypatch: pytest.MonkeyPatch, env: Any
    ) -> None:
        monkeypatch.setenv("PWD", str(place))
        monkeypatch.setenv("OLDPWD", str(place))
        monkeypatch.setenv("KEPT", "1")
        seen = root.run(["/usr/bin/env"], env=env, capture_output=True, text=True).stdout.splitlines()
        assert "KEPT=1" in seen
        assert [line for line in seen if line.partition("=")[0] in ("PWD", "OLDPWD")] == []
        if env is None:
            assert any(line.startswith("PATH=") for line in seen)
            assert os.environ["PWD"] == str(place)

    def test_passes_on_what_subprocess_takes(self, root: ProjectRoot, place: Path) -> None:
        done = root.run(["sh", "-c", "cat; echo bad >&2; exit 3"], input="in", capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (3, "in", "bad\n")
        with pytest.raises(subprocess.CalledProcessError):
            root.run(["false"], check=True)
        with root.start(["sleep", "60"]) as child:
            child.terminate()
            assert child.wait() == -signal.SIGTERM

    def test_what_the_caller_does_before_the_command_is_done_in_the_directory(
        self, root: ProjectRoot, place: Path
    ) -> None:
        root.run(["true"], preexec_fn=lambda: os.mkdir("made"))
        assert (place / "made").is_dir()

    @pytest.mark.parametrize("cwd", ["/", None])
    def test_another_directory_cannot_be_asked_for(self, root: ProjectRoot, cwd: str | None) -> None:
        for start in (root.run, root.start):
            with pytest.raises(InvalidValueError, match="cwd"):
                start(["true"], cwd=cwd)

    def test_a_command_that_is_not_there_says_nothing_about_the_project(self, root: ProjectRoot) -> None:
        with pytest.raises(InvalidValueError, match="argv: the command cannot be started: No such file"):
            root.run(["/no/such/command"])

    def test_a_directory_that_may_not_be_entered_is_a_refusal(
        self, shared: Path, kernel: Kernel, acting_as: ActingAs, somebody: int
    ) -> None:
        (shared / "p").mkdir()
        (shared / "p").chmod(0o600)
        os.chown(shared / "p", somebody, somebody)
        with acting_as(somebody), pin(capture(shared / "p"), kernel=kernel) as root:
            with pytest.raises(ProjectPathError) as caught:
                root.run(["true"])
            assert (caught.value.verdict, caught.value.detail) == ("inaccessible", "EACCES, which may pass")

    def test_what_a_child_does_first_where_there_is_no_proc(
        self, root: ProjectRoot, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("/")
        seen: list[str] = []
        entering(root.dir_fd, lambda: seen.append(os.getcwd()))()
        assert seen == [str(place)]
        os.chdir("/")
        entering(root.dir_fd, None)()
        assert os.getcwd() == str(place)
