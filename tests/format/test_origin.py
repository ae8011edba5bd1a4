"""Signed files of format version 1: which texts a signature may stand for, and whose key decides."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import InvalidIdError, InvalidSignatureError, MalformedError, TooLargeError
from sessionstore.format.legacy import MAX_LEGACY_BYTES
from sessionstore.format.origin import read_signed
from sessionstore.signing import OriginKey

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
KEY = bytes(range(32))

OldFile = Callable[..., dict[str, Any]]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


def signature(text: str, secret: bytes = KEY) -> str:
    return base64.b64encode(hmac.digest(secret, text.encode(), "sha256")).decode()


def documented(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def signed(value: dict[str, Any]) -> bytes:
    return json.dumps({**value, "signature": signature(documented(value))}).encode()


class TestReadSigned:
    @given(values)
    def test_whatever_was_signed_in_the_documented_spelling_verifies(self, old_file: OldFile, extra: Any) -> None:
        session = read_signed(signed(old_file(extra=extra)), key=OriginKey(KEY))
        assert json.dumps(session.state.config["legacy"]) == json.dumps({"extra": extra})

    def test_the_members_that_came_with_signing_are_kept(self, old_file: OldFile, said: Callable[..., Any]) -> None:
        younger = {"language": "elixir", "prompt_history": ["a"], "cumulative_usage": {"total_cost": 0.5}, "usage": 1}
        message = said("x", "2025-12-08T09:00:00Z", usage={"input_tokens": 3})
        session = read_signed(signed(old_file(conversation=[message], **younger)), key=OriginKey(KEY))
        assert session.state.config["legacy"] == younger
        assert session.entries == (message,)

    def test_another_key_is_refused_with_both_causes_in_the_hint(self, old_file: OldFile) -> None:
        with pytest.raises(InvalidSignatureError) as caught:
            read_signed(signed(old_file()), key=OriginKey(KEY[::-1]))
        assert caught.value.session_id == ID
        assert "changed" in caught.value.hint
        assert "secret" in caught.value.hint

    def test_a_name_that_is_no_id_is_refused_and_no_name_is_none(self, old_file: OldFile) -> None:
        with pytest.raises(InvalidIdError):
            read_signed(signed(old_file()), key=OriginKey(KEY), file_stem="export")
        assert read_signed(signed(old_file()), key=OriginKey(KEY)).id == ID

    @pytest.mark.parametrize("id", ["x", ID.upper(), "../../etc"])
    def test_an_id_that_is_none_is_refused_whatever_its_signature(self, old_file: OldFile, id: str) -> None:
        with pytest.raises(MalformedError, match="id must be"):
            read_signed(signed(old_file(id=id)), key=OriginKey(KEY))
        with pytest.raises(InvalidSignatureError) as caught:
            read_signed(signed(old_file(id=id)), key=OriginKey(KEY[::-1]))
        assert caught.value.session_id == ""

    def test_one_over_the_cap_is_refused(self) -> None:
        with pytest.raises(TooLargeError):
            read_signed(b" " * (MAX_LEGACY_BYTES + 1), key=OriginKey(KEY))


class TestTheToolsOwnSpelling:
    """The text is written by hand here: nothing of ours makes it."""

    text = """{
  "config": {},
  "conversation": [
    {
      "content": "\\u001B[31m \\u0000\\u001F \\b\\f\\n\\r\\t \\\\u001b \\\\\\u001B \\" / \u007f \u2028 Gr\u00fc\u00dfe",
      "cost": %s,
      "id": "m",
      "list": [
        [],
        {},
        true,
        null,
        -3
      ],
      "role": "tool",
      "timestamp": "2025-12-08T09:00:00Z"
    }
  ],
  "created_at": "2025-12-08T09:00:00Z",
  "id": "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d",
  "name": "n",
  "project_path": "",%s
  "todos": [],
  "updated_at": "2025-12-08T09:00:00Z",
  "version": 1
}""".replace('"config"', '"closed_at": "2025-12-08T09:00:00Z",\n  "config"')

    def file(self, spelled: str) -> bytes:
        made = signature(self.text % (spelled, ""))
        return (self.text % (spelled, f'\n  "signature": "{made}",')).encode()

    @pytest.mark.parametrize("number", ["0.25", "1.5e-5", "1.0e22", "-2.0e-300", "0.1", "7"])
    def test_it_verifies(self, number: str) -> None:
        (entry,) = read_signed(self.file(number), key=OriginKey(KEY)).entries
        assert entry["cost"] == json.loads(number)
        assert entry["content"].startswith('\x1b[31m \x00\x1f \b\f\n\r\t \\u001b \\\x1b " / \x7f')

    def test_the_file_may_have_another_order(self) -> None:
        other = dict(reversed(json.loads(self.file("2.0e-5")).items()))
        written = json.dumps(other, ensure_ascii=False)
        assert read_signed(written.replace("2e-05", "2.0e-5").encode(), key=OriginKey(KEY)).id == ID
        with pytest.raises(InvalidSignatureError):
            read_signed(written.encode(), key=OriginKey(KEY))

    @pytest.mark.parametrize(
        ("old", "new"),
        [("1.5e-5", "1.5e-6"), ("u001B", "u001C"), ("\\\\\\\\u001b", "\\\\\\\\u001B"), ("true", "false")],
    )
    def test_a_change_is_found_in_it(self, old: str, new: str) -> None:
        data = self.file("1.5e-5")
        changed = data.replace(old.replace("\\\\", "\\").encode(), new.replace("\\\\", "\\").encode())
        assert changed != data
        with pytest.raises(InvalidSignatureError):
            read_signed(changed, key=OriginKey(KEY))
