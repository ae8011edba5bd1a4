"""After a restored backup: nothing older is taken unless its revision is named; the ledger follows its files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from sessionstore import SessionStore, errors, open_store
from sessionstore.signing import Keyring
from sessionstore.signing.keyring import Key
from sessionstore.storage import Holder

WHO = "the test"


@pytest.fixture
def face() -> Iterator[Callable[..., SessionStore]]:
    """Makes a second face of an open store, with some parts of its ground exchanged."""
    made: list[SessionStore] = []

    def make(store: SessionStore, **parts: Any) -> SessionStore:
        made.append(SessionStore(replace(store._ground, close=lambda: None, **parts)))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def older(place: Any) -> str:
    """A session at revision 6 whose file is that of revision 4."""
    id = place.session(key="k", tags=["t"])
    before = place.read(id)
    for number in (3, 4):
        place.store.append(id, [{"n": number}])
    place.put(id, before)
    return str(id)


class TestRestore:
    def test_both_revisions_and_times_and_the_command_are_told(self, place: Any, older: str) -> None:
        seen = place.store.restore(older, 4, consent=WHO, dry_run=True)
        stands = seen.before
        assert (stands.direction, stands.file_rev, stands.known_rev, stands.known_by) == ("file_older", 4, 6, "ledger")
        assert stands.file_at < stands.known_at
        assert stands.command == f"sessionstore restore {older} --accept-rev 4"
        assert (seen.rev, seen.done) == (7, False)
        with pytest.raises(errors.RollbackError):
            place.store.load(older)

    def test_it_is_taken_above_everything_known(self, place: Any, older: str) -> None:
        done = place.store.restore(older, 4, consent=WHO)
        assert (done.rev, done.done) == (7, True)
        session = place.store.load(older)
        assert (session.rev, session.key, session.tags) == (7, "k", ("t",))
        assert place.numbers(older) == [0, 1, 2]
        assert place.store.append(older, [{"n": 5}]) == 8
        assert place.events("restore") == [{"file_rev": 4, "known_rev": 6, "consent": WHO}]

    def test_the_lost_states_are_refused_from_then_on(self, place: Any) -> None:
        id = place.session()
        files = [place.read(id)]
        for number in (3, 4):
            place.store.append(id, [{"n": number}])
            files.append(place.read(id))
        place.put(id, files[0])
        place.store.restore(id, 4, consent=WHO)
        for data in files:
            place.put(id, data)
            with pytest.raises(errors.RollbackError):
                place.store.load(id)

    @pytest.mark.parametrize("rev", [1, 3, 5, 6, 7])
    def test_another_revision_than_the_files_is_refused(self, place: Any, older: str, rev: int) -> None:
        before = place.read(older)
        with pytest.raises(errors.ConflictError) as caught:
            place.store.restore(older, rev, consent=WHO)
        assert (caught.value.fields["expected"], caught.value.fields["found"]) == (rev, 4)
        assert (place.read(older), place.events("restore")) == (before, [])

    def test_a_file_exchanged_after_the_question_is_not_taken(self, place: Any) -> None:
        id = place.session(saves=1)
        oldest = place.read(id)
        place.store.append(id, [{"n": 1}])
        older = place.read(id)
        place.store.append(id, [{"n": 2}])
        place.put(id, older)
        named = place.store.restore(id, 3, consent=WHO, dry_run=True).before.file_rev
        place.put(id, oldest)
        with pytest.raises(errors.ConflictError):
            place.store.restore(id, named, consent=WHO)

    def test_without_a_revision_it_only_says_what_there_is(self, place: Any, older: str) -> None:
        assert place.store.restore(older, None, consent=WHO, dry_run=True).before.file_rev == 4
        with pytest.raises(errors.InvalidValueError, match="has to be named"):
            place.store.restore(older, None, consent=WHO)

    def test_a_second_time_there_is_nothing_to_restore(self, place: Any, older: str) -> None:
        place.store.restore(older, 4, consent=WHO)
        with pytest.raises(errors.InvalidValueError, match="nothing to restore"):
            place.store.restore(older, 4, consent=WHO)
        assert place.store.load(older).rev == 7

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_damaged_one_at_the_known_revision_is_said_to_be_damaged(self, place: Any, dry_run: bool) -> None:
        id = place.session()
        broken = place.damaged(id)
        with pytest.raises(errors.InvalidSignatureError) as caught:
            place.store.restore(id, 4, consent=WHO, dry_run=dry_run)
        assert "--keep-verified" in caught.value.hint and "backup" in caught.value.hint
        assert place.read(id) == broken

    def test_an_unsigned_file_has_nothing_to_restore(self, place: Any, unsigned: Any) -> None:
        id = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        place.file(id).with_suffix(".json").write_bytes(unsigned(id))
        place.store.adopt(id, consent=WHO)
        for dry_run in (False, True):
            with pytest.raises(errors.InvalidValueError, match="unsigned file"):
                place.store.restore(id, 1, consent=WHO, dry_run=dry_run)
        place.file(id).with_suffix(".json").write_bytes(unsigned(id, name="another"))
        with pytest.raises(errors.LegacyModifiedError):
            place.store.restore(id, 1, consent=WHO)

    def test_the_other_of_two_histories_is_taken_by_its_revision(self, place: Any) -> None:
        id = place.session()
        place.ledger_as_now()
        place.store.append(id, [{"n": 10}])
        other = place.read(id)
        place.older_ledger()
        place.put(id, other[: other.rindex(b'{"entry"')])  # as a backup from before that save
        place.store.append(id, [{"n": 20}])
        place.put(id, other)
        with pytest.raises(errors.ForkError):
            place.store.load(id)
        assert place.store.repair(id).command == f"sessionstore restore {id} --accept-rev 5"
        seen = place.store.restore(id, 5, consent=WHO)
        assert (seen.before.direction, seen.rev, place.numbers(id)) == ("two_histories", 6, [0, 1, 2, 10])

    def test_the_audit_log_remembers_what_ledger_and_file_forgot(self, place: Any) -> None:
        id = place.session()
        place.ledger_as_now()
        before = place.read(id)
        place.store.append(id, [{"n": 3}])
        place.store._ground.audit.record("resume_committed", session_id=id, rev=5)
        place.put(id, before)
        store = place.older_ledger()
        assert store.load(id).rev == 4  # ledger and file agree: only the audit log knows more
        (left,) = store.rebase_heads(consent=WHO).left
        assert (left.direction, left.file_rev, left.known_rev, left.known_by) == ("file_older", 4, 5, "audit log")
        assert store.restore(id, 4, consent=WHO).rev == 6
        assert store.rebase_heads(consent=WHO).left == ()

    def test_what_is_damaged_missing_or_unknown_is_not_restored(self, place: Any, older: str) -> None:
        store, damaged, gone = place.store, place.session(), place.session()
        place.damaged(damaged)
        place.put(damaged, place.read(damaged)[:-5])
        place.file(gone).unlink()
        for id, error in ((damaged, errors.InvalidSignatureError), (gone, errors.MissingError)):
            with pytest.raises(error):
                store.restore(id, 3, consent=WHO)
        with pytest.raises(errors.SessionNotFoundError):
            store.restore("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d", 1, consent=WHO)

    def test_a_deleted_session_is_not_brought_back(self, place: Any) -> None:
        id = place.session()
        data = place.read(id)
        place.store.delete(id)
        place.put(id, data)
        with pytest.raises(errors.ResurrectedError):
            place.store.restore(id, 4, consent=WHO)

    def test_an_older_file_that_ends_in_the_middle_of_a_save_counts_up_to_the_save_before(self, place: Any) -> None:
        id = place.session()
        place.store.append(id, [{"n": n, "fill": "x" * 600_000} for n in range(10, 15)])
        place.store.append(id, [{"n": 20}])
        data = place.read(id)
        middle = data.index(b'"more":true')
        cut = data.index(b"\n", middle) + 1
        place.put(id, data[:cut])
        with pytest.raises(errors.RollbackError):
            place.store.load(id)
        done = place.store.restore(id, 4, consent=WHO)
        assert (done.before.file_rev, place.numbers(id)) == (4, [0, 1, 2])
        assert place.kept() == [data[data.index(b'{"entry":{"n":10') : cut]]


class TestDamage:
    def test_the_other_history_is_not_taken_if_it_is_damaged(self, place: Any) -> None:
        id = place.session()
        place.ledger_as_now()
        place.store.append(id, [{"n": 10}])
        place.store.append(id, [{"n": 11}])
        other = place.read(id)
        place.older_ledger()
        place.put(id, other[: other.index(b'{"entry":{"n":10}}')])
        place.store.append(id, [{"n": 20}])
        place.put(id, other.replace(b'{"n":11}', b'{"n":99}'))
        (left,) = place.store.rebase_heads(consent=WHO).left
        assert (left.direction, left.file_rev) == ("two_histories", 5)
        for rev in (5, 6):
            with pytest.raises((errors.InvalidSignatureError, errors.ConflictError)):
                place.store.restore(id, rev, consent=WHO)

    def test_a_damaged_file_that_is_ahead_is_not_taken(self, place: Any) -> None:
        id = place.session()
        place.ledger_as_now()
        place.store.append(id, [{"n": 3}])
        store = place.older_ledger()
        before = place.damaged(id, 1)
        for dry_run in (True, False):
            done = store.rebase_heads(consent=WHO, dry_run=dry_run)
            assert (done.taken, done.failed) == ((), ((id, "invalid_signature"),))
        with pytest.raises(errors.InvalidSignatureError):
            store.restore(id, 5, consent=WHO)
        assert place.read(id) == before


class TestOldKey:
    def test_a_file_of_a_key_that_is_not_primary_any_more_is_not_taken(
        self, place: Any, older: str, face: Callable[..., SessionStore]
    ) -> None:
        old = place.store._ground.keyring.primary
        keys = [Key(old.secret, "verify_only", old.created_at), Key(os.urandom(32), "primary", old.created_at)]
        store = face(place.store, keyring=Keyring(keys, generation=2))
        with pytest.raises(errors.KeyDisabledError, match="no longer the primary"):
            store.restore(older, 4, consent=WHO)
        with pytest.raises(errors.RollbackError):
            store.load(older)


class TestGuards:
    def test_a_running_session_is_not_touched(self, place: Any, older: str) -> None:
        before = place.read(older)
        with place.store._ground.backend.run(older, Holder()), pytest.raises(errors.AlreadyRunningError):
            place.store.restore(older, 4, consent=WHO)
        assert place.read(older) == before

    def test_consent_is_a_sentence(self, place: Any, older: str) -> None:
        for consent in ("", "a\nb", "x" * 201):
            with pytest.raises(errors.InvalidValueError, match="who agreed"):
                place.store.restore(older, 4, consent=consent)
            with pytest.raises(errors.InvalidValueError, match="who agreed"):
                place.store.rebase_heads(consent=consent)

    def test_what_cannot_be_written_down_is_not_done(self, place: Any, older: str) -> None:
        before = place.read(older)
        (place.home / "state" / "audit").write_text("in the way")
        with pytest.raises(errors.SessionStoreError):
            place.store.restore(older, 4, consent=WHO)
        assert place.read(older) == before

    def test_a_read_only_store_only_says_what_it_would_do(self, place: Any, older: str) -> None:
        with open_store(place.home, environ={}, read_only=True) as store:
            assert store.restore(older, 4, consent=WHO, dry_run=True).rev == 7
            assert [left.direction for left in store.rebase_heads(consent=WHO, dry_run=True).left] == ["file_older"]
            for call in (lambda: store.restore(older, 4, consent=WHO), lambda: store.rebase_heads(consent=WHO)):
                with pytest.raises(errors.StoreUnavailableError, match="read-only"):
                    call()


class TestRebase:
    def test_whole_stores_have_nothing_to_rebase(self, place: Any) -> None:
        id = place.session()
        place.store.delete(place.session())
        before = place.read(id)
        assert place.store.rebase_heads(consent=WHO) == msgspec.convert(
            {"taken": (), "left": ()}, type(place.store.rebase_heads(consent=WHO))
        )
        assert (place.read(id), place.events("rebase")) == (before, [])

    def test_files_that_went_on_after_the_ledger_are_taken(self, place: Any) -> None:
        ids = [place.session() for _ in range(3)]
        place.ledger_as_now()
        place.store.append(ids[0], [{"n": 3}])
        place.store.append(ids[1], [{"n": 3}])
        place.store.rewind(ids[1], 1)
        place.store.append(ids[1], [{"n": 4}])
        store = place.older_ledger()
        assert store.repair(ids[1]).command == "sessionstore rebase-heads --dry-run"
        planned = store.rebase_heads(consent=WHO, dry_run=True)
        assert {
            one.before.session_id: (one.before.file_rev, one.before.known_rev, one.rev) for one in planned.taken
        } == {
            ids[0]: (5, 4, 6),
            ids[1]: (7, 4, 8),
        }
        assert not any(one.done for one in planned.taken)
        done = store.rebase_heads(consent=WHO)
        assert [(one.rev, one.done) for one in done.taken] == [(one.rev, True) for one in planned.taken]
        assert (place.numbers(ids[0]), place.numbers(ids[1])) == ([0, 1, 2, 3], [0, 4])
        assert all(result.ok for result in store.verify())
        assert store.rebase_heads(consent=WHO).taken == ()
        assert len(place.events("rebase")) == 2

    def test_a_rollback_is_never_taken_but_listed_with_its_command(self, place: Any, older: str) -> None:
        done = place.store.rebase_heads(consent=WHO)
        assert (done.taken, [left.command for left in done.left]) == (
            (),
            [f"sessionstore restore {older} --accept-rev 4"],
        )
        with pytest.raises(errors.RollbackError):
            place.store.load(older)

    def test_an_abandoned_rewrite_is_never_taken(self, place: Any) -> None:
        # Somebody keeps the bytes of a rewrite whose head was never written, and puts them back over later saves.
        id = place.session(saves=0)
        place.store.append(id, [{"n": n, "fill": "x" * 600_000} for n in range(8)])
        real = place.read(id)
        head = place.store._ground.ledger.head(id)
        place.store.rewind(id, 7)
        abandoned = place.read(id)
        now = place.store._ground.ledger.head(id)
        place.put(id, real)
        place.store._ground.ledger.commit(msgspec.structs.replace(head), old=now)
        place.store.append(id, [{"n": 50}])
        place.put(id, abandoned)
        with pytest.raises(errors.ForkError):
            place.store.load(id)
        (left,) = place.store.rebase_heads(consent=WHO).left
        assert left.direction == "two_histories"
        assert left.file_rev > left.known_rev

    def test_each_kind_of_difference_has_its_command(self, place: Any) -> None:
        gone, back = place.session(), place.session()
        stranger = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        data = place.read(back)
        place.file(gone).unlink()
        place.store.delete(back)
        place.put(back, data)
        place.put(stranger, data)
        found = {left.session_id: (left.direction, left.command) for left in place.store.rebase_heads(consent=WHO).left}
        assert found == {
            gone: ("file_gone", f"sessionstore delete {gone}"),
            back: ("deleted_here", f"sessionstore repair {back}"),
            stranger: ("no_record", f"sessionstore adopt {stranger} --sealed"),
        }

    def test_a_damaged_or_running_session_does_not_keep_the_others(self, place: Any) -> None:
        ids = [place.session() for _ in range(3)]
        place.ledger_as_now()
        for id in ids:
            place.store.append(id, [{"n": 3}])
        store = place.older_ledger()
        place.damaged(ids[0])
        with store._ground.backend.run(ids[1], Holder()):
            done = store.rebase_heads(consent=WHO)
        assert dict(done.failed) == {ids[0]: "invalid_signature", ids[1]: "already_running"}
        assert [one.before.session_id for one in done.taken] == [ids[2]]


class TestBesideAGivenUpKey:
    def test_a_file_that_begins_under_it_and_is_older_is_a_rollback_and_can_be_taken(self, place: Any) -> None:
        id = place.session()
        place.store.rotate_keys()
        place.store.retire_key(place.store.list_keys()[0].id, destroy=True)
        older = place.read(id)
        assert place.store.append(id, [{"n": 3}]) == 6
        place.put(id, older)
        with pytest.raises(errors.RollbackError) as caught:
            place.store.load(id)
        assert (caught.value.rev, caught.value.head_rev) == (5, 6)
        assert place.store.restore(id, 5, consent=WHO).rev == 7
        assert place.numbers(id) == [0, 1, 2]

    def test_changed_before_the_seal_that_binds_it_it_is_damaged_and_without_that_seal_nobody_vouches_for_it(
        self, place: Any
    ) -> None:
        id = place.session()
        place.store.rotate_keys()
        place.store.retire_key(place.store.list_keys()[0].id, destroy=True)
        older = place.read(id)
        place.store.append(id, [{"n": 3}])
        place.put(id, older.replace(b'{"n":1}', b'{"n":7}'))
        with pytest.raises(errors.InvalidSignatureError):
            place.store.load(id)
        for cut in (older[:-1], older[: older.rindex(b'{"seal":')]):
            place.put(id, cut)
            with pytest.raises(errors.KeyDisabledError):
                place.store.load(id)
