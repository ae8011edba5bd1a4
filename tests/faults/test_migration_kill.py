"""kill -9 at every step of a migration: what the unsigned file held is there, once, and a second run is harmless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Child = Callable[..., list[Any]]

# Forks the processes that are to be killed, each at a call that changes something on the disk, before it or after it.
STORE = """
import hashlib
from sessionstore import open_store
root, kills = home + "/store", 120
STEPS = ("pwrite", "fsync", "fdatasync", "unlink", "rename", "execute", "mkdir")
ids = [f"{n:08x}-3b61-4d7a-9c58-7e4f1a2b3c4d" for n in range(kills)]

def message(n):
    return {"id": f"m{n}", "role": "user", "content": f"said {n}", "timestamp": f"2025-12-08T09:0{n}:00Z"}

def content(id):
    times = {name: "2025-12-08T09:00:00Z" for name in ("created_at", "updated_at", "closed_at")}
    more = {"id": id, "name": "Atlas", "project_path": "", "config": {"k": [1]}, "todos": [], "more": id}
    return json.dumps({"version": 1, **more, **times, "conversation": [message(n) for n in (2, 1, 0)]}).encode()

os.makedirs(root + "/data/sessions", 0o700)
for id in ids:
    with open(f"{root}/data/sessions/{id}.json", "wb") as file:
        file.write(content(id))
open_store(root, environ={}).close()

def run(act, id, moment):
    '''Run `act` in a process that is killed at the `moment`th event of a step; how many events there were, if all.'''
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        seen = 0
        def hook(frame, event, arg):
            nonlocal seen
            name = getattr(arg, "__name__", "")
            # ctypes calls have no name of their own: the rename without replacing is one.
            if event in ("c_call", "c_return") and name in STEPS:
                seen += 1
            elif event in ("call", "return") and frame.f_code.co_name == "_renameat2":
                seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
        with open_store(root, environ={}) as store:
            sys.setprofile(hook)
            try:
                act(store, id)
            finally:
                sys.setprofile(None)
        os.write(write_end, json.dumps(seen).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end) as answer:
        told = answer.read()
    assert (os.waitpid(child, 0)[1] == signal.SIGKILL) == (told == "")
    return int(told) if told else None

def look(id):
    '''Check that the session is whole after a kill; what state it is in.'''
    old, new = (f"{root}/data/sessions/{id}{suffix}" for suffix in (".json", ".jsonl"))
    with open_store(root, environ={}) as store:
        session = store.load(id)
        assert session.entries[:3] == (message(0), message(1), message(2)), session
        assert session.config == {"k": [1], "legacy": {"more": id}}
        assert session.provenance == "legacy-adopted"
        assert [line.id for line in store.list().sessions].count(id) == 1
        odd = [line for line in store.list().unreadable if line.name == id]
        assert [line.code for line in odd] in ([], ["migrated"]), odd
        (result,) = store.verify(id)
        assert result.ok and result.rev == session.rev
        assert not store._ground.ledger.heads(states=("creating", "deleting"))
        state = "unsigned" if session.rev == 0 else "left" if odd else "sealed"
        assert os.path.exists(old) == (state != "sealed")
        kept = root + f"/data/retired/{id}.json"
        assert state == "sealed" or open(old, "rb").read() == content(id)
        assert state != "sealed" or open(kept, "rb").read() == content(id)
        # A second run is harmless, and so is a third.
        outcomes = [[result.outcome for result in store.migrate(id)] for _ in range(2)]
        assert outcomes == [{"unsigned": ["migrated"], "left": ["put_away"], "sealed": []}[state], []]
        assert not os.path.exists(old) and open(kept, "rb").read() == content(id)
        again = store.load(id)
        assert again.entries == session.entries and again.rev == max(session.rev, 1)
        assert store.append(id, [{"last": True}]) == again.rev + 1
        store._ground.ledger.check()
    return state

def killed(act):
    total = run(act, ids.pop(), -1)
    total = run(act, ids.pop(), -1)  # the first one may have things to set up
    seen = []
    for moment in range(1, total + 1):
        id = ids.pop()
        if run(act, id, moment) is None:
            seen.append(look(id))
    order = [state for at, state in enumerate(seen) if not at or seen[at - 1] != state]
    tell(total, len(seen), order, seen.count("left"))
"""

MIGRATE = """
def act(store, id):
    assert [result.outcome for result in store.migrate(id)] == ["migrated"]
killed(act)
"""

APPEND = """
def act(store, id):
    assert store.append(id, [{"n": 1}]) == 2
killed(act)
"""

DELETE = """
def act(store, id):
    store.delete(id)

def look(id):
    with open_store(root, environ={}) as store:
        assert store.list().unreadable == ()
        try:
            assert store.load(id).entries == (message(0), message(1), message(2))
        except SessionStoreError as error:
            assert error.code == "not_found", error
            assert not os.path.exists(f"{root}/data/sessions/{id}.json")
            assert not [name for name in os.listdir(root + "/data/retired") if name.startswith(id)]
            return "gone"
        store.delete(id)
        store._ground.ledger.check()
        return "unsigned"
killed(act)
"""

ADOPT = """
ids = [f"{n:08x}-3b61-4d7a-9c58-7e4f1a2b3c4e" for n in range(kills)]

def pair(id):
    return id, id[:-1] + "f"

for id in ids:
    os.makedirs(f"{home}/away/{id}", 0o700)
    for one in pair(id):
        with open(f"{home}/away/{id}/{one}.json", "wb") as file:
            file.write(content(one))

def act(store, id):
    assert len(store.adopt(directory=f"{home}/away/{id}", consent="me").adopted) == 2

def look(id):
    with open_store(root, environ={}) as store:
        codes = []
        for one in pair(id):
            vouched = [event.session_id for event in store.audit(events=["adoption"], session=one)]
            try:
                assert store.load(one).entries == (message(0), message(1), message(2)) and vouched
                codes.append("opened")
            except SessionStoreError as error:
                codes.append(error.code)
        # A second run ends it, a third has nothing to do, and the other directory is what it was.
        reports = [store.adopt(directory=f"{home}/away/{id}", consent="me") for _ in range(2)]
        took = [[file.session_id for file in report.adopted] for report in reports]
        assert took == [[one for one, code in zip(pair(id), codes) if code != "opened"], []], (codes, reports)
        assert [report.refused for report in reports] == [(), ()]
        for one in pair(id):
            assert store.load(one).entries == (message(0), message(1), message(2))
            assert len(list(store.audit(events=["adoption"], session=one))) in (1, 2)
            for place in (f"{home}/away/{id}", root + "/data/sessions"):
                assert open(f"{place}/{one}.json", "rb").read() == content(one)
        assert store.list().unreadable == () and store.verify_audit().ok
        assert len(os.listdir(f"{home}/away/{id}")) == 2
        store._ground.ledger.check()
    return " ".join(codes)
killed(act)
"""


class TestKill:
    def test_at_every_step_of_a_migration(self, child: Child) -> None:
        total, died, order, left = child(STORE + MIGRATE)
        assert died == total > 20
        # The file is the session; the next opening finishes what was made; sealed, and the file left; all is done.
        assert order == ["unsigned", "sealed", "left", "sealed"] and left >= 1

    def test_at_every_step_of_a_save_that_migrates(self, child: Child) -> None:
        total, died, order, _ = child(STORE + APPEND)
        assert died == total > 25 and order == ["unsigned", "sealed", "left", "sealed"]

    def test_at_every_step_of_deleting_an_unsigned_session(self, child: Child) -> None:
        total, died, order, _ = child(STORE + DELETE)
        assert died == total > 10 and order == ["unsigned", "gone"]

    def test_at_every_step_of_adopting_a_directory(self, child: Child) -> None:
        total, died, order, _ = child(STORE + ADOPT)
        assert died == total > 25
        # A copy that nobody lived to list is unknown, and so is one whose neighbour was not copied yet: all or none.
        assert order == [
            "not_found not_found",
            "unsigned_unknown not_found",
            "unsigned_unknown unsigned_unknown",
            "opened opened",
        ]
