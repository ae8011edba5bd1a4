"""Files of format version 1 from elsewhere: a new session, if their signature fits or somebody vouches for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, errors
from sessionstore.signing import OriginKey, origin_key

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
SIGNED: dict[str, Any] = json.loads((VECTORS / "signed-legacy.json").read_text())
GOLDEN = SIGNED["files"][0]["text"].encode()
OLD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"

Unsigned = Callable[..., bytes]


@pytest.fixture(scope="module")
def key() -> OriginKey:
    return origin_key(SIGNED["salt"], SIGNED["secret"].encode(), SIGNED["host"])


class TestSigned:
    def test_one_whose_signature_fits_is_a_new_session(self, store: SessionStore, key: OriginKey) -> None:
        session = store.import_legacy(GOLDEN, key=key)
        assert session.id != OLD and session.origin == OLD
        assert (session.name, session.provenance, session.rev) == ("Golden vector", "imported", 1)
        assert session.project is not None and not session.project.has_identity
        assert session.closed_at is not None
        assert store.import_legacy(GOLDEN, key=key).id != session.id
        assert list(store.audit(events=["import_trusted"])) == []

    def test_another_host_secret_or_content_is_refused_whoever_vouches(
        self, store: SessionStore, key: OriginKey
    ) -> None:
        other = origin_key(SIGNED["salt"], SIGNED["secret"].encode() + b"\n", SIGNED["host"])
        changed = GOLDEN.replace(b"Golden", b"Gilded")
        for data, with_key in ((GOLDEN, other), (changed, key)):
            with pytest.raises(errors.InvalidSignatureError):
                store.import_legacy(data, key=with_key, trust=("unsigned",))
        assert store.list().sessions == ()

    def test_without_the_key_a_signed_file_is_not_taken_for_an_unsigned_one(self, store: SessionStore) -> None:
        with pytest.raises(errors.MalformedError, match="salt, the secret and the host"):
            store.import_legacy(GOLDEN, trust=("unsigned",))

    def test_with_a_key_an_unsigned_file_is_refused(
        self, store: SessionStore, key: OriginKey, unsigned: Unsigned
    ) -> None:
        with pytest.raises(errors.MalformedError, match="no signature"):
            store.import_legacy(unsigned(OLD), key=key, trust=("unsigned",))


class TestUnsigned:
    def test_somebody_has_to_vouch_for_it_and_that_is_on_record(self, store: SessionStore, unsigned: Unsigned) -> None:
        with pytest.raises(errors.UnsignedUnknownError) as caught:
            store.import_legacy(unsigned(OLD))
        assert "--trust-unsigned" in caught.value.hint and store.list().sessions == ()
        session = store.import_legacy(unsigned(OLD), trust=("unsigned",))
        assert (session.origin, session.provenance, len(session.entries)) == (OLD, "imported", 2)
        assert [entry["id"] for entry in session.entries] == ["m0", "m1"]
        (event,) = store.audit(events=["import_trusted"])
        assert event.fields["origin"] == OLD

    @pytest.mark.parametrize("change", [{"id": 5}, {"id": "x"}, {"version": 2}, {"signature": None}, {"usage": {}}])
    def test_what_cannot_be_read_is_refused(
        self, store: SessionStore, unsigned: Unsigned, change: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.VerificationError):
            store.import_legacy(unsigned(OLD, **change), trust=("unsigned",))
        assert store.list().sessions == ()
