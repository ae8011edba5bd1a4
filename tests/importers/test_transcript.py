"""Titles: anything a transcript may say becomes a name that the store takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.importers.transcript import clean_text, title_from
from sessionstore.model import check_name


class TestCleanText:
    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("plain", "plain"),
            ("  two\n\tlines\u2028here \r\n", "two lines here"),
            ("\x1b[31mred\x07", "[31mred"),
            ("a\u202ebc\u2066d", "abcd"),
            ("fine \U0001f469\u200d\U0001f4bb \u00fc", "fine \U0001f469\u200d\U0001f4bb \u00fc"),
            ("half \ud83d", "half"),
            ("", ""),
            (" \n\x00", ""),
            ("x" * 200, "x" * 200),
            ("x" * 201, "x" * 199 + "\u2026"),
            ("y" * 198 + " z" * 100, "y" * 198 + "\u2026"),
        ],
    )
    def test_it_is_one_line_that_can_be_shown(self, text: str, cleaned: str) -> None:
        assert clean_text(text) == cleaned

    @given(st.text(alphabet=st.characters(codec=None), max_size=500))
    def test_whatever_is_left_is_a_valid_name(self, text: str) -> None:
        cleaned = clean_text(text)
        assert cleaned == "" or check_name(cleaned) == cleaned


class TestTitleFrom:
    def test_the_first_candidate_with_something_in_it_is_taken(self) -> None:
        assert title_from(["", " \n", "Third", "Fourth"], format="codex", source_id="0123456789") == "Third"

    @pytest.mark.parametrize(
        ("source_id", "title"),
        [("0123456789", "codex 01234567"), (None, "codex transcript"), ("", "codex transcript"), ("\n\n\n", "codex")],
    )
    def test_without_one_it_is_the_format_and_the_start_of_the_id(self, source_id: str | None, title: str) -> None:
        assert title_from([], format="codex", source_id=source_id) == title
