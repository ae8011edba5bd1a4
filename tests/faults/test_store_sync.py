"""A save whose sync fails, and how many syncs a save costs. Whole stores in processes whose C library refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Child = Callable[..., list[Any]]

STORE = """
from sessionstore import open_store
root = home + "/store"
store = open_store(root, environ={"SESSIONSTORE_SYNC_INTERVAL_S": "60"})
id = store.create(name="atlas").id
path = root + "/data/sessions/" + id + ".jsonl"
store.append(id, [{"n": 0}])

def save(n, key=None):
    return refusal(lambda: store.append(id, [{"n": n}], idempotency_key=key))

def found(of=None):
    session = (of or store).load(id)
    return [session.rev, [entry["n"] for entry in session.entries], [warning.code for warning in session.warnings]]
"""


class TestFailedSync:
    def test_the_outcome_is_unknown_and_a_retry_with_the_same_key_saves_exactly_once(self, faulty: Child) -> None:
        told = faulty(
            STORE + "fault('fdatasync', errno.EIO); tell(save(1, 'k')[:2])\n"
            "fault('fdatasync', ''); tell(store.append(id, [{'n': 1}], idempotency_key='k'), found())\n"
            "tell(store.append(id, [{'n': 1}], idempotency_key='k'), store.append(id, [{'n': 2}]), found())\n"
        )
        assert told == [["StoreUnavailableError", "unknown"], 3, [3, [0, 1], []], 3, 4, [4, [0, 1, 2], []]]

    def test_the_same_where_the_bytes_never_reached_the_disk(self, faulty: Child) -> None:
        told = faulty(
            STORE + "before = os.stat(path).st_size\n"
            "fault('fdatasync', errno.EIO); tell(save(1, 'k')[1])\n"
            "os.truncate(path, before)\n"
            "fault('fdatasync', ''); tell(store.append(id, [{'n': 1}], idempotency_key='k'), found())\n"
        )
        assert told == ["unknown", 3, [3, [0, 1], []]]

    def test_the_same_where_a_part_of_them_did(self, faulty: Child) -> None:
        told = faulty(
            STORE + "before = os.stat(path).st_size\n"
            "fault('fdatasync', errno.EIO); tell(save(1, 'k')[1])\n"
            "os.truncate(path, before + 30); tell(found())\n"
            "fault('fdatasync', ''); tell(store.append(id, [{'n': 1}], idempotency_key='k'), found())\n"
        )
        assert told == ["unknown", [2, [0], ["uncommitted_tail"]], 3, [3, [0, 1], []]]

    def test_the_same_for_another_process(self, faulty: Child) -> None:
        told = faulty(
            STORE + "fault('fdatasync', errno.EIO); tell(save(1, 'k')[1])\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    fault('fdatasync', '')\n"
            "    with open_store(root, environ={}) as other:\n"
            "        tell(other.append(id, [{'n': 1}], idempotency_key='k'), found(other))\n"
            "    os._exit(0)\n"
            "os.waitpid(child, 0); fault('fdatasync', ''); tell(save(2), found())\n"
        )
        assert told[0] == "unknown" and told[1:3] == [3, [3, [0, 1], []]] and told[-1] == [4, [0, 1, 2], []]

    def test_what_was_not_synced_is_written_again_before_it_counts(self, faulty: Child) -> None:
        """The kernel forgets a failed sync: pages that it marked as clean are copied, not believed."""
        told = faulty(
            STORE + "inode = os.stat(path).st_ino\n"
            "fault('fdatasync', errno.EIO); save(1, 'k')\n"
            "fault('fsync', errno.EIO); fault('fdatasync', ''); tell(save(1, 'k')[:2], found())\n"
            "fault('fsync', ''); tell(store.append(id, [{'n': 1}], idempotency_key='k'), found())\n"
            "tell(os.stat(path).st_ino != inode)\n"
        )
        assert told == [["StoreUnavailableError", "not_written"], [3, [0, 1], []], 3, [3, [0, 1], []], True]

    def test_a_ledger_that_fails_after_the_sync_leaves_a_save_that_counts_once(self, faulty: Child) -> None:
        told = faulty(
            STORE + "at('fdatasync', 'c_return', lambda: fault('pwrite', errno.EIO)); tell(save(1, 'k')[:2])\n"
            "fault('pwrite', ''); tell(store.append(id, [{'n': 1}], idempotency_key='k'), found())\n"
        )
        assert told == [["StoreUnavailableError", "unknown"], 3, [3, [0, 1], []]]

    def test_a_write_that_fails_leaves_what_was_acknowledged(self, faulty: Child) -> None:
        told = faulty(
            STORE + "before = open(path, 'rb').read()\n"
            "fault('pwrite', errno.EIO); tell(save(1, 'k')[:2], open(path, 'rb').read() == before)\n"
            "fault('pwrite', ''); tell(found(), store.append(id, [{'n': 1}], idempotency_key='k'), found())\n"
        )
        assert told == [
            ["StoreUnavailableError", "not_written"], True, [2, [0], []], 3, [3, [0, 1], []],
        ]  # fmt: skip


class TestFailedSyncOfNames:
    def test_a_create_that_could_not_be_synced_is_not_there_and_can_be_repeated(self, faulty: Child) -> None:
        told = faulty(
            STORE + "new = '0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d'\n"
            "at('fsync', 'c_call', lambda: fault('fsync', errno.EIO))\n"
            "tell(refusal(lambda: store.create(id=new))[:2])\n"
            "fault('fsync', ''); tell(refusal(lambda: store.load(new)), store.create(id=new).rev)\n"
            "tell(len(store.list().sessions), store.list().unreadable == ())\n"
        )
        assert told[0] == ["StoreUnavailableError", "not_written"]
        assert told[1:] == [["SessionNotFoundError", "", ""], 1, 2, True]

    def test_a_deletion_that_could_not_be_synced_is_finished_by_the_next(self, faulty: Child) -> None:
        told = faulty(
            STORE + "at('unlink', 'c_return', lambda: fault('fsync', errno.EIO))\n"
            "tell(refusal(lambda: store.delete(id))[:2])\n"
            "fault('fsync', ''); tell(refusal(lambda: store.load(id)))\n"
            "store.delete(id); tell(refusal(lambda: store.delete(id)), store.list().unreadable == ())\n"
        )
        assert told == [
            ["StoreUnavailableError", "unknown"],
            ["SessionNotFoundError", "", ""],
            ["SessionNotFoundError", "", ""],
            True,
        ]


class TestCount:
    @pytest.mark.parametrize("entries", [1, 20])
    def test_a_turn_costs_exactly_one_sync(self, faulty: Child, entries: int) -> None:
        told = faulty(
            STORE + "syncs = ctypes.c_int.in_dll(ctypes.CDLL(None), 'syncs')\n"
            "before = syncs.value\n"
            "for n in range(60): store.append(id, [{'n': n, 'text': 'x' * 100}] * int(sys.argv[2]))\n"
            "tell(syncs.value - before)\n",
            entries,
        )
        assert told == [60]

    def test_two_sessions_in_turns_cost_one_each_too(self, faulty: Child) -> None:
        told = faulty(
            STORE + "syncs = ctypes.c_int.in_dll(ctypes.CDLL(None), 'syncs')\n"
            "two = store.create().id\n"
            "before = syncs.value\n"
            "for n in range(30): store.append(id, [{'n': n}]); store.append(two, [{'n': n}])\n"
            "store.load(id); store.list(); list(store.verify())\n"
            "tell(syncs.value - before)\n"
        )
        assert told == [60]
