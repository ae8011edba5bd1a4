"""Another key for a whole store: beside others who work in it, killed and gone on with, and what keeps a key in use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.model import KeyNeeds
from sessionstore.signing import added, replaced, waiting_key

MADE_AT = "2026-01-31T12:00:00.000000Z"

Open = Callable[..., SessionStore]


def sessions(store: SessionStore, count: int = 3) -> list[str]:
    made = [store.create(name=f"session {number}").id for number in range(count)]
    for id in made:
        store.append(id, [{"of": id}])
    return made


def primary(store: SessionStore) -> str:
    return store.list_keys()[-1].id


def ends_under(store: SessionStore, id: str) -> str:
    head = store._ground.ledger.head(id)
    assert head is not None
    return head.tag[4:20]


def states(store: SessionStore) -> list[tuple[str, str]]:
    return [(key.status, key.rows) for key in store.list_keys()]


class TestRotate:
    def test_every_session_and_row_comes_under_a_new_key(self, store: SessionStore) -> None:
        made = sessions(store)
        store.delete(made[0])
        old = primary(store)
        before = [store.load(id) for id in made[1:]]
        report = store.rotate_keys()
        assert (report.added, report.sessions, report.left, report.finished) == (True, 2, (), True)
        assert report.primary == primary(store) != old
        assert states(store) == [("verify_only", "closed"), ("primary", "counted")]
        assert [key.needs.any for key in store.list_keys()] == [False, True]
        after = [store.load(id) for id in made[1:]]
        assert [(one.entries, one.updated_at) for one in after] == [(one.entries, one.updated_at) for one in before]
        assert [one.rev for one in after] == [one.rev + 1 for one in before]
        assert {result.code for result in store.verify()} == {"ok"}
        assert store.verify_audit().ok
        store._ground.ledger.check()

    def test_it_is_told_step_by_step(self, store: SessionStore) -> None:
        sessions(store)
        told: list[tuple[str, int, int]] = []
        store.rotate_keys(progress=lambda *step: told.append(step))
        assert [step for step in told if step[0] == "sessions"] == [("sessions", done, 3) for done in (1, 2, 3)]
        assert [step for step in told if step[0] == "settling"] == [("settling", done, 3) for done in (1, 2, 3)]

    def test_it_stands_in_the_audit_log_under_both_keys(self, store: SessionStore) -> None:
        old = primary(store)
        store.rotate_keys()
        new = primary(store)
        events = [(event.event, event.fields.get("key_id"), event.file) for event in store.audit()]
        assert events == [("key_added", new, 1), ("key_promoted", new, 2)]
        assert store.list_keys()[0].needs.audit == 0
        store.retire_key(old, destroy=True)
        assert [event.event for event in store.audit()] == ["key_added", "key_promoted", "key_retired"]
        assert store.verify_audit().ok

    def test_without_an_audit_log_there_is_no_rotation(self, home: Path) -> None:
        with open_store(config=Config(data_dir=home / "data", state_dir=home / "state")) as store:
            sessions(store)
            (home / "state" / "audit").write_text("in the way")
            with pytest.raises(errors.StoreUnavailableError):
                store.rotate_keys()
            assert [(key.status, key.rows) for key in store._ground.keyring.keys] == [("primary", "counted")]

    def test_again_and_again(self, store: SessionStore) -> None:
        made = sessions(store)
        for _ in range(3):
            store.rotate_keys()
        assert [status for status, _ in states(store)] == ["verify_only"] * 3 + ["primary"]
        assert len({key.id for key in store.list_keys()}) == 4
        for key in store.list_keys()[:-1]:
            store.retire_key(key.id, destroy=True)
        assert [store.load(id).entries for id in made] == [({"of": id},) for id in made]
        assert list(store.entries(made[0])) == [{"of": made[0]}]

    def test_finish_makes_no_key(self, store: SessionStore) -> None:
        sessions(store)
        report = store.rotate_keys(finish=True)
        assert (report.added, report.sessions, report.rows, report.finished) == (False, 0, 0, True)
        assert len(store.list_keys()) == 1

    def test_a_read_only_store_keeps_its_keys(self, home: Path) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as store:
            sessions(store)
        with open_store(config=config, read_only=True) as store:
            assert store.list_keys()[0].needs.sessions == 3
            with pytest.raises(errors.StoreUnavailableError):
                store.rotate_keys()
            with pytest.raises(errors.KeyDisabledError):
                store.retire_key(primary(store))

    def test_a_session_at_its_cap_is_written_anew(self, make_store: Open) -> None:
        store = make_store(max_session_bytes=65_536, max_entry_bytes=65_536)
        id = store.create().id
        store.append(id, [{"n": "x" * 58_000}])
        while True:
            try:
                store.append(id, [{"n": 1}], idempotency_key=os.urandom(4).hex())
            except errors.TooLargeError:
                break
        before = store.load(id)
        assert before.size_bytes + 500 > 65_536
        head = store._ground.ledger.head(id)
        assert head is not None
        report = store.rotate_keys()
        assert (report.sessions, report.left) == (1, ())
        after = store.load(id)
        assert after.size_bytes < before.size_bytes
        # Nothing was saved: the session keeps its place in lists, its age for `cleanup`, and the key of its last save.
        assert (after.entries, after.updated_at, after.name) == (before.entries, before.updated_at, before.name)
        now = store._ground.ledger.head(id)
        assert now is not None and now.last_key == head.last_key is not None
        assert store.summary(id).updated_at == before.updated_at

    def test_another_place_name_and_host_change_nothing(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with open_store(config=Config(data_dir=home / "data", state_dir=home / "state")) as store:
            id, key = sessions(store, 1)[0], primary(store)
        monkeypatch.setenv("HOSTNAME", "another-host")
        monkeypatch.setattr("socket.gethostname", lambda: "another-host")
        monkeypatch.setattr(os, "uname", lambda: pytest.fail("nobody has to ask for the name of the host"))
        with open_store(config=Config(data_dir=home / "data", state_dir=home / "state")) as store:
            assert primary(store) == key
            assert store.load(id).entries == ({"of": id},)


class TestBesideOthers:
    @pytest.fixture
    def both(self, home: Path) -> Any:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.1)
        with open_store(config=config) as ours, open_store(config=config) as theirs:
            yield ours, theirs

    def test_a_store_that_was_open_saves_under_the_new_key(self, both: tuple[SessionStore, SessionStore]) -> None:
        ours, theirs = both
        first, second = sessions(theirs, 2)
        ours.rotate_keys()
        assert theirs.load(first).rev == 3
        assert theirs.append(first, [{"n": 1}]) == 4
        made = theirs.create().id
        new = primary(ours)
        assert {ends_under(ours, id) for id in (first, second, made)} == {new}
        assert primary(theirs) == new

    def test_a_save_that_was_under_way_is_sealed_by_both(
        self, both: tuple[SessionStore, SessionStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Sealed under the old key; keys are changed before the head is moved.
        ours, theirs = both
        id = sessions(theirs, 1)[0]
        old = primary(ours)
        commit = theirs._ground.ledger.commit
        reports = []

        def rotate_first(*args: Any, **named: Any) -> None:
            monkeypatch.undo()
            reports.append(ours.rotate_keys())
            commit(*args, **named)

        monkeypatch.setattr(theirs._ground.ledger, "commit", rotate_first)
        assert theirs.append(id, [{"n": 1}], idempotency_key="turn") == 4
        assert [left.name for left in reports[0].left] == [id]
        assert ends_under(ours, id) == primary(ours) != old
        assert ours.load(id).entries == ({"of": id}, {"n": 1})
        assert theirs.append(id, [{"n": 1}], idempotency_key="turn") == 4
        assert ours.rotate_keys(finish=True).left == ()

    @pytest.mark.parametrize("change", ["create", "rewind"])
    def test_a_whole_file_that_was_under_way_too(
        self, both: tuple[SessionStore, SessionStore], monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        ours, theirs = both
        id = sessions(theirs, 1)[0]
        commit = theirs._ground.ledger.commit

        def rotate_first(new: Any, **named: Any) -> None:
            if new.state == "live":
                monkeypatch.undo()
                ours.rotate_keys()
            commit(new, **named)

        monkeypatch.setattr(theirs._ground.ledger, "commit", rotate_first)
        if change == "create":
            id = theirs.create(entries=[{"of": 1}]).id
        else:
            theirs.rewind(id, 1)
        assert ends_under(ours, id) == primary(ours)
        assert len(ours.load(id).entries) == 1
        assert {result.code for result in ours.verify()} == {"ok"}

    def test_a_running_session_is_left_and_comes_under_the_key_with_its_next_save(
        self, both: tuple[SessionStore, SessionStore]
    ) -> None:
        ours, theirs = both
        first, _ = sessions(ours, 2)
        old = primary(ours)
        with theirs._ground.backend.run(first, _holder()):
            report = ours.rotate_keys()
            assert (report.sessions, report.finished) == (1, True)
            assert [(left.name, left.code) for left in report.left] == [(first, "already_running")]
            assert theirs.load(first).rev == 2
            with pytest.raises(errors.KeyInUseError, match="1 session"):
                ours.retire_key(old)
            assert theirs.append(first, [{"n": 1}]) == 3
        assert ends_under(ours, first) == primary(ours)
        assert not ours.retire_key(old).any

    def test_a_damaged_session_is_named_and_keeps_the_key_in_use(
        self, both: tuple[SessionStore, SessionStore], home: Path
    ) -> None:
        ours, _ = both
        id = sessions(ours, 1)[0]
        file = home / "data" / "sessions" / f"{id}.jsonl"
        good = file.read_bytes()
        file.write_bytes(good.replace(b'"of"', b'"if"'))
        report = ours.rotate_keys()
        assert [(left.name, left.code) for left in report.left] == [(id, "invalid_signature")]
        with pytest.raises(errors.KeyInUseError):
            ours.retire_key(ours.list_keys()[0].id, give_up=True)
        file.write_bytes(good)
        report = ours.rotate_keys(finish=True)
        assert (report.sessions, report.left) == (1, ())
        ours.retire_key(ours.list_keys()[0].id)

    def test_saves_that_were_acknowledged_and_not_recorded_are_taken_in_first(
        self, home: Path, ledger_locked: Any
    ) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.05)
        with open_store(config=config) as store:
            id = sessions(store, 1)[0]
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                store.append(id, [{"n": "ahead"}])
            store.rotate_keys()
            assert store.load(id).entries[-1] == {"n": "ahead"}
            assert list(store.entries(id))[-1] == {"n": "ahead"}

    def test_after_a_leak_they_are_set_aside(self, home: Path, ledger_locked: Any) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.05)
        with open_store(config=config) as store:
            id = sessions(store, 1)[0]
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                store.append(id, [{"n": "whose?"}])
            old = primary(store)
            assert store.rotate_keys(leaked=True).left == ()
            assert store.load(id).entries == ({"of": id},)
            assert store.list_keys()[0].needs == KeyNeeds(quarantine=1)
            with pytest.raises(errors.KeyInUseError, match="1 file in quarantine"):
                store.retire_key(old)
            assert store.retire_key(old, give_up=True) == KeyNeeds(quarantine=1)


def _holder() -> Any:
    from sessionstore.storage.protocol import Holder

    return Holder(1, "2026-01-31T12:00:00.000000Z")


class TestRetire:
    def test_the_primary_key_and_a_strange_one_are_refused(self, store: SessionStore) -> None:
        with pytest.raises(errors.KeyDisabledError):
            store.retire_key(primary(store))
        with pytest.raises(errors.UnknownKeyError):
            store.retire_key("0" * 16)

    def test_a_dry_run_tells_and_changes_nothing(self, store: SessionStore) -> None:
        sessions(store)
        store.rotate_keys()
        old = store.list_keys()[0].id
        assert store.retire_key(old, dry_run=True) == KeyNeeds()
        assert states(store)[0] == ("verify_only", "closed")

    def test_it_can_be_destroyed_later_and_once(self, store: SessionStore) -> None:
        store.rotate_keys()
        old = store.list_keys()[0].id
        store.retire_key(old)
        assert states(store)[0][0] == "disabled"
        store.retire_key(old, destroy=True)
        assert states(store)[0][0] == "destroyed"
        store.retire_key(old, destroy=True)
        store.retire_key(old)
        assert states(store)[0][0] == "destroyed"

    def test_what_came_to_need_it_since_it_was_counted_is_counted_too(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A key that waits is needed by nothing. Before it is retired, another rotation promotes it, signs everything
        # with it, and is overtaken by a third one that has not signed a row yet.
        ground, made = store._ground, sessions(store)
        ground.keys.change(lambda ring: added(ring, waiting_key(MADE_AT)), ground.ledger.generations.follow)
        waiting = primary(store)
        change = ground.keys.change

        def overtaken(*args: Any) -> bool:
            monkeypatch.undo()
            store.rotate_keys()
            change(lambda ring: replaced(ring, waiting_key(MADE_AT)), ground.ledger.generations.follow)
            return change(*args)

        monkeypatch.setattr(ground.keys, "change", overtaken)
        with pytest.raises(errors.KeyInUseError, match="3 sessions"):
            store.retire_key(waiting, destroy=True)
        assert store.rotate_keys(finish=True).left == ()
        store.retire_key(waiting, destroy=True)
        assert [store.load(id).entries for id in made] == [({"of": id},) for id in made]

    def test_a_destroyed_key_has_left_the_file(self, store: SessionStore, home: Path) -> None:
        ring = store._ground.keyring
        secret, old = ring.primary.secret.hex(), ring.primary.id
        store.rotate_keys()
        file = Path(store.config.state_dir) / "keyring"
        assert secret in file.read_text()
        store.retire_key(old, destroy=True)
        assert secret not in file.read_text()
        assert old in file.read_text()
        assert ring.find(old).secret == b""

    def test_a_leaked_key_can_be_retired_over_sessions(self, home: Path) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as store:
            first, second = sessions(store, 2)
            old = primary(store)
            with store._ground.backend.run(first, _holder()):
                store.rotate_keys(leaked=True)
            assert store.retire_key(old, leaked=True).sessions == 1
            with pytest.raises(errors.KeyDisabledError):
                store.load(first)
            assert store.load(second).rev == 3
            event = next(store.audit(events=["key_retired"]))
            assert event.fields == {"key_id": old, "status": "disabled", "sessions_lost": 1}

    def test_a_file_without_a_record_keeps_it_in_use(self, home: Path) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as store:
            id = sessions(store, 1)[0]
            file = home / "data" / "sessions" / f"{id}.jsonl"
            stray = file.with_name("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl")
            stray.write_bytes(file.read_bytes())
            file.with_name("notes.txt").write_text("no session")
            old = primary(store)
            store.rotate_keys()
            assert store.list_keys()[0].needs == KeyNeeds(strays=1)
            with pytest.raises(errors.KeyInUseError, match="1 sealed file without a record"):
                store.retire_key(old)
            stray.unlink()
            store.retire_key(old)

    def test_rows_keep_it_in_use_whatever_is_said(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as store:
            store.delete(sessions(store)[0])
            old = primary(store)
            with monkeypatch.context() as patched:
                patched.setattr(store._ground.ledger.renewal, "page", _stop)
                with pytest.raises(KeyboardInterrupt):
                    store.rotate_keys()
            with pytest.raises(errors.KeyInUseError, match="1 row of the ledger"):
                store.retire_key(old, leaked=True, give_up=True)
            assert not store.rotate_keys().added
            store.retire_key(old)

    def test_what_needs_a_key_is_said_in_words(self) -> None:
        needs = KeyNeeds(sessions=2, rows=1, audit=2, strays=2, quarantine=1)
        assert str(needs) == (
            "2 sessions, 1 row of the ledger, 2 files of the audit log, 2 sealed files without a record,"
            " 1 file in quarantine"
        )
        assert str(KeyNeeds(rows=2)) == "2 rows of the ledger"
        assert str(KeyNeeds()) == "nothing"


def _stop(*args: object) -> int:
    raise KeyboardInterrupt


_ROTATE = """
import os, signal, sys
from sessionstore import open_store
die_at, seen = int(sys.argv[2]), 0
def step(*args):
    global seen
    seen += 1
    if seen == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
from sessionstore.keystore import FileKeyStore, KeyChanges
from sessionstore.audit import AuditLog
from sessionstore.ledger.generation import Generations
from sessionstore.ledger.renewal import Renewal
from sessionstore.sessions import Writer
def around(cls, name):
    real = getattr(cls, name)
    def call(*args, **named):
        step()
        result = real(*args, **named)
        step()
        return result
    setattr(cls, name, call)
for cls, name in ((FileKeyStore, "replace"), (Generations, "follow"), (Renewal, "page"), (AuditLog, "renew"),
                  (AuditLog, "record"), (Writer, "reseal"), (Writer, "anchor")):
    around(cls, name)
with open_store(sys.argv[1], environ={}) as store:
    store.rotate_keys()
print(seen)
"""


class TestKilled:
    def test_wherever_it_is_killed_running_it_again_finishes_it(self, home: Path, child: Callable[..., str]) -> None:
        steps = _steps(home.with_name("counted"), child)
        assert steps > 20
        for die_at in range(1, steps + 1, 2):
            root = home.with_name(f"killed-{die_at}")
            with open_store(root, environ={}) as store:
                made = sessions(store)
                old = primary(store)
            done = subprocess.run([sys.executable, "-W", "error", "-c", _ROTATE, root, str(die_at)], timeout=60)
            assert done.returncode == -signal.SIGKILL
            with open_store(root, environ={}) as store:
                assert {result.code for result in store.verify()} == {"ok"}, die_at
                assert store.append(made[0], [{"between": 1}]) >= 3
                report = store.rotate_keys()
                assert (report.left, report.finished) == ((), True), die_at
                assert len(store.list_keys()) <= 3
                store._ground.ledger.check()
                for key in store.list_keys()[:-1]:
                    store.retire_key(key.id, destroy=True)
                assert old in {key.id for key in store.list_keys()[:-1]}
                assert [store.load(id).entries[0] for id in made] == [{"of": id} for id in made]
                assert store.verify_audit().ok


def _steps(root: Path, child: Callable[..., str]) -> int:
    with open_store(root, environ={}) as store:
        sessions(store)
    return int(child(_ROTATE, root, 0))


class TestVerifyKeys:
    def test_a_store_that_never_changed_its_key_is_well(self, store: SessionStore) -> None:
        sessions(store)
        report = store.verify_keys()
        assert (report.ok, report.findings, report.notes) == (True, (), ())
        assert [key.status for key in report.keys] == ["primary"]

    def test_it_says_what_is_left_to_do(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as store:
            first, _ = sessions(store, 2)
            old = primary(store)
            with monkeypatch.context() as patched:
                patched.setattr(store._ground.ledger.renewal, "page", _stop)
                with pytest.raises(KeyboardInterrupt):
                    store.rotate_keys()
            report = store.verify_keys()
            assert not report.ok
            assert "not finished" in report.findings[0]
            with store._ground.backend.run(first, _holder()):
                store.rotate_keys()
                store.rotate_keys()
            report = store.verify_keys()
            assert (report.ok, len(report.notes)) == (True, 2)
            assert "retire" in report.notes[0] and "1 session: " in report.notes[1]
            middle = store.list_keys()[1].id
            store.retire_key(middle, leaked=True)
            store.retire_key(old)
            report = store.verify_keys()
            assert report.findings == (f"key {middle} (disabled) cannot verify the 1 sessions that end under it",)
            assert report.notes == ()

    def test_a_row_that_was_changed_is_an_error(self, home: Path) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as store:
            sessions(store)
            store._ground.ledger._database.write("UPDATE heads SET mac = x'00'", (), durable=True)
            with pytest.raises(errors.LedgerCorruptError):
                store.verify_keys()


class TestGoneMeanwhile:
    def test_a_session_that_is_deleted_while_keys_are_changed(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as ours, open_store(config=config) as theirs:
            first, second = sessions(ours, 2)
            reseal = ours._writer.reseal

            def delete_first(id: str) -> bool:
                if theirs._ground.ledger.knows(first) and id == second:
                    theirs._lifecycle.delete(first)
                return reseal(id)

            monkeypatch.setattr(ours._writer, "reseal", delete_first)
            monkeypatch.setattr(
                "sessionstore.rotation.rotate.sealed_heads",
                lambda ground: [ground.ledger.head(second), ground.ledger.head(first)],
            )
            report = ours.rotate_keys()
            assert (report.sessions, report.left) == (1, ())

    def test_a_file_that_is_taken_away_between_two_seals(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with open_store(config=config) as ours, open_store(config=config) as theirs:
            commit = theirs._ground.ledger.commit

            def rotate_first(new: Any, **named: Any) -> None:
                if new.state == "live":
                    monkeypatch.undo()
                    ours.rotate_keys()
                    (home / "data" / "sessions" / f"{new.session_id}.jsonl").unlink()
                commit(new, **named)

            monkeypatch.setattr(theirs._ground.ledger, "commit", rotate_first)
            with pytest.raises(errors.MissingError):
                theirs.create()
