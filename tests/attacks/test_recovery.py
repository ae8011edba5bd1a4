"""Somebody who may write the data directory wants the means of recovery to take what they put there."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from sessionstore import errors, open_store
from sessionstore.config import load_config
from sessionstore.wiring import recover_ledger

WHO = "a person who was deceived"

# A row that is gone, and one that stands there for another session.
TAKEN_AWAY = (
    "DELETE FROM heads WHERE session_id = ?",
    "UPDATE heads SET session_id = '3f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d', state = 'deleted' WHERE session_id = ?",
)


@pytest.fixture
def states(victim: Any) -> list[bytes]:
    """Every state of the victim's file, a kept rewrite of it among them, the newest last."""
    store, found = victim.store, [victim.good]
    for number in range(3):
        store.append(victim.id, [{"n": number, "fill": "x" * 100}])
        found.append(victim.path.read_bytes())
    store.rewind(victim.id, 2)
    found.append(victim.path.read_bytes())
    store.append(victim.id, [{"n": 9}])
    victim.acknowledge()
    found.append(victim.good)
    return found


class TestLaundering:
    def test_no_older_file_is_taken_by_anything_that_names_no_revision(self, victim: Any, states: list[bytes]) -> None:
        for older in states[:-1]:
            victim.put(older)
            assert victim.store.repair(victim.id).action == "left"
            assert victim.store.repair(victim.id, keep_verified=True).fork is None
            assert victim.store.rebase_heads(consent=WHO).taken == ()
            assert victim.path.read_bytes() == older
            victim.refusal()

    def test_an_older_file_is_not_taken_under_the_revision_of_another(self, victim: Any, states: list[bytes]) -> None:
        revs = []
        for state in states:
            victim.put(state)
            try:
                revs.append(victim.store.restore(victim.id, None, consent=WHO, dry_run=True).before.file_rev)
            except errors.InvalidValueError:
                revs.append(victim.session.rev)
        assert len(set(revs)) == len(states)
        for (older, rev), named in itertools.product(zip(states[:-1], revs[:-1], strict=True), revs):
            if named != rev:
                victim.put(older)
                with pytest.raises(errors.ConflictError):
                    victim.store.restore(victim.id, named, consent=WHO)

    def test_what_was_refused_once_is_refused_after_a_restore_too(self, victim: Any, states: list[bytes]) -> None:
        victim.put(states[1])
        rev = victim.store.restore(victim.id, None, consent=WHO, dry_run=True).before.file_rev
        victim.store.restore(victim.id, rev, consent=WHO)
        for state in states:
            victim.put(state)
            victim.refusal()

    def test_a_broken_file_taken_away_makes_no_room_for_an_older_one(self, victim: Any, states: list[bytes]) -> None:
        victim.put(victim.good.replace(b'"n":9', b'"n":8'))
        assert victim.store.repair(victim.id).action == "quarantined"
        for older in states[:-1]:
            victim.put(older)
            victim.refusal()
        victim.put(victim.good)
        assert victim.store.load(victim.id).entries == victim.session.entries


class TestRowsTakenAway:
    @pytest.mark.parametrize("deleted", [False, True])
    @pytest.mark.parametrize("how", TAKEN_AWAY)
    def test_nothing_sealed_is_adopted_while_rows_are_gone_from_the_ledger(
        self, victim: Any, states: list[bytes], deleted: bool, how: str
    ) -> None:
        # Without its row a session looks as if it had never been here, and any state of it like a lost record.
        victim.store.create(name="beside")
        if deleted:
            victim.store.delete(victim.id)
        victim.store.close()
        with closing(sqlite3.connect(victim.root / "state" / "ledger.db")) as connection, connection:
            connection.execute(how, (victim.id,))
        for state in states:
            victim.put(state)
            with open_store(victim.root, environ={}) as store:
                for dry_run in (True, False):
                    with pytest.raises(errors.LedgerCorruptError, match="taken away"):
                        store.adopt_sealed(victim.id, consent=WHO, accept_rev=2, dry_run=dry_run)
            assert victim.path.read_bytes() == state


class TestKeptParts:
    def test_only_what_a_good_seal_commits_is_taken_out(self, victim: Any, states: list[bytes]) -> None:
        store, at = victim.store, victim.good.index(b'"n":9')
        planted = b'{"entry":{"planted":1}}\n'
        for data in (
            victim.good[:at] + b'"n":8' + victim.good[at + 5 :],
            victim.good[: victim.good.rindex(b'{"entry"')] + planted + victim.good[victim.good.rindex(b'{"entry"') :],
        ):
            victim.put(data)
            made = store.repair(victim.id, keep_verified=True)
            assert made.rev < made.head_rev
            entries = store.load(made.fork).entries
            assert entries == victim.session.entries[: len(entries)]

    def test_a_deleted_sessions_file_gives_nothing_back(self, victim: Any) -> None:
        victim.store.delete(victim.id)
        victim.put(victim.good)
        broken = victim.good[:-3]
        for data in (victim.good, broken):
            victim.put(data)
            assert victim.store.repair(victim.id, keep_verified=True).fork is None
        assert victim.store.list().sessions == ()

    def test_a_link_in_the_files_place_is_neither_followed_nor_moved(self, victim: Any, tmp_path: Any) -> None:
        outside = tmp_path / "outside"
        outside.write_bytes(b"not ours")
        victim.path.unlink()
        victim.path.symlink_to(outside)
        assert victim.store.repair(victim.id).code == "unsafe_file"
        assert victim.path.is_symlink() and outside.read_bytes() == b"not ours"
        assert not list((victim.root / "data").glob("quarantine/*.broken*"))


class TestAdoption:
    def test_what_the_store_knows_is_not_adopted_whatever_stands_there(self, victim: Any, states: list[bytes]) -> None:
        for state in states[:-1]:
            victim.put(state)
            with pytest.raises(errors.VerificationError):
                victim.store.adopt_sealed(victim.id, consent=WHO)
        victim.store.delete(victim.id)
        victim.put(victim.good)
        with pytest.raises(errors.ResurrectedError):
            victim.store.adopt_sealed(victim.id, consent=WHO)

    def test_a_file_under_another_id_is_not_adopted(self, victim: Any) -> None:
        other = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        for data in (victim.good, victim.good.replace(victim.id.encode(), other.encode())):
            victim.file(other).write_bytes(data)
            with pytest.raises(errors.VerificationError):
                victim.store.adopt_sealed(other, consent=WHO)
        assert [line.id for line in victim.store.list().sessions] == [victim.id]

    def test_a_forged_file_is_marked_for_ever_and_opens_no_directory(self, victim: Any, tmp_path: Any) -> None:
        (tmp_path / "target").mkdir()
        with open_store(tmp_path / "forger", environ={}) as forger:
            id = forger.create(project=tmp_path / "target").id
            forged = (tmp_path / "forger/data/sessions" / f"{id}.jsonl").read_bytes()
        victim.file(id).write_bytes(forged)
        with pytest.raises(errors.UnknownKeyError):
            victim.store.load(id)
        victim.store.adopt_sealed(id, consent=WHO)
        victim.store.append(id, [{"n": 1}])
        victim.store.rewind(id, 0)
        assert victim.store.load(id).provenance == victim.store.fork(id).provenance == "adopted"
        with pytest.raises(errors.ProjectPathError), victim.store.resume(id):
            pass


class TestLostLedger:
    def test_taking_the_ledger_away_makes_nothing_older_pass_in_silence(
        self, victim: Any, states: list[bytes], root: Any
    ) -> None:
        store = victim.store
        store._ground.audit.record("resume_committed", session_id=victim.id, rev=victim.session.rev)
        store.close()
        for found in (root / "state").glob("ledger.db*"):
            found.unlink()
        config = load_config(root=root, environ={}).config
        victim.put(states[1])
        with pytest.raises(errors.LedgerMissingError):
            open_store(root, environ={})
        done = recover_ledger(config, consent=WHO)
        assert [(broken.name, broken.code) for broken in done.left] == [(victim.id, "rollback")]
        with open_store(root, environ={}) as again:
            for refused in (lambda: again.load(victim.id), lambda: again.adopt_sealed(victim.id, consent=WHO)):
                with pytest.raises(errors.RollbackError) as caught:
                    refused()
                assert caught.value.head_rev == victim.session.rev

    def test_nor_after_a_change_of_keys_that_left_what_is_known_to_an_older_file_of_the_log(
        self, victim: Any, root: Any
    ) -> None:
        store = victim.store
        older = victim.path.read_bytes()
        for number in range(2):
            store.append(victim.id, [{"n": number}])
            store._ground.audit.record("resume_committed", session_id=victim.id, rev=store.load(victim.id).rev)
        known = store.load(victim.id).rev
        store.rotate_keys()
        log = list(store.audit())
        store.close()
        for found in (root / "state").glob("ledger.db*"):
            found.unlink()
        victim.put(older)
        done = recover_ledger(load_config(root=root, environ={}).config, consent=WHO)
        assert [(broken.name, broken.code) for broken in done.left] == [(victim.id, "unanchored")]
        with open_store(root, environ={}) as again:
            assert list(again.audit())[: len(log)] == log and again.verify_audit().ok
            with pytest.raises(errors.UnanchoredError):
                again.load(victim.id)
            with pytest.raises(errors.RollbackError) as caught:
                again.adopt_sealed(victim.id, consent=WHO)
            assert (caught.value.rev, caught.value.head_rev) == (victim.session.rev, known)

    def test_where_nothing_knows_more_the_question_says_so(self, victim: Any, states: list[bytes], root: Any) -> None:
        victim.store.close()
        for found in [*(root / "state").glob("ledger.db*"), *(root / "state" / "audit").glob("*.jsonl")]:
            found.unlink()
        victim.put(states[1])
        config = load_config(root=root, environ={}).config
        assert recover_ledger(config, consent=WHO, dry_run=True).unproven == 1

    def test_unsigned_files_planted_meanwhile_are_not_listed_as_genuine(self, victim: Any, root: Any) -> None:
        victim.store.close()
        planted = "7a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
        (root / "data" / "sessions" / f"{planted}.json").write_text('{"version": 1}')
        for found in (root / "state").glob("ledger.db*"):
            found.unlink()
        recover_ledger(load_config(root=root, environ={}).config, consent=WHO)
        with open_store(root, environ={}) as again:
            with pytest.raises(errors.UnsignedUnknownError):
                again.load(planted)
            assert again.load(victim.id).entries == victim.session.entries
