"""Deleting a session only as it was seen."""

from __future__ import annotations

import pytest

from sessionstore import SessionStore, errors


class TestDelete:
    def test_at_another_revision_than_expected_it_stays(self, store: SessionStore) -> None:
        id = store.create(entries=[{"n": 0}]).id
        store.append(id, [{"n": 1}])
        with pytest.raises(errors.ConflictError) as caught:
            store.delete(id, expected_rev=1)
        assert (caught.value.fields["expected"], caught.value.fields["found"]) == (1, 2)
        assert store.load(id).entries == ({"n": 0}, {"n": 1})

    def test_at_the_expected_revision_it_goes(self, store: SessionStore) -> None:
        id = store.create(entries=[{"n": 0}]).id
        store.delete(id, expected_rev=1)
        with pytest.raises(errors.SessionNotFoundError):
            store.load(id)
