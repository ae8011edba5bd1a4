"""kill -9 at any moment of a save, a creation, a deletion: what was acknowledged is there, once, in order, and no more
than the one step that was under way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Child = Callable[..., list[Any]]

SEED = 20261121

# A process that does nothing but forks the ones to be killed. Each opens the store for itself, tells every revision
# that was acknowledged through a pipe, and is killed before or after one of its calls: a random one, the same each run.
STORE = """
import random, select
from sessionstore import open_store
root = home + "/store"
seed, kills = int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)

def run(act, moment):
    '''Run `act(begin, acknowledge)` in a process that is killed at the `moment`th call after `begin`.

    What it told, how many calls it made, and whether it was killed.
    '''
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        calls = 0
        def hook(frame, event, arg):
            nonlocal calls
            calls += event in ("c_call", "c_return")
            if calls == moment:
                os.kill(os.getpid(), signal.SIGKILL)
        def acknowledge(value):
            os.write(write_end, json.dumps(value).encode() + b"\\n")
        try:
            act(lambda: sys.setprofile(hook), acknowledge)
            sys.setprofile(None)
            acknowledge(["calls", calls])
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end) as answers:
        told = [json.loads(line) for line in answers]
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    calls = 0 if killed else told.pop()[1]
    return told, calls, killed

def moments(make):
    calls = min(run(make(), -1)[1] for _ in range(2))  # the first run may have things to set up that later ones find
    assert calls > 100, calls
    step = calls / kills
    spread = [1 + int((number + dice.random()) * step) for number in range(kills)]
    dice.shuffle(spread)  # what a kill leaves behind must not fit the next moment by order
    return spread

def healthy(store):
    page = store.list()
    assert page.unreadable == (), page.unreadable
    assert all(result.ok for result in store.verify())
    assert not store._ground.ledger.heads(states=("creating", "deleting"))
    store._ground.ledger.check()
"""

SAVES = """
with open_store(root, environ={}) as store: id = store.create().id
acknowledged = []
def act(begin, acknowledge):
    with open_store(root, environ={}) as store:
        before = store.load(id)
        begin()
        for n in range(2):
            value = len(before.entries) + n
            rev = store.append(id, [{"n": value, "text": "x" * dice.choice((10, 5000))}])
            acknowledge([value, rev])
partly = died = 0
for moment in moments(lambda: act):
    with open_store(root, environ={}) as store:
        known = len(store.load(id).entries)
    told, _, killed = run(act, moment)
    died += killed
    with open_store(root, environ={}) as store:
        healthy(store)
        session = store.load(id)
        numbers = [entry["n"] for entry in session.entries]
        assert numbers == list(range(len(numbers))), numbers
        least = told[-1][0] + 1 if told else known
        assert len(numbers) in (least, least + 1), (numbers, told)
        assert not told or session.rev >= told[-1][1]
        partly += bool(session.warnings)
        rev = store.append(id, [{"n": len(numbers)}])
        assert rev == session.rev + 1 and store.load(id).warnings == ()
tell(died, partly)
"""

CREATIONS = """
with open_store(root, environ={}) as store: store.create()
def act_for(key):
    def act(begin, acknowledge):
        with open_store(root, environ={}) as store:
            begin()
            session = store.create(key=key, entries=[{"n": n} for n in range(5)])
            acknowledge(session.id)
    return act
made = died = 0
for number, moment in enumerate(moments(lambda: act_for(f"dry {dice.random()}"))):
    key = f"key {number}"
    told, _, killed = run(act_for(key), moment)
    died += killed
    with open_store(root, environ={}) as store:
        healthy(store)
        found = store.find(key)
        assert found is not None or not told
        made += found is not None
        session = store.get_or_create(key)
        assert session.key == key
        if found is not None:
            assert session.id == found.id and (not told or told == [session.id])
            assert [entry["n"] for entry in session.entries] == list(range(5))
        assert sum(line.key == key for line in store.list().sessions) == 1
tell(died, 0 < made < kills)
"""

DELETIONS = """
def act_for(id):
    def act(begin, acknowledge):
        with open_store(root, environ={}) as store:
            begin()
            store.delete(id)
            acknowledge(id)
    return act
with open_store(root, environ={}) as store:
    ids = [store.create(entries=[{"n": 1}]).id for _ in range(kills + 2)]
ids, spare = ids[2:], ids[:2]
gone = died = 0
for id, moment in zip(ids, moments(lambda: act_for(spare.pop()))):
    told, _, killed = run(act_for(id), moment)
    died += killed
    with open_store(root, environ={}) as store:
        healthy(store)
        try:
            assert list(store.load(id).entries) == [{"n": 1}] and not told
        except SessionStoreError as error:
            assert error.code == "not_found", error
            assert not os.path.exists(f"{root}/data/sessions/{id}.jsonl")
            gone += 1
            continue
        store.delete(id)
tell(died, 0 < gone < kills)
"""


REWRITES = """
with open_store(root, environ={}) as store:
    id = store.create(entries=[{"n": n} for n in range(6)]).id
def act(begin, acknowledge):
    with open_store(root, environ={}) as store:
        begin()
        acknowledge(store.rewind(id, 4))
        acknowledge(store.append(id, [{"n": 4}, {"n": 5}]))
short = died = 0
for moment in moments(lambda: act):
    with open_store(root, environ={}) as store:
        rev = store.load(id).rev
    told, _, killed = run(act, moment)
    died += killed
    with open_store(root, environ={}) as store:
        healthy(store)
        session = store.load(id)
        numbers = [entry["n"] for entry in session.entries]
        step = session.rev - rev
        assert len(told) <= step <= min(2, len(told) + 1), (step, told)
        assert numbers == list(range(4 if step == 1 else 6)), (numbers, step)
        short += len(numbers) == 4
        if len(numbers) == 4:
            store.append(id, [{"n": 4}, {"n": 5}])
tell(died, short > 0)
"""


NAMED = """
with open_store(root, environ={}) as store: id = store.create().id
for name in ("pwrite", "fdatasync"):
    for event in ("c_call", "c_return"):
        pid = os.fork()
        if not pid:
            store = open_store(root, environ={})
            at(name, event, lambda: os.kill(os.getpid(), signal.SIGKILL))
            store.append(id, [{"n": 0}])
            os._exit(0)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        with open_store(root, environ={}) as store:
            healthy(store)
            tell(store.load(id).rev)
"""


class TestKill:
    def test_during_saves(self, child: Child) -> None:
        print(f"seed {SEED}")
        killed, _ = child(STORE + SAVES, SEED, 90)
        assert killed > 70

    def test_at_the_write_and_the_sync_of_a_save(self, child: Child) -> None:
        assert child(STORE + NAMED, SEED, 0) == [1, 2, 3, 4]

    def test_during_creations(self, child: Child) -> None:
        print(f"seed {SEED}")
        killed, both_ways = child(STORE + CREATIONS, SEED, 60)
        assert killed > 45 and both_ways

    def test_during_deletions(self, child: Child) -> None:
        print(f"seed {SEED}")
        killed, both_ways = child(STORE + DELETIONS, SEED, 25)
        assert killed > 18 and both_ways

    def test_during_a_rewind_and_the_save_after_it(self, child: Child) -> None:
        print(f"seed {SEED}")
        killed, both_ways = child(STORE + REWRITES, SEED, 20)
        assert killed > 14 and both_ways


WRITER = """
import json, sys
from sessionstore import open_store
with open_store(sys.argv[1], environ={}) as store:
    n = len(store.load(sys.argv[2]).entries)
    while True:
        rev = store.append(sys.argv[2], [{"n": n, "text": "x" * 3000}])
        print(json.dumps([n, rev]), flush=True)
        n += 1
"""


@pytest.mark.parametrize("after", [1, 2, 5, 20, 40])
def test_a_busy_writer_killed_whatever_it_is_doing(tmp_path: Path, after: int) -> None:
    from sessionstore import open_store

    root = tmp_path / "store"
    with open_store(root, environ={}) as store:
        session_id = store.create().id
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(root), session_id], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    told = [json.loads(writer.stdout.readline()) for _ in range(after)]
    writer.kill()
    told += [json.loads(line) for line in writer.stdout if line.endswith("]\n")]
    writer.wait()
    writer.stdout.close()
    with open_store(root, environ={}) as store:
        session = store.load(session_id)
        numbers = [entry["n"] for entry in session.entries]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) - len(told) in (0, 1)
        assert session.rev - told[-1][1] in (0, 1)
        assert store.append(session_id, [{"n": len(numbers)}]) == session.rev + 1
