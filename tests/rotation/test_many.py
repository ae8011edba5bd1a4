"""A change of keys over many sessions: killed in every phase and on every page, beside writers, and gone on with."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sessionstore import open_store

SESSIONS = 300
# Rows that no seal brings under the new key: they are made anew page by page.
DELETED = 250

# Rotates with pages of 100 rows, and dies where it is told `phase` and `done`.
_ROTATE = """
import os, signal, sys
from sessionstore import open_store
from sessionstore.ledger.renewal import Renewal
Renewal.page.__defaults__ = (100,)
phase, at = sys.argv[2], int(sys.argv[3])
def told(now, done, total):
    if now == phase and done >= at:
        os.kill(os.getpid(), signal.SIGKILL)
with open_store(sys.argv[1], environ={}) as store:
    print(store.rotate_keys(progress=told).sessions)
"""

# Appends to one session after the other until the file `stop` is there; writes down what was acknowledged.
_WRITE = """
import itertools, sys
from pathlib import Path
from sessionstore import open_store
root, me = Path(sys.argv[1]), sys.argv[2]
with open_store(root, environ={}) as store, (root / f"said-{me}").open("w") as said:
    ids = sorted(line.id for line in store.list().sessions)[int(me)::2]
    for n in itertools.count():
        if (root / "stop").exists():
            break
        id = ids[n % len(ids)]
        store.append(id, [{"by": me, "n": n}])
        print(id, n, file=said)
        if n == 0:
            print("at work", flush=True)
"""


def rotate(root: Path, phase: str = "", at: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", _ROTATE, str(root), phase, str(at)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_killed_in_every_phase_and_on_every_page_it_ends_with_everything_under_the_new_key(home: Path) -> None:
    with open_store(home, environ={}) as store:
        ids = [store.create(entries=[{"made": n}]).id for n in range(SESSIONS)]
        for _ in range(DELETED):
            store.delete(store.create().id)
        old = store.list_keys()[0].id
    kills = [("settling", 150), ("sessions", 1), ("sessions", 100), ("sessions", 100), ("sessions", 99)]
    for phase, at in [*kills, ("rows", 1), ("rows", 1), ("rows", 1)]:
        assert rotate(home, phase, at).returncode == -signal.SIGKILL, (phase, at)
        with open_store(home, environ={}) as store:
            assert len(store.list_keys()) == 2, "one change at a time"
            assert Counter(result.code for result in store.verify()) == {"ok": SESSIONS}
    last = rotate(home)
    assert (last.returncode, last.stdout) == (0, "0\n"), last.stderr
    with open_store(home, environ={}) as store:
        first, new = store.list_keys()
        assert (first.id, first.status, first.needs.any, new.status) == (old, "verify_only", False, "primary")
        assert (new.needs.sessions, new.needs.rows) == (SESSIONS, SESSIONS + DELETED + 3)
        assert [(line.rev, line.entries) for line in store.list().sessions] == [(2, 1)] * SESSIONS
        assert [store.load(id).entries for id in ids] == [({"made": n},) for n in range(SESSIONS)]
        store._ground.ledger.check()
        assert not store.retire_key(old, destroy=True).any
        assert Counter(result.code for result in store.verify()) == {"ok": SESSIONS}
        assert store.verify_audit().ok


def test_beside_writers_no_acknowledged_append_is_lost_however_often_it_is_killed(home: Path) -> None:
    with open_store(home, environ={}) as store:
        ids = [store.create().id for _ in range(60)]
        for _ in range(DELETED // 2):
            store.delete(store.create().id)
        old = store.list_keys()[0].id
    command = [sys.executable, "-W", "error", "-c", _WRITE, str(home)]
    writers = [subprocess.Popen([*command, str(me)], stdout=subprocess.PIPE, text=True) for me in range(2)]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == "at work\n"
        for phase, at in (("settling", 20), ("sessions", 1)):
            assert rotate(home, phase, at).returncode == -signal.SIGKILL, (phase, at)
        # The writers bring sessions under the new key, too: it may be done before it comes to these.
        for phase, at in (("sessions", 5), ("rows", 1)):
            assert rotate(home, phase, at).returncode in (0, -signal.SIGKILL), (phase, at)
        last = rotate(home)
        assert last.returncode == 0, last.stderr
    finally:
        (home / "stop").touch()
        for writer in writers:
            writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    acknowledged: dict[str, list[dict[str, object]]] = {id: [] for id in ids}
    for me in range(2):
        for line in (home / f"said-{me}").read_text().splitlines():
            id, n = line.split()
            acknowledged[id].append({"by": str(me), "n": int(n)})
    with open_store(home, environ={}) as store:
        assert store.rotate_keys(finish=True).left == ()
        assert {id: list(store.load(id).entries) for id in ids} == acknowledged
        assert sum(map(len, acknowledged.values())) > len(ids)
        assert not store.retire_key(old, destroy=True).any
        assert Counter(result.code for result in store.verify()) == {"ok": len(ids)}
        assert store.verify_audit().ok


_RETIRE = """
import os, signal, sys
from sessionstore import open_store
from sessionstore.audit import AuditLog
from sessionstore.keystore import FileKeyStore
from sessionstore.ledger.generation import Generations
die_at, seen = int(sys.argv[2]), 0
def step():
    global seen
    seen += 1
    if seen == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
def around(cls, name):
    real = getattr(cls, name)
    def call(*args, **named):
        step()
        result = real(*args, **named)
        step()
        return result
    setattr(cls, name, call)
with open_store(sys.argv[1], environ={}) as store:
    for cls, name in ((FileKeyStore, "replace"), (Generations, "follow"), (AuditLog, "record")):
        around(cls, name)
    store.retire_key(store.list_keys()[0].id, destroy=True)
print(seen)
"""


def test_retiring_killed_at_every_step_is_done_or_not_and_can_be_done_again(home: Path) -> None:
    def retire(root: Path, die_at: int) -> subprocess.CompletedProcess[str]:
        with open_store(root, environ={}) as store:
            store.create(entries=[{"n": 1}])
            store.rotate_keys()
        command = [sys.executable, "-W", "error", "-c", _RETIRE, str(root), str(die_at)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    steps = int(retire(home.with_name("counted"), 0).stdout)
    assert steps == 6
    ends = set()
    for die_at in range(1, steps + 1):
        root = home.with_name(f"killed-{die_at}")
        assert retire(root, die_at).returncode == -signal.SIGKILL
        with open_store(root, environ={}) as store:
            old, new = store.list_keys()
            ends.add(old.status)
            assert (new.status, [result.code for result in store.verify()]) == ("primary", ["ok"])
            store.retire_key(old.id, destroy=True)
            assert [key.status for key in store.list_keys()] == ["destroyed", "primary"]
            assert store.rotate_keys().finished and store.verify_keys().ok and store.verify_audit().ok
    assert ends == {"verify_only", "destroyed"}
