"""Claims: one owner, refused at once; who only looks is waited for; freed by death, never by a fork."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError, UnsafeFileError
from sessionstore.fs import Claim, Claims, Directory, claim

HOLDER = (
    "import sys; from sessionstore.fs import Claims, Directory\n"
    "claim = Claims(Directory.open(sys.argv[1])).take('a', shared=sys.argv[2] == 'shared')\n"
    "print('held' if claim else 'refused', flush=True)\n"
    "sys.stdin.readline()\n"
)

# Looks as often as it can, until its input ends, and tells how often it did.
LOOKER = (
    "import sys, threading; from sessionstore.fs import Claims, Directory\n"
    "claims, looks, ended = Claims(Directory.open(sys.argv[1])), 0, threading.Event()\n"
    "threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()\n"
    "print('looking', flush=True)\n"
    "while not ended.is_set():\n"
    "    claim = claims.take('a', shared=True)\n"
    "    looks += 1\n"
    "    if claim: claim.release()\n"
    "print(looks)\n"
)

TRIES = 2000


@pytest.fixture
def start(home: Path, directory: Directory) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a script in a process of its own and waits for its first line; all are killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: str, says: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, str(home), *arguments]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        output = started[-1].stdout
        assert output is not None and output.readline() == f"{says}\n"
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=60)


@pytest.fixture
def claims(directory: Directory) -> Claims:
    return Claims(directory)


def taken(found: Claim | None) -> Claim:
    assert found is not None
    return found


def open_files(home: Path) -> int:
    """How many descriptors of this process lead to files below `home`."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return sum(link.startswith(f"{home}/") for link in links)


class TestOwner:
    def test_everybody_else_is_refused_at_once_also_the_owner_itself(self, claims: Claims, home: Path) -> None:
        owned = taken(claims.take("a"))
        assert owned.is_ours
        others: list[Claim | None] = []
        for shared in (False, True):
            others.append(claims.take("a", shared=shared))
            thread = threading.Thread(target=lambda shared=shared: others.append(claims.take("a", shared=shared)))
            thread.start()
            thread.join()
        assert others == [None] * 4 and open_files(home) == 1
        taken(claims.take("b")).release()
        owned.release()
        owned.release()
        assert not owned.is_ours and open_files(home) == 0
        taken(claims.take("a")).release()

    def test_between_processes_too_and_death_frees_it_at_once(
        self, claims: Claims, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        first = start(HOLDER, "exclusive", says="held")
        start(HOLDER, "exclusive", says="refused")
        start(HOLDER, "shared", says="refused")
        assert claims.take("a") is None
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=60)
        taken(claims.take("a")).release()

    def test_shared_ones_go_together_and_an_exclusive_one_waits_for_them(
        self, claims: Claims, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        shared = [taken(claims.take("a", shared=True)) for _ in range(2)]
        other = start(HOLDER, "shared", says="held")
        got: list[Claim | None] = []
        thread = threading.Thread(target=lambda: got.append(claims.take("a")))
        thread.start()
        for each in shared:
            each.release()
        other.kill()
        thread.join()
        taken(got[0]).release()

    def test_waiting_for_shared_ones_is_bounded(self, claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(claim, "PATIENCE_S", 0.01)
        shared = taken(claims.take("a", shared=True))
        with pytest.raises(StoreUnavailableError, match=r"a: others keep it from being taken for more than 0\.01 s"):
            claims.take("a")
        shared.release()
        taken(claims.take("a")).release()

    def test_who_only_looks_never_makes_a_taking_fail(
        self, claims: Claims, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        lookers = [start(LOOKER, says="looking") for _ in range(2)]
        for _ in range(TRIES):
            taken(claims.take("a")).release()
        for looker in lookers:
            assert int(looker.communicate("")[0]) > 100

    def test_a_lock_file_removed_while_it_is_opened_is_not_what_is_held(
        self, claims: Claims, home: Path, directory: Directory
    ) -> None:
        removed: list[str] = []

        def hook(frame: object, event: str, arg: object) -> None:
            if event == "c_call" and getattr(arg, "__name__", "") == "flock" and not removed:
                removed.append("a")
                (home / "a").unlink()

        sys.setprofile(hook)
        try:
            owned = taken(claims.take("a"))
        finally:
            sys.setprofile(None)
        assert removed and (home / "a").exists() and open_files(home) == 1
        assert Claims(directory).take("a") is None
        owned.release()


class TestFiles:
    def test_lock_files_are_private_empty_and_never_removed(self, claims: Claims, home: Path) -> None:
        old = os.umask(0)
        try:
            taken(claims.take("a")).release()
        finally:
            os.umask(old)
        assert (stat.S_IMODE((home / "a").stat().st_mode), (home / "a").stat().st_size) == (0o600, 0)

    def test_what_is_no_lock_file_of_ours_is_refused_and_nothing_stays_open(
        self, claims: Claims, home: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "target").touch()
        (home / "link").symlink_to(tmp_path / "target")
        os.mkfifo(home / "fifo")
        (home / "directory").mkdir()
        for name in ("link", "fifo", "directory"):
            for shared in (False, True):
                with pytest.raises(UnsafeFileError):
                    claims.take(name, shared=shared)
        assert open_files(home) == 0

    def test_in_a_closed_directory_nothing_is_had(self, home: Path) -> None:
        directory = Directory.open(home, create=True)
        claims = Claims(directory)
        owned = taken(claims.take("a"))
        directory.close()
        with pytest.raises(StoreUnavailableError, match="it is closed"):
            claims.take("a")
        owned.release()

    def test_where_none_is_made_a_missing_one_is_shared_without_a_file(self, directory: Directory, home: Path) -> None:
        claims = Claims(directory, make=False)
        looked = taken(claims.take("a", shared=True))
        assert not looked.is_ours and not (home / "a").exists()
        looked.release()
        owned = taken(Claims(directory).take("a"))
        assert claims.take("a", shared=True) is None
        owned.release()

    def test_two_makers_of_one_lock_file_get_the_same(self, directory: Directory) -> None:
        claims = Claims(directory)
        made: list[Claim | None] = []

        def hook(frame: object, event: str, arg: object) -> None:
            if event == "call" and getattr(frame, "f_code").co_name == "create_private" and not made:  # noqa: B009
                sys.setprofile(None)
                made.append(Claims(directory).take("a"))

        sys.setprofile(hook)
        try:
            second = claims.take("a")
        finally:
            sys.setprofile(None)
        assert second is None
        taken(made[0]).release()


BEGIN = (
    "import os, signal, subprocess, sys, threading\n"
    "from sessionstore.fs import Claims, Directory\n"
    "claims = Claims(Directory.open(sys.argv[1]))\n"
    "def free():\n"
    "    claim = claims.take('a')\n"
    "    if claim: claim.release()\n"
    "    return 'free' if claim else 'taken'\n"
    "def answer_of(call):\n"
    "    ours, theirs = os.pipe()\n"
    "    child = os.fork()\n"
    "    if not child:\n"
    "        try: os.write(theirs, call().encode())\n"
    "        finally: os._exit(0)\n"
    "    os.close(theirs); os.waitpid(child, 0)\n"
    "    answer = os.read(ours, 100).decode(); os.close(ours)\n"
    "    return answer\n"
    "def locks():\n"
    "    inode = os.stat(sys.argv[1] + '/a').st_ino\n"
    "    count = 0\n"
    "    for fd in range(100):\n"
    "        try: count += os.fstat(fd).st_ino == inode\n"
    "        except OSError: pass\n"
    "    return str(count)\n"
)


class TestFork:
    def test_a_child_neither_holds_nor_frees_it(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "claim = claims.take('a')\n"
            "def leave():\n"
            "    mine = claim.is_ours; claim.release()\n"
            "    return f'{mine} {locks()} {free()}'\n"
            "print(answer_of(leave)); print(claim.is_ours, locks(), free())\n"
            "claim.release(); print(answer_of(free), free())\n"
        )
        assert child(code, home).splitlines() == ["False 0 taken", "True 1 taken", "free free"]

    def test_a_living_child_does_not_keep_a_dead_parents_lock(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "ready, is_ready = os.pipe(); done, is_done = os.pipe()\n"
            "parent = os.fork()\n"
            "if not parent:\n"
            "    claim = claims.take('a')\n"
            "    if not os.fork():\n"
            "        os.close(is_done); os.write(is_ready, b'x'); os.read(done, 1); os._exit(0)\n"
            "    signal.pause()\n"
            "os.read(ready, 1)\n"
            "print(free())\n"
            "os.kill(parent, signal.SIGKILL); os.waitpid(parent, 0)\n"
            "print(free())\n"
            "os.close(is_done)\n"
        )
        assert child(code, home).split() == ["taken", "free"]

    def test_another_program_started_by_the_owner_inherits_nothing(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "ready, is_ready = os.pipe()\n"
            "parent = os.fork()\n"
            "if not parent:\n"
            "    claim = claims.take('a')\n"
            "    pipe = subprocess.PIPE\n"
            "    cat = subprocess.Popen(['cat'], stdin=pipe, stdout=pipe, close_fds=False)\n"
            "    cat.stdin.write(b'x'); cat.stdin.flush(); cat.stdout.read(1)\n"
            "    os.write(is_ready, b'%d' % cat.pid); signal.pause()\n"
            "cat = int(os.read(ready, 20))\n"
            "os.kill(parent, signal.SIGSTOP); print(free())\n"
            "os.kill(parent, signal.SIGKILL); os.waitpid(parent, 0); print(free())\n"
        )
        assert child(code, home).split() == ["taken", "free"]

    def test_children_forked_beside_threads_that_take_it_have_none_of_its_descriptors(
        self, directory: Directory, home: Path, child: Callable[..., str], unmeasured: dict[str, str]
    ) -> None:
        code = (
            "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
            + BEGIN
            + (
                "ended = threading.Event(); claims.take('a').release()\n"
                "def busy():\n"
                "    while not ended.is_set(): free()\n"
                "threads = [threading.Thread(target=busy)]\n"
                "for thread in threads: thread.start()\n"
                "found = {answer_of(locks) for _ in range(50)}\n"
                "ended.set()\n"
                "for thread in threads: thread.join()\n"
                "print(*found, answer_of(free))\n"
            )
        )
        assert child(code, home, environ=unmeasured).split() == ["0", "free"]

    def test_a_fork_in_the_middle_of_a_taking_by_the_same_thread_hangs_nobody(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "forked = []\n"
            "def hook(frame, event, arg):\n"
            "    if event == 'call' and frame.f_code.co_name == 'open_file' and not forked:\n"
            "        forked.append(os.fork())\n"
            "sys.setprofile(hook)\n"
            "claim = claims.take('a')\n"
            "sys.setprofile(None)\n"
            "if not forked[0]: os._exit(0)\n"
            "os.waitpid(forked[0], 0)\n"
            "print(claim is not None and claim.is_ours or claim is None)\n"
        )
        assert child(code, home) == "True"
