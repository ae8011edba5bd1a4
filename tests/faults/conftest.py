"""Real faults: a small disk, a read-only one, a C library that refuses, a process that is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BEGIN = """
import ctypes, errno, json, os, resource, signal, sys
from sessionstore.errors import SessionStoreError
from sessionstore.fs import Directory, Locks
from sessionstore.storage import FileBackend, FileRuns

def fault(call, code):
    os.environ["FAULT_" + call] = str(code)

def at(name, event, act):
    '''Run `act` once, when the C function `name` is called ("c_call") or has returned ("c_return").'''
    def hook(frame, what, arg):
        if what == event and getattr(arg, "__name__", "") == name:
            sys.setprofile(None)
            act()
    sys.setprofile(hook)

def refusal(call):
    try:
        call()
    except SessionStoreError as exc:
        return [type(exc).__name__, getattr(exc, "outcome", ""), getattr(exc, "reason", "")]

def tell(*values):
    print(json.dumps(values), flush=True)

home = sys.argv[1]
directory = Directory.open(home)
backend = FileBackend(
    directory,
    lambda: Directory.open(home + "/kept", create=True),
    Locks(directory),
    FileRuns(directory, directory),
)

def content(name="a"):
    log = backend.open(name)
    return log and log.read(0, 1 << 24).decode()

def left():
    return sorted(name for name in os.listdir(directory.fd) if name != ".gitignore")
"""

# Whatever else the process has to do before it ends, it is not what is tested.
END = """
for name in [name for name in os.environ if name.startswith("FAULT_")]:
    del os.environ[name]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
"""

Child = Callable[..., list[Any]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def child(home: Path) -> Child:
    """Runs code between `BEGIN` and `END` in a process of its own; gives every value that it told, in one list."""

    def run(
        code: str, *args: object, environ: dict[str, str] | None = None, more: dict[str, str] | None = None
    ) -> list[Any]:
        command = [sys.executable, "-c", BEGIN + code + END, str(home), *map(str, args)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            env={**(os.environ if environ is None else environ), **(more or {})},
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [value for line in done.stdout.splitlines() for value in json.loads(line)]

    return run


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled `refuse.c`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux to make calls fail")
    built = tmp_path_factory.mktemp("library") / "refuse.so"
    source = Path(__file__).with_name("refuse.c")
    done = subprocess.run([compiler, "-shared", "-fPIC", "-o", built, source, "-ldl"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"the C compiler refused: {done.stderr[:200]}")
    return built


@pytest.fixture
def faulty(child: Child, library: Path) -> Child:
    """The same as `child`, where `fault(call, errno)` works."""

    def run(code: str, *args: object) -> list[Any]:
        return child(code, *args, more={"LD_PRELOAD": str(library)})

    return run


@pytest.fixture
def mount(home: Path) -> Iterator[Callable[[str], None]]:
    """Mounts memory over `home` with the options given; again with other options."""
    mounted = False

    def run(options: str) -> None:
        nonlocal mounted
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("only root can mount a disk to fill it or to make it read-only")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", home], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        mounted = True

    yield run
    if mounted:
        subprocess.run(["umount", "-l", home], check=True)
