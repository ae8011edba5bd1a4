"""A key that is not the primary one verifies what was acknowledged under it, and extends nothing."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from sessionstore import SessionStore, errors
from sessionstore.format.seal import Sealer
from sessionstore.signing import Key, Keyring, added, closed, promoted, retired, waiting_key

MADE_AT = "2026-01-31T12:00:00.000000Z"


def promote(store: SessionStore) -> str:
    """Another primary key, and nothing else; the id of the old one."""
    ground, old = store._ground, store._ground.keyring.primary.id
    ground.keys.change(lambda ring: added(ring, waiting_key(MADE_AT)), ground.ledger.generations.follow)
    ground.keys.change(promoted, ground.ledger.generations.follow)
    return old


def retire(store: SessionStore, key_id: str, status: Literal["disabled", "destroyed"]) -> None:
    """Make all rows anew, and take the key out of use whatever still ends under it."""
    ground = store._ground
    while ground.ledger.renewal.page():
        pass
    ground.keys.change(closed, ground.ledger.generations.follow)
    ground.keys.change(lambda ring: retired(ring, key_id, status), ground.ledger.generations.follow)


def key_ids(data: bytes) -> list[str]:
    return [line.rpartition(b"ss2.")[2][:16].decode() for line in data.splitlines() if b"ss2." in line]


class TestVerifyOnly:
    def test_what_was_acknowledged_under_it_is_good(self, place: Any) -> None:
        id = place.session()
        promote(place.store)
        assert place.store.load(id).rev == 4
        assert [result.code for result in place.store.verify()] == ["ok"]
        assert len(list(place.store.entries(id))) == 3

    def test_what_stands_behind_that_is_a_tail(self, place: Any) -> None:
        # Whoever has the old key can write good seals with it, for ever.
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": "forged"}]))
        assert place.store.load(id).rev == 5
        promote(place.store)
        session = place.store.load(id)
        assert (session.rev, len(session.entries)) == (4, 3)
        assert [warning.code for warning in session.warnings] == ["uncommitted_tail"]

    def test_a_save_goes_on_under_the_primary_key(self, place: Any) -> None:
        id = place.session()
        old = promote(place.store)
        assert place.store.append(id, [{"n": 3}]) == 5
        assert place.store.load(id).rev == 5
        assert key_ids(place.read(id)) == [old] * 4 + [place.store._ground.keyring.primary.id]

    def test_everything_that_is_made_is_made_with_the_primary_key(self, place: Any) -> None:
        id = place.session()
        old = promote(place.store)
        made = place.store.create().id
        place.store.rewind(id, 1)
        document = place.store.export(made)
        place.store._ground.audit.record("limits_off", setting="x")
        lines = b"".join(file.read_bytes() for file in (place.home / "state" / "audit").glob("*.jsonl"))
        assert old.encode() not in place.read(id).rpartition(b'{"seal"')[0]
        for data in (place.read(made), document, lines):
            assert old.encode() not in data

    def test_a_rewrite_with_it_is_refused(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.rewind(id, 1))
        assert place.store.load(id).rev == 5
        promote(place.store)
        with pytest.raises(errors.ForkError):
            place.store.load(id)

    def test_a_head_is_not_moved_to_a_seal_of_it(self, place: Any) -> None:
        id = place.session()
        head = place.store._ground.ledger.head(id)
        old = promote(place.store)
        forged = type(head)(**{name: getattr(head, name) for name in head.__struct_fields__} | {"tag": head.tag[:-1]})
        with pytest.raises(errors.KeyDisabledError) as caught:
            place.store._ground.ledger.commit(forged, old=head)
        assert caught.value.fields == {"key_id": old, "status": "verify_only"}

    def test_a_document_under_it_is_not_taken_in(self, place: Any) -> None:
        document = place.store.export(place.session())
        promote(place.store)
        with pytest.raises(errors.KeyDisabledError):
            place.store.import_document(document)
        assert place.store.import_document(document, trust=["unknown_key"]).provenance == "imported"


class TestSealedAnew:
    """One seal of the primary key commits everything before; older keys are not needed for it."""

    @pytest.fixture
    def resealed(self, place: Any) -> tuple[str, str]:
        """A session sealed anew, and a key that is not there any more."""
        id = place.session()
        old = promote(place.store)
        assert place.store._writer.reseal(id)
        retire(place.store, old, "destroyed")
        return id, old

    def test_it_is_read_in_every_way_without_the_old_key(self, place: Any, resealed: tuple[str, str]) -> None:
        id, old = resealed
        store = place.reopen()
        assert key_ids(place.read(id)).count(old) == 4
        assert (store.load(id).rev, len(store.load(id).entries)) == (5, 3)
        assert [entry["n"] for entry in store.entries(id, 1)] == [1, 2]
        assert [result.code for result in store.verify()] == ["ok"]
        assert all(line.sealed for line in store.inspect(id).lines)
        assert len(store.fork(id, at=3).entries) == 2
        assert store.append(id, [{"n": 3}]) == 6
        assert store.rewind(id, 1) == 7
        assert len(store.load(id).entries) == 1

    def test_it_says_what_the_last_seal_said(self, place: Any) -> None:
        id = place.session()
        place.store.append(id, [{"n": 3}], idempotency_key="turn")
        before = place.store.load(id)
        promote(place.store)
        assert place.store._writer.reseal(id)
        assert not place.store._writer.reseal(id)
        after = place.store.load(id)
        assert (after.rev, after.updated_at, after.entries) == (before.rev + 1, before.updated_at, before.entries)
        assert place.store.append(id, [{"n": 3}], idempotency_key="turn") == after.rev

    @pytest.mark.parametrize("at", [30, -700, -1200])
    def test_a_changed_byte_is_found_before_anything_is_handed_out(
        self, place: Any, resealed: tuple[str, str], at: int
    ) -> None:
        id, _ = resealed
        data = bytearray(place.read(id))
        data[at] ^= 1
        place.put(id, bytes(data))
        assert {code for _, code in place.refusals(id)} == {"invalid_signature"}
        with pytest.raises(errors.InvalidSignatureError):
            next(place.store.entries(id))

    def test_who_has_the_old_key_cannot_change_what_it_sealed(self, place: Any) -> None:
        id = place.session()
        store, ground = place.store, place.store._ground
        old = ground.keyring.primary
        promote(store)
        store._writer.reseal(id)
        store.append(id, [{"n": 3}])
        leaked = Keyring([Key(old.secret, "primary", MADE_AT)], generation=1)
        place.put(id, forge(leaked, ground.store_id, id, place.read(id)))
        with pytest.raises(errors.InvalidSignatureError):
            next(store.entries(id))
        assert {code for _, code in place.refusals(id)} == {"invalid_signature"}


def forge(keyring: Keyring, store_id: str, id: str, data: bytes) -> bytes:
    """The file with another first entry, and every seal of the old key made anew to fit; the newer seals stay."""
    from sessionstore.format.cut import cut
    from sessionstore.format.seal import bound_seal, key_id_in

    sealer = Sealer(keyring, store_id, id)
    made, previous = b"", None
    for body, line in cut(lambda start, size: data[start : start + size], start=0, end=len(data)):
        body = body.replace(b'{"n":0}', b'{"n":9}')
        if key_id_in(line) == keyring.primary.id:
            previous = sealer.make(previous, body, bound_seal(line).seal)
            line = previous.line
        made += body + line
    assert made != data
    return made


class TestNoKey:
    @pytest.mark.parametrize("status", ["disabled", "destroyed"])
    def test_a_session_that_ends_under_it_is_refused_and_not_called_forged(self, place: Any, status: Any) -> None:
        id = place.session()
        old = promote(place.store)
        retire(place.store, old, status)
        assert {code for _, code in place.refusals(id)} == {"key_disabled"}
        assert place.store.inspect(id).code == "key_disabled"
        assert not any(line.sealed for line in place.store.inspect(id).lines)
        assert [line.code for line in place.store.list().unreadable] == []

    def test_a_seal_of_it_in_the_place_of_a_good_one_is_damage(self, place: Any) -> None:
        id = place.session()
        older = place.read(id)
        old = promote(place.store)
        place.store._writer.reseal(id)
        retire(place.store, old, "disabled")
        end = len(place.read(id))
        line = older.splitlines(keepends=True)[-1]
        place.put(id, older + line[: end - len(older)].ljust(end - len(older), b"x"))
        with pytest.raises(errors.VerificationError):
            place.store.load(id)
