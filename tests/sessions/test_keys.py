"""A key that is not the primary one verifies what was acknowledged under it, and extends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import SessionStore, errors
from sessionstore.signing import Key, Keyring, new_key

MADE_AT = "2026-01-31T12:00:00.000000Z"
Rotate = Callable[..., SessionStore]


@pytest.fixture
def rotated(face: Any) -> Callable[..., SessionStore]:
    """Makes the same store with a new primary key, the old one kept with a status; the ledger is left as it is."""

    def rotate(store: SessionStore, status: Any = "verify_only") -> SessionStore:
        old = store._ground.keyring.primary
        keys = [Key(old.secret, status, old.created_at), new_key(MADE_AT)]
        found: SessionStore = face(store, keyring=Keyring(keys, generation=2))
        return found

    return rotate


class TestVerifyOnly:
    def test_what_was_acknowledged_under_it_is_good(self, place: Any, rotated: Rotate) -> None:
        id = place.session()
        later = rotated(place.store)
        assert later.load(id).rev == 4
        assert [result.code for result in later.verify()] == ["ok"]

    def test_what_stands_behind_that_is_a_tail(self, place: Any, rotated: Rotate) -> None:
        # Whoever has the old key can write good seals with it, for ever.
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": "forged"}]))
        assert place.store.load(id).rev == 5
        session = rotated(place.store).load(id)
        assert (session.rev, len(session.entries)) == (4, 3)
        assert [warning.code for warning in session.warnings] == ["uncommitted_tail"]

    def test_a_save_goes_on_under_the_primary_key(self, place: Any, rotated: Rotate) -> None:
        id = place.session()
        later = rotated(place.store)
        assert later.append(id, [{"n": 3}]) == 5
        assert later.load(id).rev == 5
        key_ids = [line.rpartition(b"ss2.")[2][:16] for line in place.read(id).splitlines() if b"ss2." in line]
        assert key_ids[:-1] == [place.store._ground.keyring.primary.id.encode()] * 4
        assert key_ids[-1] == later._ground.keyring.primary.id.encode()

    def test_a_rewrite_with_it_is_refused(self, place: Any, rotated: Rotate) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.rewind(id, 1))
        assert place.store.load(id).rev == 5
        with pytest.raises(errors.ForkError):
            rotated(place.store).load(id)


class TestNoKey:
    @pytest.mark.parametrize("status", ["disabled", "destroyed"])
    def test_a_key_that_may_do_nothing_verifies_nothing(self, place: Any, rotated: Rotate, status: str) -> None:
        id = place.session()
        later = rotated(place.store, status)
        with pytest.raises(errors.InvalidSignatureError):
            later.load(id)
        with pytest.raises(errors.InvalidSignatureError):
            later.append(id, [{"n": 3}])
        assert later.inspect(id).code == "invalid_signature"
        assert not any(line.sealed for line in later.inspect(id).lines)
