"""What the tests of the project directory share: another user, other kernels, mounts and sandboxes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import ProjectPathError
from sessionstore.fs.project import ProjectRoot, capture, pin
from sessionstore.fs.syscalls import Kernel, Openat2State
from sessionstore.model.records import ProjectRecord

# Each leaves with status 77 where the system does not allow it.
OWN_MOUNTS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def mount(what, where, kind=None, flags=0, data=None):
    if libc.mount(what, where, kind, ctypes.c_ulong(flags), data):
        print(os.strerror(ctypes.get_errno()))
        sys.exit(77)
if libc.unshare(0x20000):
    print(os.strerror(ctypes.get_errno()))
    sys.exit(77)
mount(b"none", b"/", None, 0x44000)
from sessionstore.fs import project
"""

# Every openat2 (call 437) is answered with the error number in argv[1].
NO_OPENAT2 = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 437), (0x06, 0, 0, 0x50000 | int(sys.argv[1])), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
program = struct.pack("@HP", len(rules), ctypes.addressof(code))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    print(os.strerror(ctypes.get_errno()))
    sys.exit(77)
from sessionstore.fs import project
"""

Run = Callable[..., list[str]]


def run(script: str, *args: str | Path) -> list[str]:
    """The lines that `script` prints in a process of its own; skips where it leaves with 77."""
    done = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(f"this system does not let a test set up mounts or a sandbox of its own: {done.stdout.strip()}")
    assert done.returncode == 0, done.stderr
    lines: list[str] = done.stdout.splitlines()
    return lines


@pytest.fixture
def with_own_mounts() -> Run:
    """Runs a script that may `mount` without anybody else noticing, and has imported `project`."""
    return lambda script, *args: run(OWN_MOUNTS + script, *args)


@pytest.fixture
def without_openat2() -> Run:
    """Runs a script whose openat2 fails with the error number in its first argument."""
    return lambda script, *args: run(NO_OPENAT2 + script, *args)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user can reach, unlike those of `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


@pytest.fixture
def somebody() -> int:
    """The id of a user who is neither root nor the one who runs the tests."""
    if os.geteuid() != 0:
        pytest.skip("only root can give directories away and act as another user; run the tests as root")
    return 54321


@pytest.fixture
def acting_as() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which this process has the permissions of another user and none of root's."""

    @contextmanager
    def acting(uid: int) -> Iterator[None]:
        gid, groups = os.getegid(), os.getgroups()
        os.setgroups([])
        os.setegid(uid)
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(gid)
            os.setgroups(groups)

    return acting


@pytest.fixture
def windows() -> Kernel:
    """A system that opens nothing relative to a descriptor."""
    return Kernel(None, o_path=None, dir_fds=False)


class Walking(Kernel):
    """The real system, without openat2."""

    def openat2_state(self) -> Openat2State:
        return "missing"


@pytest.fixture(params=["openat2", "walk", "bare"])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The real system; without openat2; also without handles, birth times, mount ids and /proc."""
    return {"openat2": Kernel(), "walk": Walking(), "bare": Kernel(None, proc_fds=b"/nowhere")}[request.param]


@pytest.fixture
def resumed() -> Callable[..., list[str]]:
    """Pins and checks a record as a resume does; gives the codes of the warnings."""

    def resume(record: ProjectRecord, **arguments: Any) -> list[str]:
        before = os.listdir("/proc/self/fd")
        with pin(record, **arguments) as root:
            root.check()
            assert (os.fstat(root.dir_fd).st_ino, os.fstat(root.dir_fd).st_uid) == (record.inode, record.owner_uid)
            codes = [warning.code for warning in root.warnings]
        assert os.listdir("/proc/self/fd") == before
        return codes

    return resume


@pytest.fixture
def refused() -> Callable[..., ProjectPathError]:
    """Pins a record, which must be refused and leave no descriptor behind; gives the refusal."""

    def refuse(record: ProjectRecord, **arguments: Any) -> ProjectPathError:
        before = os.listdir("/proc/self/fd")
        with pytest.raises(ProjectPathError) as caught:
            pin(record, **arguments)
        assert os.listdir("/proc/self/fd") == before
        assert caught.value.code == "project_path_security_violation"
        return caught.value

    return refuse


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An ordinary project, two levels below what the test may change."""
    made = tmp_path.resolve() / "a" / "p"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def root(place: Path, kernel: Kernel) -> Iterator[ProjectRoot]:
    """It, saved and held open, with each way of looking at it."""
    with pin(capture(place), kernel=kernel) as held:
        yield held
