"""What must be refused, as files that say so: each names the error class that it must meet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, open_store
from sessionstore.errors import SessionStoreError
from sessionstore.format.log import Content, walk
from sessionstore.format.seal import Broken, Sealer
from sessionstore.format.strict import parse_json
from sessionstore.signing import Key, Keyring, pae

HERE = Path(__file__).parent
FORMAT: dict[str, Any] = json.loads((HERE / "file-format.json").read_text())
FILES: list[dict[str, Any]] = json.loads((HERE / "refused-files.json").read_text())
VALUES: list[dict[str, Any]] = json.loads((HERE / "values.json").read_text())
EXPORT: dict[str, Any] = json.loads((HERE / "export.json").read_text())


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


class TestFiles:
    @pytest.mark.parametrize("step", [100, 1 << 20])
    @pytest.mark.parametrize("vector", FILES, ids=named)
    def test_so_many_segments_are_good_and_then_comes_this_error(self, vector: dict[str, Any], step: int) -> None:
        asked = vector.get("asked", FORMAT)
        default = [{"secret": FORMAT["install_key"], "status": "primary"}]
        keys = [Key(bytes.fromhex(key["secret"]), key["status"], "") for key in vector.get("keys", default)]
        keyring = Keyring(keys, generation=1, salt=vector.get("salt", "").encode())
        data, content, segments, error = vector["text"].encode(), Content(), 0, ""
        try:
            sealer = Sealer(keyring, asked["store"], asked["session"])
            for segment in walk(sealer, lambda start, size: data[start : start + size], end=len(data), step_bytes=step):
                segments += 1
                content.add(segment)
        except (Broken, SessionStoreError) as exc:
            error = type(exc).__name__
        assert (segments, error) == (vector["segments"], vector["error"])

    def test_each_has_a_name_of_its_own(self) -> None:
        for vectors in (FILES, VALUES, EXPORT["imports"]):
            assert len(set(map(named, vectors))) == len(vectors)


class TestValues:
    @pytest.mark.parametrize("vector", VALUES, ids=named)
    def test_json_is_taken_or_refused_with_this_error(self, vector: dict[str, Any]) -> None:
        error = ""
        try:
            parse_json(base64.b64decode(vector["base64"]))
        except SessionStoreError as exc:
            error = type(exc).__name__
        assert error == vector["error"]


class TestExportDocuments:
    @pytest.mark.parametrize("name", EXPORT["documents"])
    def test_the_signature_follows_from_the_rules_alone(self, name: str) -> None:
        document = EXPORT["documents"][name]
        data = document["text"].encode()
        content, suffix = data[:-102], data[-102:]
        key_id = {"by_key": FORMAT["key_id"], "by_passphrase": "0" * 16}[name]
        parts = (
            b"sessionstore/export/1",
            FORMAT["store"].encode(),
            FORMAT["session"].encode(),
            key_id.encode(),
            content,
        )
        pre_image = len(parts).to_bytes(8, "little")
        for part in parts:
            pre_image += len(part).to_bytes(8, "little") + part
        tag = hmac.digest(bytes.fromhex(document["key"]), pre_image, "sha256").hex()
        assert suffix == f',"signature":"sx1.{key_id}.{tag}"}}\n'.encode()
        assert (pre_image.hex(), tag) == (document["pre_image"], document["tag"])
        assert pae(*parts) == pre_image

    def test_the_keys_follow_from_the_rules_alone(self) -> None:
        scrypt, documents = EXPORT["scrypt"], EXPORT["documents"]
        salt = bytes.fromhex(scrypt["salt"])
        derived = hashlib.scrypt(
            EXPORT["passphrase"].encode(),
            salt=salt,
            n=scrypt["n"],
            r=scrypt["r"],
            p=scrypt["p"],
            dklen=32,
            maxmem=1 << 26,
        )
        assert derived.hex() == documents["by_passphrase"]["key"]
        assert FORMAT["derived_keys"]["export"] == documents["by_key"]["key"]

    def test_our_keyring_made_the_one_that_is_signed_by_key(self) -> None:
        keyring = Keyring([Key(bytes.fromhex(FORMAT["install_key"]), "primary", "")], generation=1)
        document = EXPORT["documents"]["by_key"]
        parts = (b"sessionstore/export/1", FORMAT["store"].encode(), FORMAT["session"].encode())
        content = document["text"].encode()[:-102]
        keyring.mac_key("export").verify(bytes.fromhex(document["tag"]), *parts, FORMAT["key_id"].encode(), content)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SessionStore]:
        with open_store(tmp_path) as store:
            yield store

    @pytest.mark.parametrize("vector", EXPORT["imports"], ids=named)
    def test_a_document_is_taken_in_or_refused_with_this_error(
        self, store: SessionStore, vector: dict[str, Any]
    ) -> None:
        before, error = store.stats().sessions, ""
        try:
            session = store.import_document(vector["text"].encode(), passphrase=vector.get("passphrase"))
            assert (session.origin, session.name) == (FORMAT["session"], "Grüße")
            assert [entry["role"] for entry in session.entries] == ["user", "assistant"]
        except SessionStoreError as exc:
            error = type(exc).__name__
        assert error == vector["error"]
        assert store.stats().sessions == before + (not error)
