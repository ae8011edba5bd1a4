"""Sessions that travel: what a document holds, who may take it in, and what is refused."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from sessionstore import Session, SessionStore, Todo, errors, open_store
from sessionstore.model import ProjectRecord

PASSPHRASE = "correct horse"
Stored = Callable[[SessionStore, str], bytes]
Make = Callable[..., SessionStore]


@pytest.fixture
def session(store: SessionStore, tmp_path: Path) -> Session:
    id = store.create(
        name="travels",
        project=tmp_path,
        key="k",
        config={"c": [1.5, None]},
        todos=[Todo("t", "in_progress", "doing")],
        tags=["a", "b"],
        entries=[{"role": "user", "content": "hi \u2028"}, {"n": 2**64 - 1}],
    ).id
    with freeze_time("2026-01-31 12:00:00"):
        store.close_session(id)
    return store.load(id)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[SessionStore]:
    """A store with another key."""
    with open_store(tmp_path / "elsewhere") as other:
        yield other


class TestRoundTrip:
    @pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
    def test_all_but_key_and_identity_comes_back_under_a_new_id(
        self, store: SessionStore, session: Session, passphrase: str | None
    ) -> None:
        document = store.export(session.id, passphrase=passphrase)
        found = store.import_document(document, passphrase=passphrase)
        assert found.id != session.id
        assert (found.origin, found.parent, found.key, found.rev) == (session.id, None, None, 1)
        assert (found.provenance, found.name, found.tags) == ("imported", "travels", ("a", "b"))
        assert (found.entries, found.config, found.todos) == (session.entries, session.config, session.todos)
        assert found.closed_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
        assert found.project is not None
        assert session.project is not None
        assert (found.project.path, found.project.has_identity) == (session.project.path, False)
        assert store.summary(found.id).closed_at == found.closed_at

    def test_exporting_changes_nothing(self, store: SessionStore, session: Session, stored: Stored) -> None:
        before = stored(store, session.id)
        store.export(session.id)
        assert stored(store, session.id) == before
        assert store.load(session.id) == session

    def test_an_import_can_be_exported_and_imported_again(self, store: SessionStore, session: Session) -> None:
        first = store.import_document(store.export(session.id))
        second = store.import_document(store.export(first.id))
        assert (second.entries, second.origin) == (session.entries, first.id)

    def test_a_session_without_project_or_end_comes_back_without(self, store: SessionStore) -> None:
        found = store.import_document(store.export(store.create().id))
        assert (found.project, found.closed_at, found.entries) == (None, None, ())

    def test_the_document_is_one_line_of_json(self, store: SessionStore, session: Session) -> None:
        with freeze_time("2026-02-01"):
            document = store.export(session.id)
        assert document.count(b"\n") == 1
        value = json.loads(document)
        assert set(value) == {"export", "signature"}
        assert re.fullmatch(r"sx1\.[0-9a-f]{16}\.[0-9a-f]{64}", value["signature"])
        content = value["export"]
        assert list(content)[:4] == ["format", "store", "id", "salt"]
        assert (content["format"], content["store"], content["id"]) == (1, store.store_id, session.id)
        assert (content["salt"], content["rev"]) == (None, 2)
        assert content["exported_at"] == "2026-02-01T00:00:00.000000Z"
        assert content["entries"] == list(session.entries)


class TestKeepId:
    def test_the_own_id_is_refused_while_the_session_is_here_and_after_it_was_deleted(
        self, store: SessionStore, session: Session
    ) -> None:
        document = store.export(session.id)
        for _ in range(2):
            with pytest.raises(errors.AlreadyExistsError) as caught:
                store.import_document(document, keep_id=True)
            assert caught.value.fields == {"what": "id"}
            if store.find("k"):
                store.delete(session.id)
        assert store.import_document(document).entries == session.entries

    def test_in_another_store_it_is_kept(self, store: SessionStore, session: Session, elsewhere: SessionStore) -> None:
        document = store.export(session.id, passphrase=PASSPHRASE)
        found = elsewhere.import_document(document, passphrase=PASSPHRASE, keep_id=True)
        assert (found.id, found.origin) == (session.id, session.id)


class TestAnotherStore:
    def test_its_key_is_unknown_and_that_is_not_called_tampering(
        self, store: SessionStore, session: Session, elsewhere: SessionStore
    ) -> None:
        with pytest.raises(errors.UnknownKeyError) as caught:
            elsewhere.import_document(store.export(session.id))
        assert caught.value.fields["key_id"] == store._ground.keyring.primary.id
        assert elsewhere.list().sessions == ()

    def test_somebody_who_vouches_gets_it(self, store: SessionStore, session: Session, elsewhere: SessionStore) -> None:
        found = elsewhere.import_document(store.export(session.id), trust={"unknown_key"})
        assert (found.entries, found.provenance, found.origin) == (session.entries, "imported", session.id)

    def test_a_passphrase_opens_it_and_a_wrong_one_does_not(
        self, store: SessionStore, session: Session, elsewhere: SessionStore
    ) -> None:
        document = store.export(session.id, passphrase=PASSPHRASE)
        with pytest.raises(errors.InvalidSignatureError) as caught:
            elsewhere.import_document(document, passphrase="wrong horse", trust={"unknown_key"})
        assert caught.value.fields["session_id"] == session.id
        with pytest.raises(errors.UnknownKeyError) as unknown:
            elsewhere.import_document(document)
        assert "passphrase" in unknown.value.hint
        assert elsewhere.list().sessions == ()
        assert elsewhere.import_document(document, passphrase=PASSPHRASE).entries == session.entries

    def test_a_passphrase_is_not_needed_where_the_key_is_known(self, store: SessionStore, session: Session) -> None:
        assert store.import_document(store.export(session.id), passphrase=PASSPHRASE).entries == session.entries

    @pytest.mark.parametrize("passphrase", ["", "seven c"])
    def test_a_short_passphrase_is_refused(self, store: SessionStore, session: Session, passphrase: str) -> None:
        with pytest.raises(errors.InvalidValueError):
            store.export(session.id, passphrase=passphrase)

    @pytest.mark.parametrize("trust", [{"everything"}, {"unknown_key", "x"}, ["foreign_owner"]])
    def test_nothing_else_can_be_vouched_for(self, store: SessionStore, session: Session, trust: set[str]) -> None:
        with pytest.raises(errors.InvalidValueError):
            store.import_document(store.export(session.id), trust=trust)


class TestChanged:
    def test_a_changed_byte_anywhere_is_refused(self, store: SessionStore, session: Session) -> None:
        document = store.export(session.id)
        before = store.list()
        for at in [*range(0, len(document), 13), *range(len(document) - 103, len(document))]:
            changed = document[:at] + bytes([document[at] ^ 1]) + document[at + 1 :]
            with pytest.raises((errors.InvalidSignatureError, errors.MalformedError, errors.UnknownKeyError)):
                store.import_document(changed)
        assert store.list() == before

    @pytest.mark.parametrize(
        "change",
        [
            lambda document: document[:-1],
            lambda document: document + b"\n",
            lambda document: b" " + document,
            lambda document: document + document,
            lambda document: document.replace(b"hi", b"ho"),
            lambda document: document.replace(b'"sx1.', b'"ss2.'),
            lambda document: document.replace(b'"format":1', b'"format":2'),
            lambda _: b"",
            lambda _: b"{}",
            lambda _: b"\xff\xfe",
        ],
    )
    def test_a_document_that_is_not_what_was_exported_is_refused(
        self, store: SessionStore, session: Session, change: Callable[[bytes], bytes]
    ) -> None:
        with pytest.raises((errors.InvalidSignatureError, errors.MalformedError)):
            store.import_document(change(store.export(session.id)))
        assert len(store.list().sessions) == 1

    def test_a_document_is_bound_to_store_and_session(self, store: SessionStore, session: Session) -> None:
        document, other = store.export(session.id), store.create().id
        for old in (session.id, store.store_id):
            with pytest.raises(errors.InvalidSignatureError):
                store.import_document(document.replace(old.encode(), other.encode()))

    def test_a_session_file_is_no_document(self, store: SessionStore, session: Session, stored: Stored) -> None:
        with pytest.raises(errors.MalformedError):
            store.import_document(stored(store, session.id))

    def test_a_session_that_does_not_verify_is_not_exported(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"n": 1}]).id
            file = home / "data" / "sessions" / f"{id}.jsonl"
            file.write_bytes(file.read_bytes().replace(b'"n":1', b'"n":2'))
            with pytest.raises(errors.InvalidSignatureError):
                store.export(id)


class TestVouchedFor:
    """Nobody checks such a document but us: what it says must be what a session can hold."""

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("closed_at", "yesterday"),
            ("closed_at", "2026-01-31T12:00:00"),
            ("closed_at", 5),
            ("project", "AAAA"),
            ("project", ""),
            ("project", "not base64"),
            ("name", ""),
            ("tags", ["a\nb"]),
            ("todos", [{"content": "x", "status": "done"}]),
            ("todos", ["x"]),
            ("config", []),
            ("entries", [[]]),
            ("entries", None),
            ("rev", "1"),
            ("more", 1),
        ],
    )
    def test_what_cannot_be_kept_is_refused_and_the_list_stays_whole(
        self, store: SessionStore, session: Session, elsewhere: SessionStore, member: str, value: Any
    ) -> None:
        content = json.loads(store.export(session.id))["export"]
        document = forged({**content, member: value})
        with pytest.raises((errors.MalformedError, errors.InvalidValueError)):
            elsewhere.import_document(document, trust={"unknown_key"})
        assert (elsewhere.list().sessions, elsewhere.list().unreadable) == ((), ())

    @pytest.mark.parametrize("text", ['{"n":NaN}', '{"n":1,"n":2}', '{"n":1e999}', '{"n":"\\ud800"}', "[" * 999])
    def test_json_that_readers_disagree_on_is_refused(
        self, store: SessionStore, session: Session, elsewhere: SessionStore, text: str
    ) -> None:
        content = json.loads(store.export(session.id))["export"]
        document = forged({**content, "entries": ["HERE"]}).replace(b'"HERE"', text.encode())
        with pytest.raises((errors.MalformedError, errors.TooDeepError)):
            elsewhere.import_document(document, trust={"unknown_key"})

    def test_a_time_of_another_zone_is_the_same_time(
        self, store: SessionStore, session: Session, elsewhere: SessionStore
    ) -> None:
        content = json.loads(store.export(session.id))["export"]
        document = forged({**content, "closed_at": "2026-01-31T14:00:00+02:00"})
        found = elsewhere.import_document(document, trust={"unknown_key"})
        assert found.closed_at == session.closed_at
        assert elsewhere.list().sessions[0].closed_at == session.closed_at


def forged(content: dict[str, Any]) -> bytes:
    """A document as somebody else could make it: of the right form, signed by nobody."""
    body = b'{"export":' + json.dumps(content, separators=(",", ":")).encode()
    return body + b',"signature":"sx1.' + b"a" * 16 + b"." + b"0" * 64 + b'"}\n'


class TestProject:
    def test_a_path_that_is_not_utf8_travels(self, store: SessionStore) -> None:
        path = os.fsencode("/srv/") + b"\xff\xfe"
        id = store.create(project=ProjectRecord(path=path, given_path=path)).id
        found = store.import_document(store.export(id))
        assert found.project == ProjectRecord(path=path, given_path=path)
