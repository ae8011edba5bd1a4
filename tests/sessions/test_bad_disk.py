"""A disk that fails: what was acknowledged stays, what was not is said to be unknown, and a retry is safe.

The kernel answers some calls of a child process with EIO, by a filter that the child puts on itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
CALLS = {
    "x86_64": {"pread64": 17, "fsync": 74, "fdatasync": 75},
    "aarch64": {"pread64": 67, "fsync": 82, "fdatasync": 83},
}

# `fail(call, fd)`: from now on this call fails, of that descriptor or, with None, of any.
FAULTY = """
import ctypes, json, os, struct, sys
from sessionstore import errors, open_store
home, id, calls = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)

def fail(call, fd=None):
    any_fd = [(0x06, 0, 0, 0x50005)]
    this_fd = [(0x20, 0, 0, 16), (0x15, 0, 1, fd or 0), *any_fd]
    what = any_fd if fd is None else this_fd
    rules = [(0x20, 0, 0, 0), (0x15, 0, len(what), calls[call]), *what, (0x06, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
    program = struct.pack("@HP", len(rules), ctypes.addressof(code))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        print("skip")
        os._exit(0)

def said(call):
    try:
        call()
    except errors.SessionStoreError as error:
        print(error.code, error.fields.get("outcome"))
    else:
        print("ok")

store = open_store(home)
sessions = store._ground.backend._sessions.fd
"""


@pytest.fixture
def faulty(place: Any, child: Callable[..., str]) -> Callable[..., list[str]]:
    """Runs a script that may `fail` syncs, on the store of `place`, and gives what it printed."""
    if os.uname().machine not in CALLS:
        pytest.skip("the numbers of system calls are known to this test for x86-64 and AArch64 only")

    def run(script: str, id: str) -> list[str]:
        script = FAULTY + script + "\nsys.stdout.flush()\nos._exit(0)\n"
        lines = child(script, place.home, id, json.dumps(CALLS[os.uname().machine])).splitlines()
        if lines[-1:] == ["skip"]:
            pytest.skip("this system does not let a process filter its own system calls")
        return lines

    return run


class TestAppend:
    def test_after_a_failed_sync_the_outcome_is_unknown_and_a_retry_saves_it_once(
        self, place: Any, faulty: Callable[..., list[str]]
    ) -> None:
        id = place.session()
        script = """
fail("fdatasync", None)
for _ in range(2):
    said(lambda: store.append(id, [{"n": 3}], idempotency_key="turn"))
"""
        # The second try adopts what the first one wrote, in a new file: that sync works.
        assert faulty(script, id) == ["store_unavailable unknown", "ok"]
        assert place.store.append(id, [{"n": 3}], idempotency_key="turn") == 5
        session = place.store.load(id)
        assert ([entry["n"] for entry in session.entries], session.warnings) == ([0, 1, 2, 3], ())

    def test_what_was_acknowledged_before_is_there(self, place: Any, faulty: Callable[..., list[str]]) -> None:
        id = place.session()
        script = """
said(lambda: store.append(id, [{"n": 3}]))
fail("fdatasync", None)
said(lambda: store.append(id, [{"n": 4}]))
"""
        assert faulty(script, id) == ["ok", "store_unavailable unknown"]
        assert [entry["n"] for entry in place.store.load(id).entries][:4] == [0, 1, 2, 3]
        assert place.store.append(id, [{"n": 5}]) >= 6
        assert next(place.store.verify(id)).ok

    def test_a_log_that_cannot_be_read_is_not_written_and_let_go(
        self, place: Any, faulty: Callable[..., list[str]]
    ) -> None:
        id = place.session()
        good = place.read(id)
        script = """
with store._ground.locked(id):
    pass
free = os.dup(0)  # the number that the log will have
os.close(free)
fail("pread64", free)
said(lambda: store.append(id, [{"n": 3}]))
print(os.path.exists(f"/proc/self/fd/{free}"))
os.dup2(0, free)  # whoever measures this process must not meet that number
"""
        assert faulty(script, id) == ["store_unavailable not_written", "False"]
        assert place.read(id) == good


class TestCreate:
    def test_bytes_that_could_not_be_synced_get_no_name(self, place: Any, faulty: Callable[..., list[str]]) -> None:
        script = """
def entries():
    yield {"n": 1}
    fail("fsync", next(fd for fd in range(3, 99) if os.path.realpath(f"/proc/self/fd/{fd}").endswith(".tmp")))

said(lambda: store.create(id=id, key="k", entries=entries()))
"""
        assert faulty(script, ID) == ["store_unavailable not_written"]
        assert place.store.find("k") is None
        assert os.listdir(place.home / "data" / "sessions") == [".gitignore"]
        assert place.store.create(id=ID, key="k").rev == 1

    def test_a_name_that_could_not_be_synced_is_finished_by_the_next_opening(
        self, place: Any, faulty: Callable[..., list[str]]
    ) -> None:
        script = """
fail("fsync", sessions)
said(lambda: store.create(id=id, key="k", entries=[{"n": 1}]))
"""
        assert faulty(script, ID) == ["store_unavailable unknown"]
        head = place.store._ground.ledger.head(ID)
        assert head.state == "creating"
        assert place.reopen().find("k").id == ID
        assert place.store.load(ID).entries == ({"n": 1},)


class TestRewriteAndDelete:
    def test_a_rewrite_whose_name_could_not_be_synced_is_unknown_and_counts(
        self, place: Any, faulty: Callable[..., list[str]]
    ) -> None:
        id = place.session()
        assert faulty('fail("fsync", sessions)\nsaid(lambda: store.rewind(id, 1))', id) == ["store_unavailable unknown"]
        assert place.store.load(id).rev == 5
        assert place.store.append(id, [{"n": "on"}]) == 6

    def test_a_delete_that_could_not_be_synced_is_finished_by_the_next_opening(
        self, place: Any, faulty: Callable[..., list[str]]
    ) -> None:
        id = place.session()
        assert faulty('fail("fsync", sessions)\nsaid(lambda: store.delete(id))', id) == ["store_unavailable unknown"]
        assert place.store._ground.ledger.head(id).state == "deleting"
        place.reopen()
        assert place.store._ground.ledger.head(id).state == "deleted"
