"""Many processes on one store: first starts, writers of one session, readers beside a writer, and a fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessionstore import open_store

Child = Callable[..., list[Any]]

LOADS = int(os.environ.get("SESSIONSTORE_TEST_LOADS", "1000"))


def together(code: str, count: int, *args: object) -> list[Any]:
    """Run `code` in so many processes, which begin when all of them stand at `sys.stdin.read()`; what each printed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in processes:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    answers = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        answers.append(json.loads(out))
    return answers


BEGIN = """
import json, sys
from sessionstore import open_store
print("ready", flush=True)
sys.stdin.read()
"""


class TestFirstStart:
    def test_sixteen_at_once_make_one_key_and_one_store(self, tmp_path: Path) -> None:
        code = BEGIN + (
            "with open_store(sys.argv[1], environ={}) as store:\n"
            "    id = store.create(entries=[{'n': int(sys.argv[2])}]).id\n"
            "    print(json.dumps([store.store_id, store._ground.keyring.primary.id, id]))\n"
        )
        answers = together(code, 16, tmp_path / "store")
        assert len({store_id for store_id, _, _ in answers}) == 1
        assert len({key for _, key, _ in answers}) == 1
        with open_store(tmp_path / "store", environ={}) as store:
            for number, (_, _, session_id) in enumerate(answers):
                assert store.load(session_id).entries == ({"n": number},)
            assert store.list().unreadable == ()
        assert not list((tmp_path / "store").rglob("*.new*"))

    def test_one_key_makes_one_session_whoever_asks_first(self, tmp_path: Path) -> None:
        open_store(tmp_path / "store", environ={}).close()
        code = BEGIN + (
            "with open_store(sys.argv[1], environ={}) as store:\n"
            "    print(json.dumps([store.get_or_create(f'key {n}').id for n in range(10)]))\n"
        )
        answers = together(code, 6, tmp_path / "store")
        assert all(answer == answers[0] for answer in answers)
        assert len(set(answers[0])) == 10


class TestWriters:
    def test_four_processes_lose_and_double_no_turn_and_the_order_is_that_of_the_revisions(
        self, tmp_path: Path
    ) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            session_id = store.create().id
        code = BEGIN + (
            "with open_store(sys.argv[1], environ={}) as store:\n"
            "    told = []\n"
            "    for n in range(60):\n"
            "        told.append([store.append(sys.argv[2], [{'by': sys.argv[3], 'n': n}]), n])\n"
            "print(json.dumps(told))\n"
        )
        answers = together(code, 4, tmp_path / "store", session_id)
        expected = sorted((rev, str(by), n) for by, told in enumerate(answers) for rev, n in told)
        assert [rev for rev, _, _ in expected] == list(range(2, 242))
        with open_store(tmp_path / "store", environ={}) as store:
            session = store.load(session_id)
            assert [(entry["by"], entry["n"]) for entry in session.entries] == [(by, n) for _, by, n in expected]
            assert session.rev == 241 and session.warnings == ()

    def test_of_those_that_expect_the_same_revision_one_saves(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            session_id = store.create().id
        code = BEGIN + (
            "from sessionstore.errors import ConflictError\n"
            "won = []\n"
            "with open_store(sys.argv[1], environ={}) as store:\n"
            "    for rev in range(1, 21):\n"
            "        while store.summary(sys.argv[2]).rev < rev: pass\n"
            "        try: won.append(store.append(sys.argv[2], [{'rev': rev}], expected_rev=rev))\n"
            "        except ConflictError: pass\n"
            "print(json.dumps(won))\n"
        )
        answers = together(code, 3, tmp_path / "store", session_id)
        assert sorted(rev for won in answers for rev in won) == list(range(2, 22))
        with open_store(tmp_path / "store", environ={}) as store:
            assert [entry["rev"] for entry in store.load(session_id).entries] == list(range(1, 21))


# It ends when its input does. Saves of more than a segment let a reader see them half done; rewinds replace the file.
BUSY = """
import sys, threading
from sessionstore import open_store
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
with open_store(sys.argv[1], environ={}) as store:
    id, n = sys.argv[2], 0
    print("ready", flush=True)
    while not ended.is_set():
        n += 1
        if n % 40 == 0:
            store.rewind(id, 0)
        elif n % 7 == 0:
            store.append(id, ({"text": "x" * 50_000} for _ in range(25)))
        else:
            store.append(id, [{"text": "x" * 2000}])
print(n)
"""


class TestBesideAWriter:
    def test_no_load_is_a_false_alarm_and_none_warns_of_a_tail(self, tmp_path: Path) -> None:
        """10,000 loads with `SESSIONSTORE_TEST_LOADS=10000`; without it as many as a short run allows."""
        with open_store(tmp_path / "store", environ={}) as store:
            session_id = store.create().id
            writer = subprocess.Popen(
                [sys.executable, "-c", BUSY, str(tmp_path / "store"), session_id],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert writer.stdin is not None and writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            revisions = []
            for number in range(LOADS):
                if number % 10 == 0:
                    page = store.list()
                    assert (len(page.sessions), page.unreadable) == (1, ())
                    (result,) = store.verify(session_id)
                    assert result.ok and result.warnings == ()
                session = store.load(session_id)
                assert session.warnings == ()
                revisions.append(session.rev)
            writer.stdin.close()
            saves = int(writer.stdout.read())
            assert (writer.wait(), writer.stdout.close()) == (0, None)
        assert revisions == sorted(revisions)
        assert saves > 10 and len(set(revisions)) > 10
        print(f"{LOADS} loads beside {saves} saves, {len(set(revisions))} revisions seen")


OVERTAKEN = """
from sessionstore import open_store
root = home + "/store"
store, other = open_store(root, environ={}), open_store(root, environ={})
id = store.create(entries=[{"n": n} for n in range(9)]).id

def between(act):
    '''Run `act` once, between the reading of the head and the opening of the file.'''
    def hook(frame, what, arg):
        code = frame.f_code
        if what == "call" and code.co_name == "open" and code.co_filename.endswith("storage/file.py"):
            sys.setprofile(None)
            act()
    sys.setprofile(hook)

def read():
    session = store.load(id)
    return [session.rev, len(session.entries), len(session.warnings)]
"""


class TestOvertaken:
    """A reader whose head is old by the time it has the file: it looks again before it says anything bad."""

    def test_by_two_rewrites(self, child: Child) -> None:
        act = "def act(): other.rewind(id, 5); other.append(id, [{}]); other.rewind(id, 3)\n"
        assert child(OVERTAKEN + act + "between(act); tell(read())\n") == [[4, 3, 0]]

    def test_by_a_deletion(self, child: Child) -> None:
        assert child(OVERTAKEN + "between(lambda: other.delete(id)); tell(refusal(read)[0])\n") == [
            "SessionNotFoundError"
        ]

    def test_by_saves(self, child: Child) -> None:
        act = "def act():\n    for n in range(3): other.append(id, [{}])\n"
        assert child(OVERTAKEN + act + "between(act); tell(read())\n") == [[4, 12, 0]]


FORKED = """
from sessionstore import open_store
root = home + "/store"
store = open_store(root, environ={})
id = store.create().id
store.append(id, [{"by": "before", "n": 0}])
"""


class TestFork:
    def test_parent_and_child_go_on_with_the_same_store_and_lose_nothing(self, child: Child) -> None:
        told = child(
            FORKED + "pid = os.fork()\n"
            "who = 'parent' if pid else 'child'\n"
            "for n in range(40): store.append(id, [{'by': who, 'n': n}])\n"
            "if not pid:\n"
            "    store.close(); os._exit(0)\n"
            "assert os.waitpid(pid, 0)[1] == 0\n"
            "session = store.load(id)\n"
            "for who in ('parent', 'child'):\n"
            "    tell([entry['n'] for entry in session.entries if entry['by'] == who] == list(range(40)))\n"
            "tell(session.rev, session.warnings == (), store.list().unreadable == ())\n"
            "store._ground.ledger.check()\n"
        )
        assert told == [True, True, 82, True, True]

    def test_what_a_child_begins_after_its_parent_has_closed_is_recorded(self, child: Child) -> None:
        """SQLite's parent deletes the log on closing if it takes the child's connection for its own."""
        told = child(
            FORKED + "read_end, write_end = os.pipe()\n"
            "pid = os.fork()\n"
            "if not pid:\n"
            "    first = store.create(entries=[{'by': 'child'}]).id\n"
            "    os.close(write_end); os.read(read_end, 1)\n"
            "    second = store.create(entries=[{'by': 'child'}]).id\n"
            "    tell(first, second); store.close(); os._exit(0)\n"
            "store.create(); store.close(); os.close(write_end)\n"
            "assert os.waitpid(pid, 0)[1] == 0\n"
            "again = open_store(root, environ={}); again._ground.ledger.check()\n"
            "tell(sorted(line.id for line in again.list().sessions), len(again.list().unreadable))\n"
        )
        assert told[3] == 0 and len(told[2]) == 4 and set(told[:2]) <= set(told[2])

    def test_a_fork_in_the_middle_of_a_save_takes_no_lock_away_from_the_parent(self, child: Child) -> None:
        """The entries are an iterator: the fork happens while the parent holds the lock and is writing."""
        told = child(
            FORKED + "def entries():\n"
            "    for n in range(1100): yield {'by': 'parent', 'n': n, 'text': 'x' * 2000}\n"
            "    pid = os.fork()\n"
            "    if not pid:\n"
            "        with open_store(root, environ={'SESSIONSTORE_LOCK_TIMEOUT_S': '0'}) as other:\n"
            "            tell(refusal(lambda: other.append(id, [{'by': 'child'}]))[:2])\n"
            "        sys.stdout.flush(); os._exit(0)\n"
            "    os.waitpid(pid, 0)\n"
            "    yield {'by': 'parent', 'n': 1100}\n"
            "tell(store.append(id, entries()))\n"
            "session = store.load(id); tell(len(session.entries), session.warnings == ())\n"
        )
        assert told[0] == ["StoreUnavailableError", "not_written"]
        assert told[-2:] == [1102, True]

    def test_a_fork_beside_a_thread_that_saves_leaves_both_able_to_go_on(self, child: Child) -> None:
        told = child(
            FORKED + "import threading, warnings\n"
            # Newer Pythons warn of just this; that it ends well here is what is tested.
            "warnings.simplefilter('ignore', DeprecationWarning)\n"
            "ended = threading.Event()\n"
            "def busy():\n"
            "    while not ended.is_set(): store.append(id, [{'by': 'thread'}])\n"
            "thread = threading.Thread(target=busy); thread.start()\n"
            "codes = []\n"
            "for n in range(5):\n"
            "    pid = os.fork()\n"
            "    if not pid:\n"
            "        try: store.append(id, [{'by': 'child', 'n': n}])\n"
            "        except BaseException as exc: print(repr(exc), file=sys.stderr, flush=True); os._exit(1)\n"
            "        os._exit(0)\n"
            "    codes.append(os.waitpid(pid, 0)[1])\n"
            "ended.set(); thread.join()\n"
            "session = store.load(id)\n"
            "tell(codes, [entry['n'] for entry in session.entries if entry['by'] == 'child'], session.warnings == ())\n"
        )
        assert told == [[0] * 5, list(range(5)), True]
