"""A store that cannot be written: it is read, listed and locked for reading, and nothing pretends to be saved."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory, Locks
from sessionstore.storage import FileBackend, FileRuns


class TestReadOnlyDisk:
    def test_reading_works_and_every_change_is_refused_in_words(self, home: Path, mount: Callable[[str], None]) -> None:
        mount("mode=0700")
        with Directory.open(home) as directory:
            directory.create("a", b"old")
            directory.create("known.write", b"")
        subprocess.run(["mount", "-o", "remount,ro", home], check=True)
        with Directory.open(home, create=True, strict=True) as directory:
            locks = Locks(directory)
            backend = FileBackend(
                directory, lambda: directory.sub("kept", create=True), locks, FileRuns(directory, directory)
            )
            log = backend.open("a")
            assert log is not None and log.read(0, 9) == b"old" and log.current_stamp()
            log.close()
            assert {name for name, stamp in backend.scan() if stamp} == {"a", "known.write"}
            changes: tuple[Callable[[], object], ...] = (
                lambda: backend.open("a", writable=True),
                lambda: backend.write("a", [b"new"], replace=True),
                lambda: backend.write("b", [b"new"], replace=False),
                lambda: backend.delete("a"),
                lambda: backend.keep("a", [b"x"]),
                lambda: backend.lock("unknown", timeout_s=0).__enter__(),
            )
            for change in changes:
                with pytest.raises(StoreUnavailableError, match="the file system is read-only") as caught:
                    change()
                assert caught.value.outcome == "not_written"
            with (
                backend.lock("unknown", shared=True, timeout_s=0),
                backend.lock("known", shared=True, timeout_s=0),
            ):
                pass
            with backend.lock("known", timeout_s=0):
                pass
            assert directory.sweep() == 0
            locks.close()


class TestReadOnlyDirectory:
    def test_a_directory_without_write_permission_does_the_same(
        self, child: Callable[..., list[object]], tmp_path: Path, unmeasured: dict[str, str]
    ) -> None:
        if os.geteuid() == 0:
            try:
                os.chown(tmp_path, 65534, 65534)
            except OSError as exc:
                pytest.skip(f"only a real root can be several users: {exc.strerror}")
        told = child(
            "backend.write('a', [b'old'], replace=False)\n"
            "if os.geteuid() == 0:\n"
            "    os.chown(home, 65534, 65534); os.chown(home + '/a', 65534, 65534)\n"
            "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "os.fchmod(directory.fd, 0o500)\n"
            "tell(content(), [name for name, _ in backend.scan()])\n"
            "tell(refusal(lambda: backend.write('b', [b'x'], replace=False)))\n"
            "tell(refusal(lambda: backend.delete('a')))\n"
            "tell(refusal(lambda: backend.lock('id', timeout_s=0).__enter__()))\n"
            "with backend.lock('id', shared=True, timeout_s=0): tell('granted')\n"
            "os.fchmod(directory.fd, 0o700)\n"
            "tell(left())\n",
            environ=unmeasured,
        )
        assert told == [
            "old",
            ["a"],
            *(
                ["StoreUnavailableError", "not_written", f"{name}: permission denied"]
                for name in ("b", "a", "id.write")
            ),
            "granted",
            ["a"],
        ]

    def test_a_file_that_may_not_be_read_is_an_error_and_not_missing(self, home: Path) -> None:
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        with Directory.open(home) as directory:
            directory.create("a", b"old")
            (home / "a").chmod(0)
            with pytest.raises(StoreUnavailableError, match="a: permission denied"):
                directory.read("a", 10)
