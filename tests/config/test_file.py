from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.config import LoadedConfig
from sessionstore.config.file import MAX_FILE_BYTES
from sessionstore.errors import ConfigError

Write = Callable[[str | bytes], Path]
Load = Callable[..., LoadedConfig]

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="giving a file to another user needs root: run the tests as root"
)


def reason_of(load: Load) -> str:
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.setting == "config_file"
    return str(caught.value.reason)


class TestWhichFileIsTrusted:
    def test_the_users_own_file_is_read(self, write: Write, load: Load) -> None:
        path = write("max_sessions = 5\n")
        assert load().config.max_sessions == 5
        assert load().config.config_file == path

    @pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o644, 0o755])
    def test_others_may_read_it(self, write: Write, load: Load, mode: int) -> None:
        write("max_sessions = 5\n").chmod(mode)
        assert load().config.max_sessions == 5

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o664, 0o777])
    def test_a_file_that_others_may_write_is_refused(self, write: Write, load: Load, mode: int) -> None:
        write("max_sessions = 5\n").chmod(mode)
        assert reason_of(load) == f"others may write to it (mode {mode:04o})"

    @needs_root
    def test_a_file_of_another_user_is_refused(self, write: Write, load: Load) -> None:
        path = write("max_sessions = 5\n")
        os.chown(path, 12345, -1)
        assert "another user" in reason_of(load)

    @needs_root
    def test_a_file_of_root_is_read_by_everybody(self, tmp_path: Path) -> None:
        path = tmp_path / "config.toml"
        path.write_text("max_sessions = 5\n")
        path.chmod(0o644)
        tmp_path.chmod(0o755)
        # From inside, so that only this directory has to be open to the other user, not all above it.
        code = """
import os, tomllib
from pathlib import Path
from sessionstore.config.file import read_file
os.setuid(12345)
print(read_file(Path("config.toml"), source="file"))
"""
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == "{'max_sessions': 5}\n"

    def test_a_link_is_followed_to_a_good_file(self, root: Path, tmp_path: Path, load: Load) -> None:
        real = tmp_path / "dotfiles.toml"
        real.write_text("max_sessions = 5\n")
        real.chmod(0o600)
        (root / "config.toml").symlink_to(real)
        assert load().config.max_sessions == 5

    def test_a_link_to_a_file_that_others_may_write_is_refused(self, root: Path, tmp_path: Path, load: Load) -> None:
        real = tmp_path / "dotfiles.toml"
        real.write_text("max_sessions = 5\n")
        real.chmod(0o666)
        (root / "config.toml").symlink_to(real)
        assert "others may write" in reason_of(load)

    def test_a_missing_file_means_defaults(self, load: Load) -> None:
        assert load().config.config_file is None
        assert load().config.max_sessions == 10_000

    def test_a_link_that_leads_nowhere_is_not_a_missing_file(self, root: Path, tmp_path: Path, load: Load) -> None:
        (root / "config.toml").symlink_to(tmp_path / "unmounted" / "config.toml")
        assert "leads nowhere" in reason_of(load)

    def test_a_directory_link_that_leads_nowhere_is_not_a_missing_file(
        self, root: Path, tmp_path: Path, load: Load
    ) -> None:
        root.rmdir()
        root.symlink_to(tmp_path / "unmounted")
        assert "leads nowhere" in reason_of(load)

    def test_a_link_to_itself_is_refused(self, root: Path, load: Load) -> None:
        (root / "config.toml").symlink_to("config.toml")
        assert reason_of(load)

    def test_a_root_that_is_a_file_is_refused(self, root: Path, load: Load) -> None:
        root.rmdir()
        root.write_text("")
        assert reason_of(load) == os.strerror(errno.ENOTDIR)

    def test_a_directory_in_its_place_is_refused(self, root: Path, load: Load) -> None:
        (root / "config.toml").mkdir()
        assert reason_of(load) == "it is not a regular file"

    def test_a_pipe_in_its_place_is_refused_without_waiting(self, root: Path, load: Load) -> None:
        os.mkfifo(root / "config.toml", 0o600)
        assert reason_of(load) == "it is not a regular file"

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails: mount /proc")
    def test_a_file_whose_reading_fails_is_refused(self, root: Path, load: Load) -> None:
        (root / "config.toml").symlink_to("/proc/self/mem")  # address 0 is not mapped
        assert reason_of(load) == os.strerror(errno.EIO)

    def test_a_socket_in_its_place_is_refused(self, root: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root)  # socket names are short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("config.toml")
            assert reason_of(load)

    def test_no_descriptor_stays_open_after_a_refusal(self, write: Write, load: Load) -> None:
        before = len(os.listdir("/dev/fd"))
        for content in ("max_sessions = 5\n", "broken", b"\xff", "#" * (MAX_FILE_BYTES + 1)):
            write(content)
            with contextlib.suppress(ConfigError):
                load()
        write("").chmod(0o666)
        reason_of(load)
        assert len(os.listdir("/dev/fd")) == before


class TestWhatIsRead:
    def test_a_file_at_the_cap_is_read_and_one_byte_more_is_refused(self, write: Write, load: Load) -> None:
        start = "max_sessions = 5\n"
        write(start + "#" * (MAX_FILE_BYTES - len(start)))
        assert load().config.max_sessions == 5
        write(start + "#" * (MAX_FILE_BYTES - len(start) + 1))
        assert reason_of(load) == "it is larger than 65536 bytes"

    def test_an_empty_file_means_defaults_and_is_named(self, write: Write, load: Load) -> None:
        path = write("")
        assert load().config.config_file == path
        assert load().config.max_sessions == 10_000

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("max_sessions = 5\nmax_sessions\n", "it is not valid TOML (line 2, column 13)"),
            ("a = 1\nb = 1\nc = {\n", "it is not valid TOML (line 3, column 6)"),
            ('a = "open', "it is not valid TOML"),
            ("a = " + "9" * 5000, "it is not valid TOML"),
            ("a = " + "[" * 20_000, "it is nested too deeply"),
            (b"a = 1\n\nb = '\xff'\n", "it is not UTF-8 (line 3)"),
            (b"\xff\xfea\x00", "it is not UTF-8 (line 1)"),
            (b"\x00", "it is not valid TOML (line 1, column 1)"),
        ],
    )
    def test_what_is_not_toml_is_refused_with_the_place(
        self, content: str | bytes, reason: str, write: Write, load: Load
    ) -> None:
        write(content)
        assert reason_of(load) == reason
