"""A project directory held open: checked again, entered by children, and let go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs.project import ProjectRoot, capture, pin
from sessionstore.fs.syscalls import FileHandle, Kernel

Run = Callable[..., list[str]]
ActingAs = Callable[[int], AbstractContextManager[None]]


def verdict(root: ProjectRoot) -> str:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ProjectPathError) as caught:
        root.check()
    assert os.listdir("/proc/self/fd") == before
    assert caught.value.path == root.display_path
    return str(caught.value.verdict)


def exchange(one: Path, other: Path) -> None:
    away = one.with_name("away")
    one.rename(away)
    other.rename(one)
    away.rename(other)


class TestCheck:
    """Every change of these is made between pin and check, and is noticed also the second time."""

    def test_an_unchanged_project_passes_any_number_of_times(self, root: ProjectRoot, place: Path) -> None:
        for number in range(3):
            (place / str(number)).write_text("contents are the user's")
            root.check()

    def test_deleted(self, root: ProjectRoot, place: Path) -> None:
        place.rmdir()
        assert [verdict(root), verdict(root)] == ["missing", "missing"]

    def test_deleted_and_made_again(self, root: ProjectRoot, place: Path) -> None:
        place.rmdir()
        place.mkdir()
        assert verdict(root) == "replaced"

    def test_renamed_and_put_back(self, root: ProjectRoot, place: Path) -> None:
        place.rename(place.with_name("q"))
        assert verdict(root) == "missing"
        place.with_name("q").rename(place)
        root.check()

    @pytest.mark.parametrize("level", ["the project", "the directory above it"])
    def test_exchanged_for_another_directory_and_back(self, root: ProjectRoot, place: Path, level: str) -> None:
        one = place if level == "the project" else place.parent
        other = one.with_name("other")
        (other if one == place else other / "p").mkdir(parents=True)
        exchange(one, other)
        assert [verdict(root), verdict(root)] == ["replaced", "replaced"]
        exchange(one, other)
        root.check()

    @pytest.mark.parametrize("level", ["the project", "the directory above it"])
    def test_exchanged_for_a_link_to_itself(self, root: ProjectRoot, place: Path, level: str) -> None:
        one = place if level == "the project" else place.parent
        one.rename(one.with_name("away"))
        one.symlink_to("away")
        assert verdict(root) == "symlink"

    def test_exchanged_for_a_file(self, root: ProjectRoot, place: Path) -> None:
        place.rmdir()
        place.touch()
        assert verdict(root) == "not_a_directory"

    @pytest.mark.parametrize(("mode", "expected"), [(0o775, "permissions_widened"), (0o777, "permissions_widened")])
    def test_opened_to_others(self, root: ProjectRoot, place: Path, mode: int, expected: str) -> None:
        place.chmod(mode)
        assert verdict(root) == expected

    def test_given_away(self, root: ProjectRoot, place: Path, somebody: int) -> None:
        os.chown(place, somebody, -1)
        assert verdict(root) == "owner_changed"

    def test_closed_to_this_user(self, shared: Path, kernel: Kernel, acting_as: ActingAs, somebody: int) -> None:
        (shared / "a" / "p").mkdir(parents=True)
        with acting_as(somebody), pin(capture(shared / "a" / "p"), kernel=kernel) as root:
            os.seteuid(0)
            (shared / "a").chmod(0o700)
            os.seteuid(somebody)
            assert verdict(root) == "inaccessible"

    def test_a_directory_above_is_looked_at_again_only_if_strict(self, shared: Path, kernel: Kernel) -> None:
        (shared / "a" / "p").mkdir(parents=True)
        record = capture(shared / "a" / "p")
        with pin(record, strict=True, kernel=kernel) as strict, pin(record, kernel=kernel) as root:
            (shared / "a").chmod(0o777)
            assert verdict(strict) == "unsafe_ancestor"
            root.check()

    def test_the_same_directory_on_another_mount_is_replaced(self, place: Path, with_own_mounts: Run) -> None:
        script = (
            "import sessionstore.errors\n"
            "path = sys.argv[1].encode()\n"
            "record = project.capture(path)\n"
            "with project.pin(record) as root:\n"
            "    if root._kernel.statx(root.dir_fd).mount_id is None:\n"
            "        print('mount ids need Linux 5.8')\n"
            "        sys.exit(77)\n"
            "    mount(path, path, None, 0x1000)\n"
            "    try:\n"
            "        root.check()\n"
            "    except sessionstore.errors.ProjectPathError as exc:\n"
            "        print(exc.verdict, exc.detail)\n"
            "    project.pin(record).close()\n"
            "    libc.umount2(path, 2)\n"
            "    root.check()\n"
        )
        (line,) = with_own_mounts(script, place)
        assert line.startswith("replaced its name leads to another directory or mount")
        assert line.endswith("(mount_id)")

    def test_what_happens_between_the_two_looks_is_seen_by_the_second(self, place: Path) -> None:
        class Deleting(Kernel):
            armed = False

            def handle_on_mount(self, fd: int) -> tuple[FileHandle | None, int | None]:
                found = super().handle_on_mount(fd)
                if self.armed:
                    self.armed = False
                    place.rmdir()
                return found

        kernel = Deleting()
        with pin(capture(place), kernel=kernel) as root:
            kernel.armed = True
            with pytest.raises(ProjectPathError) as caught:
                root.check()
        assert caught.value.verdict == "missing"

    def test_an_error_of_the_file_system_is_a_refusal(
        self, root: ProjectRoot, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(fd: int) -> Any:
            raise OSError(5, "text")

        monkeypatch.setattr(root._kernel, "handle_on_mount", fail)
        assert verdict(root) == "inaccessible"

    def test_a_forked_child_may_check_and_close_its_own(self, root: ProjectRoot, place: Path) -> None:
        script = (
            "import os, sys\n"
            "from sessionstore.fs.project import capture, pin\n"
            "with pin(capture(sys.argv[1])) as root:\n"
            "    if not os.fork():\n"
            "        root.check()\n"
            "        root.close()\n"
            "        sys.exit(7)\n"
            "    print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
            "    root.check()\n"
            "    os.close(root.open('.'))\n"
        )
        done = subprocess.run([sys.executable, "-c", script, place], capture_output=True, text=True, check=True)
        assert done.stdout == "7\n"


class TestHeldDirectory:
    def test_is_described_for_people(self, root: ProjectRoot, place: Path) -> None:
        assert root.display_path == str(place)
        assert repr(root) == f"ProjectRoot({str(place)!r}, open)"
        assert root.record == capture(place)

    def test_its_descriptor_is_not_inherited_and_is_the_directory_wherever_that_goes(
        self, root: ProjectRoot, place: Path
    ) -> None:
        place.rename(place.with_name("moved"))
        place.mkdir()
        assert os.path.samestat(os.fstat(root.dir_fd), place.with_name("moved").stat())
        assert not os.get_inheritable(root.dir_fd)
        lister = "import os; print(*os.listdir('/proc/self/fd'))"
        done = root.run([sys.executable, "-c", lister], capture_output=True, text=True, check=True)
        assert str(root.dir_fd) not in done.stdout.split()

    def test_the_descriptor_is_never_one_that_a_child_overwrites(self, place: Path, kernel: Kernel) -> None:
        # A daemon may have closed its standard streams; the pinned directory would become one of them.
        script = (
            "import os, sys\n"
            "from sessionstore.fs.project import capture, pin\n"
            "from sessionstore.fs.syscalls import Kernel\n"
            "record = capture(sys.argv[1])\n"
            "out = os.dup(1)\n"
            "for fd in (0, 1, 2):\n"
            "    os.close(fd)\n"
            "with pin(record) as root:\n"
            "    number, inheritable = root.dir_fd, os.get_inheritable(root.dir_fd)\n"
            "    root.check()\n"
            "    with open(os.devnull, 'rb') as nothing:\n"
            "        done = root.run(['/bin/sh', '-c', 'pwd'], stdin=nothing, capture_output=True, text=True)\n"
            "os.write(out, f'{number > 2} {inheritable} {done.stdout}'.encode())\n"
        )
        done = subprocess.run([sys.executable, "-c", script, place], capture_output=True, text=True, check=True)
        assert done.stdout == f"True False {place}\n"

    def test_its_name_under_proc_leads_to_it_wherever_it_goes(self, place: Path) -> None:
        with pin(capture(place)) as root:
            place.rename(place.with_name("moved"))
            place.mkdir()
            assert os.path.samestat(os.stat(root.cwd), place.with_name("moved").stat())
            with subprocess.Popen(["pwd"], cwd=root.cwd, stdout=subprocess.PIPE, text=True) as child:
                assert child.communicate()[0] == f"{place.with_name('moved')}\n"

    @pytest.mark.parametrize("there", ["nothing", "something else"])
    def test_without_proc_there_is_no_name(self, place: Path, tmp_path: Path, there: str) -> None:
        kernel = Kernel(proc_fds=os.fsencode(tmp_path / "fd"))
        with pin(capture(place), kernel=kernel) as root:
            if there == "something else":
                (tmp_path / "fd" / str(root.dir_fd)).mkdir(parents=True)
            with pytest.raises(ProjectPathError) as caught:
                _ = root.cwd
            assert caught.value.verdict == "unsupported"
            assert "run()" in caught.value.hint


class TestClose:
    def test_lets_go_and_may_be_called_again(self, place: Path, kernel: Kernel) -> None:
        before = os.listdir("/proc/self/fd")
        root = pin(capture(place), kernel=kernel)
        root.close()
        assert os.listdir("/proc/self/fd") == before
        with open(place / "file", "wb") as taken:  # has the number that was given back
            root.close()
            taken.write(b"still open")
        assert repr(root).endswith("closed)")

    @pytest.mark.parametrize(
        "use",
        [
            lambda root: root.dir_fd,
            lambda root: root.cwd,
            lambda root: root.check(),
            lambda root: root.open("x"),
            lambda root: root.run(["true"]),
            lambda root: root.start(["true"]),
        ],
    )
    def test_all_later_use_is_a_mistake_of_the_caller_and_no_verdict_on_the_directory(
        self, place: Path, use: Callable[[ProjectRoot], object]
    ) -> None:
        with pin(capture(place)) as root:
            pass
        with pytest.raises(InvalidValueError, match="project root: it is closed"):
            use(root)
        assert root.display_path == str(place)
