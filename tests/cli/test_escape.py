"""Text from data reaches a terminal without anything that steers it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.cli.escape import escape, escape_lines


class TestEscape:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain text, Ünïcödé, 日本語, 👩‍👩‍👧", "plain text, Ünïcödé, 日本語, 👩‍👩‍👧"),
            ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
            ("a\rb\nc\td\0", "a\\rb\\nc\\td\\x00"),
            ("\x7f\x85\x9b31m", "\\x7f\\x85\\x9b31m"),
            ("txt.\u202egpj.exe", "txt.\\u202egpj.exe"),
            ("\u2066\u2069\u200e\u200f\u061c", "\\u2066\\u2069\\u200e\\u200f\\u061c"),
            ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
            ("zero\u200bwidth\ufeff\u2060\xad", "zero\\u200bwidth\\ufeff\\u2060\\xad"),
            ("tag\U000e0041", "tag\\U000e0041"),
            ("half\ud800", "half\\ud800"),
            ("C:\\temp", "C:\\temp"),
        ],
    )
    def test_what_steers_a_terminal_is_written_out_and_the_rest_stays(self, text: str, shown: str) -> None:
        assert escape(text) == shown

    @given(st.text(st.characters(codec=None)))
    def test_nothing_that_controls_ends_lines_or_turns_text_is_left(self, text: str) -> None:
        shown = escape(text)
        assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in shown)
        assert not any(unicodedata.bidirectional(char) in ("LRO", "RLO", "LRE", "RLE", "PDF") for char in shown)
        assert not any(unicodedata.bidirectional(char) in ("LRI", "RLI", "FSI", "PDI") for char in shown)


class TestEscapeLines:
    def test_only_line_feeds_end_a_line(self) -> None:
        assert escape_lines("a\r\nb\u2028c\rd\x0be") == ["a", "b\\u2028c\\rd\\x0be"]

    def test_a_tab_becomes_spaces(self) -> None:
        assert escape_lines("\tif x:") == ["    if x:"]
