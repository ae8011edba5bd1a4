"""A process that resumes again and again, with the attacker of `exchange.c` in it; a program, not a test.

For every `away` and every later `back`, also none, it resumes once: the attacker exchanges two names before call `away`
and exchanges them back before call `back`. With `glimpses` the names are exchanged all the time but during these two
calls. It goes on until there is no call left to come before, so that calls which only a refusal makes are met too. Told
at the end, as JSON: the calls of a resume that nobody attacks, how each attack ended, the ones that were won, and what
was odd.

Rules:
- The attacker has won when the tool read the attacker's file, or ran where that file is.
- Every resume has to end normally or in a refusal of our own, with no descriptor left open.
"""

from __future__ import annotations

import base64
import ctypes
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from sessionstore import open_store
from sessionstore.cli import exits, main
from sessionstore.cli.launch import run_gated
from sessionstore.errors import ProjectPathError, SessionStoreError
from sessionstore.fs.project import ProjectRoot, pin
from sessionstore.fs.resolve import open_nofollow
from sessionstore.fs.syscalls import KERNEL
from sessionstore.model.records import ProjectRecord

GENUINE, ATTACKER, MARKER = "genuine", "attacker", "marker"
CAT = "/bin/cat"
COMMAND = ["/bin/sh", "-c", "pwd; cat marker"]

Tell = Callable[[str, str], None]
Resume = Callable[[Tell], None]

job = json.loads(sys.argv[1])
record = msgspec.json.decode(base64.b64decode(job["record"]), type=ProjectRecord)
store = open_store() if job["way"] == "resumed" else None
shim = ctypes.CDLL(None)
shim.exchange_arm.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_long] * 4
shim.exchange_disarm.restype = ctypes.c_long
shim.exchange_seen.restype = ctypes.c_char_p


class Refused(Exception):
    """What a naive variant says."""


def descriptors() -> dict[int, tuple[int, int]]:
    """What each of this process's descriptors is open on."""
    found = {}
    for fd in range(64):
        with suppress(OSError):
            status = os.fstat(fd)
            found[fd] = (status.st_dev, status.st_ino)
    return found


def stored() -> bytes:
    """The session as it lies in the store, if there is one."""
    return Path(job["file"]).read_bytes() if "file" in job else b""


# The tool. It reads a file of the project and starts a program that does, by every way that the pinned directory has.


def read_at(name: str | bytes, tell: Tell, how: str, dir_fd: int | None = None) -> None:
    fd = os.open(name, os.O_RDONLY, dir_fd=dir_fd)
    try:
        tell(how, os.read(fd, 100).decode())
    finally:
        os.close(fd)


def start_in(cwd: str | bytes, tell: Tell, how: str) -> None:
    done = subprocess.run([CAT, MARKER], cwd=cwd, stdout=subprocess.PIPE, text=True)
    tell(how, done.stdout or f"status {done.returncode}")


def use(root: ProjectRoot, tell: Tell) -> None:
    look(root, tell)
    done = root.run([CAT, MARKER], stdout=subprocess.PIPE, text=True)
    tell("run", done.stdout or f"status {done.returncode}")


def look(root: ProjectRoot, tell: Tell) -> None:
    fd = root.open(MARKER, os.O_RDONLY)
    try:
        tell("open", os.read(fd, 100).decode())
    finally:
        os.close(fd)
    read_at(MARKER, tell, "dir_fd", root.dir_fd)
    read_at(f"{root.cwd}/{MARKER}", tell, "cwd")


def use_text(tell: Tell) -> None:
    read_at(record.path + b"/" + MARKER.encode(), tell, "text")
    start_in(record.path, tell, "cwd text")


# The ways that must not lose: the pinned directory, alone and with a command; a whole resume, in code and typed.


def pinned(tell: Tell) -> None:
    with pin(record) as root:
        use(root, tell)
        root.check()
        look(root, tell)


def gated(tell: Tell) -> None:
    with pin(record) as root, told_by_command(tell):
        run_gated(COMMAND, directory_fd=root.dir_fd, session_json=b"{}", session_id="x", commit=root.check)


def resumed(tell: Tell) -> None:
    assert store is not None
    with store.resume(job["session"]) as run:
        assert run.project is not None
        use(run.project, tell)
        run.commit()
        look(run.project, tell)


def commanded(tell: Tell) -> None:
    errors = os.memfd_create("errors")
    try:
        with told_by_command(tell):
            child = os.fork()
            if child == 0:
                os.dup2(errors, 2)
                sys.argv = ["sessionstore", "resume", job["session"], "--", *COMMAND]
                os._exit(main())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        text = os.pread(errors, 1 << 16, 0).decode()
    finally:
        os.close(errors)
    if code == exits.PROJECT:
        raise ProjectPathError(verdict=text.partition(" (")[0].split()[-1], path="", detail=text)
    if code != exits.OK or text:
        raise OSError(code, text)


@contextmanager
def told_by_command(tell: Tell) -> Iterator[None]:
    """Takes what the block and its children write to standard output, of which the last line is the marker."""
    kept = os.dup(1)
    with open(os.memfd_create("output"), "w+b") as output:
        os.dup2(output.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            output.seek(0)
            lines = output.read().decode().splitlines()
            if lines:
                tell("command", lines[-1])


# The ways that must lose.


def same_by_name() -> bool:
    status = os.stat(record.path)
    return os.path.realpath(record.path) == record.path and (status.st_ino, status.st_dev) == (
        record.inode,
        record.device,
    )


def realpath_then_text(tell: Tell) -> None:
    if os.path.realpath(record.path) != record.path:
        raise Refused
    use_text(tell)


def check_before_and_after(tell: Tell) -> None:
    if not same_by_name():
        raise Refused
    use_text(tell)
    if not same_by_name():
        raise Refused


def walk_without_identity(tell: Tell) -> None:
    fd = open_nofollow(KERNEL, record.path)
    try:
        read_at(MARKER, tell, "dir_fd", fd)
        start_in(f"/proc/self/fd/{fd}", tell, "started")
        again = open_nofollow(KERNEL, record.path)
        try:
            if not os.path.samestat(os.fstat(fd), os.fstat(again)):
                raise Refused
        finally:
            os.close(again)
    finally:
        os.close(fd)


def text_handed_over(tell: Tell) -> None:
    with pin(record) as root:
        use_text(tell)
        root.check()


WAYS: dict[str, Resume] = {
    way.__name__: way
    for way in (
        pinned,
        gated,
        resumed,
        commanded,
        realpath_then_text,
        check_before_and_after,
        walk_without_identity,
        text_handed_over,
    )
}


COMMANDS = (gated, commanded)


def has_children() -> bool:
    """Whether a process that this one started is left, running or ended."""
    with suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
        return True
    return False


def attack(way: Resume) -> dict[str, object]:
    ended: list[object] = []
    won: list[object] = []
    odd: list[object] = []
    seen: list[str] = []

    def once(away: int, back: int, attacked: bool = True) -> int:
        told: list[tuple[str, str]] = []
        names = [job[name].encode() for name in ("here", "there", "place")]
        before, stored_before = descriptors(), stored()
        shim.exchange_arm(*names, away, back, attacked and job["glimpses"], job["no_openat2"])
        try:
            way(lambda how, text: told.append((how, text)))
            end = "ok"
        except ProjectPathError as exc:
            end = exc.verdict
        except Refused:
            end = "refused"
        except (OSError, SessionStoreError) as exc:
            end = f"{type(exc).__name__}: {exc}"
        calls = int(shim.exchange_disarm())
        ended.append([away, back, end])
        seen[:] = shim.exchange_seen().decode().splitlines()
        wins = [how for how, text in told if text == ATTACKER]
        if wins:
            won.append([away, back, seen[away - 1], end, wins])
        after, stored_after = descriptors(), stored()
        strange = [text for _, text in told if text not in (GENUINE, ATTACKER)]
        # Whoever goes on has to be told something; a command of which the start was refused, nothing.
        wrong = not told if end == "ok" else bool(told) and way in COMMANDS
        if calls < 0 or before != after or stored_before != stored_after or strange or wrong or has_children():
            odd.append([away, back, end, calls, told, sorted(after.items() ^ before.items())])
        return calls

    once(0, 0, False)  # finds things out and opens files that later ones keep
    ended.clear()
    odd.clear()
    once(0, 0, False)
    calm, aways = list(seen), 0
    while once(aways + 1, 0) > aways:
        aways += 1
        for back in itertools.count(aways + 1) if job["pairs"] else ():
            if once(aways, back) < back:
                break
    return {"seen": calm, "aways": aways, "ended": ended, "won": won, "odd": odd}


print(json.dumps(attack(WAYS[job["way"]])))
