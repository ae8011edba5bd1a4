"""The strict way in for JSON text: what a lenient reader would change in silence is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import MalformedError, TooDeepError
from sessionstore.format.strict import encode_object, parse_json

LIMIT = 1024 * 1024
MARKER = "s3cr3t-content"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))


def same(one: Any, other: Any) -> bool:
    """Equal, and written alike: 1 is not 1.0 or true, and -0.0 is not 0.0."""
    return bool(one == other) and json.dumps(one) == json.dumps(other)


class TestParseJson:
    @given(values)
    def test_it_reads_any_json_that_may_be_stored(self, value: Any) -> None:
        assert same(parse_json(json.dumps(value).encode()), value)
        assert same(parse_json(json.dumps(value, ensure_ascii=False, indent=1).encode()), value)

    @given(st.dictionaries(texts, values, max_size=5))
    def test_it_reads_what_the_format_writes(self, value: dict[str, Any]) -> None:
        assert same(parse_json(encode_object(value, max_bytes=LIMIT)), value)

    @given(st.binary(max_size=60) | st.text('{}[]":,0123456789.eE+-\\ud8NaInfty ', max_size=40).map(str.encode))
    def test_any_bytes_are_read_or_refused_with_an_error_of_ours(self, data: bytes) -> None:
        try:
            value = parse_json(data)
        except (MalformedError, TooDeepError):
            return
        encode_object({"a": value}, max_bytes=LIMIT)

    def test_two_escapes_of_one_pair_are_one_character(self) -> None:
        assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (b"NaN", "value: NaN is not JSON"),
            (b"[Infinity]", "value: Infinity is not JSON"),
            (b'{"a":-Infinity}', "value: -Infinity is not JSON"),
            (b'{"a":[1e999]}', "value.a[0]: NaN and infinities are not JSON"),
            (b'{"a":1,"a":1}', "value: two members of one object have the same name"),
            (b'[{"x":{"a":1,"b":2,"a":3}}]', "value: two members of one object have the same name"),
            (b'{"a":1,"\\u0061":2}', "value: two members of one object have the same name"),
            (b'{"a":"\\ud800"}', "value.a: half a surrogate pair is not text"),
            (b'{"\\udc00":1}', "value: half a surrogate pair is not text"),
            (b'["\\ude00\\ud83d"]', "value[0]: half a surrogate pair is not text"),
            (b"[18446744073709551616]", "value[0]: an integer beyond 64 bit"),
            (b"-9223372036854775809", "value: an integer beyond 64 bit"),
            (b"1" * 4_300, "value: an integer beyond 64 bit"),
            (b"[" + b"1" * 5_000 + b"]", "a number has too many digits"),
            (b"", "not JSON at character 0: Expecting value"),
            (b'\xef\xbb\xbf{"a":1}', "not JSON at character 0: Unexpected UTF-8 BOM (decode using utf-8-sig)"),
            (b'{"a":1} {', "not JSON at character 8: Extra data"),
            (b'{"a":"\n"}', "not JSON at character 6: Invalid control character at"),
            (b'"\xed\xa0\x80"', "not UTF-8 at byte 1"),
            (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
            (b'"\xc0\xaf"', "not UTF-8 at byte 1"),
        ],
        ids=lambda item: ascii(item)[:40],
    )
    def test_it_refuses_what_a_lenient_reader_would_change(self, text: bytes, reason: str) -> None:
        with pytest.raises(MalformedError) as caught:
            parse_json(text)
        assert caught.value.fields["reason"] == reason

    @pytest.mark.parametrize("levels", [129, 200, 900, 100_000])
    @pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
    def test_more_than_128_levels_are_refused(self, levels: int, opened: bytes, closed: bytes) -> None:
        with pytest.raises(TooDeepError):
            parse_json(opened * levels + b"1" + closed * levels)

    def test_128_levels_are_read(self) -> None:
        assert parse_json(b"[" * 128 + b"]" * 128) is not None

    def test_the_reason_never_shows_content(self) -> None:
        for text in (
            f'{{"a":["{MARKER}",1e999]}}',
            f'{{"{MARKER}":1,"{MARKER}":2}}',
            f'["{MARKER}\\ud800"]',
            f'"{MARKER}" x',
        ):
            with pytest.raises(MalformedError) as caught:
                parse_json(text.encode())
            assert MARKER not in str(caught.value)
