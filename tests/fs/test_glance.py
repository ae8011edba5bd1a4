"""A glance at a project: here, gone, replaced, or nobody can tell."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.fs.glance import glance
from sessionstore.fs.syscalls import Kernel


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "parent" / "project"
    path.mkdir(parents=True)
    return path


def exchange(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.mkdir()


def link(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


def link_on_the_way(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to("moved")


def file(path: Path) -> None:
    path.rmdir()
    path.touch()


def file_on_the_way(path: Path) -> None:
    path.rmdir()
    path.parent.rmdir()
    path.parent.touch()


class TestGlance:
    def test_an_untouched_project_is_here_by_openat2_and_by_walk(self, project: Path) -> None:
        for kernel in (Kernel(), Kernel(None)):
            assert glance(str(project), project.stat().st_ino, kernel=kernel) == "here"

    @pytest.mark.parametrize("change", [Path.rmdir, lambda path: path.parent.rename(path.parent.with_name("moved"))])
    def test_what_is_not_there_is_gone(self, project: Path, change: Callable[[Path], object]) -> None:
        inode = project.stat().st_ino
        change(project)
        assert glance(str(project), inode) == "gone"

    @pytest.mark.parametrize("change", [exchange, link, link_on_the_way, file, file_on_the_way])
    def test_another_thing_under_the_name_or_on_the_way_is_replaced(
        self, project: Path, change: Callable[[Path], None]
    ) -> None:
        inode = project.stat().st_ino
        change(project)
        assert glance(str(project), inode) == "replaced"
        assert glance(str(project), inode, kernel=Kernel(None)) == "replaced"

    @pytest.mark.parametrize("text", ["", "relative", "/a/../b", "/a//b", "/a\0b", "/" + "n" * 300, "/\ud800"])
    def test_what_is_no_canonical_path_is_unknown(self, text: str) -> None:
        assert glance(text, 1) == "unknown"

    def test_a_name_that_is_shown_with_escapes_is_never_called_gone(self, project: Path) -> None:
        odd = Path(os.fsdecode(os.fsencode(project) + b"\xff"))
        odd.mkdir()
        assert glance(f"{project}\\xff", odd.stat().st_ino) == "unknown"
        real = Path(f"{project}\\x20")
        real.mkdir()
        assert glance(str(real), real.stat().st_ino) == "here"

    def test_where_directories_cannot_be_opened_nothing_is_known(self, project: Path) -> None:
        assert glance(str(project), project.stat().st_ino, kernel=Kernel(None, dir_fds=False)) == "unknown"

    def test_nothing_stays_open(self, project: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for inode in (project.stat().st_ino, 1):
            glance(str(project), inode)
        assert len(os.listdir("/proc/self/fd")) == before
