"""The setting `redact_patterns`: how it is given, and which expressions are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.config import LoadedConfig, describe
from sessionstore.config.patterns import MAX_PATTERN_CHARS, MAX_PATTERNS, check_pattern

Load = Callable[..., LoadedConfig]


class TestCheckPattern:
    @pytest.mark.parametrize(
        "pattern",
        [
            "ACME-[0-9]{8}",
            "(?i)acme[_-](?:key|token)",
            "[(+]+a",
            r"\(a+\)+",
            "(ab)+",
            "(a+)?b",
            "[^]()]+x",
            "[]+)]+(a)",
            "(?<=k)v+",
            "(?P<name>x)y",
            "x{3}",
            "é+",
            "(a+)b+",
        ],
    )
    def test_an_ordinary_expression_is_taken_as_it_is(self, pattern: str) -> None:
        assert check_pattern(pattern) == pattern

    @pytest.mark.parametrize(
        "pattern",
        [
            "(a+)+$",
            "(a|aa)+$",
            "((a+))+b",
            "(?:ax?){5,}b",
            "(?P<n>a+)*b",
            "(?i:(a{1,9}))+b",
            r"(?:\d{1,3}\.){3}x",
            r"(\(a+\))+b",
            "([)]a+)+b",
            "(?=(a+)+b)c",
        ],
    )
    def test_what_can_take_for_ever_is_refused(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="can take for ever"):
            check_pattern(pattern)

    @pytest.mark.parametrize("pattern", ["a*", "(?:)", "^", "x?", "a|", "(?=a)|"])
    def test_what_fits_the_empty_text_is_refused(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="fits the empty text"):
            check_pattern(pattern)

    @pytest.mark.parametrize("pattern", [r"(a)\1", r"(?P<x>a)(?P=x)", "(?x) a", "(a)(?(1)b|c)", "a(?#note)"])
    def test_what_cannot_be_judged_is_refused(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="are not taken"):
            check_pattern(pattern)

    @pytest.mark.parametrize("pattern", ["(", "[a", "a{9999999999}", "(?P<1>a)"])
    def test_what_is_no_expression_is_refused_and_not_repeated(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="not a regular expression") as caught:
            check_pattern(pattern)
        assert pattern not in str(caught.value)
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("pattern", ["", "x" * (MAX_PATTERN_CHARS + 1), None, 5, b"x"])
    def test_it_is_text_of_a_bounded_length(self, pattern: object) -> None:
        with pytest.raises(ValueError, match=f"1 to {MAX_PATTERN_CHARS} characters"):
            check_pattern(pattern)

    def test_the_longest_is_taken(self) -> None:
        assert len(check_pattern("x" * MAX_PATTERN_CHARS)) == MAX_PATTERN_CHARS


class TestSetting:
    def test_without_it_there_are_none(self, load: Load) -> None:
        assert load().config.redact_patterns == ()

    def test_the_file_has_an_array(self, load: Load, write: Callable[[str], Path]) -> None:
        write("redact_patterns = ['ACME-\\d+', \"x\"]")
        assert load().config.redact_patterns == (r"ACME-\d+", "x")

    def test_the_environment_has_the_same_as_json_and_it_is_shown_so(self, load: Load) -> None:
        given = json.dumps([r"ACME-\d+", 'a "b"'])
        loaded = load(SESSIONSTORE_REDACT_PATTERNS=given)
        assert loaded.config.redact_patterns == (r"ACME-\d+", 'a "b"')
        (line,) = (line for line in describe(loaded) if line.name == "redact_patterns")
        assert line.value_text == given

    @pytest.mark.parametrize("text", ["", "x", "{}", '"x"', "[" * 100_000, "[1]", '["("]', "null"])
    def test_anything_else_is_refused(self, load: Load, text: str) -> None:
        with pytest.raises(errors.ConfigError) as caught:
            load(SESSIONSTORE_REDACT_PATTERNS=text)
        assert caught.value.setting == "redact_patterns"

    def test_the_refusal_says_which_pattern(self, load: Load, write: Callable[[str], Path]) -> None:
        write("redact_patterns = ['a', '(b+)+']")
        with pytest.raises(errors.ConfigError, match="pattern 2: a repeated group"):
            load()

    def test_there_may_be_so_many_and_no_more(self, load: Load) -> None:
        assert load(SESSIONSTORE_REDACT_PATTERNS=json.dumps(["x"] * MAX_PATTERNS))
        with pytest.raises(errors.ConfigError, match=f"at most {MAX_PATTERNS}"):
            load(SESSIONSTORE_REDACT_PATTERNS=json.dumps(["x"] * (MAX_PATTERNS + 1)))
