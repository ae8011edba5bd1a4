"""Locks and fork: each case runs in a process of its own, which forks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sessionstore.fs import Directory

BEGIN = (
    "import os, signal, sys, threading\n"
    "from sessionstore.errors import StoreUnavailableError\n"
    "from sessionstore.fs import Directory, Locks\n"
    "directory = Directory.open(sys.argv[1])\n"
    "locks = Locks(directory)\n"
    "def free(by):\n"
    "    try:\n"
    "        with by.hold('a', timeout_s=0): return 'free'\n"
    "    except StoreUnavailableError: return 'taken'\n"
    "def answer_of(call):\n"
    "    ours, theirs = os.pipe()\n"
    "    child = os.fork()\n"
    "    if not child:\n"
    "        try: os.write(theirs, call().encode())\n"
    "        finally: os._exit(0)\n"
    "    os.close(theirs); os.waitpid(child, 0)\n"
    "    return os.read(ours, 100).decode()\n"
)


class TestFork:
    def test_a_child_that_ends_does_not_free_the_parents_lock(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "with locks.hold('a', timeout_s=0):\n"
            "    print(answer_of(lambda: free(locks)), answer_of(lambda: free(Locks(directory))))\n"
            "    print(free(Locks(directory)))\n"
            "print(answer_of(lambda: free(locks)))\n"
        )
        assert child(code, home).split() == ["taken", "taken", "taken", "free"]

    def test_a_child_that_leaves_the_block_does_not_free_the_parents_lock(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "hold = locks.hold('a', timeout_s=0); hold.__enter__()\n"
            "with locks.hold('warm', timeout_s=0): pass\n"
            "def leave():\n"
            "    hold.__exit__(None, None, None)\n"
            "    with locks.hold('warm', timeout_s=0): return free(locks)\n"
            "print(answer_of(leave), free(Locks(directory)))\n"
            "hold.__exit__(None, None, None)\n"
            "print(free(locks), free(Locks(directory)))\n"
        )
        assert child(code, home).split() == ["taken", "taken", "free", "free"]

    def test_a_living_child_does_not_keep_a_dead_parents_lock(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "ready, is_ready = os.pipe(); done, is_done = os.pipe()\n"
            "parent = os.fork()\n"
            "if not parent:\n"
            "    locks.hold('a', timeout_s=0).__enter__()\n"
            "    if not os.fork():\n"
            "        os.close(is_done); os.write(is_ready, b'x'); os.read(done, 1); os._exit(0)\n"
            "    signal.pause()\n"
            "os.read(ready, 1)\n"
            "print(free(locks))\n"
            "os.kill(parent, signal.SIGKILL); os.waitpid(parent, 0)\n"
            "print(free(locks))\n"
            "os.close(is_done)\n"
        )
        assert child(code, home).split() == ["taken", "free"]

    def test_a_lock_that_another_thread_held_does_not_hang_the_child(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = (
            "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
            + BEGIN
            + (
                "held, let_go = threading.Event(), threading.Event()\n"
                "def hold():\n"
                "    with locks.hold('a', timeout_s=0), locks._guard: held.set(); let_go.wait()\n"
                "thread = threading.Thread(target=hold); thread.start(); held.wait()\n"
                "def try_it():\n"
                "    with locks.hold('b', timeout_s=0): return free(locks)\n"
                "print(answer_of(try_it))\n"
                "let_go.set(); thread.join()\n"
                "print(answer_of(try_it))\n"
            )
        )
        assert child(code, home).split() == ["taken", "free"]

    def test_a_child_has_none_of_the_parents_lock_descriptors(
        self, directory: Directory, home: Path, child: Callable[..., str]
    ) -> None:
        code = BEGIN + (
            "for name in 'abc':\n"
            "    with locks.hold(name, timeout_s=0): pass\n"
            "files = {os.stat(f'{sys.argv[1]}/{name}').st_ino for name in 'abc'}\n"
            "def leads_to_one(fd):\n"
            "    try: return os.fstat(fd).st_ino in files\n"
            "    except OSError: return False\n"
            "count = lambda: str(sum(map(leads_to_one, range(100))))\n"
            "print(count(), answer_of(count), count())\n"
        )
        assert child(code, home).split() == ["3", "0", "3"]
