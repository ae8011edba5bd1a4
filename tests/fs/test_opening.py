"""Which directories are used, and how missing ones are made."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.errors import InvalidValueError, StoreUnavailableError, UnsafeFileError
from sessionstore.fs import Directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestMaking:
    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
    @pytest.mark.parametrize("user", ["whoever runs this", "nobody"])
    def test_everything_made_is_private_whatever_the_umask(
        self,
        request: pytest.FixtureRequest,
        child: Callable[..., str],
        unmeasured: dict[str, str],
        umask: int,
        user: str,
    ) -> None:
        if user == "nobody" and os.geteuid() == 0:
            request.getfixturevalue("several_users")
        code = (
            "import os, sys, tempfile, shutil, stat\n"
            "from sessionstore.fs import Directory\n"
            "from sessionstore.fs import rename, lock; import ctypes\n"
            "if os.geteuid() == 0 and sys.argv[2] == 'nobody': os.setuid(65534)\n"
            "base = tempfile.mkdtemp()\n"
            "try:\n"
            "    old = os.umask(int(sys.argv[1]))\n"
            "    with Directory.open(base + '/a/b/c', create=True, strict=True) as d:\n"
            "        d.write_atomic('new', [b'x'], replace=False)\n"
            "        d.sub('sub', create=True).close()\n"
            "    os.umask(old)\n"
            "    for path in '/a', '/a/b', '/a/b/c', '/a/b/c/sub', '/a/b/c/new', '/a/b/c/.gitignore':\n"
            "        print(oct(stat.S_IMODE(os.stat(base + path).st_mode)), end=' ')\n"
            "finally:\n"
            "    shutil.rmtree(base)\n"
        )
        assert child(code, umask, user, environ=unmeasured).split() == ["0o700"] * 4 + ["0o600"] * 2

    def test_a_directory_we_make_keeps_itself_out_of_git_and_its_parents_are_left_alone(self, tmp_path: Path) -> None:
        with Directory.open(tmp_path / "parent" / "ours", create=True) as ours:
            ours.sub("inner", create=True).close()
        assert (tmp_path / "parent" / "ours" / ".gitignore").read_bytes() == b"*\n"
        assert (tmp_path / "parent" / "ours" / "inner" / ".gitignore").read_bytes() == b"*\n"
        assert os.listdir(tmp_path / "parent") == ["ours"]

    def test_a_directory_that_was_there_gets_nothing_added(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir(mode=0o700)
        Directory.open(tmp_path / "there", create=True).close()
        assert os.listdir(tmp_path / "there") == []

    def test_missing_is_none_or_an_error_and_nothing_is_made(self, tmp_path: Path) -> None:
        assert Directory.find(tmp_path / "a" / "b") is None
        assert Directory.find(tmp_path / "a") is None
        with pytest.raises(StoreUnavailableError, match="b: no such directory"):
            Directory.open(tmp_path / "a" / "b")
        with Directory.open(tmp_path) as opened, pytest.raises(StoreUnavailableError, match="no such directory"):
            opened.sub("a")
        assert os.listdir(tmp_path) == []

    def test_many_processes_make_one_directory(self, tmp_path: Path) -> None:
        code = (
            "import sys; from sessionstore.fs import Directory; sys.stdin.read()\n"
            "with Directory.open(sys.argv[1], create=True, strict=True) as d: print(*d.identity)\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "a" / "b" / "c")]
        children = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)
        ]
        for started in children:
            assert started.stdin is not None
            started.stdin.close()
            started.stdin = None
        answers = {started.communicate(timeout=60)[0] for started in children}
        assert {started.returncode for started in children} == {0}
        assert len(answers) == 1

    @pytest.mark.usefixtures("several_users")
    def test_a_parent_that_may_be_searched_but_not_read_is_enough(
        self, child: Callable[..., str], unmeasured: dict[str, str]
    ) -> None:
        code = (
            "import os, shutil, tempfile; from sessionstore.fs import Directory\n"
            "import ctypes\n"
            "base = tempfile.mkdtemp(); os.mkdir(base + '/p'); os.chmod(base, 0o711)\n"
            "os.chown(base + '/p', 0, 65534); os.chmod(base + '/p', 0o730)\n"
            "if not os.fork():\n"
            "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "    Directory.open(base + '/p/ours', create=True, strict=True).close()\n"
            "    os._exit(7)\n"
            "print(os.waitstatus_to_exitcode(os.wait()[1])); shutil.rmtree(base)\n"
        )
        assert child(code, environ=unmeasured) == "7"


class TestJudging:
    @pytest.mark.parametrize("ending", ["", "/", "//", "/.", "/./", "/./."])
    @pytest.mark.parametrize("create", [False, True])
    def test_a_symbolic_link_is_refused_however_it_is_spelled(self, home: Path, ending: str, create: bool) -> None:
        home.mkdir(mode=0o700)
        home.with_name("link").symlink_to(home)
        with pytest.raises(UnsafeFileError, match="link: it is a symbolic link, not a directory"):
            Directory.open(f"{home.with_name('link')}{ending}", create=create)

    def test_a_link_among_the_parents_is_followed(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        home.with_name("link").symlink_to(home)
        with Directory.open(home.with_name("link") / "inner", create=True):
            assert (home / "inner").is_dir()

    @pytest.mark.parametrize("spelling", ["{}/", "{}/.", "{}//", "{}/../home", "{}/./"])
    def test_odd_spellings_of_a_directory_are_fine(self, home: Path, spelling: str) -> None:
        home.mkdir(mode=0o700)
        with Directory.open(spelling.format(home)) as opened:
            assert opened.identity == (home.stat().st_dev, home.stat().st_ino)

    def test_what_is_no_directory_is_named_and_a_fifo_blocks_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        os.mkfifo(tmp_path / "fifo")
        for name, kind in (("file", "an ordinary file"), ("fifo", "a FIFO")):
            with pytest.raises(UnsafeFileError, match=f"{name}: it is {kind}, not a directory"):
                Directory.open(tmp_path / name, create=True)
        with pytest.raises(StoreUnavailableError, match="not a directory"):
            Directory.open(tmp_path / "file" / "below", create=True)

    def test_another_users_directory_is_refused(self, home: Path, give_away: Callable[[Path], None]) -> None:
        if os.geteuid() == 0:
            home.mkdir(mode=0o700)
            give_away(home)
        elif os.stat("/proc").st_uid == os.geteuid():
            pytest.skip("everything belongs to this user")
        with pytest.raises(UnsafeFileError, match="it belongs to user id"):
            Directory.open(home if os.geteuid() == 0 else "/proc")

    @pytest.mark.parametrize("permissions", [0o720, 0o702, 0o775, 0o1777])
    def test_a_directory_that_others_may_write_to_is_refused(self, home: Path, permissions: int) -> None:
        home.mkdir()
        home.chmod(permissions)
        with pytest.raises(UnsafeFileError, match=f"others may write to it .mode {permissions:04o}") as caught:
            Directory.open(home)
        assert "chmod go-w" in caught.value.hint

    @pytest.mark.parametrize("permissions", [0o755, 0o750, 0o711, 0o701])
    def test_a_directory_that_others_may_read_is_refused_only_where_state_lies(
        self, home: Path, permissions: int
    ) -> None:
        home.mkdir()
        home.chmod(permissions)
        Directory.open(home).close()
        with Directory.open(home.parent) as parent:
            parent.sub("home").close()
            with pytest.raises(UnsafeFileError, match="others may read or write in it"):
                parent.sub("home", strict=True)
        with pytest.raises(UnsafeFileError) as caught:
            Directory.find(home, strict=True)
        assert "chmod 700" in caught.value.hint

    @pytest.mark.parametrize("path", ["relative", "", ".", "/a\0b", b"/bytes"])
    def test_only_an_absolute_path_is_taken(self, path: str) -> None:
        with pytest.raises(InvalidValueError, match="an absolute path"):
            Directory.open(path)

    def test_a_refusal_leaves_no_descriptor_open(self, home: Path) -> None:
        home.mkdir()
        home.chmod(0o777)
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            with pytest.raises(UnsafeFileError):
                Directory.open(home)
        assert len(os.listdir("/proc/self/fd")) == len(before)
