"""Unsigned files in the place of signed sessions: taking a signature away gains nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionstore import open_store
from sessionstore.errors import (
    LegacyModifiedError,
    MissingError,
    SessionNotFoundError,
    SessionStoreError,
    SignatureStrippedError,
    UnsignedUnknownError,
)

NEW = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


def unsigned(session_id: str, text: str = "forged") -> bytes:
    session = {
        "version": 1,
        "id": session_id,
        "name": "atlas",
        "project_path": "/srv",
        "config": {"provider": "p", "model": "m", "temperature": 0.7, "max_tokens": 1},
        "created_at": "2025-12-08T09:00:00.000001Z",
        "updated_at": "2025-12-08T09:00:00.000001Z",
        "closed_at": "2025-12-08T10:00:00Z",
        "conversation": [{"id": "1", "role": "user", "content": text, "timestamp": "2025-12-08T09:00:00Z"}],
        "todos": [],
    }
    return json.dumps(session).encode()


def beside(victim: Any) -> Path:
    return victim.path.with_suffix(".json")


class TestDowngrade:
    def test_an_unsigned_file_in_a_sessions_place_is_a_stripped_signature(self, victim: Any) -> None:
        victim.path.unlink()
        beside(victim).write_bytes(unsigned(victim.id))
        assert isinstance(victim.refusal(), SignatureStrippedError)
        assert victim.listed() == {victim.id: "signature_stripped"}
        for call in (
            lambda: victim.store.append(victim.id, [{}]),
            lambda: victim.store.export(victim.id),
            lambda: victim.store.fork(victim.id),
            lambda: victim.store.rewind(victim.id, 0),
        ):
            with pytest.raises(SessionStoreError):
                call()
        assert beside(victim).read_bytes() == unsigned(victim.id)

    def test_a_session_whose_signatures_were_taken_out_is_refused(self, victim: Any) -> None:
        lines = [line for line in victim.good.splitlines(keepends=True) if not line.startswith(b'{"seal":')]
        victim.put(b"".join(lines))
        assert victim.refusal().code == "invalid_signature"

    def test_unsigned_content_under_the_sealed_name_is_refused(self, victim: Any) -> None:
        victim.put(unsigned(victim.id))
        assert victim.refusal().code == "invalid_signature"

    def test_beside_the_sealed_file_it_is_not_read_and_does_not_block(self, victim: Any) -> None:
        beside(victim).write_bytes(unsigned(victim.id))
        assert victim.store.load(victim.id) == victim.session
        victim.store.append(victim.id, [{"a": 1}])
        assert victim.listed() == {victim.id: "signature_stripped"}

    def test_in_a_deleted_sessions_place_it_stays_deleted(self, victim: Any) -> None:
        victim.store.delete(victim.id)
        beside(victim).write_bytes(unsigned(victim.id))
        with pytest.raises(SessionNotFoundError):
            victim.store.load(victim.id)
        assert victim.listed() == {victim.id: "unsigned_unknown"}

    def test_one_that_was_not_here_from_the_start_is_unknown(self, victim: Any) -> None:
        victim.file(NEW).with_suffix(".json").write_bytes(unsigned(NEW))
        with pytest.raises(UnsignedUnknownError):
            victim.store.load(NEW)
        victim.store.close()
        with open_store(victim.root, environ={}) as again, pytest.raises(UnsignedUnknownError):
            again.load(NEW)

    def test_one_that_was_here_from_the_start_and_changed_since_is_modified(self, root: Path) -> None:
        place = root / "data" / "sessions" / f"{NEW}.json"
        place.parent.mkdir(parents=True, mode=0o700)
        root.chmod(0o700)
        place.write_bytes(unsigned(NEW, "genuine"))
        with open_store(root, environ={}) as store:
            assert store.load(NEW).entries[0]["content"] == "genuine"
            place.write_bytes(unsigned(NEW, "changed"))
            with pytest.raises(LegacyModifiedError):
                store.load(NEW)

    def test_a_missing_file_is_missing_and_no_new_session(self, victim: Any) -> None:
        victim.path.unlink()
        assert isinstance(victim.refusal(), MissingError)
        assert victim.listed() == {victim.id: "missing"}
        with pytest.raises(MissingError):
            victim.store.append(victim.id, [{}])
        assert not victim.path.exists()
