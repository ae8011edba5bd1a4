"""Which kind of file system a descriptor lies on, and whether other machines may be on it too.

Locks, `mmap` and the order of writes hold within one machine. State must therefore not lie on a network file system;
`wiring` refuses it there. This module only tells.

Rules: the mount table is asked first (it knows `fuse.sshfs` by name), the kernel's magic number where there is no
`/proc` or the mount is not in the table. An unknown kind counts as local: a new local file system must not lock
people out.

Not promised: a network disk under a local file system (iSCSI, NBD) and a FUSE program of an unknown name are taken for
local ones.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from sessionstore.fs.refusal import unavailable


class FileSystemKind(NamedTuple):
    """Its name as the kernel gives it, and whether it is a network, cluster or shared-folder file system."""

    name: str
    network: bool


NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "fuse.beegfs", "fuse.blobfuse",
    "fuse.blobfuse2", "fuse.ceph", "fuse.ceph-fuse", "fuse.cephfs", "fuse.curlftpfs", "fuse.davfs", "fuse.davfs2",
    "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.google-drive-ocamlfuse", "fuse.hdfs", "fuse.juicefs",
    "fuse.mfs", "fuse.moosefs", "fuse.mount-s3", "fuse.mountpoint-s3", "fuse.nfs", "fuse.prl_fsd", "fuse.rclone",
    "fuse.s3fs", "fuse.s3ql", "fuse.seaweedfs", "fuse.smbnetfs", "fuse.sshfs", "fuse.vmhgfs-fuse", "fuse.weed",
    "gfs2", "gpfs", "kafs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb2", "smb3",
    "smbfs", "vboxsf", "vmhgfs",
})  # fmt: skip

# linux/magic.h, and the headers of those that are not in the kernel.
_MAGIC = {
    0x6969: "nfs",
    0x517B: "smbfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x01021997: "9p",
    0x5346414F: "afs",
    0x6B414653: "kafs",
    0x00C36400: "ceph",
    0x0BD00BD0: "lustre",
    0x564C: "ncpfs",
    0x73757245: "coda",
    0x7461636F: "ocfs2",
    0x01161970: "gfs2",
    0x47504653: "gpfs",
    0x19830326: "beegfs",
    0x20030528: "orangefs",
    0x786F4256: "vboxsf",
    0xBACBACBC: "vmhgfs",
    0x65735546: "fuse",
    0xEF53: "ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xCA451A4E: "bcachefs",
    0x01021994: "tmpfs",
    0x794C7630: "overlay",
    0xF2F52010: "f2fs",
    0x2FC12FC1: "zfs",
    0x858458F6: "ramfs",
    0x9FA0: "proc",
}


def file_system_kind(fd: int) -> FileSystemKind:
    """The kind of file system that the opened file or directory lies on.

    Raises:
        StoreUnavailableError: The kernel does not tell.
    """
    try:
        return kind_named(_mounted_as(fd) or _typed_as(fd))
    except OSError as exc:
        raise unavailable(exc, "file system") from exc


def kind_named(name: str) -> FileSystemKind:
    """The kind of that name."""
    return FileSystemKind(name, name in NETWORK)


def kind_of_magic(magic: int) -> str:
    """The name that goes with a magic number of `statfs`."""
    return _MAGIC.get(magic, f"unknown (0x{magic:x})")


def kind_of_mount(mount_id: bytes, table: bytes) -> str | None:
    """The type of the mount with that id in a table of the form of `/proc/self/mountinfo`, None if it is not there."""
    for line in table.split(b"\n"):
        before, separator, after = line.partition(b" - ")
        if separator and before.split(b" ", 1)[0] == mount_id:
            return after.split(b" ", 1)[0].decode("ascii", "replace")
    return None


def _mounted_as(fd: int) -> str | None:
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            info = file.read()
        with open("/proc/self/mountinfo", "rb") as file:
            table = file.read()
    except OSError:
        return None
    for line in info.split(b"\n"):
        key, _, value = line.partition(b":")
        if key == b"mnt_id":
            return kind_of_mount(value.strip(), table)
    return None


def _typed_as(fd: int) -> str:
    from sessionstore.fs.syscalls import KERNEL  # takes milliseconds, and most systems have a mount table

    magic = KERNEL.fs_type(fd)
    return "unknown" if magic is None else kind_of_magic(magic)


def why_unwritable(fd: int) -> str | None:
    """Why nothing can be written into an opened directory now, in words; None if nothing is known against it."""
    try:
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=os.access in os.supports_effective_ids):
            return "permission denied, or the file system is read-only"
        return None if os.fstatvfs(fd).f_bavail else "the disk is full"
    except OSError as exc:
        return (exc.strerror or type(exc).__name__).lower()
