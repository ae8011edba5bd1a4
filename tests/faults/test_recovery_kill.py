"""kill -9 at every step of a repair, a restore, a rebase, an adoption: nothing is lost, and doing it again ends it.

A step ends with each change of what is on the disk: the child looks at every file of the store after each call that
could have changed one, and dies right behind the change that is its turn. So nothing that comes between two changes is
left out, whatever the code does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Makes a case, and acts on it in a child that is killed behind one of its changes; then looks, acts again and looks.
BEGIN = """
import hashlib, json, os, signal, sys
from pathlib import Path
from sessionstore import errors, open_store
base = Path(sys.argv[1])
home = base
CHANGES = {"close", "execute", "fchmod", "fdatasync", "fsync", "ftruncate", "link", "mkdir", "open", "pwrite", "rename",
           "unlink", "write"}

def disk():
    '''Names, modes and contents of everything that lasts.'''
    found = hashlib.sha256()
    for directory, _, names in sorted(os.walk(home)):
        for name in sorted(names):
            if not name.endswith("-shm"):  # memory, in truth
                path = os.path.join(directory, name)
                found.update(repr((path, os.stat(path).st_mode)).encode())
                with open(path, "rb") as file:
                    found.update(hashlib.sha256(file.read()).digest())
        found.update(repr((directory, os.stat(directory).st_mode)).encode())
    return found.digest()

def file(id):
    return home / "data" / "sessions" / (id + ".jsonl")

def kept():
    quarantine = home / "data" / "quarantine"
    return [found.read_bytes() for found in sorted(quarantine.glob("[!.]*"))] if quarantine.exists() else []

def session(store, saves=3):
    id = store.create().id
    for n in range(saves):
        store.append(id, [{"n": n}])
    return id

def numbers(store, id):
    return [entry["n"] for entry in store.load(id).entries]

def refusal(call):
    try:
        call()
    except errors.SessionStoreError as error:
        return error.code

def run(act, case, moment):
    '''How many changes it made, None if it was killed behind the `moment`th.'''
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        changes, before = 0, None
        def hook(frame, event, arg):
            nonlocal changes, before
            if event != "c_call" and getattr(arg, "__name__", "") in CHANGES:
                now = disk()
                changes += now != before
                before = now
                if changes == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
        try:
            with open_store(home, environ={}) as store:
                before = disk()
                sys.setprofile(hook)
                act(store, case)
                sys.setprofile(None)
            os.write(write_end, b"%d" % changes)
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return int(told) if told else None

def made():
    global home
    home = base / os.urandom(8).hex()  # a store of its own: what it costs must not grow
    with open_store(home, environ={}) as store:
        return make(store)
"""

END = """
changes = run(act, made(), -1)
died, ends = 0, set()
for moment in range(1, changes + 1):
    case = made()
    died += run(act, case, moment) is None
    with open_store(home, environ={}) as store:
        ends.add(between(store, case))
        act(store, case)
        after(store, case)
        act(store, case)
        after(store, case)
        store._ground.ledger.check()
        assert store.verify_audit().ok
print(json.dumps([changes, died, len(ends)]))
"""

TAIL = """
def make(store):
    id = session(store)
    good = file(id).read_bytes()
    tail = b'{"entry":{"n":%d}}' % len(kept())
    file(id).write_bytes(good + tail)
    return id, good, tail
def act(store, case):
    store.repair(case[0])
def between(store, case):
    id, good, tail = case
    assert numbers(store, id) == [0, 1, 2]
    now = file(id).read_bytes()
    assert now in (good, good + tail) and (now == good + tail or tail in kept())
    return now == good
def after(store, case):
    assert file(case[0]).read_bytes() == case[1] and case[2] in kept() and store.load(case[0]).warnings == ()
"""

BROKEN = """
def make(store):
    id = session(store)
    broken = file(id).read_bytes().replace(b'"n":1', b'"n":9')
    file(id).write_bytes(broken)
    return id, broken
def act(store, case):
    store.repair(case[0])
def between(store, case):
    there = file(case[0]).exists()
    assert (there and file(case[0]).read_bytes() == case[1]) or case[1] in kept()
    assert refusal(lambda: store.load(case[0])) == ("invalid_signature" if there else "missing")
    return there
def after(store, case):
    assert refusal(lambda: store.load(case[0])) == "missing" and case[1] in kept()
"""

KEEP = """
def make(store):
    id = session(store)
    broken = file(id).read_bytes().replace(b'"n":2', b'"n":9')
    file(id).write_bytes(broken)
    return id, broken
def act(store, case):
    store.repair(case[0], keep_verified=True)
def forks(store, case):
    assert file(case[0]).read_bytes() == case[1]
    found = [line.id for line in store.list().sessions if line.parent == case[0]]
    assert all(numbers(store, id) == [0, 1] for id in found)
    return len(found)
between = forks
def after(store, case):
    assert forks(store, case) == 1
"""

RESTORE = """
def make(store):
    id = session(store)
    older = file(id).read_bytes()
    store.append(id, [{"n": 3}])
    file(id).write_bytes(older)
    return id, older
def act(store, case):
    if refusal(lambda: store.load(case[0])):
        store.restore(case[0], 4, consent="the test")
def between(store, case):
    code = refusal(lambda: store.load(case[0]))
    assert code in (None, "rollback") and (code is None or file(case[0]).read_bytes() == case[1])
    return code
def after(store, case):
    assert (store.load(case[0]).rev, numbers(store, case[0])) == (6, [0, 1, 2])
"""

# The same, of a session that began under a key which is gone.
OLDER_KEY = RESTORE.replace(
    "    older = file(id).read_bytes()",
    """    key = store.list_keys()[0].id
    store.rotate_keys()
    store.retire_key(key, destroy=True)
    older = file(id).read_bytes()""",
)
OLDER_KEY = OLDER_KEY.replace("id, 4,", "id, 5,").replace("case[0], 4,", "case[0], 5,").replace("(6, [", "(7, [")

REBASE = """
def make(store):
    id = session(store)
    ledger = store._ground.ledger
    old = ledger.head(id)
    store.rewind(id, 2)
    store.append(id, [{"n": 7}])
    store.rewind(id, 1)  # what it replaces is no seal that the older head knows
    ledger.commit(old, old=ledger.head(id))
    return id, file(id).read_bytes()
def act(store, case):
    assert store.rebase_heads(consent="the test").failed == ()
def between(store, case):
    code = refusal(lambda: store.load(case[0]))
    assert code in (None, "fork") and (code is None or file(case[0]).read_bytes() == case[1])
    return code
def after(store, case):
    # Killed between file and head, the file is ahead of the ledger once more, and taken once more.
    assert store.load(case[0]).rev in (8, 9) and numbers(store, case[0]) == [0]
"""


ADOPT = """
import shutil
def make(store):
    with open_store(home / "elsewhere", environ={}) as other:
        id = session(other)
    shutil.copy2(home / "elsewhere/data/sessions" / (id + ".jsonl"), file(id))
    return id, file(id).read_bytes()
def act(store, case):
    if refusal(lambda: store.load(case[0])):
        store.adopt_sealed(case[0], consent="the test")
def between(store, case):
    code = refusal(lambda: store.load(case[0]))
    now = file(case[0]).read_bytes()
    assert code in (None, "unknown_key", "unanchored") and (now == case[1]) == (code == "unknown_key")
    assert now == case[1] or case[1] in kept()
    return code is None
def after(store, case):
    loaded = store.load(case[0])
    assert (loaded.provenance, numbers(store, case[0])) == ("adopted", [0, 1, 2]) and loaded.rev in (5, 6)
"""


@pytest.mark.parametrize(
    "case",
    [TAIL, BROKEN, KEEP, RESTORE, OLDER_KEY, REBASE, ADOPT],
    ids=["tail", "broken", "keep", "restore", "older_key", "rebase", "adopt"],
)
def test_killed_at_any_step_it_loses_nothing_and_is_done_the_second_time(case: str, home: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", BEGIN + case + END, str(home)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    changes, died, ends = json.loads(done.stdout)
    assert changes > 5 and died >= changes - 1  # a checkpoint of the ledger may come or not
    assert ends == 2  # some died before and some after what counts
