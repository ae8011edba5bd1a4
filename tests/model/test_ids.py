"""Ids, names, keys and tags: exactly what is allowed passes, and a refusal repeats nothing."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import InvalidIdError, InvalidValueError, SessionStoreError, TooLargeError
from sessionstore.model import check_id, check_key, check_name, check_tags, new_id
from sessionstore.model.ids import MAX_KEY_BYTES, MAX_NAME_CHARS, MAX_TAG_CHARS, MAX_TAGS, is_id

GOOD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"

NOT_IDS = {
    "empty": "",
    "upper case": GOOD.upper(),
    "one capital": GOOD.replace("f", "F", 1),
    "trailing newline": GOOD + "\n",
    "leading newline": "\n" + GOOD,
    "trailing space": GOOD + " ",
    "trailing NUL": GOOD + "\0",
    "NUL inside": GOOD[:8] + "\0" + GOOD[9:],
    "parent directory": "../" + GOOD,
    "parent directory of the right length": "../" + GOOD[3:],
    "absolute path": "/" + GOOD[1:],
    "suffix": GOOD + ".jsonl",
    "braces": "{" + GOOD + "}",
    "urn": "urn:uuid:" + GOOD,
    "without hyphens": GOOD.replace("-", ""),
    "hyphens moved": GOOD[:7] + "-" + GOOD[7] + GOOD[9:],
    "one short": GOOD[:-1],
    "one long": GOOD + "0",
    "not hexadecimal": GOOD[:-1] + "g",
    "arabic-indic digit": GOOD[:-1] + "\u0664",
    "fullwidth digit": "\uff10" + GOOD[1:],
    "mathematical digit": "\U0001d7ce" + GOOD[1:],
    "unicode hyphen": GOOD.replace("-", "\u2010", 1),
    "combining mark": GOOD + "\u0301",
    "right-to-left override": "\u202e" + GOOD,
    "terminal escape": "\x1b[2J" + GOOD[4:],
    "line separator": GOOD + "\u2028",
    "lone surrogate": GOOD[:-1] + "\ud800",
    "two ids": GOOD + "\n" + GOOD,
}

BAD_CHARACTERS = ["\0", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]


def everything_said(refusal: SessionStoreError) -> str:
    return " ".join([str(refusal), repr(refusal), refusal.hint, repr(refusal.fields), repr(refusal.args)])


class TestNewId:
    def test_it_is_a_random_uuid_in_the_form_that_is_accepted(self) -> None:
        made = new_id()
        assert check_id(made) == made
        assert uuid.UUID(made).version == 4

    def test_no_two_are_alike(self) -> None:
        assert len({new_id() for _ in range(1000)}) == 1000


class TestCheckId:
    def test_a_lower_case_uuid_is_given_back_as_it_is(self) -> None:
        assert check_id(GOOD) == GOOD
        assert is_id(GOOD)

    @pytest.mark.parametrize("text", NOT_IDS.values(), ids=NOT_IDS.keys())
    def test_anything_else_is_refused_alike_and_not_repeated(self, text: str) -> None:
        assert not is_id(text)
        with pytest.raises(InvalidIdError) as caught:
            check_id(text)
        assert everything_said(caught.value) == everything_said(InvalidIdError())
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize("thing", [None, 7, GOOD.encode(), uuid.UUID(GOOD), [GOOD], object()])
    def test_what_is_not_text_is_refused_in_the_same_words(self, thing: object) -> None:
        with pytest.raises(InvalidIdError) as caught:
            check_id(thing)
        assert everything_said(caught.value) == everything_said(InvalidIdError())

    @given(st.uuids())
    def test_every_uuid_is_an_id_in_its_one_form_only(self, given_uuid: uuid.UUID) -> None:
        assert is_id(str(given_uuid))
        assert not is_id(given_uuid.hex)

    @given(st.integers(0, len(GOOD)), st.integers(0, 2), st.text("0aAfFgG-_./\0\n\r {}\u0664\uff10", max_size=3))
    def test_whatever_is_put_into_an_id_it_stays_one_only_in_its_one_form(self, at: int, cut: int, new: str) -> None:
        text = GOOD[:at] + new + GOOD[at + cut :]
        assert is_id(text) == bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.ASCII))


class TestCheckName:
    @pytest.mark.parametrize("name", ["x", "x" * MAX_NAME_CHARS, "日本語 🙂", " spaced ", "../x", "é", "e\u0301"])
    def test_a_name_is_kept_letter_by_letter(self, name: str) -> None:
        assert check_name(name) == name

    def test_characters_are_counted_not_bytes(self) -> None:
        assert check_name("🙂" * MAX_NAME_CHARS)

    def test_the_limit_is_200(self) -> None:
        assert MAX_NAME_CHARS == 200

    @pytest.mark.parametrize("name", ["", "x" * (MAX_NAME_CHARS + 1)])
    def test_empty_or_too_long_is_refused_with_the_range(self, name: str) -> None:
        with pytest.raises(InvalidValueError, match="1 to 200 characters"):
            check_name(name)

    @pytest.mark.parametrize("char", BAD_CHARACTERS, ids=ascii)
    def test_control_characters_are_refused_wherever_they_stand(self, char: str) -> None:
        for name in (char, "a" + char, char + "a", "a" + char + "b"):
            with pytest.raises(InvalidValueError, match="control characters"):
                check_name(name)

    @pytest.mark.parametrize("thing", [None, 7, b"name", ["name"]])
    def test_what_is_not_text_is_refused(self, thing: object) -> None:
        with pytest.raises(InvalidValueError, match="text is needed"):
            check_name(thing)  # type: ignore[arg-type]

    def test_the_refusal_does_not_repeat_the_name(self) -> None:
        with pytest.raises(InvalidValueError) as caught:
            check_name("private\x1b[31m")
        assert "private" not in everything_said(caught.value)
        assert "\x1b" not in everything_said(caught.value)


class TestCheckTags:
    def test_tags_keep_their_order_and_each_stands_once(self) -> None:
        assert check_tags(["b", "a", "b"]) == ("b", "a")

    def test_no_tags_are_no_tags(self) -> None:
        assert check_tags(()) == ()

    def test_as_many_and_as_long_as_allowed_are_taken(self) -> None:
        tags = [f"{number:02}".ljust(MAX_TAG_CHARS, "x") for number in range(MAX_TAGS)]
        assert check_tags(iter(tags)) == tuple(tags)

    def test_one_too_many_is_refused_with_the_number(self) -> None:
        with pytest.raises(InvalidValueError, match="at most 64 tags are allowed, not 65"):
            check_tags(str(number) for number in range(MAX_TAGS + 1))

    def test_repeated_tags_do_not_count_twice(self) -> None:
        assert check_tags(["x"] * (MAX_TAGS + 1)) == ("x",)

    @pytest.mark.parametrize("tag", ["", "x" * (MAX_TAG_CHARS + 1), "a\nb", "\ud800"], ids=ascii)
    def test_one_bad_tag_refuses_them_all(self, tag: str) -> None:
        with pytest.raises(InvalidValueError, match=r"^tag:"):
            check_tags(["good", tag])

    def test_one_string_is_not_taken_for_its_letters(self) -> None:
        with pytest.raises(InvalidValueError, match="not one string"):
            check_tags("abc")


class TestCheckKey:
    @pytest.mark.parametrize(
        "key", ["k", "k" * MAX_KEY_BYTES, "é" * (MAX_KEY_BYTES // 2), "../a/b", "a\nb\0c", "A", "a"]
    )
    def test_any_text_within_the_limit_is_a_key(self, key: str) -> None:
        assert check_key(key) == key

    def test_the_limit_is_512_bytes(self) -> None:
        assert MAX_KEY_BYTES == 512

    @pytest.mark.parametrize("key", ["k" * (MAX_KEY_BYTES + 1), "é" * (MAX_KEY_BYTES // 2) + "x"])
    def test_one_byte_more_is_too_large(self, key: str) -> None:
        with pytest.raises(TooLargeError) as caught:
            check_key(key)
        assert (caught.value.what, caught.value.size_bytes, caught.value.limit_bytes) == ("key", 513, 512)

    @pytest.mark.parametrize("key", ["", None, b"key", 7, "\ud800"], ids=ascii)
    def test_what_is_no_text_is_refused(self, key: object) -> None:
        with pytest.raises(InvalidValueError, match=r"^key:"):
            check_key(key)  # type: ignore[arg-type]

    def test_spellings_that_look_alike_stay_different_keys(self) -> None:
        assert check_key("é") != check_key("e\u0301")
