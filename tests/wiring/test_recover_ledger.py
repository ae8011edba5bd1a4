"""A lost ledger: nothing is made anew in silence, and what verifies is recorded anew with consent."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.model import POLICIES
from sessionstore.wiring import recover_ledger

WHO = "the test"
UNSIGNED = "7a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def config_of(home: Path, **settings: Any) -> Config:
    return Config(data_dir=home / "data", state_dir=home / "state", **settings)


def opened(home: Path, **arguments: Any) -> SessionStore:
    return open_store(config=config_of(home), **arguments)


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
            counts = {"taken": 3, "left": 0, "audit_files": 0, "audit_doubts": 0}
            assert event.fields == {**counts, "consent": WHO}

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

    @pytest.mark.parametrize(
        ("steps", "left"),
        [
            (["require"], "require"),
            (["require", "strict"], "strict"),
            (["strict", "require"], "require"),
            (["strict", "accept"], "warn"),
            ([], "warn"),
        ],
    )
    def test_the_policy_is_not_lowered_by_losing_the_ledger(
        self, home: Path, ids: list[str], steps: list[str], left: str
    ) -> None:
        with opened(home) as store:
            for step in steps:
                if POLICIES.index(step) < POLICIES.index(store.policy().floor):
                    store.lower_policy(step, consent=WHO)
                else:
                    store.raise_policy(step)
        lose(home)
        recover_ledger(config_of(home), consent=WHO)
        with opened(home) as store:
            assert store.policy().floor == left
            store._ground.ledger.check()

    def test_what_the_audit_log_knows_to_be_older_is_left(self, home: Path, ids: list[str]) -> None:
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store.append(ids[0], [{"n": 11}])
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=3)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "rollback")]
        assert (len(done.taken), done.unproven, done.audit_files, done.audit_doubts) == (2, 2, 1, 0)
        with opened(home) as store:
            by_key = (store.load, lambda id: store.adopt_sealed(id, consent=WHO), lambda id: store.find("k0"))
            for refused in by_key:
                with pytest.raises(errors.RollbackError) as caught:
                    refused(ids[0])
                assert (caught.value.rev, caught.value.head_rev) == (2, 3)
            assert [(line.name, line.code) for line in store.list().unreadable] == [(ids[0], "rollback")]
            store._ground.ledger.check()
            with pytest.raises(errors.ConflictError):
                store.restore(ids[0], 3, consent=WHO)
            assert store.restore(ids[0], 2, consent=WHO).rev == 4
            session = store.load(ids[0])
            assert (session.rev, session.key, session.entries) == (4, "k0", ({"n": 0}, {"n": 9}))

    @pytest.mark.parametrize("event", ["restore", "rebase", "sealed_adopted"])
    def test_what_a_person_took_in_counts_as_known_too(self, home: Path, ids: list[str], event: str) -> None:
        older = file(home, ids[0]).read_bytes()
        known = {"key_id": "0" * 16, "entries": 1} if event == "sealed_adopted" else {"known_rev": 1}
        with opened(home) as store:
            store.append(ids[0], [{"n": 11}])
            store._ground.audit.record(event, session_id=ids[0], file_rev=3, consent=WHO, **known)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "rollback")]

    def test_the_newest_file_put_back_is_the_session_again(self, home: Path, ids: list[str]) -> None:
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store.append(ids[0], [{"n": 11}])
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=2)
            store.append(ids[0], [{"n": 12}])
        newest = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=3)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        recover_ledger(config_of(home), consent=WHO)
        file(home, ids[0]).write_bytes(newest)
        with opened(home) as store:
            assert store.load(ids[0]).rev == 4
            assert store.append(ids[0], [{"n": 13}]) == 5

    def test_nor_is_one_that_was_rewritten_since_kept_out(self, home: Path, ids: list[str]) -> None:
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=3)
            store.append(ids[0], [{"n": 11}])
            store.rewind(ids[0], 2)
        newest = file(home, ids[0]).read_bytes()
        file(home, ids[0]).write_bytes(older)
        lose(home)
        assert [broken.code for broken in recover_ledger(config_of(home), consent=WHO).left] == ["rollback"]
        file(home, ids[0]).write_bytes(newest)
        with opened(home) as store:
            assert (store.load(ids[0]).rev, store.load(ids[0]).entries) == (4, ({"n": 0}, {"n": 9}))
            assert store.append(ids[0], [{"n": 12}]) == 5

    def test_a_restore_of_one_that_was_left_survives_a_ledger_that_refuses(
        self, home: Path, ids: list[str], ledger_locked: Any
    ) -> None:
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store.append(ids[0], [{"n": 11}])
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=3)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        recover_ledger(config_of(home), consent=WHO)
        with open_store(config=config_of(home, lock_timeout_s=0.05)) as store:
            commit = store._ground.ledger.commit

            def refuse(*args: Any, **named: Any) -> None:
                with ledger_locked():
                    commit(*args, **named)

            store._ground.ledger.commit = refuse  # type: ignore[method-assign]
            with pytest.raises(errors.StoreUnavailableError):
                store.restore(ids[0], 2, consent=WHO)
        with opened(home) as store:
            assert (store.load(ids[0]).rev, store.load(ids[0]).entries) == (4, ({"n": 0}, {"n": 9}))

    def test_one_the_audit_log_knows_and_that_has_no_file_is_named(self, home: Path, ids: list[str]) -> None:
        with opened(home) as store:
            for id, rev in ((ids[0], 2), (ids[1], 1)):
                store._ground.audit.record("resume_committed", session_id=id, rev=rev)
            store._ground.audit.record("eviction", session_id=ids[1], rev=1, limit=3)
            store.delete(ids[1])
        file(home, ids[0]).unlink()
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "missing")]
        assert "revision 2" in done.left[0].text
        assert [line.id for line in done.taken] == [ids[2]]

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


def audit_file(home: Path, number: int) -> Path:
    return home / "state" / "audit" / f"{number:06d}.jsonl"


class TestAfterARotation:
    @pytest.fixture
    def rotated(self, home: Path, ids: list[str]) -> dict[str, bytes]:
        """A store whose keys were changed twice, with a line about a session under each; its old audit files."""
        with opened(home) as store:
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=2)
            store.rotate_keys()
            store._ground.audit.record("resume_committed", session_id=ids[1], rev=2)
            store.rotate_keys()
            store._ground.audit.record("resume_committed", session_id=ids[2], rev=3)
            assert store.verify_audit().ok
        return {path.name: path.read_bytes() for path in (home / "state" / "audit").glob("*.jsonl")}

    def test_the_whole_audit_log_is_kept_and_goes_on_behind_it(
        self, home: Path, ids: list[str], rotated: dict[str, bytes]
    ) -> None:
        with opened(home, read_only=True) as store:
            before = list(store.audit())
        lose(home)
        planned = recover_ledger(config_of(home), consent=WHO, dry_run=True)
        done = recover_ledger(config_of(home), consent=WHO)
        assert done == planned
        assert ({line.id for line in done.taken}, done.left, done.unproven) == (set(ids), (), 2)
        assert (done.audit_files, done.audit_doubts) == (3, 0)
        for name, data in rotated.items():
            assert (home / "state" / "audit" / name).read_bytes() == data
        with opened(home) as store:
            after = list(store.audit())
            assert after[:-1] == before
            assert (after[-1].event, after[-1].file, after[-1].seq) == ("ledger_rebuilt", 4, len(before) + 1)
            report = store.verify_audit()
            assert (report.ok, report.files, report.lines, report.notes) == (True, 4, len(after), ())
            for key in store.list_keys()[:-1]:
                assert not store.retire_key(key.id, destroy=True).any
            assert (store.verify_audit().ok, store.verify_audit().lines) == (True, len(after) + 2)
            assert list(store.audit())[:-2] == after

    def test_a_session_set_back_behind_what_an_old_key_wrote_down_is_refused(
        self, home: Path, ids: list[str], rotated: dict[str, bytes]
    ) -> None:
        with opened(home) as store:
            older = file(home, ids[2]).read_bytes()
            assert store.append(ids[2], [{"n": "newer"}]) == 4
            store._ground.audit.record("resume_committed", session_id=ids[2], rev=4)
            store.rotate_keys()
            newer = file(home, ids[2]).read_bytes()
            ring = store._ground.keyring
        assert ring.primary.id.encode() in newer and ring.primary.id.encode() not in older
        lose(home)
        file(home, ids[2]).write_bytes(older)
        done = recover_ledger(config_of(home), consent=WHO)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[2], "unanchored")]
        with opened(home) as store:
            with pytest.raises(errors.RollbackError) as caught:
                store.adopt_sealed(ids[2], consent=WHO)
            assert (caught.value.rev, caught.value.head_rev) == (3, 4)
            assert [key.needs.strays for key in store.list_keys()] == [0, 0, 1, 0]

    def test_lines_of_a_key_that_is_gone_are_said_to_be_unchecked(
        self, home: Path, ids: list[str], rotated: dict[str, bytes]
    ) -> None:
        with opened(home) as store:
            old = store.list_keys()[0].id
            store.retire_key(old, destroy=True)
            before = [record for record in store.audit() if record.file > 1]
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert (done.audit_files, done.audit_doubts) == (3, 1)
        assert audit_file(home, 1).read_bytes() == rotated["000001.jsonl"]
        with opened(home) as store:
            assert list(store.audit())[:-1] == before
            report = store.verify_audit()
            assert report.ok
            (note,) = report.notes
            assert note.startswith("000001.jsonl: ") and "none of its lines" in note
            audit_file(home, 1).write_bytes(rotated["000001.jsonl"].replace(b"2026", b"2027"))
            assert [(found.file, found.kind) for found in store.verify_audit().findings] == [
                ("000001.jsonl", "changed")
            ]

    @pytest.mark.parametrize("destroy", [False, True])
    def test_sessions_that_begin_under_a_key_that_was_given_up_are_recorded_anew(
        self, home: Path, ids: list[str], rotated: dict[str, bytes], destroy: bool
    ) -> None:
        with opened(home) as store:
            for key in store.list_keys()[:-1]:
                store.retire_key(key.id, destroy=destroy)
            before = {line.id: line for line in store.list().sessions}
        with file(home, ids[1]).open("ab") as stream:
            stream.write(b'{"entry":{"half')
        changed = file(home, ids[2])
        changed.write_bytes(changed.read_bytes().replace(b'{"n":2}', b'{"n":7}'))
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            assert store.append(ids[0], [{"n": "newer"}]) == 5
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=5)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO)
        assert [line.id for line in done.taken] == [ids[1]]
        assert {broken.name: broken.code for broken in done.left} == {ids[0]: "rollback", ids[2]: "key_disabled"}
        with opened(home) as store:
            assert store.load(ids[1]).rev == before[ids[1]].rev
            assert [line.id for line in [store.find("k1")] if line] == [ids[1]]
            assert store.restore(ids[0], 4, consent=WHO).rev == 6
            assert store.load(ids[0]).entries == ({"n": 0}, {"n": 9})

    def test_a_session_that_was_set_back_keeps_its_key_in_use(self, home: Path, ids: list[str]) -> None:
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store.append(ids[0], [{"n": 11}])
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=3)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        recover_ledger(config_of(home), consent=WHO)
        with opened(home) as store:
            old = store.list_keys()[0].id
            store.rotate_keys()
            with pytest.raises(errors.KeyInUseError, match="1 sealed file without a record"):
                store.retire_key(old)


class TestOldLedger:
    @pytest.fixture
    def moved(self, home: Path, ids: list[str]) -> Path:
        """A ledger that knows of three sessions, one of them deleted; moved away."""
        with opened(home) as store:
            store.append(ids[0], [{"n": 11}])
            store.delete(ids[2])
        elsewhere = home.with_name("broken")
        elsewhere.mkdir()
        (home / "state" / "ledger.db").rename(elsewhere / "ledger.db")
        lose(home)
        return elsewhere / "ledger.db"

    def test_its_good_rows_count(self, home: Path, ids: list[str], moved: Path) -> None:
        before = moved.read_bytes()
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert [(line.id, line.rev) for line in done.taken] == sorted([(ids[0], 3), (ids[1], 1)])
        assert (done.left, done.unproven) == ((), 0)
        assert (moved.read_bytes(), [path.name for path in moved.parent.iterdir()]) == (before, ["ledger.db"])
        with opened(home) as store:
            assert all(result.ok for result in store.verify())
            assert [line.id for line in [store.find("k1")] if line] == [ids[1]]
            store._ground.ledger.check()

    def test_a_file_set_back_behind_it_stays_refused(self, home: Path, ids: list[str], moved: Path) -> None:
        data = file(home, ids[0]).read_bytes()
        seal = data.rindex(b'{"seal":', 0, data.rindex(b'{"entry"'))
        file(home, ids[0]).write_bytes(data[: data.index(b"\n", seal) + 1])
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "rollback")]
        with opened(home) as store, pytest.raises(errors.RollbackError):
            store.load(ids[0])

    def test_a_deleted_session_does_not_come_back(self, home: Path, ids: list[str], moved: Path) -> None:
        with open_store(home.with_name("again"), environ={}) as other:
            kept = other.create().id
        shutil.copy(home.with_name("again") / "data" / "sessions" / f"{kept}.jsonl", file(home, ids[2]))
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[2], "resurrected")]

    def test_a_session_whose_file_is_gone_is_missing(self, home: Path, ids: list[str], moved: Path) -> None:
        file(home, ids[0]).unlink()
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "missing")]
        with opened(home) as store, pytest.raises(errors.MissingError):
            store.load(ids[0])

    def test_damage_in_the_middle_of_a_file_is_found(self, home: Path, ids: list[str], moved: Path) -> None:
        file(home, ids[0]).write_bytes(file(home, ids[0]).read_bytes().replace(b'{"n":9}', b'{"n":7}'))
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "invalid_signature")]

    def test_where_the_audit_log_knows_more_it_counts(self, home: Path, ids: list[str], moved: Path) -> None:
        # The ledger that was moved away is an older copy itself.
        recover_ledger(config_of(home), consent=WHO)
        older = file(home, ids[0]).read_bytes()
        with opened(home) as store:
            store.append(ids[0], [{"n": 12}])
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=4)
        file(home, ids[0]).write_bytes(older)
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "rollback")]
        with opened(home) as store:
            assert store.restore(ids[0], 3, consent=WHO).rev == 5

    def test_where_the_audit_log_knows_less_the_row_counts(self, home: Path, ids: list[str], moved: Path) -> None:
        data = file(home, ids[0]).read_bytes()
        recover_ledger(config_of(home), consent=WHO, old=moved)
        with opened(home) as store:
            store._ground.audit.record("resume_committed", session_id=ids[0], rev=1)
        lose(home)
        seal = data.rindex(b'{"seal":', 0, data.rindex(b'{"entry"'))
        file(home, ids[0]).write_bytes(data[: data.index(b"\n", seal) + 1])
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert [(broken.name, broken.code) for broken in done.left] == [(ids[0], "rollback")]

    def test_whatever_the_audit_log_knows_a_deleted_session_stays_deleted(
        self, home: Path, ids: list[str], moved: Path
    ) -> None:
        recover_ledger(config_of(home), consent=WHO, old=moved)
        with opened(home) as store:
            store._ground.audit.record("resume_committed", session_id=ids[2], rev=9)
        lose(home)
        assert recover_ledger(config_of(home), consent=WHO, old=moved).left == ()
        with opened(home) as store, pytest.raises(errors.SessionNotFoundError):
            store.load(ids[2])

    def test_rows_that_were_changed_do_not_count(self, home: Path, ids: list[str], moved: Path) -> None:
        with closing(sqlite3.connect(moved)) as connection, connection:
            connection.execute("UPDATE heads SET mac = x'00' WHERE session_id = ?", (ids[0],))
            connection.execute("UPDATE heads SET session_id = ? WHERE session_id = ?", (UNSIGNED, ids[1]))
            connection.execute("UPDATE heads SET key_id = 7 WHERE session_id = ?", (ids[2],))
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert ({line.id for line in done.taken}, done.left, done.unproven) == ({ids[0], ids[1]}, (), 2)

    def test_what_is_left_of_a_torn_one_counts(self, home: Path, ids: list[str], moved: Path) -> None:
        with opened_after(home, moved) as store:
            many = [store.create(entries=[{"n": n}]).id for n in range(120)]
        (home / "state" / "ledger.db").rename(moved)
        lose(home)
        data = bytearray(moved.read_bytes())
        pages = [at for at in range(4096, len(data), 4096) if data[at : at + 4096].count(b"ss2.") > 3]
        data[pages[len(pages) // 2] : pages[len(pages) // 2] + 16] = bytes(16)
        moved.write_bytes(data)
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert ({line.id for line in done.taken}, done.left) == ({*many, ids[0], ids[1]}, ())
        assert 0 < done.unproven < 60

    def test_what_stands_in_its_log_counts_too(self, home: Path, ids: list[str], moved: Path) -> None:
        shutil.copy2(moved, home / "state" / "ledger.db")
        with opened(home) as store:
            new = store.create().id
            for beside in ("", "-wal"):
                shutil.copy2(home / "state" / f"ledger.db{beside}", moved.with_name(f"ledger.db{beside}"))
        lose(home)
        done = recover_ledger(config_of(home), consent=WHO, old=moved)
        assert ({line.id for line in done.taken}, done.unproven) == ({ids[0], ids[1], new}, 0)

    def test_one_of_a_newer_release_is_refused(self, home: Path, ids: list[str], moved: Path) -> None:
        with closing(sqlite3.connect(moved)) as ledger, ledger:
            ledger.execute("PRAGMA user_version = 99")
        with pytest.raises(errors.LedgerCorruptError):
            recover_ledger(config_of(home), consent=WHO, old=moved)
        assert not (home / "state" / "ledger.db").exists()

    def test_one_that_is_nothing_is_refused(self, home: Path, ids: list[str], moved: Path) -> None:
        moved.write_bytes(b"not a ledger")
        with pytest.raises(errors.LedgerCorruptError, match="nothing in it can be read"):
            recover_ledger(config_of(home), consent=WHO, old=moved)
        with pytest.raises(errors.StoreUnavailableError, match="No such file"):
            recover_ledger(config_of(home), consent=WHO, old=moved.with_name("none"))
        assert not list((home / "state").glob("ledger.db*"))


def opened_after(home: Path, moved: Path) -> SessionStore:
    shutil.copy2(moved, home / "state" / "ledger.db")
    return opened(home)


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
