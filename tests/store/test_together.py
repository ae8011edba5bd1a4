"""Many threads and processes at one store: nothing is lost, nothing is made twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from sessionstore import SessionStore, errors, open_store

# Prints a line when it is ready, waits for one, then does what the test says.
READY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from sessionstore import errors, open_store
home, number = sys.argv[1:]
store = open_store(home)
print("ready", flush=True)
sys.stdin.readline()
"""


def processes(script: str, home: Path, count: int) -> list[list[str]]:
    """Run the script in so many processes, let all go at once, and give the lines that each printed."""
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", READY + script, home, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate()[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0] * count
    return printed


class TestGetOrCreate:
    def test_sixteen_threads_at_once_get_one_session(self, store: SessionStore) -> None:
        gate = Barrier(16)

        def get(number: int) -> str:
            gate.wait()
            return store.get_or_create("k", name=f"by {number}").id

        with ThreadPoolExecutor(16) as pool:
            ids = set(pool.map(get, range(16)))
        assert ids == {line.id for line in store.list().sessions}
        assert len(ids) == 1

    def test_processes_of_many_threads_get_one_session(self, home: Path) -> None:
        open_store(home).close()
        script = """
with ThreadPoolExecutor(8) as pool:
    print(*set(pool.map(lambda _: store.get_or_create("k", entries=[{"by": number}]).id, range(8))))
store.close()
"""
        printed = processes(script, home, 3)
        with open_store(home) as store:
            assert printed == [[line.id] for line in store.list().sessions] * 3
            assert len(store.load(printed[0][0]).entries) == 1
            assert list(store._ground.ledger.ids().values()).count("live") == 1


class TestAppend:
    def test_threads_appending_to_one_session_lose_and_double_nothing(self, store: SessionStore) -> None:
        id = store.create().id

        def save(writer: int) -> list[int]:
            return [store.append(id, [{"by": writer, "n": number}]) for number in range(10)]

        with ThreadPoolExecutor(4) as pool:
            revs = [rev for found in pool.map(save, range(4)) for rev in found]
        assert sorted(revs) == list(range(2, 42))
        entries = store.load(id).entries
        for writer in range(4):
            assert [entry["n"] for entry in entries if entry["by"] == writer] == list(range(10))
        assert len(entries) == 40

    def test_processes_appending_to_one_session_lose_and_double_nothing(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create().id
        script = f"""
id = "{id}"
for n in range(15):
    print(store.append(id, [{{"by": number, "n": n}}], idempotency_key=f"{{number}}-{{n}}"))
store.close()
"""
        printed = processes(script, home, 2)
        with open_store(home) as store:
            session = store.load(id)
            assert sorted(int(rev) for lines in printed for rev in lines) == list(range(2, 32))
            assert (session.rev, len(session.entries), session.warnings) == (31, 30, ())
            for number in ("0", "1"):
                assert [entry["n"] for entry in session.entries if entry["by"] == number] == list(range(15))

    def test_a_reader_beside_a_busy_writer_never_sees_anything_wrong(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"n": 0}]).id
        script = f"""
id, seen = "{id}", 0
if number == "0":
    for n in range(1, 60):
        store.append(id, [{{"n": n}}]) if n % 20 else store.rewind(id, n // 2)
    store.delete(id)
else:
    try:
        while True:
            session = store.load(id)
            odd = [session.rev < seen, session.warnings, store.list().unreadable]
            assert not any(odd), odd
            assert all(result.ok for result in store.verify())
            seen = session.rev
    except errors.SessionNotFoundError:
        print("deleted")
store.close()
"""
        assert processes(script, home, 2) == [[], ["deleted"]]

    def test_two_taggers_in_two_processes_lose_no_tag(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create().id
        script = f"""
for n in range(10):
    store.tag("{id}", add=[f"{{number}}-{{n}}"])
store.close()
"""
        processes(script, home, 2)
        with open_store(home) as store:
            assert set(store.load(id).tags) == {f"{number}-{n}" for number in range(2) for n in range(10)}


class TestLocks:
    def test_a_writer_waits_no_longer_than_it_was_told(self, make_store: Callable[..., SessionStore]) -> None:
        store = make_store(lock_timeout_s=0)
        id = store.create().id

        def entries() -> list[dict[str, int]]:
            with pytest.raises(errors.StoreUnavailableError) as caught:
                store.append(id, [{"n": 2}])
            assert caught.value.fields["outcome"] == "not_written"
            return [{"n": 1}]

        # The second segment is taken while the lock is held.
        first = [{"fill": "x" * 1_100_000}]
        assert store.append(id, (entry for part in (lambda: first, entries) for entry in part())) == 3
        assert store.load(id).entries[1:] == ({"n": 1},)


class TestFork:
    def test_parent_and_child_of_a_fork_both_go_on(self, home: Path, child: Callable[..., str]) -> None:
        script = """
import os, sys
from sessionstore import open_store
store = open_store(sys.argv[1])
id = store.create().id
store.append(id, [{"by": "before"}])
pid = os.fork()
for n in range(5):
    store.append(id, [{"by": "parent" if pid else "child", "n": n}])
assert {result.code for result in store.verify()} == {"ok"}  # maybe two: the child may be faster
if not pid:
    mine = store.create(name="of the child").id
    store.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert [result.code for result in store.verify()] == ["ok", "ok"]
store.append(id, [{"by": "after"}])
store.close()
print(id)
"""
        id = child(script, home)
        with open_store(home) as store:
            session = store.load(id)
            assert (session.rev, len(session.entries), session.warnings) == (13, 12, ())
            for who in ("parent", "child"):
                assert [entry["n"] for entry in session.entries if entry["by"] == who] == list(range(5))
            assert sorted(line.name for line in store.list().sessions)[-1] == "of the child"
