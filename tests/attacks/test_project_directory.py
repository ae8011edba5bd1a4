"""Attacks on a pinned project that need no race: what leads out of it, what stands in for it, what a child is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from sessionstore.errors import ProjectPathError
from sessionstore.fs.project import ProjectRoot, capture, pin
from sessionstore.fs.syscalls import Kernel


@pytest.fixture(params=["openat2", "walk"])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return Kernel() if request.param == "openat2" else Kernel(None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a file, and a secret beside it."""
    made = tmp_path.resolve() / "p"
    (made / "a").mkdir(parents=True)
    (made / "a" / "file").write_text("mine")
    (tmp_path / "secret").write_text("theirs")
    return made


@pytest.fixture
def root(project: Path, kernel: Kernel) -> Iterator[ProjectRoot]:
    with pin(capture(project), kernel=kernel) as held:
        yield held


class TestLeadingOut:
    @pytest.mark.parametrize(
        "rel", ["../secret", "a/../../secret", "/etc/passwd", "out", "far", "proc/cwd", "a\0/../x"]
    )
    def test_nothing_outside_is_opened_or_made(self, root: ProjectRoot, project: Path, rel: str) -> None:
        (project / "out").symlink_to("../secret")
        (project / "far").symlink_to("/etc/passwd")
        (project / "proc").symlink_to("/proc/self")
        before = sorted(os.listdir(project.parent))
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_PATH):
            with pytest.raises(ProjectPathError) as caught:
                root.open(rel, flags)
            assert caught.value.verdict in ("outside_allowed_roots", "symlink", "invalid_path")
        assert sorted(os.listdir(project.parent)) == before

    def test_a_fifo_inside_does_not_make_the_tool_wait(self, root: ProjectRoot, project: Path) -> None:
        os.mkfifo(project / "fifo")
        with open("fifo", "rb", opener=root.open) as file:
            assert file.read() == b""


class TestStandIn:
    def test_a_directory_made_again_with_the_freed_number_is_told_apart(self, tmp_path: Path) -> None:
        for _ in range(50):
            (tmp_path / "q").mkdir()
            record = capture(tmp_path / "q")
            if record.handle is None and record.birth_time_ns is None:
                pytest.skip("the file system of the temporary directory has neither handles nor birth times")
            (tmp_path / "q").rmdir()
            (tmp_path / "q").mkdir()
            for asked in (record, replace(record, handle=None, handle_type=None)):
                with pytest.raises(ProjectPathError, match="replaced"):
                    pin(asked)
            (tmp_path / "q").rmdir()

    def test_a_directory_called_as_the_kernel_calls_a_deleted_one_is_another_one(
        self, root: ProjectRoot, project: Path
    ) -> None:
        (project / "a" / "file").unlink()
        (project / "a").rmdir()
        project.rmdir()
        Path(f"{project} (deleted)").mkdir()
        with pytest.raises(ProjectPathError, match="missing"):
            root.check()

    def test_nothing_and_the_current_directory_do_not_stand_in(
        self, project: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = capture(project)
        project.rename(project.with_name("q"))
        monkeypatch.chdir(project.with_name("q"))
        with pytest.raises(ProjectPathError, match="missing"):
            pin(record, kernel=kernel)
        assert not project.exists()


class TestChild:
    def test_is_not_told_the_path_and_starts_in_the_held_directory(
        self, root: ProjectRoot, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PWD", str(project))
        monkeypatch.setenv("OLDPWD", str(project))
        project.rename(project.with_name("q"))
        (project / "theirs").mkdir(parents=True)
        script = "import os; print(os.listdir('.'), 'PWD' in os.environ, 'OLDPWD' in os.environ)"
        done = root.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "['a'] False False\n"

    def test_cannot_lose_the_directory_to_its_own_standard_streams(self, project: Path) -> None:
        # With its streams closed, a process gets descriptor 0 for the directory; a child's input would take its place.
        script = (
            "import os, sys\n"
            "from sessionstore.fs.project import capture, pin\n"
            "record, out = capture(sys.argv[1]), os.dup(1)\n"
            "for fd in (0, 1, 2):\n"
            "    os.close(fd)\n"
            "with pin(record) as root:\n"
            "    os.chdir('/')\n"
            "    elsewhere = os.open('/', os.O_RDONLY)\n"
            "    done = root.run(['/bin/pwd'], stdin=elsewhere, capture_output=True)\n"
            "os.write(out, done.stdout)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, project], capture_output=True, text=True, check=True)
        assert done.stdout == f"{project}\n"
