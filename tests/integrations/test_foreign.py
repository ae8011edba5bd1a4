"""Names of SDKs become keys, and no two become the same."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import InvalidValueError
from sessionstore.integrations.foreign import key_of
from sessionstore.model import check_key

LOOK_ALIKES = [
    (),
    ("",),
    ("", ""),
    ("a",),
    ("A",),
    ("\u0430",),  # Cyrillic
    ("\uff41",),  # full width
    ("a", ""),
    ("", "a"),
    ("a", "b"),
    ("a/b",),
    ("a", "b/c"),
    ("a/b", "c"),
    ('a","b',),
    ("a\\", "b"),
    ("../a",),
    ("./a",),
    ("a ",),
    ("a\n",),
    ("a\x00",),
    ("é",),
    ("e\u0301",),
    ("\\ud800",),
    ("ß",),
    ("SS",),
    ("ss",),
    ("x" * 600,),
    ("x" * 601,),
    ("X" * 600,),
    ("x" * 300, "x" * 300),
]


class TestKeyOf:
    def test_a_short_name_is_its_json(self) -> None:
        assert key_of("adk", "app", "user", "é") == '["adk","app","user","\\u00e9"]'

    def test_a_name_of_512_bytes_stays_readable_and_one_more_is_named_by_its_digest(self) -> None:
        assert key_of("adk", "x" * (512 - 10)) == json.dumps(["adk", "x" * 502], separators=(",", ":"))
        assert key_of("adk", "x" * (512 - 9)).startswith("adk:sha256:")

    @pytest.mark.parametrize(("one", "other"), list(combinations(LOOK_ALIKES, 2)))
    def test_look_alikes_have_different_keys(self, one: tuple[str, ...], other: tuple[str, ...]) -> None:
        assert key_of("x", *one) != key_of("x", *other)

    def test_the_same_name_in_two_sdks_is_two_keys(self) -> None:
        assert key_of("adk", "x" * 600) != key_of("strands", "x" * 600)
        assert key_of("adk", "strands") != key_of("strands", "adk")

    @given(st.lists(st.text(st.characters(codec="utf-8"), max_size=200), max_size=4))
    def test_every_name_becomes_a_key_the_store_takes(self, parts: list[str]) -> None:
        key = key_of("adk", *parts)

        assert check_key(key) == key == key_of("adk", *parts)

    @pytest.mark.parametrize("part", [None, 7, b"a", "\ud800", "\ud83d\ude00"])
    def test_what_is_no_text_is_refused(self, part: object) -> None:
        with pytest.raises(InvalidValueError):
            key_of("adk", "a", part)  # type: ignore[arg-type]
