"""Sessions that began under keys which were changed and retired: every way back works, and only for what was saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sessionstore import Config, SessionStore, errors
from sessionstore.format.cut import cut
from sessionstore.format.log import Batch
from sessionstore.format.seal import Sealed, Sealer, bound_seal, key_id_in
from sessionstore.recovery.evidence import examine
from sessionstore.recovery.rebuild import _opened
from sessionstore.signing import Key, Keyring
from sessionstore.storage import Holder
from sessionstore.wiring import recover_ledger

WHO = "the test"
MADE_AT = "2026-01-31T12:00:00.000000Z"
FILL = "x" * 600_000


class Aged:
    """A session saved under three keys, the first of which is retired; and what somebody holds who has that one.

    Its entries are n = 0 to 6. Revisions 1 to 3 are of the first key, 4 and 5 of the second, 6 to 9 of the third; 4
    and 6 are those of the two changes of keys.
    """

    def __init__(self, place: Any, *, destroy: bool, retire: bool = True) -> None:
        self.place = place
        self.id = place.session(2, tags=["t"], key="k")
        self.files: dict[int, bytes] = {}
        self._keep()
        first = place.store._ground.keyring.primary
        self.first = first.id
        self.old = Keyring([Key(first.secret, "primary", MADE_AT)], generation=1)
        place.store.rotate_keys()
        self._keep()
        self._save(2)
        place.store.rotate_keys()
        self._keep()
        if retire:
            place.store.retire_key(self.first, destroy=destroy, give_up=True)
        for number in (3, 4, 5):
            self._save(number)

    def _keep(self) -> None:
        self.files[self.store.summary(self.id).rev] = self.place.read(self.id)

    def _save(self, number: int) -> None:
        self.store.append(self.id, [{"n": number}])
        self._keep()

    @property
    def store(self) -> SessionStore:
        store: SessionStore = self.place.store
        return store

    @property
    def good(self) -> bytes:
        return self.files[9]

    def put(self, data: bytes) -> None:
        self.place.put(self.id, data)

    def numbers(self, id: str | None = None) -> list[int]:
        numbers: list[int] = self.place.numbers(id or self.id)
        return numbers

    def seals(self, data: bytes) -> list[tuple[bytes, Sealed]]:
        """The bodies and seals of a file, as anybody can read them."""
        read = lambda start, size: data[start : start + size]  # noqa: E731
        return [(body, bound_seal(line)) for body, line in cut(read, start=0, end=len(data))]

    def save_by_the_old_key(self, data: bytes, *lines: bytes) -> bytes:
        """The file with one more save, sealed with the retired key."""
        last = self.seals(data)[-1][1]
        sealer = Sealer(self.old, self.store.store_id, self.id)
        return data + b"".join(Batch(sealer, last, last.seal, max_session_bytes=1 << 30).chunks(lines))

    def other_beginning(self, data: bytes) -> bytes:
        """The file with another first entry, and every seal of the retired key made anew to fit."""
        sealer, made, previous = Sealer(self.old, self.store.store_id, self.id), b"", None
        for body, sealed in self.seals(data):
            line = sealed.line
            body = body.replace(b'{"n":0}', b'{"n":8}')
            if key_id_in(line) == self.first:
                previous = sealer.make(previous, body, sealed.seal)
                line = previous.line
            made += body + line
        assert made != data
        return made

    def signers(self, data: bytes | None = None) -> list[str]:
        return [sealed.key_id for _, sealed in self.seals(self.place.read(self.id) if data is None else data)]

    def lose_ledger(self) -> Config:
        self.place.close()
        for found in (self.place.home / "state").glob("ledger.db*"):
            found.unlink()
        return Config(data_dir=self.place.home / "data", state_dir=self.place.home / "state")

    def is_whole(self) -> None:
        assert all(result.ok for result in self.store.verify())
        self.store._ground.ledger.check()
        assert self.store.verify_audit().ok


@pytest.fixture(params=["disabled", "destroyed"])
def aged(request: pytest.FixtureRequest, place: Any) -> Aged:
    return Aged(place, destroy=request.param == "destroyed")


def changed(data: bytes, n: int) -> bytes:
    """The file with one byte of entry `n` changed."""
    assert b'{"n":%d}' % n in data
    return data.replace(b'{"n":%d}' % n, b'{"n":9}')


class TestDamaged:
    """The newest part was damaged: what is before it comes back, whatever keys sealed it."""

    def test_a_load_says_up_to_where_it_is_good(self, aged: Aged) -> None:
        for n, line, rev in ((5, 15, 8), (4, 13, 7), (3, 11, 6)):
            aged.put(changed(aged.good, n))
            for call in (aged.store.load, lambda id: list(aged.store.entries(id, -1))):
                with pytest.raises(errors.InvalidSignatureError) as caught:
                    call(aged.id)
            error = caught.value
            assert (error.last_good_rev, aged.signers()[rev - 1]) == (rev, aged.store._ground.keyring.primary.id)
            lines = aged.store.inspect(aged.id).lines
            assert sum(line.sealed for line in lines) == error.line - 1 == line

    def test_what_is_good_is_kept_as_a_new_session(self, aged: Aged) -> None:
        broken = changed(aged.good, 5)
        aged.put(broken)
        plan = aged.store.repair(aged.id, dry_run=True)
        assert (plan.action, plan.rev, plan.command) == (
            "quarantined",
            8,
            f"sessionstore repair {aged.id} --keep-verified",
        )
        done = aged.store.repair(aged.id, keep_verified=True)
        made = aged.store.load(done.fork or "")
        assert (done.rev, aged.numbers(made.id), made.tags, made.provenance) == (8, [0, 1, 2, 3, 4], ("t",), "native")
        assert aged.place.read(aged.id) == broken

    def test_it_is_moved_out_of_the_way_and_the_right_file_put_back(self, aged: Aged) -> None:
        broken = changed(aged.good, 5)
        aged.put(broken)
        done = aged.store.repair(aged.id)
        assert (done.action, done.rev, aged.place.kept()) == ("quarantined", 8, [broken])
        assert "delete" not in done.command
        aged.put(aged.good)
        assert aged.numbers() == [0, 1, 2, 3, 4, 5]

    def test_a_tail_is_cut_and_a_save_that_was_not_recorded_is_kept(self, aged: Aged) -> None:
        aged.place.ledger_as_now()
        aged.store.append(aged.id, [{"n": 6}])
        data = aged.place.read(aged.id)
        store = aged.place.older_ledger()
        aged.put(data + b'{"entry":')
        done = store.repair(aged.id)
        assert (done.action, done.rev, done.head_rev, aged.place.read(aged.id)) == ("settled", 10, 9, data)
        aged.is_whole()


class TestRolledBack:
    def test_it_is_called_so(self, aged: Aged) -> None:
        for rev in (6, 7, 8):
            aged.put(aged.files[rev])
            with pytest.raises(errors.RollbackError) as caught:
                aged.store.load(aged.id)
            assert (caught.value.rev, caught.value.head_rev) == (rev, 9)
            assert aged.store.repair(aged.id).command == f"sessionstore restore {aged.id} --accept-rev {rev}"

    def test_it_is_restored_by_its_revision(self, aged: Aged) -> None:
        before = aged.store.load(aged.id)
        aged.put(aged.files[7])
        seen = aged.store.restore(aged.id, None, consent=WHO, dry_run=True)
        assert (seen.before.direction, seen.before.file_rev, seen.before.known_rev) == ("file_older", 7, 9)
        assert aged.store.restore(aged.id, 7, consent=WHO).rev == 10
        session = aged.store.load(aged.id)
        assert (aged.numbers(), session.tags, session.key) == ([0, 1, 2, 3], ("t",), "k")
        assert session.updated_at > before.updated_at
        assert set(aged.signers()) == {aged.store._ground.keyring.primary.id}
        assert aged.store.append(aged.id, [{"n": 7}]) == 11
        aged.is_whole()
        for data in aged.files.values():
            aged.put(data)
            with pytest.raises((errors.VerificationError, errors.KeyDisabledError)):
                aged.store.load(aged.id)

    def test_a_file_that_ends_in_the_middle_of_a_save_counts_up_to_the_save_before(self, aged: Aged) -> None:
        aged.store.append(aged.id, [{"n": n, "fill": FILL} for n in range(10, 15)])
        aged.store.append(aged.id, [{"n": 20}])
        data = aged.place.read(aged.id)
        cut_at = data.index(b"\n", data.index(b'"more":true')) + 1
        aged.put(data[:cut_at])
        assert aged.store.restore(aged.id, 9, consent=WHO).before.file_rev == 9
        assert aged.numbers() == [0, 1, 2, 3, 4, 5]
        assert aged.place.kept() == [data[len(aged.good) : cut_at]]

    def test_one_from_before_the_key_was_changed_cannot_be_told_from_a_forged_one(self, aged: Aged) -> None:
        """Nobody can say so any more, and nobody is told to delete it."""
        aged.put(aged.files[3])
        calls: tuple[Callable[[], object], ...] = (
            lambda: aged.store.load(aged.id),
            lambda: next(aged.store.entries(aged.id)),
            lambda: aged.store.append(aged.id, [{"n": 7}]),
            lambda: aged.store.restore(aged.id, 3, consent=WHO),
            lambda: aged.store.restore(aged.id, None, consent=WHO, dry_run=True),
            lambda: aged.store.adopt_sealed(aged.id, consent=WHO),
        )
        for call in calls:
            with pytest.raises(errors.KeyDisabledError) as caught:
                call()
            assert caught.value.key_id == aged.first
            assert "files of the same moment" in caught.value.hint and "delete" not in caught.value.hint
        for done in (aged.store.repair(aged.id), aged.store.repair(aged.id, keep_verified=True)):
            assert (done.action, done.code, done.fork) == ("left", "key_disabled", None)
            assert "delete" not in done.text + done.command
        assert aged.store.rebase_heads(consent=WHO).failed == ((aged.id, "key_disabled"),)
        (line,) = aged.store.list().unreadable
        assert (line.name, line.code) == (aged.id, "key_disabled")
        assert aged.place.read(aged.id) == aged.files[3]
        # It stands where something newer was saved: that belongs into the log.
        assert {event["code"] for event in aged.place.events("tampering_found")} == {"key_disabled"}

    def test_one_of_a_key_that_only_verifies_has_no_revision_to_name(self, aged: Aged) -> None:
        second = aged.signers()[4]
        aged.put(aged.files[5])
        with pytest.raises(errors.RollbackError):
            aged.store.load(aged.id)
        (left,) = aged.store.rebase_heads(consent=WHO).left
        assert (left.direction, left.file_rev) == ("file_older", 0)
        assert left.command == f"sessionstore inspect {aged.id} --unverified"
        assert aged.store.repair(aged.id).command == left.command
        assert aged.signers() == [aged.first] * 3 + [second] * 2
        with pytest.raises(errors.KeyDisabledError) as caught:
            aged.store.restore(aged.id, None, consent=WHO, dry_run=True)
        assert caught.value.key_id == aged.first


class TestLedgerSetBack:
    def test_a_file_that_was_rewritten_since_is_taken(self, aged: Aged) -> None:
        """Rewritten twice, and the first time under a key that was retired since: `fork` for the older ledger."""
        aged.place.ledger_as_now()
        aged.store.append(aged.id, [{"n": 6}])
        aged.store.rewind(aged.id, 4)
        aged.store.append(aged.id, [{"n": 7}])
        before = aged.store.load(aged.id)
        store = aged.place.older_ledger()
        (taken,) = store.rebase_heads(consent=WHO).taken
        assert (taken.before.file_rev, taken.before.known_rev, taken.rev) == (12, 9, 13)
        after = store.load(aged.id)
        assert (aged.numbers(), after.updated_at) == ([0, 1, 2, 3, 7], before.updated_at)
        aged.is_whole()

    def test_one_that_was_rewritten_and_then_damaged_is_not(self, aged: Aged) -> None:
        aged.place.ledger_as_now()
        aged.store.append(aged.id, [{"n": 6}])
        aged.store.rewind(aged.id, 4)
        for n in (7, 8):
            aged.store.append(aged.id, [{"n": n}])
        broken = aged.place.read(aged.id).replace(b'{"n":8}', b'{"n":9}')
        store = aged.place.older_ledger()
        aged.put(broken)
        done = store.rebase_heads(consent=WHO)
        assert (done.taken, done.left, done.failed) == ((), (), ((aged.id, "invalid_signature"),))
        with pytest.raises(errors.InvalidSignatureError):
            store.restore(aged.id, 12, consent=WHO)
        assert aged.place.read(aged.id) == broken

    def test_one_that_went_on_is_opened_and_can_be_taken(self, aged: Aged) -> None:
        aged.place.ledger_as_now()
        aged.store.append(aged.id, [{"n": 6}])
        store = aged.place.older_ledger()
        assert store.load(aged.id).rev == 10
        (taken,) = store.rebase_heads(consent=WHO).taken
        assert (taken.before.file_rev, taken.rev, aged.numbers()) == (10, 11, [0, 1, 2, 3, 4, 5, 6])

    def test_a_rewrite_that_was_killed_before_its_head_is_accepted(self, aged: Aged) -> None:
        ledger = aged.store._ground.ledger
        head = ledger.head(aged.id)
        assert head is not None
        aged.store.rewind(aged.id, 3)
        ledger.commit(head, old=ledger.head(aged.id))
        assert (aged.store.load(aged.id).rev, aged.numbers()) == (10, [0, 1, 2])
        assert aged.store.repair(aged.id).action == "settled"


class TestHalfSaved:
    """A writer died in the middle of a save of several seals, after the key was changed."""

    @pytest.fixture
    def half(self, place: Any) -> Aged:
        """Three saves of an older key, and the first part of a save of the present one, which no record knows."""
        aged = Aged(place, destroy=True)
        data = aged.files[3]
        last = aged.seals(data)[-1][1]
        sealer = aged.store._ground.sealer(aged.id)
        batch = Batch(sealer, last, last.seal, max_session_bytes=1 << 30)
        lines = [b'{"entry":{"n":%d,"fill":"%s"}}\n' % (n, FILL.encode()) for n in range(10, 15)]
        first, *_ = batch.chunks(lines)
        aged.put(data + first)
        return aged

    def test_it_is_restored_up_to_the_save_before(self, half: Aged) -> None:
        seen = half.store.restore(half.id, None, consent=WHO, dry_run=True)
        assert (seen.before.file_rev, seen.before.command) == (3, f"sessionstore restore {half.id} --accept-rev 3")
        assert half.store.restore(half.id, 3, consent=WHO).rev == 10
        assert half.numbers() == [0, 1]

    def test_what_is_good_is_kept(self, half: Aged) -> None:
        half.put(half.place.read(half.id) + half.good[len(half.files[8]) :])
        done = half.store.repair(half.id, keep_verified=True)
        assert (done.rev, half.numbers(done.fork)) == (3, [0, 1])

    def test_without_a_ledger_it_is_left_and_can_be_adopted(self, half: Aged) -> None:
        done = recover_ledger(half.lose_ledger(), consent=WHO)
        assert [(line.name, line.code) for line in done.left] == [(half.id, "unanchored")]
        store = half.place.reopen()
        adopted = store.adopt_sealed(half.id, consent=WHO)
        assert (adopted.file_rev, adopted.checked, half.numbers()) == (3, True, [0, 1])

    def test_a_rewrite_with_such_an_end_is_taken_by_rebase(self, place: Any) -> None:
        id = place.session()
        place.ledger_as_now()
        place.store.append(id, [{"n": 3}])
        place.store.rewind(id, 1)
        place.store.append(id, [{"n": 4}])
        good = place.read(id)
        place.store.append(id, [{"n": n, "fill": FILL} for n in range(10, 15)])
        data = place.read(id)
        store = place.older_ledger()
        cut_at = data.index(b"\n", data.index(b'"more":true')) + 1
        place.put(id, data[:cut_at])
        (taken,) = store.rebase_heads(consent=WHO).taken
        assert (taken.before.file_rev, place.numbers(id), place.kept()) == (7, [0, 4], [data[len(good) : cut_at]])


class TestWithoutRecord:
    def test_a_new_ledger_takes_it_in(self, aged: Aged) -> None:
        config = aged.lose_ledger()
        planned = recover_ledger(config, consent=WHO, dry_run=True)
        done = recover_ledger(config, consent=WHO)
        assert done == planned
        assert ([(line.id, line.rev, line.key) for line in done.taken], done.left) == ([(aged.id, 9, "k")], ())
        aged.place.reopen()
        assert (aged.place.read(aged.id), aged.numbers()) == (aged.good, [0, 1, 2, 3, 4, 5])
        assert aged.store.append(aged.id, [{"n": 6}]) == 10

    def test_a_new_ledger_does_not_take_what_only_the_old_key_sealed(self, aged: Aged) -> None:
        config = aged.lose_ledger()
        aged.put(aged.files[3])
        (left,) = recover_ledger(config, consent=WHO).left
        assert (left.name, left.code) == (aged.id, "key_disabled")
        store = aged.place.reopen()
        with pytest.raises(errors.KeyDisabledError) as caught:
            store.adopt_sealed(aged.id, consent=WHO)
        assert (caught.value.key_id, aged.place.read(aged.id)) == (aged.first, aged.files[3])

    def test_a_new_ledger_takes_no_damaged_file_and_none_that_changes_meanwhile(self, aged: Aged) -> None:
        ground = aged.store._ground
        log = ground.backend.open(f"{aged.id}.jsonl")
        assert log is not None
        with contextlib.closing(log):
            last = examine(ground, aged.id, log, None).last
            assert last is not None and _opened(ground, aged.id, log, last).key == "k"
            for data in (changed(aged.good, 1), b""):
                aged.put(data)
                with pytest.raises(errors.InvalidSignatureError):
                    _opened(ground, aged.id, log, last)
        config = aged.lose_ledger()
        for n, code in ((5, "invalid_signature"), (1, "unanchored")):
            aged.put(changed(aged.good, n))
            (left,) = recover_ledger(config, consent=WHO, dry_run=True).left
            assert left.code in (code, "key_disabled")

    def test_it_is_adopted_with_all_that_was_checked(self, aged: Aged) -> None:
        aged.lose_ledger()
        other = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        aged.place.file(aged.id).rename(aged.place.file(aged.id).with_suffix(".away"))
        recover_ledger(Config(data_dir=aged.place.home / "data", state_dir=aged.place.home / "state"), consent=WHO)
        aged.place.file(aged.id).with_suffix(".away").rename(aged.place.file(aged.id))
        store = aged.place.reopen()
        aged.place.put(other, aged.good)
        for call in (store.load, lambda id: store.adopt_sealed(id, consent=WHO)):
            with pytest.raises((errors.UnanchoredError, errors.InvalidSignatureError)):
                call(other)
        done = store.adopt_sealed(aged.id, consent=WHO)
        assert (done.file_rev, done.rev, done.checked, done.entries) == (9, 10, True, 6)
        session = store.load(aged.id)
        assert (aged.numbers(), session.provenance, session.key) == ([0, 1, 2, 3, 4, 5], "adopted", "k")
        assert aged.place.kept() == [aged.good]


class TestVouchedFor:
    """Adopting what only a person vouches for."""

    def without_record(self, aged: Aged, data: bytes) -> SessionStore:
        """The store with a new ledger that has no record of the session, whose file holds `data` now."""
        config = aged.lose_ledger()
        aged.place.file(aged.id).unlink()
        recover_ledger(config, consent=WHO)
        aged.put(data)
        store: SessionStore = aged.place.reopen()
        return store

    def strange(self, aged: Aged, data: bytes, upto: int, **changes: Any) -> bytes:
        """The file whose first `upto` seals are of a key that was never here; those behind, of the present key."""
        ring = Keyring([Key(b"s" * 32, "primary", MADE_AT)], generation=1)
        theirs = Sealer(ring, aged.store.store_id, aged.id)
        made, previous = b"", None
        for body, sealed in aged.seals(data):
            sealer = theirs if sealed.seal.rev <= upto else aged.store._ground.sealer(aged.id)
            previous = sealer.make(previous, body, msgspec.structs.replace(sealed.seal, **changes, at=len(made + body)))
            made += body + previous.line
        return made

    def test_a_key_that_only_verifies_is_no_check(self, place: Any) -> None:
        aged = Aged(place, destroy=False, retire=False)
        done = self.without_record(aged, aged.files[3]).adopt_sealed(aged.id, consent=WHO)
        assert (done.file_rev, done.checked, done.key_id, aged.numbers()) == (3, False, aged.first, [0, 1])

    def test_what_it_seals_behind_the_present_key_is_not_taken(self, place: Any) -> None:
        aged = Aged(place, destroy=False, retire=False)
        forged = aged.save_by_the_old_key(aged.good, b'{"entry":{"n":8}}\n')
        done = self.without_record(aged, forged).adopt_sealed(aged.id, consent=WHO)
        assert (done.file_rev, done.checked, aged.numbers()) == (9, True, [0, 1, 2, 3, 4, 5])
        assert aged.place.kept() == [forged]

    def test_a_beginning_of_a_strange_key_is_not_checked_by_what_follows(self, aged: Aged) -> None:
        mixed = self.strange(aged, aged.good, 4)
        done = self.without_record(aged, mixed).adopt_sealed(aged.id, consent=WHO)
        assert (done.file_rev, done.checked, aged.numbers()) == (9, False, [0, 1, 2, 3, 4, 5])

    def test_a_strange_key_commits_nothing_of_one_that_was_given_up(self, aged: Aged) -> None:
        data = aged.files[3]
        last = aged.seals(data)[-1][1]
        ring = Keyring([Key(b"s" * 32, "primary", MADE_AT)], generation=1)
        batch = Batch(Sealer(ring, aged.store.store_id, aged.id), last, last.seal, max_session_bytes=1 << 20)
        mixed = data + b"".join(batch.chunks([b'{"entry":{"n":8}}\n']))
        with pytest.raises(errors.KeyDisabledError):
            self.without_record(aged, mixed).adopt_sealed(aged.id, consent=WHO)

    def test_a_time_that_nobody_signed_does_not_lead(self, aged: Aged) -> None:
        late = self.strange(aged, aged.good, 9, updated_at="9999-12-31T23:59:59.999999Z")
        store = self.without_record(aged, late)
        store.adopt_sealed(aged.id, consent=WHO)
        assert store.load(aged.id).updated_at.year < 9999
        assert store.append(aged.id, [{"n": 6}]) == 11


class TestForged:
    """Somebody has the retired key, and may write the data directory."""

    def test_a_save_of_theirs_is_never_taken(self, aged: Aged) -> None:
        forged = aged.save_by_the_old_key(aged.good, b'{"entry":{"n":8}}\n')
        aged.put(forged)
        assert aged.numbers() == [0, 1, 2, 3, 4, 5]
        assert aged.store.rebase_heads(consent=WHO).taken == ()
        with pytest.raises(errors.InvalidValueError, match="nothing to restore"):
            aged.store.restore(aged.id, 10, consent=WHO)
        assert aged.store.repair(aged.id).action == "settled"
        assert (aged.place.read(aged.id), aged.place.kept()) == (aged.good, [forged[len(aged.good) :]])

    def test_nor_behind_an_older_file(self, aged: Aged) -> None:
        older = aged.files[7]
        for lines in ([b'{"entry":{"n":8}}\n'], []):
            forged = older
            for _ in range(4):  # revision 11, above all that is known
                forged = aged.save_by_the_old_key(forged, *lines)
            aged.put(forged)
            with pytest.raises(errors.VerificationError):
                aged.store.load(aged.id)
            assert aged.store.rebase_heads(consent=WHO).taken == ()
            with pytest.raises((errors.ConflictError, errors.VerificationError)):
                aged.store.restore(aged.id, 11, consent=WHO)
            plan = aged.store.repair(aged.id, keep_verified=True)
            assert plan.fork is None or aged.numbers(plan.fork) == [0, 1, 2, 3]

    def test_nor_by_a_new_ledger_or_an_adoption(self, aged: Aged) -> None:
        config = aged.lose_ledger()
        aged.put(aged.save_by_the_old_key(aged.good, b'{"entry":{"n":8}}\n'))
        (taken,) = recover_ledger(config, consent=WHO, dry_run=True).taken
        assert taken.rev == 9
        aged.put(aged.save_by_the_old_key(aged.files[3], b'{"entry":{"n":8}}\n'))
        assert [line.code for line in recover_ledger(config, consent=WHO).left] == ["key_disabled"]
        aged.put(aged.save_by_the_old_key(aged.good, b'{"entry":{"n":8}}\n'))
        done = aged.place.reopen().adopt_sealed(aged.id, consent=WHO)
        assert (done.file_rev, done.checked, aged.numbers()) == (9, True, [0, 1, 2, 3, 4, 5])

    def test_another_beginning_is_refused_by_every_way_back(self, aged: Aged) -> None:
        for good in aged.files.values():
            forged = aged.other_beginning(good)
            aged.put(forged)
            refused = (errors.VerificationError, errors.KeyDisabledError, errors.InvalidValueError)
            calls: tuple[Callable[[], object], ...] = (
                lambda: aged.store.load(aged.id),
                lambda: next(aged.store.entries(aged.id)),
                lambda: aged.store.restore(aged.id, 9, consent=WHO),
                lambda: aged.store.restore(aged.id, None, consent=WHO, dry_run=True),
                lambda: aged.store.adopt_sealed(aged.id, consent=WHO),
            )
            for call in calls:
                with pytest.raises(refused):
                    call()
            assert aged.store.rebase_heads(consent=WHO).taken == ()
            with contextlib.suppress(errors.KeyDisabledError):
                assert aged.store.repair(aged.id, keep_verified=True).fork is None
            assert aged.place.read(aged.id) == forged
        config = aged.lose_ledger()
        for good in aged.files.values():
            aged.put(aged.other_beginning(good))
            assert recover_ledger(config, consent=WHO, dry_run=True).taken == ()
        recover_ledger(config, consent=WHO)
        store = aged.place.reopen()
        for good in aged.files.values():
            aged.put(aged.other_beginning(good))
            with pytest.raises(refused):
                store.adopt_sealed(aged.id, consent=WHO)

    def test_a_seal_with_the_signature_that_the_ledger_names_proves_nothing_by_it(self, place: Any) -> None:
        """The ledger still names a seal of the key that was given up; its signature is put under another content."""
        aged = Aged(place, destroy=True, retire=False)
        id, store = aged.place.session(1), aged.store
        good = aged.place.read(id)
        present = store._ground.keyring.primary
        with store._ground.backend.run(id, Holder()):
            store.rotate_keys(leaked=True)
        store.retire_key(present.id, leaked=True)
        *_, (body, sealed) = aged.seals(good)
        forged_body = body.replace(b'{"n":0}', b'{"n":8}')
        sealer = Sealer(aged.old, store.store_id, id)
        before = aged.seals(good)[-2][1]
        made = sealer.make(before, forged_body, sealed.seal)
        line = made.line.replace(made.signature.encode(), sealed.signature.encode())
        forged = good[: before.end] + forged_body + line
        for data in (good, forged):
            aged.place.put(id, data)
            for call in (store.load, lambda id: store.restore(id, 2, consent=WHO)):
                with pytest.raises(errors.KeyDisabledError) as caught:
                    call(id)
                assert "delete" not in caught.value.hint
            assert store.repair(id).action == store.repair(id, keep_verified=True).action == "left"
            assert store.rebase_heads(consent=WHO).taken == ()

    def test_their_session_under_another_name_is_called_that(self, aged: Aged) -> None:
        other = aged.place.session()
        aged.place.put(other, aged.good)
        with pytest.raises(errors.WrongSessionError):
            aged.store.load(other)


class TestGivenUpAndCommitted:
    """The ledger names a seal of a key that was given up after a leak; the file goes on under the present key."""

    @pytest.fixture
    def ahead(self, place: Any, ledger_locked: Any) -> str:
        id: str = place.session(key="k")
        leaked = place.store._ground.keyring.primary.id
        with place.store._ground.backend.run(id, Holder()):
            place.store.rotate_keys(leaked=True)
        store = place.reopen(lock_timeout_s=0.1)
        with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
            store.append(id, [{"n": 3}])
        store = place.reopen()
        store.retire_key(leaked, destroy=True, leaked=True)
        return id

    def test_it_is_taken_by_rebase(self, place: Any, ahead: str) -> None:
        with pytest.raises(errors.KeyDisabledError) as caught:
            place.store.load(ahead)
        assert "files of the same moment" in caught.value.hint
        assert place.events("tampering_found") == []  # it is what was saved
        assert place.store.repair(ahead).command == "sessionstore rebase-heads --dry-run"
        (taken,) = place.store.rebase_heads(consent=WHO).taken
        assert (taken.before.direction, taken.before.file_rev, taken.before.known_rev) == ("ledger_older", 5, 4)
        assert (place.numbers(ahead), place.store.load(ahead).key) == ([0, 1, 2, 3], "k")

    def test_not_if_it_is_another_history_or_older(self, place: Any, ahead: str) -> None:
        store, data = place.store, place.read(ahead)
        ground = store._ground
        ground.audit.record("resume_committed", session_id=ahead, rev=7)
        (left,) = store.rebase_heads(consent=WHO).left
        assert (left.direction, left.command) == ("file_older", f"sessionstore restore {ahead} --accept-rev 5")
        assert place.read(ahead) == data
        assert store.restore(ahead, 5, consent=WHO).rev == 8

    def test_another_history_is_taken_by_its_revision_only(self, place: Any, ahead: str) -> None:
        store, data = place.store, place.read(ahead)
        read = lambda start, size: data[start : start + size]  # noqa: E731
        parts = [body + line for body, line in cut(read, start=0, end=len(data))]
        # The last acknowledged save is another one, and the present key went on from that.
        before = bound_seal(next(line for _, line in list(cut(read, start=0, end=len(data)))[2:]))
        genuine = bound_seal(list(cut(read, start=0, end=len(data)))[3][1])
        other = Keyring([Key(b"k" * 32, "primary", MADE_AT)], generation=1)
        made = Sealer(other, store.store_id, ahead).make(before, b'{"entry":{"n":8}}\n', genuine.seal)
        fits = made.line.replace(made.key_id.encode(), genuine.key_id.encode())
        middle = bound_seal(fits)
        batch = Batch(store._ground.sealer(ahead), middle, middle.seal, max_session_bytes=1 << 20)
        place.put(ahead, b"".join([*parts[:3], b'{"entry":{"n":8}}\n', fits, *batch.chunks([b'{"entry":{"n":9}}\n'])]))
        (left,) = store.rebase_heads(consent=WHO).left
        assert (left.direction, left.command) == ("two_histories", f"sessionstore restore {ahead} --accept-rev 5")
        assert store.restore(ahead, 5, consent=WHO).rev == 6
        assert place.numbers(ahead) == [0, 1, 8, 9]


class TestDamagedBeforeTheChange:
    """A byte was changed in a part that an older key sealed. Nothing recorded its seals, so none is given back."""

    @pytest.fixture(params=["verify_only", "disabled", "destroyed"])
    def hurt(self, request: pytest.FixtureRequest, place: Any) -> Aged:
        aged = Aged(place, destroy=request.param == "destroyed", retire=request.param != "verify_only")
        aged.put(changed(aged.good, 1))
        return aged

    def test_a_load_does_not_call_anything_good(self, hurt: Aged) -> None:
        for call in (hurt.store.load, lambda id: list(hurt.store.entries(id, -1))):
            with pytest.raises(errors.InvalidSignatureError) as caught:
                call(hurt.id)
            assert (caught.value.line, caught.value.last_good_rev) == (1, 0)
            assert "keep-verified" not in caught.value.hint and "delete" not in caught.value.hint
        assert not any(line.sealed for line in hurt.store.inspect(hurt.id).lines)

    def test_that_is_said_and_the_original_stays(self, hurt: Aged) -> None:
        broken = hurt.place.read(hurt.id)
        for dry_run in (True, False):
            done = hurt.store.repair(hurt.id, dry_run=dry_run)
            assert (done.action, done.code, done.rev, done.head_rev) == ("left", "invalid_signature", 0, 9)
            assert "nothing of it can be vouched for" in done.text and hurt.first in done.text
            assert done.command == f"sessionstore inspect {hurt.id} --unverified"
            with pytest.raises(errors.KeyDisabledError) as caught:
                hurt.store.repair(hurt.id, keep_verified=True, dry_run=dry_run)
            assert caught.value.key_id == hurt.first and "delete" not in caught.value.hint
        assert (hurt.place.read(hurt.id), hurt.place.kept()) == (broken, [])
        hurt.put(hurt.good)
        assert hurt.numbers() == [0, 1, 2, 3, 4, 5]

    def test_so_it_is_if_the_first_save_itself_is_damaged(self, hurt: Aged) -> None:
        for good in (hurt.good.replace(b'"format":2', b'"format":3'), hurt.good.replace(b"ss2.", b"ss3.", 1)):
            hurt.put(good)
            assert hurt.store.repair(hurt.id).action == "left"
            with pytest.raises(errors.KeyDisabledError):
                hurt.store.repair(hurt.id, keep_verified=True)

    def test_what_the_old_key_makes_now_is_not_given_back(self, hurt: Aged) -> None:
        """Damage is easily made: a forged part before it must not become a session by a repair."""
        hurt.put(changed(hurt.other_beginning(hurt.good), 1))
        with pytest.raises(errors.KeyDisabledError):
            hurt.store.repair(hurt.id, keep_verified=True)
        assert [line.id for line in hurt.store.list().sessions] == [hurt.id]

    def test_the_seal_that_the_ledger_still_names_vouches(self, place: Any) -> None:
        """Not sealed anew yet: what was acknowledged under the old key is good, and what follows it is a tail."""
        id = place.session()
        good = place.read(id)
        with place.store._ground.backend.run(id, Holder()):
            place.store.rotate_keys()
        place.put(id, good + b'{"entry":{"half')
        assert place.store.repair(id).action == "settled"
        assert (place.read(id), place.numbers(id)) == (good, [0, 1, 2])
        place.damaged(id, 1)
        assert place.store.repair(id).action == "left"

    def test_a_file_that_the_present_key_alone_sealed_is_as_before(self, place: Any) -> None:
        id = place.session()
        place.put(id, place.read(id).replace(b'"format":2', b'"format":3'))
        assert place.store.repair(id, dry_run=True).command == f"sessionstore delete {id}"
        with pytest.raises(errors.InvalidSignatureError) as caught:
            place.store.repair(id, keep_verified=True)
        assert "keep-verified" not in caught.value.hint
        for nothing in (b"\n" * 100, (b"x" * 100_000 + b"\n") * 20):
            place.put(id, nothing)
            assert place.store.repair(id).action == "quarantined"
