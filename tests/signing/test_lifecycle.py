"""A keyring from step to step: what each makes of it, and that a step which is done is not done again."""

from __future__ import annotations

from typing import Literal

import pytest

from sessionstore.errors import KeyDisabledError, UnknownKeyError
from sessionstore.signing import (
    Key,
    Keyring,
    added,
    closed,
    new_key,
    promoted,
    replaced,
    retired,
    unfinished,
    waiting,
    waiting_key,
)

CREATED = "2026-01-31T12:00:00.000000Z"


def some(keyring: Keyring | None) -> Keyring:
    assert keyring is not None
    return keyring


def states(keyring: Keyring) -> list[tuple[str, str]]:
    return [(key.status, key.rows) for key in keyring.keys]


@pytest.fixture
def first() -> Keyring:
    return Keyring([new_key(CREATED)], generation=1, salt=b"pepper")


@pytest.fixture
def rotated(first: Keyring) -> Keyring:
    return some(promoted(some(added(first, waiting_key(CREATED)))))


class TestSteps:
    def test_each_counts_the_generation_and_leaves_the_keyring_before_alone(self, first: Keyring) -> None:
        before = states(first)
        second = some(added(first, waiting_key(CREATED)))
        third = some(promoted(second))
        fourth = some(closed(third))
        fifth = some(retired(fourth, first.primary.id, "disabled"))
        assert [ring.generation for ring in (first, second, third, fourth, fifth)] == [1, 2, 3, 4, 5]
        assert states(first) == before

    def test_a_waiting_key_becomes_primary_and_the_old_one_verifies(self, first: Keyring) -> None:
        key = waiting_key(CREATED)
        second = some(added(first, key))
        assert states(second) == [("primary", "counted"), ("verify_only", "none")]
        assert waiting(second) is key
        third = some(promoted(second))
        assert states(third) == [("verify_only", "counted"), ("primary", "counted")]
        assert third.primary.id == key.id
        assert third.mac_key("session").key_id == key.id
        assert states(some(closed(third))) == [("verify_only", "closed"), ("primary", "counted")]

    def test_the_salt_goes_with_it(self, first: Keyring, rotated: Keyring) -> None:
        old = first.primary.id
        assert rotated.mac_key("head", old).tag(b"x") == first.mac_key("head").tag(b"x")

    def test_while_a_rotation_is_unfinished_no_other_begins(self, first: Keyring) -> None:
        ring = first
        for step in (lambda ring: added(ring, waiting_key(CREATED)), promoted):
            ring = some(step(ring))
            assert unfinished(ring)
            assert added(ring, waiting_key(CREATED)) is None
        ring = some(closed(ring))
        assert not unfinished(ring)
        assert added(ring, waiting_key(CREATED)) is not None

    def test_what_is_done_is_not_done_again(self, first: Keyring, rotated: Keyring) -> None:
        assert promoted(first) is None
        assert closed(first) is None
        assert promoted(rotated) is None
        assert closed(some(closed(rotated))) is None

    def test_keys_of_several_rotations_stay(self, rotated: Keyring) -> None:
        again = some(promoted(some(added(some(closed(rotated)), waiting_key(CREATED)))))
        assert states(again) == [("verify_only", "closed"), ("verify_only", "counted"), ("primary", "counted")]


class TestReplaced:
    def test_a_fresh_key_is_primary_at_once(self, first: Keyring) -> None:
        key = waiting_key(CREATED)
        after = replaced(first, key)
        assert states(after) == [("verify_only", "counted"), ("primary", "counted")]
        assert (after.primary.id, after.generation) == (key.id, 2)
        assert states(first) == [("primary", "counted")]

    def test_a_key_that_waited_is_destroyed(self, first: Keyring) -> None:
        waited, key = waiting_key(CREATED), waiting_key(CREATED)
        after = replaced(some(added(first, waited)), key)
        assert states(after) == [("verify_only", "counted"), ("destroyed", "closed"), ("primary", "counted")]
        assert (after.keys[1].id, after.keys[1].secret, waiting(after)) == (waited.id, b"", None)

    def test_an_unfinished_rotation_does_not_keep_it_from_being_so(self, rotated: Keyring) -> None:
        after = replaced(rotated, waiting_key(CREATED))
        assert states(after) == [("verify_only", "counted"), ("verify_only", "counted"), ("primary", "counted")]
        assert states(some(closed(after)))[:2] == [("verify_only", "closed")] * 2


class TestRetired:
    @pytest.mark.parametrize("to", ["disabled", "destroyed"])
    def test_the_key_does_nothing_any_more(
        self, rotated: Keyring, first: Keyring, to: Literal["disabled", "destroyed"]
    ) -> None:
        old = first.primary.id
        after = some(retired(rotated, old, to))
        for use in (after.mac_key, after.row_key):
            with pytest.raises(KeyDisabledError) as caught:
                use("session", old)
            assert caught.value.fields == {"key_id": old, "status": to}
        assert retired(after, old, to) is None

    def test_a_destroyed_key_keeps_its_id_and_no_bytes(self, rotated: Keyring, first: Keyring) -> None:
        old = first.primary.id
        destroyed = some(retired(some(retired(rotated, old, "disabled")), old, "destroyed"))
        key = destroyed.find(old)
        assert key is not None
        assert (key.id, key.secret, key.status, key.rows) == (old, b"", "destroyed", "closed")
        assert retired(destroyed, old, "disabled") is None

    def test_the_primary_key_and_a_strange_one_are_refused(self, rotated: Keyring) -> None:
        with pytest.raises(KeyDisabledError):
            retired(rotated, rotated.primary.id, "disabled")
        with pytest.raises(UnknownKeyError):
            retired(rotated, "0" * 16, "disabled")

    def test_a_waiting_key_is_given_up(self, first: Keyring) -> None:
        key = waiting_key(CREATED)
        after = some(retired(some(added(first, key)), key.id, "disabled"))
        assert not unfinished(after)


class TestRowKey:
    def test_an_old_key_serves_rows_until_they_were_made_anew(self, rotated: Keyring, first: Keyring) -> None:
        old = first.primary.id
        assert rotated.row_key("head", old).key_id == old
        after = some(closed(rotated))
        assert after.mac_key("session", old).key_id == old
        with pytest.raises(KeyDisabledError):
            after.row_key("head", old)

    def test_a_key_that_was_never_primary_serves_none(self, first: Keyring) -> None:
        key = waiting_key(CREATED)
        with pytest.raises(KeyDisabledError):
            some(added(first, key)).row_key("head", key.id)

    def test_a_key_is_derived_once(self, first: Keyring) -> None:
        assert first.row_key("head", first.primary.id) is first.row_key("head", first.primary.id)


class TestTake:
    def test_whoever_shares_it_goes_on_with_the_newer_one(self, first: Keyring, rotated: Keyring) -> None:
        assert first.take(rotated)
        assert (first.primary.id, first.generation) == (rotated.primary.id, 3)
        assert first.mac_key("session").key_id == rotated.primary.id

    def test_one_that_is_not_newer_changes_nothing(self, first: Keyring, rotated: Keyring) -> None:
        rotated_id = rotated.primary.id
        assert not rotated.take(first)
        assert not rotated.take(rotated)
        assert rotated.primary.id == rotated_id

    def test_reload_takes_what_is_stored(self, first: Keyring, rotated: Keyring) -> None:
        assert not first.reload()
        first.loaded_by(lambda: rotated)
        assert first.reload()
        assert first.generation == 3
        assert not first.reload()


class TestKey:
    def test_what_does_not_fit_together_is_refused(self) -> None:
        secret = bytes(32)
        with pytest.raises(ValueError, match="rows under the primary key count"):
            Key(secret, "primary", CREATED, rows="closed")
        with pytest.raises(ValueError, match="only a destroyed key"):
            Key(b"", "disabled", CREATED, id="0" * 16)
        with pytest.raises(ValueError, match="32 bytes"):
            Key(secret, "destroyed", CREATED, id="0" * 16)
