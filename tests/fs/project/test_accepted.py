"""Ordinary projects that look unusual: none of them may be refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sessionstore.fs.project import ancestry, capture
from sessionstore.fs.syscalls import Kernel

Run = Callable[..., list[str]]
ActingAs = Callable[[int], AbstractContextManager[None]]


class TestNotRefused:
    """Each of these is somebody's ordinary project."""

    @pytest.mark.parametrize(
        "name",
        [
            b"with space", b" ", b"new\nline", b"tab\tand\x1bescape", "smile \N{SLIGHTLY SMILING FACE}".encode(),
            b"\xff\xfe not utf-8", b"...", b"%2e%2e", b"%2F", b"back\\slash", b"~", b"~root", b"-rf", b"$HOME", b"*",
            b"x (deleted)", b"a" * 255,
        ],
    )  # fmt: skip
    def test_a_name_is_taken_as_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
        path = os.path.join(os.fsencode(tmp_path.resolve()), name)
        os.mkdir(path)
        monkeypatch.chdir(tmp_path)
        assert capture(path).path == path
        assert capture(name).path == path
        assert capture(os.fsdecode(path)).inode == os.stat(path).st_ino

    @pytest.mark.parametrize(("one", "other"), [("Case", "case"), ("\u00e9", "e\u0301"), ("\u212b", "\u00c5")])
    def test_names_that_differ_only_in_case_or_normal_form_are_two(self, tmp_path: Path, one: str, other: str) -> None:
        (tmp_path / one).mkdir()
        try:
            (tmp_path / other).mkdir()
        except FileExistsError:
            pytest.skip("the file system of the temporary directory folds names")
        assert capture(tmp_path / one).inode == (tmp_path / one).stat().st_ino
        assert capture(tmp_path / other).inode == (tmp_path / other).stat().st_ino
        assert capture(tmp_path / one).path != capture(tmp_path / other).path

    @pytest.mark.parametrize("spelling", ["{}//p", "{}/./p", "{}/p/", "{}/p//", "{}/p/.", "//{}/p", "{}/p/../p"])
    def test_an_odd_spelling_is_kept_beside_the_canonical_path(self, tmp_path: Path, spelling: str) -> None:
        (tmp_path / "p").mkdir()
        given = spelling.format(tmp_path)
        record = capture(given)
        assert (record.path, record.given_path) == (os.fsencode(tmp_path.resolve() / "p"), os.fsencode(given))

    def test_links_on_the_way_and_at_the_end_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "home" / "p").mkdir(parents=True)
        (tmp_path / "linked-home").symlink_to("home")
        (tmp_path / "own-link").symlink_to(tmp_path / "linked-home" / "p")
        for spelling in ("linked-home/p", "own-link", "own-link/"):
            assert capture(f"{tmp_path}/{spelling}").path == os.fsencode(tmp_path.resolve() / "home" / "p")

    def test_a_parent_after_a_link_is_the_parent_of_its_target(self, tmp_path: Path) -> None:
        for name in ("a/x", "b/x", "b/c"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "a" / "link").symlink_to("../b/c")
        assert capture(f"{tmp_path}/a/link/../x").path == os.fsencode(tmp_path.resolve() / "b" / "x")

    @pytest.mark.parametrize("spelling", [".", "p/..", "./", "../{}"])
    def test_a_relative_path_starts_at_the_current_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
    ) -> None:
        (tmp_path / "p").mkdir()
        monkeypatch.chdir(tmp_path)
        assert capture(spelling.format(tmp_path.name)).path == os.fsencode(tmp_path.resolve())

    def test_forty_components(self, tmp_path: Path) -> None:
        place = tmp_path.resolve().joinpath(*(f"level-{number}" for number in range(40)))
        place.mkdir(parents=True)
        assert capture(place).path == os.fsencode(place)

    def test_a_path_of_4090_bytes(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path.resolve())
        while len(path) < 4090:
            rest = 4090 - len(path) - 1
            path += b"/" + b"d" * (rest if rest <= 255 else min(250, rest - 2))
        assert len(path) == 4090
        os.makedirs(path)
        assert capture(path).path == path
        assert capture(path, kernel=Kernel(None, proc_fds=b"/nowhere")).path == path

    def test_an_ancestor_that_may_be_searched_but_not_read(
        self, shared: Path, acting_as: ActingAs, somebody: int
    ) -> None:
        place = shared / "closed" / "p"
        place.mkdir(parents=True)
        os.chown(place, somebody, somebody)
        (shared / "closed").chmod(0o711)
        with acting_as(somebody):
            assert capture(place).path == os.fsencode(place)
            assert capture(place, kernel=Kernel(None)).path == os.fsencode(place)
            assert len(ancestry(place)) == len(place.parts)

    def test_a_directory_that_may_not_even_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir(mode=0o000)
        assert capture(tmp_path / "p").mode == 0
        (tmp_path / "p").chmod(0o700)

    @pytest.mark.parametrize("mode", [0o500, 0o700, 0o750, 0o755, 0o770, 0o775, 0o2775])
    def test_a_tightened_mode_and_write_permission_for_the_group(self, tmp_path: Path, mode: int) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p").chmod(mode)
        assert capture(tmp_path / "p").mode == mode

    def test_a_project_in_a_sticky_directory_and_that_directory(self, tmp_path: Path) -> None:
        (tmp_path / "tmp" / "p").mkdir(parents=True)
        (tmp_path / "tmp").chmod(0o1777)
        assert capture(tmp_path / "tmp" / "p").has_identity
        assert capture(tmp_path / "tmp").mode == 0o1777

    def test_a_project_of_root_that_the_user_may_read(self, shared: Path, acting_as: ActingAs, somebody: int) -> None:
        with acting_as(somebody):
            assert capture(shared).owner_uid == 0

    def test_sudo_on_the_project_of_the_user_who_called_it(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch, somebody: int
    ) -> None:
        os.chown(shared, somebody, somebody)
        monkeypatch.setenv("SUDO_UID", str(somebody))
        assert capture(shared).owner_uid == somebody

    def test_another_file_system(self) -> None:
        if not os.access("/dev/shm", os.W_OK):
            pytest.skip("there is no /dev/shm to write to")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
            assert capture(name).inode == os.stat(name).st_ino

    def test_a_system_without_handles_birth_times_openat2_and_proc(self, tmp_path: Path) -> None:
        record = capture(tmp_path, kernel=Kernel(None, proc_fds=b"/nowhere"))
        assert record.path == os.fsencode(tmp_path.resolve())
        assert (record.handle, record.birth_time_ns, record.fs_type) == (None, None, None)
        assert (record.has_identity, record.capability) == (True, "full")

    def test_a_system_without_o_path(self, tmp_path: Path) -> None:
        record = capture(tmp_path, kernel=Kernel(None, o_path=None, proc_fds=b"/nowhere"))
        assert (record.path, record.capability) == (os.fsencode(tmp_path.resolve()), "leaf_only")

    @pytest.mark.parametrize(("number", "state"), [("38", "missing"), ("1", "forbidden")])
    def test_a_sandbox_without_openat2(self, tmp_path: Path, number: str, state: str, without_openat2: Run) -> None:
        script = (
            "print(project.capture(sys.argv[2]).path == sys.argv[2].encode())\n"
            "print(project.pinning_report().openat2, project.capability())"
        )
        assert without_openat2(script, number, tmp_path.resolve()) == ["True", f"{state} full"]

    def test_a_system_whose_proc_is_really_gone(self, tmp_path: Path, with_own_mounts: Run) -> None:
        script = (
            "mount(b'none', b'/proc', b'tmpfs')\n"
            "print(project.capture(sys.argv[1] + '//.').path == sys.argv[1].encode(), project.pinning_report().proc)"
        )
        assert with_own_mounts(script, tmp_path.resolve()) == ["True False"]

    def test_a_bind_mounted_workspace(self, tmp_path: Path, with_own_mounts: Run) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "workspace").mkdir()
        script = (
            "os.chdir(sys.argv[1])\n"
            "mount(b'a', b'workspace', None, 0x1000)\n"
            "first, second = project.capture('a'), project.capture('workspace')\n"
            "print(first.inode == second.inode, first.handle == second.handle, os.path.basename(second.path))"
        )
        assert with_own_mounts(script, tmp_path) == ["True True b'workspace'"]

    def test_a_container_keeps_the_handle_when_the_directory_is_first_written_to(
        self, tmp_path: Path, with_own_mounts: Run
    ) -> None:
        for name in ("lower/p", "upper", "work", "merged"):
            (tmp_path / name).mkdir(parents=True)
        script = (
            "os.chdir(sys.argv[1])\n"
            "mount(b'overlay', b'merged', b'overlay', 0, b'lowerdir=lower,upperdir=upper,workdir=work')\n"
            "first = project.capture('merged/p')\n"
            "if first.handle is None and tuple(map(int, os.uname().release.split('.')[:2])) < (6, 6):\n"
            "    print('handles on overlayfs need Linux 6.6')\n"
            "    sys.exit(77)\n"
            "open('merged/p/file', 'w').close()\n"
            "second = project.capture('merged/p')\n"
            "print(first.handle == second.handle != None, first.fs_type == 0x794C7630)"
        )
        assert with_own_mounts(script, tmp_path) == ["True True"]
