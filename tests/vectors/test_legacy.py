"""Files of format version 1: what is read and what is refused, each with the error and the reason that it must meet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import MalformedError, SessionStoreError, VerificationError
from sessionstore.format.legacy import HINT, LegacySession, read_legacy
from sessionstore.format.origin import read_signed
from sessionstore.signing import OriginKey, origin_key

HERE = Path(__file__).parent
REFUSED: list[dict[str, Any]] = json.loads((HERE / "refused-legacy.json").read_text())
SIGNED: dict[str, Any] = json.loads((HERE / "signed-legacy.json").read_text())


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def data_of(vector: dict[str, Any]) -> bytes:
    """The file of a vector. White space may stand before it; deep ones are told by their depth."""
    if "base64" in vector:
        return base64.b64decode(vector["base64"])
    if "nested" in vector:
        return b'{"version":1,"x":' + b"[" * vector["nested"] + b"]" * vector["nested"] + b"}"
    return bytes(vector["text"].encode().rjust(vector.get("pad_to", 0)))


@cache
def key_of(salt: str, secret: str, host: str) -> OriginKey:
    """The key of these three, made once."""
    return origin_key(salt, secret.encode(), host)


class TestUnsignedFiles:
    @pytest.mark.parametrize("vector", REFUSED, ids=named)
    def test_a_file_is_read_or_refused_with_this_error_and_reason(self, vector: dict[str, Any]) -> None:
        error, reason = "", ""
        try:
            assert isinstance(read_legacy(data_of(vector), file_stem=vector["file_stem"]), LegacySession)
        except SessionStoreError as exc:
            error, reason = type(exc).__name__, str(exc.fields.get("reason", ""))
            assert exc.fields.get("session_id", vector["file_stem"]) == vector["file_stem"]
            if isinstance(exc, MalformedError):
                assert exc.hint == HINT
        # Where the text stops being JSON, and how that is called, is up to the parser of this Python.
        reason = reason.partition(" at character")[0]
        assert (error, reason) == (vector["error"], vector["reason"])

    def test_each_has_a_name_of_its_own(self) -> None:
        for vectors in (REFUSED, SIGNED["files"]):
            assert len(set(map(named, vectors))) == len(vectors)


class TestSignedFiles:
    @pytest.mark.parametrize("vector", SIGNED["files"], ids=named)
    def test_a_file_is_read_or_refused_with_this_error(self, vector: dict[str, Any]) -> None:
        salt, secret, host = ({**SIGNED, **vector}[name] for name in ("salt", "secret", "host"))
        error = ""
        try:
            found = read_signed(vector["text"].encode(), key=key_of(salt, secret, host), file_stem=vector["file_stem"])
            assert (found.id, found.state.name) == ("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d", "Golden vector")
        except SessionStoreError as exc:
            error = type(exc).__name__
            assert isinstance(exc, VerificationError)
        assert error == vector["error"]

    @pytest.mark.parametrize("vector", SIGNED["files"], ids=named)
    def test_none_of_them_is_read_as_an_unsigned_file_but_the_one_that_is(self, vector: dict[str, Any]) -> None:
        stem = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        if vector["name"] == "unsigned":
            assert read_legacy(vector["text"].encode(), file_stem=stem).state.name == "Golden vector"
        else:
            with pytest.raises(VerificationError):
                read_legacy(vector["text"].encode(), file_stem=stem)

    def test_the_signature_follows_from_the_rules_alone(self) -> None:
        salt, secret, host = (SIGNED[name].encode() for name in ("salt", "secret", "host"))
        key = hashlib.pbkdf2_hmac("sha256", salt, salt + secret + host, 100_000, 32)
        assert key.hex() == SIGNED["key"]
        golden = json.loads(SIGNED["files"][0]["text"])
        signature = golden.pop("signature")
        text = json.dumps(golden, indent=2, sort_keys=True, ensure_ascii=False)
        assert text == SIGNED["signed_text"]
        assert base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode() == signature == SIGNED["signature"]
        assert signature == "iuV60ep2pqqUKKo7/HOpjelBU/spZer583XHMYXl1ls="
