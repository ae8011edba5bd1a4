"""A lost ledger: nothing is made anew in silence, and what verifies is recorded anew with consent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.wiring import recover_ledger

WHO = "the test"
UNSIGNED = "7a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def config_of(home: Path, **settings: Any) -> Config:
    return Config(data_dir=home / "data", state_dir=home / "state", **settings)


def opened(home: Path) -> SessionStore:
    return open_store(config=config_of(home))


def lose(home: Path) -> None:
    for file in (home / "state").glob("ledger.db*"):
        file.unlink()


def file(home: Path, id: str) -> Path:
    return home / "data" / "sessions" / f"{id}.jsonl"


@pytest.fixture
def ids(home: Path) -> list[str]:
    """Three sessions of a store that is closed."""
    with opened(home) as store:
        made = [store.create(name=f"n{n}", key=f"k{n}", tags=["t"], entries=[{"n": n}]).id for n in range(3)]
        store.append(made[0], [{"n": 9}])
        return made


class TestRecover:
    def test_until_then_it_is_missing_whatever_is_tried(self, home: Path, ids: list[str]) -> None:
        lose(home)
        for _ in range(2):
            with pytest.raises(errors.LedgerMissingError) as caught:
                opened(home)
            assert "recover-ledger" in caught.value.hint
        assert not (home / "state" / "ledger.db").exists()

    def test_every_session_that_verifies_has_a_record_again(self, home: Path, ids: list[str]) -> None:
        with opened(home) as store:
            before = sorted(store.list().sessions, key=lambda line: line.id)
            store_id = store.store_id
        lose(home)
        planned = recover_ledger(config_of(home), consent=WHO, dry_run=True)
        assert not list((home / "state").glob("ledger*"))
        done = recover_ledger(config_of(home), consent=WHO)
        assert done == planned
        assert (sorted(done.taken, key=lambda line: line.id), done.left) == (before, ())
        with opened(home) as store:
            assert (sorted(store.list().sessions, key=lambda line: line.id), store.store_id) == (before, store_id)
            assert all(result.ok for result in store.verify())
            found = store.find("k1")
            assert found is not None and found.id == ids[1]
            store._ground.ledger.check()
            assert store.append(ids[0], [{"n": 10}]) == 3
            assert store.verify_audit().ok
            (event,) = store.audit(events=["ledger_rebuilt"])
            assert event.fields == {"taken": 3, "left": 0, "consent": WHO}

    def test_what_does_not_verify_is_left_and_named(self, home: Path, ids: list[str], tmp_path: Path) -> None:
        with open_store(tmp_path / "elsewhere", environ={}) as other:
            far = other.create().id
        shutil.copy2(tmp_path / "elsewhere/data/sessions" / f"{far}.jsonl", file(home, far))
        damaged = file(home, ids[0])
        damaged.write_bytes(damaged.read_bytes().replace(b'{"n":0}', b'{"n":7}'))
        copied = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        shutil.copy2(file(home, ids[1]), file(home, copied))
        (home / "data/sessions" / f"{UNSIGNED}.json").write_text("{}")
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert {line.id for line in done.taken} == {ids[1], ids[2]}
        assert {broken.name: broken.code for broken in done.left} == {
            ids[0]: "unanchored",
            far: "unknown_key",
            copied: "unanchored",
        }
        with opened(home) as store:
            codes = {broken.name: broken.code for broken in store.list().unreadable}
            assert codes[UNSIGNED] == "unsigned_unknown"
            with pytest.raises(errors.UnanchoredError):
                store.load(ids[0])

    def test_what_the_audit_log_knows_to_be_older_is_left(self, home: Path, ids: list[str]) -> None:
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store.append(ids[0], [{"n": 11}])
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=3)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "rollback")]

    def test_one_over_the_cap_and_a_link_are_left(self, home: Path, ids: list[str]) -> None:
        with opened(home) as store:
            store.append(ids[0], [{"fill": "x" * 70_000}])
        outside = file(home, ids[1]).rename(home / "outside")
        file(home, ids[1]).symlink_to(outside)
        lose(home)
        done = recover_ledger(config_of(home, max_session_bytes=64 * 1024), consent=WHO)
        assert {broken.name: broken.code for broken in done.left} == {ids[0]: "too_large", ids[1]: "unsafe_file"}

    def test_a_tail_keeps_nobody_out_and_is_still_told(self, home: Path, ids: list[str]) -> None:
        with file(home, ids[0]).open("ab") as stream:
            stream.write(b'{"entry":{"half')
        lose(home)
        assert recover_ledger(config_of(home), consent=WHO).left == ()
        with opened(home) as store:
            assert [warning.code for warning in store.load(ids[0]).warnings] == ["uncommitted_tail"]
            assert store.append(ids[0], [{"n": 10}]) == 3

    def test_two_files_with_one_external_key_are_not_both_taken(self, home: Path, ids: list[str]) -> None:
        kept = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store.delete(ids[0])
            store.create(key="k0")
        file(home, ids[0]).write_bytes(kept)
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert [broken.code for broken in done.left] == ["already_exists"]
        assert len(done.taken) == 3


class TestRefusals:
    def test_a_ledger_that_is_there_is_never_replaced(self, home: Path, ids: list[str]) -> None:
        ledger = home / "state" / "ledger.db"
        before = ledger.read_bytes()
        for content in (before, b"", b"not a ledger"):
            ledger.write_bytes(content)
            with pytest.raises(errors.StoreUnavailableError, match="there is a ledger"):
                recover_ledger(config_of(home), consent=WHO)
            assert ledger.read_bytes() == content

    def test_without_the_key_or_the_store_id_nothing_is_made(self, home: Path, ids: list[str]) -> None:
        lose(home)
        for part, error in (
            (home / "state/keyring", errors.KeyUnavailableError),
            (home / "data/store.json", errors.StoreMismatchError),
        ):
            content = part.read_bytes()
            part.unlink()
            with pytest.raises(error):
                recover_ledger(config_of(home), consent=WHO)
            assert not list((home / "state").glob("ledger.db*"))
            part.write_bytes(content)
            part.chmod(0o600)

    def test_consent_is_a_sentence(self, home: Path, ids: list[str]) -> None:
        lose(home)
        with pytest.raises(errors.InvalidValueError):
            recover_ledger(config_of(home), consent="")

    def test_what_cannot_be_written_down_is_not_done(self, home: Path, ids: list[str]) -> None:
        lose(home)
        shutil.rmtree(home / "state/audit", ignore_errors=True)
        (home / "state/audit").write_text("in the way")
        with pytest.raises(errors.SessionStoreError):
            recover_ledger(config_of(home), consent=WHO)
        with pytest.raises(errors.LedgerMissingError):
            opened(home)

    def test_what_sqlite_left_beside_is_no_ledger(self, home: Path, ids: list[str]) -> None:
        lose(home)
        wal = home / "state" / "ledger.db-wal"
        wal.write_bytes(b"x" * 100)
        wal.chmod(0o600)
        assert len(recover_ledger(config_of(home), consent=WHO).taken) == 3
        opened(home).close()


KILLED = """
import os, signal, sys
from pathlib import Path
from sessionstore import Config
from sessionstore.wiring import recover_ledger
home, moment, calls = Path(sys.argv[1]), int(sys.argv[2]), 0
config = Config(data_dir=home / "data", state_dir=home / "state")
def hook(frame, event, arg):
    global calls
    calls += event == "c_call"
    if calls == moment:
        os.kill(os.getpid(), signal.SIGKILL)
recover_ledger(config, consent="the test", dry_run=True)
sys.setprofile(hook)
recover_ledger(config, consent="the test")
sys.setprofile(None)
print(calls)
"""


def test_killed_at_any_moment_the_ledger_is_whole_or_missing(home: Path, ids: list[str]) -> None:
    def run(moment: int) -> subprocess.CompletedProcess[str]:
        lose(home)
        return subprocess.run([sys.executable, "-c", KILLED, home, str(moment)], capture_output=True, text=True)

    calls = int(run(-1).stdout)
    ends = set()
    for part in (0.2, 0.6, 0.85, 0.93, 0.97, 0.999):
        assert run(int(calls * part)).returncode == -signal.SIGKILL
        whole = (home / "state" / "ledger.db").exists()
        ends.add(whole)
        if not whole:
            with pytest.raises(errors.LedgerMissingError):
                opened(home)
            recover_ledger(config_of(home), consent=WHO)
        with opened(home) as store:
            assert {line.id for line in store.list().sessions} == set(ids)
            store._ground.ledger.check()
            assert store.verify_audit().ok
    assert False in ends
    assert os.path.exists(home / "state" / "ledger.db")
