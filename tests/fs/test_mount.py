"""Which file system a descriptor lies on, from the mount table and from the magic number."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.fs.mount import (
    FileSystemKind,
    _typed_as,
    file_system_kind,
    kind_named,
    kind_of_magic,
    kind_of_mount,
    why_unwritable,
)

TABLE = (
    b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    b"25 22 0:23 / /home rw,nosuid shared:7 master:2 - nfs4 server:/export rw,vers=4.2\n"
    b"125 22 0:40 / /mnt/with\\040space\\040-\\040dash rw - fuse.sshfs user@host: rw\n"
    b"5 22 0:41 / /mnt/empty rw -  tmpfs rw\n"
    b"broken\n\n"
)


class TestTable:
    @pytest.mark.parametrize(
        ("mount", "kind"),
        [(b"22", "ext4"), (b"25", "nfs4"), (b"125", "fuse.sshfs"), (b"2", None), (b"1", None), (b"broken", None)],
    )
    def test_a_mount_is_found_by_its_own_number(self, mount: bytes, kind: str | None) -> None:
        assert kind_of_mount(mount, TABLE) == kind

    @pytest.mark.parametrize(
        "name", ["nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "lustre", "fuse.sshfs", "fuse.glusterfs", "vboxsf"]
    )
    def test_what_other_machines_may_be_on_is_network(self, name: str) -> None:
        assert kind_named(name) == FileSystemKind(name, True)

    @pytest.mark.parametrize(
        "name", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "virtiofs", "fuseblk", "fuse", "fuse.x", ""]
    )
    def test_everything_else_is_local(self, name: str) -> None:
        assert not kind_named(name).network

    @pytest.mark.parametrize(
        ("magic", "name", "network"),
        [
            (0x6969, "nfs", True),
            (0xFF534D42, "cifs", True),
            (0xFE534D42, "smb2", True),
            (0x01021997, "9p", True),
            (0x5346414F, "afs", True),
            (0x00C36400, "ceph", True),
            (0x0BD00BD0, "lustre", True),
            (0x65735546, "fuse", False),
            (0xEF53, "ext4", False),
            (0x12345678, "unknown (0x12345678)", False),
        ],
    )
    def test_magic_numbers_have_names(self, magic: int, name: str, network: bool) -> None:
        assert kind_named(kind_of_magic(magic)) == FileSystemKind(name, network)


class TestThisMachine:
    def test_proc_is_what_it_is_by_both_ways(self) -> None:
        if not os.path.exists("/proc/self/mountinfo"):
            pytest.skip("needs /proc")
        fd = os.open("/proc", os.O_RDONLY)
        try:
            assert file_system_kind(fd) == FileSystemKind("proc", False)
            assert _typed_as(fd) == "proc"
        finally:
            os.close(fd)

    def test_where_the_tests_run_is_told(self, tmp_path: Path) -> None:
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            assert file_system_kind(fd).name
        finally:
            os.close(fd)

    def test_a_closed_descriptor_is_an_error(self, tmp_path: Path) -> None:
        fd = os.open(tmp_path, os.O_RDONLY)
        os.close(fd)
        with pytest.raises(StoreUnavailableError, match="file system: it is closed"):
            file_system_kind(fd)


class TestWhyUnwritable:
    def test_nothing_is_known_against_an_ordinary_directory(self, directory: Directory) -> None:
        assert why_unwritable(directory.fd) is None

    def test_a_directory_without_permission(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *args, **settings: False)
        assert why_unwritable(directory.fd) == "permission denied, or the file system is read-only"

    def test_a_full_disk(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "fstatvfs", lambda fd: SimpleNamespace(f_bavail=0))
        assert why_unwritable(directory.fd) == "the disk is full"

    def test_a_file_system_that_does_not_answer(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(fd: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fstatvfs", refuse)
        assert why_unwritable(directory.fd) == "input/output error"
