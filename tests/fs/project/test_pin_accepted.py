"""Ordinary projects, saved and resumed: none of them may be refused, before the start or after it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sessionstore.fs.project import capture
from sessionstore.fs.syscalls import Kernel

Run = Callable[..., list[str]]
Resumed = Callable[..., list[str]]
ActingAs = Callable[[int], AbstractContextManager[None]]

RESUME = """
def resume(record):
    with project.pin(record) as root:
        root.check()
        return [warning.code for warning in root.warnings if warning.code != 'ancestor_writable']
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "p"
    made.mkdir()
    return made


class TestNotRefused:
    """Each of these is somebody's ordinary project, with each way of looking at it."""

    def test_contents_that_changed(self, place: Path, kernel: Kernel, resumed: Resumed) -> None:
        record = capture(place)
        (place / "file").write_text("new")
        (place / "sub").mkdir()
        os.utime(place, ns=(1, 1))
        assert "device_changed" not in resumed(record, kernel=kernel)

    @pytest.mark.parametrize("mode", [0o500, 0o700, 0o755, 0o750, 0o555, 0o2775, 0o1775])
    def test_a_mode_that_was_tightened_or_kept(self, place: Path, kernel: Kernel, resumed: Resumed, mode: int) -> None:
        place.chmod(0o2775)
        record = capture(place)
        place.chmod(mode)
        resumed(record, kernel=kernel)

    def test_a_home_that_the_users_own_group_may_write_to_does_not_even_warn(
        self, place: Path, kernel: Kernel, resumed: Resumed
    ) -> None:
        if place.stat().st_uid != place.stat().st_gid:
            pytest.skip("this user has no group with a number of their own")
        (place / "home" / "p").mkdir(parents=True)
        (place / "home").chmod(0o775)
        (place / "home" / "p").chmod(0o775)
        assert "ancestor_writable" not in resumed(capture(place / "home" / "p"), kernel=kernel)

    def test_a_name_reached_through_a_linked_home_and_a_link_of_ones_own(
        self, tmp_path: Path, place: Path, kernel: Kernel, resumed: Resumed
    ) -> None:
        (tmp_path / "linked-home").symlink_to(tmp_path)
        (tmp_path / "own").symlink_to("linked-home/p")
        for spelling in ("linked-home/p", "own", "own/"):
            assert "alias_moved" not in resumed(capture(f"{tmp_path}/{spelling}"), kernel=kernel)

    @pytest.mark.parametrize("spelling", ["{}//p", "{}/./p", "{}/p/", "{}/p//", "{}/p/.", "//{}/p", "{}/p/../p"])
    def test_an_odd_spelling_at_save(self, place: Path, kernel: Kernel, resumed: Resumed, spelling: str) -> None:
        assert "alias_moved" not in resumed(capture(spelling.format(place.parent)), kernel=kernel)

    @pytest.mark.parametrize("spelling", [".", "../p", "./"])
    def test_a_relative_path_at_save_and_another_current_directory_at_resume(
        self, place: Path, kernel: Kernel, resumed: Resumed, monkeypatch: pytest.MonkeyPatch, spelling: str
    ) -> None:
        monkeypatch.chdir(place)
        record = capture(spelling)
        monkeypatch.chdir("/")
        assert "alias_moved" not in resumed(record, kernel=kernel)

    @pytest.mark.parametrize(
        "name",
        [
            b"with space", b" ", b"new\nline", b"tab\tand\x1bescape", "smile \N{SLIGHTLY SMILING FACE}".encode(),
            b"\xff\xfe not utf-8", b"...", b"%2e%2e", b"%2F", b"back\\slash", b"~", b"~root", b"-rf", b"$HOME", b"*",
            b"x (deleted)", b"a" * 255,
        ],
    )  # fmt: skip
    def test_a_name_of_any_bytes(self, place: Path, kernel: Kernel, resumed: Resumed, name: bytes) -> None:
        path = os.path.join(os.fsencode(place), name)
        os.mkdir(path)
        resumed(capture(path), kernel=kernel)

    @pytest.mark.parametrize(("one", "other"), [("Case", "case"), ("\u00e9", "e\u0301"), ("\u212b", "\u00c5")])
    def test_names_that_differ_only_in_case_or_normal_form(
        self, place: Path, kernel: Kernel, resumed: Resumed, one: str, other: str
    ) -> None:
        (place / one).mkdir()
        try:
            (place / other).mkdir()
        except FileExistsError:
            pytest.skip("the file system of the temporary directory folds names")
        for name in (one, other):
            resumed(capture(place / name), kernel=kernel)

    def test_a_project_in_a_sticky_directory_of_everybody(self, place: Path, kernel: Kernel, resumed: Resumed) -> None:
        (place / "tmp" / "p").mkdir(parents=True)
        (place / "tmp").chmod(0o1777)
        assert "ancestor_writable" not in resumed(capture(place / "tmp" / "p"), kernel=kernel)

    def test_another_file_system(self, kernel: Kernel, resumed: Resumed) -> None:
        if not os.access("/dev/shm", os.W_OK):
            pytest.skip("there is no /dev/shm to write to")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
            resumed(capture(name), kernel=kernel)

    def test_forty_components(self, place: Path, kernel: Kernel, resumed: Resumed) -> None:
        deep = place.joinpath(*(f"level-{number}" for number in range(40)))
        deep.mkdir(parents=True)
        resumed(capture(deep), kernel=kernel)

    def test_a_path_of_4090_bytes(self, place: Path, kernel: Kernel, resumed: Resumed) -> None:
        path = os.fsencode(place)
        while len(path) < 4090:
            rest = 4090 - len(path) - 1
            path += b"/" + b"d" * (rest if rest <= 255 else min(250, rest - 2))
        os.makedirs(path)
        resumed(capture(path), kernel=kernel)

    def test_the_root_of_everything(self, kernel: Kernel, resumed: Resumed) -> None:
        resumed(capture("/"), kernel=kernel)

    def test_an_ancestor_that_may_be_searched_but_not_read(
        self, shared: Path, kernel: Kernel, resumed: Resumed, acting_as: ActingAs, somebody: int
    ) -> None:
        deep = shared / "closed" / "p"
        deep.mkdir(parents=True)
        os.chown(deep, somebody, somebody)
        (shared / "closed").chmod(0o711)
        with acting_as(somebody):
            assert "ancestor_writable" not in resumed(capture(deep), kernel=kernel)

    def test_a_project_of_root_that_the_user_may_read(
        self, shared: Path, kernel: Kernel, resumed: Resumed, acting_as: ActingAs, somebody: int
    ) -> None:
        with acting_as(somebody):
            resumed(capture(shared), kernel=kernel)

    def test_sudo_on_the_project_of_the_user_who_called_it(
        self,
        shared: Path,
        kernel: Kernel,
        resumed: Resumed,
        monkeypatch: pytest.MonkeyPatch,
        acting_as: ActingAs,
        somebody: int,
    ) -> None:
        os.chown(shared, somebody, somebody)
        with acting_as(somebody):
            record = capture(shared)
        monkeypatch.setenv("SUDO_UID", str(somebody))
        resumed(record, kernel=kernel)

    def test_a_directory_of_a_stranger_that_was_vouched_for_and_what_lies_above_it(
        self, shared: Path, kernel: Kernel, resumed: Resumed, somebody: int
    ) -> None:
        (shared / "theirs" / "p").mkdir(parents=True)
        for made in (shared / "theirs", shared / "theirs" / "p"):
            os.chown(made, somebody, somebody)
        record = capture(shared / "theirs" / "p", trust=["foreign_owner"])
        assert "ancestor_writable" not in resumed(record, kernel=kernel)

    def test_a_directory_open_to_all_that_was_vouched_for(self, place: Path, kernel: Kernel, resumed: Resumed) -> None:
        place.chmod(0o777)
        resumed(capture(place, trust=["world_writable"]), kernel=kernel)

    def test_one_of_several_roots_that_were_allowed(self, place: Path, kernel: Kernel, resumed: Resumed) -> None:
        (place / "other").mkdir()
        resumed(capture(place, allowed_roots=[place / "other", place.parent]), kernel=kernel)

    def test_a_system_without_o_path(self, place: Path, resumed: Resumed) -> None:
        resumed(capture(place), kernel=Kernel(None, o_path=None))

    @pytest.mark.parametrize("number", ["38", "1"])
    def test_a_sandbox_without_openat2(self, place: Path, number: str, without_openat2: Run) -> None:
        script = RESUME + "print(resume(project.capture(sys.argv[2])))"
        assert without_openat2(script, number, place) == ["[]"]

    def test_a_sandbox_entered_between_save_and_resume(self, place: Path, without_openat2: Run) -> None:
        script = (
            RESUME + "from sessionstore.fs.syscalls import Kernel\n"
            "project.pin(project.capture(sys.argv[2], kernel=Kernel(None))).close()\n"
            "kernel = Kernel()\n"
            "kernel.openat2_state = lambda: 'available'\n"  # what it was told before the sandbox
            "with project.pin(project.capture(sys.argv[2]), kernel=kernel) as root:\n"
            "    root.check()\n"
            "    os.close(root.open('.'))\n"
        )
        assert without_openat2(script, "1", place) == []

    def test_a_system_whose_proc_is_really_gone(self, place: Path, with_own_mounts: Run) -> None:
        script = (
            RESUME + "record = project.capture(sys.argv[1])\n"
            "mount(b'none', b'/proc', b'tmpfs')\n"
            "print(resume(record))\n"
            "with project.pin(record) as root:\n"
            "    print(root.run(['pwd'], capture_output=True, text=True).stdout.strip() == sys.argv[1])\n"
        )
        assert with_own_mounts(script, place) == ["[]", "True"]

    def test_a_bind_mounted_workspace(self, place: Path, with_own_mounts: Run) -> None:
        for name in ("a/p", "workspace"):
            (place / name).mkdir(parents=True)
        script = (
            RESUME + "os.chdir(sys.argv[1])\n"
            "mount(b'a', b'workspace', None, 0x1000)\n"
            "print(resume(project.capture('workspace')), resume(project.capture('workspace/p')))\n"
            "record = project.capture('workspace/p')\n"
            "mount(b'a', b'workspace', None, 0x1000)\n"  # the container was started again
            "print(resume(record))"
        )
        assert with_own_mounts(script, place) == ["[] []", "[]"]

    def test_a_container_mounted_again_and_first_written_to(self, place: Path, with_own_mounts: Run) -> None:
        for name in ("lower/p", "upper", "work", "merged", "other"):
            (place / name).mkdir(parents=True)
        script = (
            RESUME + "os.chdir(sys.argv[1])\n"
            "def container():\n"
            "    mount(b'overlay', b'merged', b'overlay', 0, b'lowerdir=lower,upperdir=upper,workdir=work')\n"
            "container()\n"
            "record = project.capture('merged/p')\n"
            "if record.handle is None:\n"
            "    print('this overlayfs gives no handles')\n"
            "    sys.exit(77)\n"
            "open('merged/p/file', 'w').close()\n"
            "print(resume(record))\n"
            "libc.umount2(b'merged', 0)\n"
            "mount(b'none', b'other', b'tmpfs')\n"  # takes the number of the device
            "container()\n"
            "print(resume(record))"
        )
        assert with_own_mounts(script, place) == ["[]", "['device_changed']"]

    def test_a_volume_mounted_again(self, place: Path, with_own_mounts: Run) -> None:
        for name in ("volume", "other"):
            (place / name).mkdir()
        script = (
            RESUME + "import subprocess\n"
            "os.chdir(sys.argv[1])\n"
            "def sh(*command):\n"
            "    try:\n"
            "        if subprocess.run(command, capture_output=True).returncode == 0:\n"
            "            return\n"
            "    except FileNotFoundError:\n"
            "        pass\n"
            "    print(command[0], 'cannot be used')\n"
            "    sys.exit(77)\n"
            "with open('image', 'wb') as image:\n"
            "    image.truncate(8 << 20)\n"
            "sh('mkfs.ext4', '-q', 'image')\n"
            "sh('mount', '-o', 'loop', 'image', 'volume')\n"
            "os.mkdir('volume/p')\n"
            "record = project.capture('volume/p')\n"
            "sh('umount', 'volume')\n"
            "sh('mount', '-o', 'loop', 'image', 'volume')\n"
            "codes = resume(record)\n"
            "sh('umount', 'volume')\n"
            "print(set(codes) <= {'device_changed'})"
        )
        assert with_own_mounts(script, place) == ["True"]
