"""Death at any moment: a process is killed before and after every single call of what it does, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Child = Callable[..., list[Any]]

# Each attempt is a fork of this process. It tells how far the attempts came, and every state that was found after one.
ATTEMPTS = """
def killed_at(moment, act):
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    calls = 0
    def hook(frame, event, arg):
        nonlocal calls
        calls += event in ("c_call", "c_return")
        if calls == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(hook)
    act()
    sys.setprofile(None)
    os._exit(0)

def every_moment(prepare, act, look):
    moment, states = 1, []
    while True:
        prepare()
        killed = killed_at(moment, act)
        state = look()
        if state not in states:
            states.append(state)
        if not killed:
            tell(moment, states, look())
            return
        moment += 1
"""


class TestKill:
    @pytest.mark.parametrize("replace", [True, False])
    @pytest.mark.parametrize("way", ["rename", "link"])
    def test_a_new_file_is_there_whole_or_not_at_all(
        self, child: Child, faulty: Child, replace: bool, way: str
    ) -> None:
        run = faulty if way == "link" else child
        moments, states, last = run(
            ATTEMPTS + "replace = sys.argv[2] == 'True'\n"
            "if sys.argv[3] == 'link': fault('renameat2', errno.ENOSYS)\n"
            "def prepare():\n"
            "    backend.delete('a')\n"
            "    if replace: backend.write('a', [b'old'], replace=False)\n"
            "def look():\n"
            "    before = content()\n"
            "    directory.sweep()\n"
            "    log = backend.open('a')\n"
            "    return [before, content(), log and log.notices, left()]\n"
            "every_moment(prepare, lambda: backend.write('a', iter([b'n', b'ew']), replace=replace), look)\n",
            replace,
            way,
        )
        old = ["old", "old", [], ["a"]] if replace else [None, None, None, []]
        new = ["new", "new", [], ["a"]]
        assert states == [old, new] and last == new
        assert moments > 20

    def test_an_append_leaves_the_old_bytes_and_a_beginning_of_the_new(self, child: Child) -> None:
        moments, states, last = child(
            ATTEMPTS + "def prepare(): backend.write('a', [b'old'], replace=True)\n"
            "def act(): backend.open('a', writable=True).append(3, (b'x' * 200000 for _ in range(3)))\n"
            "def look(): text = content(); return [text[:3], len(text[3:]) % 200000, set(text[3:]) <= {'x'}]\n"
            "every_moment(prepare, act, look)\n"
        )
        assert states == [["old", 0, True]] and last == ["old", 0, True]
        assert moments > 20

    def test_a_log_is_deleted_or_it_is_not(self, child: Child) -> None:
        _, states, last = child(
            ATTEMPTS + "def prepare(): backend.write('a', [b'old'], replace=True)\n"
            "every_moment(prepare, lambda: backend.delete('a'), left)\n"
        )
        assert states == [["a"], []] and last == []

    def test_a_first_start_can_be_repeated(self, child: Child, home: Path) -> None:
        moments, states, last = child(
            ATTEMPTS + "import shutil\n"
            "def prepare(): shutil.rmtree(home + '/new', ignore_errors=True)\n"
            "def act(): Directory.open(home + '/new/data/sessions', create=True, strict=True)\n"
            "def look(): act(); return sorted(os.listdir(home + '/new/data'))\n"
            "every_moment(prepare, act, look)\n"
        )
        assert states == [["sessions"]] and last == ["sessions"]
        assert moments > 20
        assert set(os.listdir(home / "new" / "data" / "sessions")) <= {".gitignore"}
