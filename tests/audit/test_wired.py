"""What a store writes down of itself: tampering, trust that was given, claims; and what it never writes."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.model import AuditRecord
from sessionstore.signing.keyring import KEY_BYTES, _hkdf
from sessionstore.wiring import claim_store


@pytest.fixture
def opened(home: Path) -> Iterator[SessionStore]:
    with open_store(home, environ={}) as store:
        yield store


@pytest.fixture
def changed(opened: SessionStore, home: Path) -> str:
    """The id of a session whose file somebody changed."""
    session = opened.create(name="atlas", entries=[{"n": 1}])
    file = home / "data/sessions" / f"{session.id}.jsonl"
    file.write_bytes(file.read_bytes().replace(b"atlas", b"ATLAS"))
    return session.id


def told(store: SessionStore) -> list[tuple[str, str | None, dict[str, Any]]]:
    return [(record.event, record.session_id, record.fields) for record in store.audit()]


class TestTampering:
    @pytest.mark.parametrize(
        "look",
        [
            lambda store, id: store.load(id),
            lambda store, id: list(store.entries(id)),
            lambda store, id: store.export(id),
            lambda store, id: store.fork(id),
            lambda store, id: store.append(id, [{"n": 2}]),
            lambda store, id: store.compact(id),
            lambda store, id: store.clear(id),
        ],
        ids=["load", "entries", "export", "fork", "append", "compact", "clear"],
    )
    def test_whoever_finds_it_writes_it_down_once(
        self, look: Callable[[SessionStore, str], object], opened: SessionStore, changed: str
    ) -> None:
        for _ in range(3):
            with pytest.raises(errors.InvalidSignatureError):
                look(opened, changed)
        assert told(opened) == [("tampering_found", changed, {"code": "invalid_signature", "line": 1})]

    @pytest.mark.parametrize(
        "look",
        [
            lambda store, id: list(store.verify()),
            lambda store, id: list(store.verify(id)),
            lambda store, id: store.inspect(id),
            lambda store, id: list(store.search("x")),
            lambda store, id: store.list(),
        ],
        ids=["verify all", "verify", "inspect", "search", "list"],
    )
    def test_also_where_nothing_is_raised(
        self, look: Callable[[SessionStore, str], object], opened: SessionStore, changed: str
    ) -> None:
        look(opened, changed)
        assert told(opened) == [("tampering_found", changed, {"code": "invalid_signature", "line": 1})]

    def test_every_kind_of_refusal_is_told_by_its_code(self, opened: SessionStore, home: Path) -> None:
        one, other = opened.create(), opened.create()
        sessions = home / "data/sessions"
        first, second = sessions / f"{one.id}.jsonl", sessions / f"{other.id}.jsonl"
        old = first.read_bytes()
        opened.append(one.id, [{"n": 1}])
        first.write_bytes(old)
        with pytest.raises(errors.RollbackError):
            opened.load(one.id)
        second.unlink()
        with pytest.raises(errors.MissingError):
            opened.load(other.id)
        second.symlink_to(first)
        with pytest.raises(errors.UnsafeFileError):
            opened.load(other.id)
        assert [(event, fields["code"]) for event, _, fields in told(opened)] == [
            ("tampering_found", "rollback"),
            ("tampering_found", "missing"),
            ("tampering_found", "unsafe_file"),
        ]

    def test_a_listed_file_that_cannot_be_read_is_no_tampering(self, home: Path) -> None:
        sessions = home / "data/sessions"
        sessions.mkdir(parents=True, mode=0o700)
        session_id = "00000000-3b61-4d7a-9c58-7e4f1a2b3c4d"
        (sessions / f"{session_id}.json").write_bytes(b"{}")
        with open_store(home, environ={}) as store:
            with pytest.raises(errors.MalformedError):
                store.load(session_id)
            assert [event for event, _, _ in told(store)] == ["inventory_taken"]
            (sessions / f"{session_id}.json").write_bytes(b"[]")
            with pytest.raises(errors.LegacyModifiedError):
                store.load(session_id)
            assert told(store)[-1] == ("tampering_found", session_id, {"code": "legacy_modified", "line": None})

    def test_a_session_that_was_never_here_is_no_tampering(self, opened: SessionStore) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            opened.load("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")
        assert told(opened) == []

    def test_ordinary_work_writes_nothing(self, opened: SessionStore, home: Path) -> None:
        session = opened.create(name="atlas", entries=[{"n": 1}])
        opened.append(session.id, [{"n": 2}])
        opened.load(session.id)
        opened.fork(session.id)
        opened.import_document(opened.export(session.id))
        list(opened.verify())
        opened.delete(session.id)
        assert told(opened) == [] and not (home / "state/audit").exists()

    def test_the_refusal_stays_the_error_if_it_cannot_be_written_down(
        self, opened: SessionStore, changed: str, home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (home / "state/audit").symlink_to(home)
        with pytest.raises(errors.InvalidSignatureError):
            opened.load(changed)
        assert [vars(record)["audit_error"] for record in caplog.records] == ["unsafe_file"]

    def test_a_read_only_store_writes_no_line_and_logs_it(
        self, opened: SessionStore, changed: str, home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with open_store(home, environ={}, read_only=True) as reader:
            with pytest.raises(errors.InvalidSignatureError):
                reader.load(changed)
            assert list(reader.audit()) == [] and reader.verify_audit().ok
        assert not (home / "state/audit").exists()
        assert [vars(record)["event"] for record in caplog.records] == ["tampering_found"]


class TestTrustThatWasGiven:
    def test_a_document_that_cannot_be_checked_here(self, opened: SessionStore, tmp_path: Path) -> None:
        with open_store(tmp_path / "elsewhere", environ={}) as other:
            origin = other.create(name="theirs").id
            document = other.export(origin)
            key_id = other._ground.keyring.primary.id
        with pytest.raises(errors.UnknownKeyError):
            opened.import_document(document)
        assert told(opened) == []
        session = opened.import_document(document, trust=("unknown_key",))
        assert told(opened) == [("import_trusted", session.id, {"origin": origin, "key_id": key_id})]

    def test_it_is_not_taken_in_if_that_cannot_be_written_down(
        self, opened: SessionStore, tmp_path: Path, home: Path
    ) -> None:
        with open_store(tmp_path / "elsewhere", environ={}) as other:
            document = other.export(other.create(name="theirs").id)
        (home / "state/audit").symlink_to(home)
        with pytest.raises(errors.StoreUnavailableError):
            opened.import_document(document, trust=("unknown_key",))
        assert opened.list().sessions == ()

    def test_vouching_for_a_document_that_verifies_is_no_event(self, opened: SessionStore) -> None:
        document = opened.export(opened.create(name="ours").id)
        opened.import_document(document, trust=("unknown_key",))
        assert told(opened) == []

    def test_unsigned_files_that_were_there_at_the_first_start(self, home: Path) -> None:
        sessions = home / "data/sessions"
        sessions.mkdir(parents=True, mode=0o700)
        for number in range(3):
            (sessions / f"0000000{number}-3b61-4d7a-9c58-7e4f1a2b3c4d.json").write_bytes(b"{}")
        for _ in range(2):
            with open_store(home, environ={}) as store:
                assert told(store) == [("inventory_taken", None, {"count": 3})]

    def test_they_are_told_after_a_kill_before_it_too(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sessions = home / "data/sessions"
        sessions.mkdir(parents=True, mode=0o700)
        (sessions / "00000000-3b61-4d7a-9c58-7e4f1a2b3c4d.json").write_bytes(b"{}")
        with monkeypatch.context() as patch:
            patch.setattr("sessionstore.wiring._tell_inventory", lambda *parts: None)
            open_store(home, environ={}).close()
        with open_store(home, environ={}) as store:
            assert told(store) == [("inventory_taken", None, {"count": 1})]

    def test_a_data_directory_that_was_claimed(self, home: Path) -> None:
        open_store(home, environ={}).close()
        shutil.copytree(home / "data", home / "copy")
        shutil.rmtree(home / "data")
        (home / "copy").rename(home / "data")
        config = Config(data_dir=home / "data", state_dir=home / "state")
        claim_store(config)
        with open_store(config=config) as store:
            assert told(store) == [("store_claimed", None, {"path": str(home / "data")})]

    def test_it_is_not_claimed_if_that_cannot_be_written_down(self, home: Path) -> None:
        open_store(home, environ={}).close()
        shutil.copytree(home / "data", home / "copy")
        shutil.rmtree(home / "data")
        (home / "copy").rename(home / "data")
        (home / "state/audit").symlink_to(home)
        config = Config(data_dir=home / "data", state_dir=home / "state")
        with pytest.raises(errors.StoreUnavailableError):
            claim_store(config)
        (home / "state/audit").unlink()
        with pytest.raises(errors.StoreMismatchError):
            open_store(config=config)


class TestKey:
    def test_no_key_is_made_beside_an_audit_log(self, home: Path) -> None:
        with open_store(home, environ={}) as store:
            store._ground.audit.record("resume_attempt")
        for path in (home / "state").iterdir():
            if path.name.startswith(("keyring", "ledger")):
                path.unlink()
        shutil.rmtree(home / "data")
        with pytest.raises(errors.KeyUnavailableError):
            open_store(home, environ={})
        shutil.rmtree(home / "state/audit")
        open_store(home, environ={}).close()


class TestQuestions:
    def test_events_can_be_asked_for(self, opened: SessionStore, changed: str) -> None:
        list(opened.verify())
        (record,) = opened.audit(events=["tampering_found"], session=changed, limit=1)
        assert isinstance(record, AuditRecord) and record.pid == os.getpid()
        assert list(opened.audit(until=record.at)) == []
        assert list(opened.audit(since=record.at)) == [record]

    def test_what_is_no_id_is_refused(self, opened: SessionStore) -> None:
        with pytest.raises(errors.InvalidIdError):
            opened.audit(session="../../etc")

    def test_a_store_in_memory_has_a_log_too(self) -> None:
        with open_store(backend="memory") as store:
            store._ground.audit.record("resume_attempt")
            assert [record.event for record in store.audit()] == ["resume_attempt"] and store.verify_audit().ok


def test_nothing_secret_and_no_content_is_in_the_log(
    opened: SessionStore, changed: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    opened.append(
        opened.create(name="a private name", tags=["tag-of-mine"], key="ext-key-of-mine").id,
        [{"role": "user", "content": "what was said in private"}],
        idempotency_key="idem-key-of-mine",
    )
    list(opened.verify())
    opened.list()
    log = opened._ground.audit
    for event in ("resume_attempt", "resume_committed", "resume_ended"):
        log.record(event, session_id=changed)
    keyring = opened._ground.keyring
    written = b"".join(path.read_bytes() for path in (home / "state/audit").iterdir()) + caplog.text.encode()
    seals = [head.tag.rpartition(".")[2].encode() for head in opened._ground.ledger.heads()]
    derived = [_hkdf(keyring.primary.secret, b"", purpose, KEY_BYTES) for purpose in ("audit", "session", "store")]
    stored = json.loads((home / "state/keyring").read_bytes())["keyring"]["keys"][0]["secret"].encode()
    for secret in (
        *(b"private", b"tag-of-mine", b"ext-key-of-mine", b"idem-key-of-mine", b"ATLAS", b"atlas", stored, *seals),
        *derived,
        *(secret.hex().encode() for secret in derived),
        keyring.primary.secret,
    ):
        assert secret not in written
    assert written.count(b"\n") > 4
