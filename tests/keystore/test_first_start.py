"""The first start with a real ledger: the steps, a kill between any two of them, and sixteen at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sessionstore.fs import Directory
from sessionstore.keystore import FileKeyStore

# How a store puts the parts together; DIE names the step after which the process kills itself.
_START = """
import os, signal, sys
from sessionstore.errors import *
from sessionstore.fs import Directory, Locks
from sessionstore.keystore import FileKeyStore, obtain
from sessionstore.ledger import InventoryEntry, Ledger

class Ground:
    def __init__(self, state, data, die):
        self.state, self.data, self.die = state, data, die
    def step(self, name):
        if self.die == name:
            os.kill(os.getpid(), signal.SIGKILL)
    def has_ledger(self):
        return Ledger.exists(self.state)
    def has_signed(self):
        return any(name.endswith(".jsonl") for name in self.data.names())
    def fits(self, keyring):
        try:
            Ledger.open(self.state, keyring, "store").close()
        except (LedgerCorruptError, UnknownKeyError):
            return False
        return True
    def build(self, keyring):
        self.step("nothing")
        with Ledger.create(self.state, keyring, "store") as ledger:
            self.step("create")
            ledger.bind("store", *self.data.identity)
            ledger.take_inventory([InventoryEntry("a.json", "0" * 64, 1)])
            self.step("inventory")
        self.step("build")
    def place(self):
        self.step("prepare")
        Ledger.place(self.state)
        self.step("place")

def start(path, die=""):
    state = Directory.open(path + "/state", create=True, strict=True)
    data = Directory.open(path + "/data", create=True)
    keys = FileKeyStore(state)
    locks = Locks(state)
    with locks.hold("first.lock", timeout_s=60):
        keyring = obtain(keys, Ground(state, data, die), "2026-01-31T12:00:00.000000Z")
    with Ledger.open(state, keyring, "store") as ledger:
        assert ledger.stores()[0].store_id == "store"
        assert set(ledger.inventory()) == {"a.json"}
    locks.close()
    return keyring.primary.id
"""
_RUN = "print(start(sys.argv[1], sys.argv[2]))"


def run(path: Path, die: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _START + _RUN, str(path), die]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def started(path: Path) -> str:
    done = run(path)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refusal(path: Path) -> str:
    done = run(path)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def names(path: Path) -> list[str]:
    return sorted(name for name in os.listdir(path / "state") if name not in (".gitignore", "first.lock"))


class TestAFirstStart:
    def test_leaves_one_key_and_a_ledger_that_it_signed(self, tmp_path: Path) -> None:
        key_id = started(tmp_path)
        assert names(tmp_path) == ["keyring", "ledger.db"]
        with Directory.open(tmp_path / "state", strict=True) as state:
            keyring = FileKeyStore(state).load()
        assert keyring is not None
        assert keyring.primary.id == key_id

    def test_is_the_last_one(self, tmp_path: Path) -> None:
        assert started(tmp_path) == started(tmp_path)

    def test_of_sixteen_at_once_ends_with_one_key(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", _START + _RUN, str(tmp_path), ""]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(16)
        ]
        ends = [process.communicate(timeout=60) for process in running]
        assert [err for _, err in ends] == [""] * 16
        assert len({out for out, _ in ends}) == 1
        assert names(tmp_path) == ["keyring", "ledger.db"]

    @pytest.mark.parametrize("step", ["nothing", "create", "inventory", "build", "prepare", "place"])
    def test_killed_at_any_step_is_made_good_by_the_next(self, tmp_path: Path, step: str) -> None:
        assert run(tmp_path, step).returncode == -signal.SIGKILL
        assert "keyring" not in names(tmp_path)
        key_id = started(tmp_path)
        assert names(tmp_path) == ["keyring", "ledger.db"]
        assert started(tmp_path) == key_id

    def test_killed_before_its_last_step_is_finished_with_the_same_key(self, tmp_path: Path) -> None:
        run(tmp_path, "place")
        with Directory.open(tmp_path / "state", strict=True) as state:
            pending = FileKeyStore(state).pending()
        assert pending is not None
        assert started(tmp_path) == pending.primary.id

    def test_killed_between_two_links_is_finished(self, tmp_path: Path) -> None:
        key_id = started(tmp_path)
        os.link(tmp_path / "state/keyring", tmp_path / "state/keyring.new")
        assert started(tmp_path) == key_id
        assert names(tmp_path) == ["keyring", "ledger.db"]


class TestALostKey:
    def test_is_never_replaced_where_there_is_a_ledger(self, tmp_path: Path) -> None:
        started(tmp_path)
        (tmp_path / "state/keyring").unlink()
        assert "key is not available (missing)" in refusal(tmp_path)
        assert names(tmp_path) == ["ledger.db"]

    def test_is_never_replaced_where_there_is_a_trace_of_a_ledger(self, tmp_path: Path) -> None:
        started(tmp_path)
        (tmp_path / "state/keyring").unlink()
        (tmp_path / "state/ledger.db").rename(tmp_path / "state/ledger.db-wal")
        assert "key is not available (missing)" in refusal(tmp_path)

    def test_is_never_replaced_where_data_holds_a_sealed_file(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir(mode=0o700)
        (tmp_path / "data/x.jsonl").write_bytes(b"")
        assert "key is not available (missing)" in refusal(tmp_path)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("damage", ["cut", "other"])
    def test_is_not_replaced_by_a_pending_one_that_does_not_fit(self, tmp_path: Path, damage: str) -> None:
        run(tmp_path, "place")
        pending = tmp_path / "state/keyring.new"
        if damage == "cut":
            pending.write_bytes(pending.read_bytes()[:100])
        else:
            with Directory.open(tmp_path / "state", strict=True) as state:
                keys = FileKeyStore(state)
                keys.prepare(keys.fresh("2026-02-01T00:00:00.000000Z"))
        assert "key is not available (missing)" in refusal(tmp_path)
        assert names(tmp_path) == ["keyring.new", "ledger.db"]

    def test_is_told_from_a_damaged_one(self, tmp_path: Path) -> None:
        started(tmp_path)
        (tmp_path / "state/keyring").write_bytes(b"")
        assert "is damaged" in refusal(tmp_path)
        assert (tmp_path / "state/keyring").read_bytes() == b""
