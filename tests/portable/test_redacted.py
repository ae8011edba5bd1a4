"""Exports without secrets: what is in the document, what it says of itself, and what an import makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sessionstore import SessionStore, Todo, errors, open_store

AWS = "AK" + "IA" + "ABCDEFGH12345678"
GITHUB = "gh" + "p_" + "abcdefghijklmnopqrstuvwxyz0123456789"
Make = Callable[..., SessionStore]


@pytest.fixture
def id(store: SessionStore) -> str:
    """A session with a secret in every place that a document carries."""
    return store.create(
        name=f"about {AWS}",
        tags=[GITHUB, "a"],
        config={"env": {"API_KEY": "hunter2"}},
        todos=[Todo(f"revoke {AWS}")],
        entries=[{"role": "user", "id": "m1", "content": f"my key is {AWS}"}, {"role": "tool", "content": GITHUB}],
    ).id


class TestRedactedExport:
    def test_no_secret_is_in_the_document_and_all_else_is(self, store: SessionStore, id: str) -> None:
        document = store.export(id, redact=True)
        for secret in (AWS, GITHUB, "hunter2"):
            assert secret.encode() not in document
            assert secret.encode() in store.export(id)
        content = json.loads(document)["export"]
        assert content["entries"][0] == {"role": "user", "id": "m1", "content": "my key is [redacted:aws]"}
        assert content["redacted"] == {"aws": 3, "github_token": 2, "named_value": 1}

    def test_the_session_stays_as_it_is(self, store: SessionStore, id: str) -> None:
        before = store.load(id)
        store.export(id, redact=True)
        assert store.load(id) == before

    def test_a_document_that_was_not_redacted_says_nothing_of_it(self, store: SessionStore, id: str) -> None:
        assert "redacted" not in json.loads(store.export(id))["export"]
        assert store.import_document(store.export(id)).warnings == ()

    def test_one_in_which_nothing_was_found_says_that_it_was_redacted(self, store: SessionStore) -> None:
        document = store.export(store.create(entries=[{"a": 1}]).id, redact=True)
        assert json.loads(document)["export"]["redacted"] == {}
        assert store.import_document(document).warnings[0].text.endswith(": 0 found")

    @pytest.mark.parametrize("passphrase", [None, "correct horse"])
    def test_it_imports_as_any_other_and_says_that_it_is_redacted(
        self, store: SessionStore, id: str, passphrase: str | None
    ) -> None:
        document = store.export(id, passphrase=passphrase, redact=True)
        found = store.import_document(document, passphrase=passphrase)
        assert [(warning.code, warning.text) for warning in found.warnings] == [
            ("redacted", "this document was redacted before it was signed: 6 found")
        ]
        assert (found.name, found.tags, found.origin) == ("about [redacted:aws]", ("[redacted:github_token]", "a"), id)
        assert found.provenance == "imported"

    def test_what_it_says_of_itself_is_signed(self, store: SessionStore, id: str) -> None:
        document = store.export(id, redact=True)
        with pytest.raises(errors.InvalidSignatureError):
            store.import_document(document.replace(b',"redacted":{"aws":3,', b',"redacted":{"aws":0,'))

    def test_configured_patterns_count_too(self, make_store: Make) -> None:
        store = make_store(redact_patterns=("ACME-[0-9]+",))
        id = store.create(entries=[{"content": "ACME-1 and ACME-2"}]).id
        assert json.loads(store.export(id, redact=True))["export"]["redacted"] == {"pattern": 2}

    def test_a_read_only_store_can_do_it(self, home, make_store: Make) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"content": AWS}]).id
        with open_store(home, read_only=True) as store:
            assert AWS.encode() not in store.export(id, redact=True)
