"""A ledger that is only looked at: nothing is written, by us or by SQLite, in directories of either kind."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger

MakeHead = Callable[..., Head]
OpenLedger = Callable[..., Ledger]


class TestReadOnly:
    def test_it_reads_and_refuses_every_write(self, open_ledger: OpenLedger, make_head: MakeHead) -> None:
        with open_ledger() as writer:
            writer.commit(make_head(), old=None)
        reader = open_ledger(read_only=True)
        assert reader.heads() == [make_head()]
        writes = [
            lambda: reader.commit(make_head(2), old=None),
            lambda: reader.commit(make_head(rev=2), old=make_head()),
            lambda: reader.bind("another", 1, 2),
            lambda: reader.take_inventory([]),
            reader.sync,
        ]
        for write in writes:
            with pytest.raises(StoreUnavailableError, match="opened read-only"):
                write()
        with pytest.raises(StoreUnavailableError, match="cannot be written"):
            reader._database.read("DELETE FROM heads")
        assert reader.heads() == [make_head()]

    def test_it_leaves_the_directory_as_it_was(
        self, open_ledger: OpenLedger, make_head: MakeHead, state: Directory
    ) -> None:
        with open_ledger() as writer:
            writer.commit(make_head(), old=None)
        file = Path(state.path, "ledger.db")
        before = (file.read_bytes(), file.stat().st_mtime_ns)
        with open_ledger(read_only=True) as reader:
            reader.check()
        assert os.listdir(state.path) == ["ledger.db"]
        assert (file.read_bytes(), file.stat().st_mtime_ns) == before

    def test_it_sees_what_a_writer_commits_meanwhile(
        self, ledger: Ledger, open_ledger: OpenLedger, make_head: MakeHead
    ) -> None:
        reader = open_ledger(read_only=True)
        ledger.commit(make_head(), old=None)
        assert reader.heads() == [make_head()]

    @pytest.mark.parametrize("killed", [False, True])
    def test_a_directory_that_cannot_be_written_is_read(
        self,
        killed: bool,
        fresh: bytes,
        child_command: Callable[[str], list[str]],
        make_head: MakeHead,
    ) -> None:
        session_id = make_head().session_id
        write = f"""
ledger = open_ledger()
ledger.commit(Head(**{ {name: getattr(make_head(), name) for name in Head.__struct_fields__}!r}), old=None)
"""
        end = "os.kill(os.getpid(), signal.SIGKILL)" if killed else "ledger.close()"
        read = f"""
keyring.mac_key("head")
if os.geteuid() == 0:
    os.chown(state.fd, 65534, 65534)
    for name in os.listdir(state.fd):
        os.chown(name, 65534, 65534, dir_fd=state.fd)
    os.setgid(65534)
    os.setuid(65534)
os.fchmod(state.fd, 0o500)
before = sorted(os.listdir(state.fd))
with open_ledger(read_only=True) as ledger:
    assert ledger.head({session_id!r}).rev == 1
    assert [head.session_id for head in ledger.heads()] == [{session_id!r}]
    ledger.check()
assert sorted(os.listdir(state.fd)) == before, os.listdir(state.fd)
try:
    os.close(os.open("probe", os.O_CREAT, dir_fd=state.fd))
except PermissionError:
    print("could not write")
"""
        # Not under the test's own directory: another user, who this becomes if it is root, could not get there.
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            os.chmod(name, 0o755)  # noqa: S103
            folder = Path(name, "state")
            folder.mkdir(mode=0o700)
            (folder / "ledger.db").touch(mode=0o600)
            (folder / "ledger.db").write_bytes(fresh)
            for script in (write + end, read):
                command = child_command(script)
                command[3] = str(folder)
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            folder.chmod(0o700)
        assert (done.returncode, done.stdout) == (0, "could not write\n"), done.stderr
