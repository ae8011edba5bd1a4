"""A line is taken exactly, or refused with a reason."""

from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.importers.strict_json import MAX_RECORD_DEPTH, LineRefused, parse_line

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


class TestWhatIsTaken:
    @pytest.mark.parametrize(
        ("line", "value"),
        [
            (b"{}", {}),
            (b' {"a":\t[1, 2.5, null, true]} \r', {"a": [1, 2.5, None, True]}),
            (b"18446744073709551615", 2**64 - 1),
            (b"-9223372036854775808", -(2**63)),
            (b"1.10", 1.1),
            (b"1E2", 100.0),
            (b"0.1", 0.1),
            (b"5e-324", 5e-324),
            (b"0.0e5", 0.0),
            (b'"\\ud83d\\ude42"', "\U0001f642"),
            (b'"\\u0000\\u2028"', "\0\u2028"),
            ('"\u2028"'.encode(), "\u2028"),
        ],
    )
    def test_a_value_that_floats_and_strings_can_hold_is_taken(self, line: bytes, value: object) -> None:
        taken = parse_line(line)
        assert taken == value
        assert type(taken) is type(value)

    def test_minus_zero_as_a_float_keeps_its_sign(self) -> None:
        assert math.copysign(1, parse_line(b"-0.0")) == -1

    @given(VALUES)
    def test_whatever_json_can_say_is_taken_as_it_is(self, value: object) -> None:
        text = json.dumps(value)
        assert json.dumps(parse_line(text.encode())) == text

    @given(VALUES)
    def test_the_quick_decoder_of_the_second_pass_sees_the_same_value(self, value: object) -> None:
        text = json.dumps(value)
        assert json.dumps(msgspec.json.decode(text.encode())) == json.dumps(parse_line(text.encode()))

    def test_the_deepest_nesting_allowed_is_taken(self) -> None:
        assert parse_line(b"[" * MAX_RECORD_DEPTH + b"]" * MAX_RECORD_DEPTH)

    def test_many_brackets_side_by_side_are_not_deep(self) -> None:
        assert len(parse_line(b"[" + b",".join([b"{}"] * 1000) + b"]")) == 1000


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"", "not JSON"),
            (b'{"a":1', "not JSON"),
            (b"{}{}", "not JSON"),
            (b'{"a":1}\0\0', "not JSON"),
            (b'"raw\ttab"', "not JSON"),
            (b"\xff", "not UTF-8 at byte 0"),
            (b'"\xed\xa0\xbd"', "not UTF-8"),
            (b'{"a":1,"a":1}', "same name"),
            (b'[{"b":{"a":1,"\\u0061":2}}]', "same name"),
            (b"NaN", "NaN"),
            (b"[Infinity]", "Infinity"),
            (b"[-Infinity]", "Infinity"),
            (b"18446744073709551616", "64 bit"),
            (b"-9223372036854775809", "64 bit"),
            (b"9" * 5000, "64 bit"),
            (b"-0", "sign"),
            (b"1e400", "floating point"),
            (b"1e-400", "floating point"),
            (b"0.1234567890123456789012", "floating point"),
            (b"9007199254740993.0", "floating point"),
            (b"1e" + b"9" * 30, "floating point"),
            (b'"\\ud83d"', "surrogate"),
            (b'{"\\uDE42\\uD83D":1}', "surrogate"),
            (b"[" * (MAX_RECORD_DEPTH + 1) + b"]" * (MAX_RECORD_DEPTH + 1), "deeper than 124"),
            (b'{"a":' * 200 + b"1" + b"}" * 200, "deeper than 124"),
            (b"[" * 200_000, "deeper than 124"),
        ],
    )
    def test_a_value_that_would_change_is_refused(self, line: bytes, reason: str) -> None:
        with pytest.raises(LineRefused) as refused:
            parse_line(line)
        assert reason in refused.value.reason

    @given(st.binary(max_size=60))
    def test_any_bytes_are_a_value_or_refused(self, line: bytes) -> None:
        try:
            parse_line(line)
        except LineRefused as refused:
            assert refused.reason
