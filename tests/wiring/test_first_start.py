"""The first start: by many processes at once, and killed at any moment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sessionstore import errors, open_store

RACER = """
import sys
from sessionstore import open_store
print("ready", flush=True)
sys.stdin.readline()
with open_store(sys.argv[1]) as store:
    id = store.create(key=sys.argv[2], entries=[{"by": sys.argv[2]}]).id
    assert store.append(id, [{"n": 1}]) == 2
    assert len(store.load(id).entries) == 2
    print(store.store_id, store._ground.keyring.primary.id, id)
"""

# Each try is a process of its own, killed after a while that grows from nothing to a little more than a whole run.
# What is printed: how many were killed, and what opening said afterwards.
KILLS = """
import json, os, signal, sys, time
from sessionstore import errors, open_store
home, tries = sys.argv[1], int(sys.argv[2])

def work(place):
    with open_store(place) as store:
        id = store.create(id="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d", entries=[{"n": 0}]).id
        for n in range(1, 4):
            store.append(id, [{"n": n}])
        store.rewind(id, 2)
        store.delete(store.create().id)

def attempt(place, seconds):
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work(place)
            code = 0
        finally:
            os._exit(code)
    signal.sigtimedwait({signal.SIGCHLD}, seconds)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), time.monotonic() - began

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
attempt(home + "/warm", 60)
code, whole_s = attempt(home + "/whole", 60)
assert code == 0
found = []
for number in range(tries):
    place = f"{home}/{number}"
    code, _ = attempt(place, whole_s * 1.2 * number / tries)
    assert code in (0, -signal.SIGKILL), code
    before = sorted(os.listdir(place + "/data/sessions")) if os.path.isdir(place + "/data/sessions") else []
    with open_store(place) as store:
        page = store.list()
        results = [(result.code, len(result.warnings)) for result in store.verify()]
        entries = [len(store.load(line.id).entries) for line in page.sessions]
        made = store.create(entries=[{"n": 1}]).id
        assert store.append(made, [{"n": 2}]) == 2
        assert not [name for name in os.listdir(place + "/data/sessions") if name.endswith(".tmp")]
    with open_store(place) as store:
        assert store.load(made).rev == 2
    found.append([code, len(page.unreadable), results, entries])
print(json.dumps(found))
"""


class TestAtOnce:
    def test_sixteen_first_starts_make_one_key_and_one_store_and_everybody_works(self, home: Path) -> None:
        racers = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", RACER, home, str(number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(16)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        printed = [racer.communicate()[0].split() for racer in racers]
        assert [racer.returncode for racer in racers] == [0] * 16
        assert len({(store_id, key_id) for store_id, key_id, _ in printed}) == 1
        with open_store(home) as store:
            assert (store.store_id, store._ground.keyring.primary.id) == tuple(printed[0][:2])
            assert {line.id for line in store.list().sessions} == {id for _, _, id in printed}
            for number, (_, _, id) in enumerate(printed):
                assert store.load(id).entries == ({"by": str(number)}, {"n": 1})
        assert not list((home / "state").glob("*.new*"))


class TestKilled:
    def test_killed_at_any_moment_the_next_opening_works_and_nothing_is_wrong(
        self, home: Path, child: Callable[..., str]
    ) -> None:
        found = json.loads(child(KILLS, home, 60))
        assert len(found) == 60
        assert len([code for code, *_ in found if code]) > 20
        for _, unreadable, results, entries in found:
            assert unreadable == 0
            # A save of that size is written with one call: there is no tail, only the old state or the new one.
            assert results in ([], [["ok", 0]], [["ok", 0]] * 2)
            assert all(count in (0, 1, 2, 3, 4) for count in entries)


class TestLeftovers:
    def test_a_data_directory_that_has_its_id_and_nothing_else_is_a_first_start(self, home: Path) -> None:
        with open_store(home) as store:
            store_id = store.store_id
        for name in ("keyring", "ledger.db"):
            (home / "state" / name).unlink()
        with open_store(home) as store:
            assert store.store_id == store_id

    def test_a_key_that_was_written_and_not_yet_named_is_used_if_it_fits_the_ledger(self, home: Path) -> None:
        with open_store(home) as store:
            id, key_id = store.create().id, store._ground.keyring.primary.id
        (home / "state" / "keyring").rename(home / "state" / "keyring.new")
        with open_store(home) as store:
            assert (store.load(id).rev, store._ground.keyring.primary.id) == (1, key_id)

    def test_one_that_does_not_fit_is_not(self, home: Path) -> None:
        for place in (home, home.with_name("other")):
            open_store(place).close()
        (home / "state" / "keyring").unlink()
        (home.with_name("other") / "state" / "keyring").rename(home / "state" / "keyring.new")
        try:
            open_store(home)
        except errors.KeyUnavailableError as error:
            assert error.fields["reason"] == "missing"
        else:
            raise AssertionError("a key that does not fit the ledger was taken")
        assert not (home / "state" / "keyring").exists()
