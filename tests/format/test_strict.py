"""Which values may be stored: what goes in comes back the same, and what cannot is refused with the way to it."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import MalformedError, TooDeepError, TooLargeError
from sessionstore.format.strict import MAX_DEPTH, decode_object, encode_object

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
objects = st.dictionaries(texts, values, max_size=5)


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    YES = "yes"


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Members(dict[str, Any]):
    pass


class Items(list[Any]):
    pass


class Record(msgspec.Struct):
    a: int = 1


Point = namedtuple("Point", "x y")


def same(one: Any, other: Any) -> bool:
    """Equal, of equal types all the way down; -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


def nested(levels: int, *, of: str = "list") -> dict[str, Any]:
    """A dict with `levels` levels in all."""
    value: Any = 1
    for number in range(levels - 1):
        value = [value] if of == "list" or (of == "both" and number % 2) else {"a": value}
    return {"a": value}


def encode(value: Any) -> bytes:
    return encode_object(value, max_bytes=LIMIT)


def reason_of(value: Any) -> str:
    with pytest.raises(MalformedError) as caught:
        encode(value)
    assert caught.value.fields["session_id"] == ""
    return str(caught.value.fields["reason"])


class TestWhatIsStored:
    @given(objects)
    def test_it_comes_back_the_same_down_to_types_and_order(self, value: dict[str, Any]) -> None:
        assert same(decode_object(encode(value)), value)

    @given(objects)
    def test_it_is_one_line_of_text_without_a_byte_below_0x20(self, value: dict[str, Any]) -> None:
        encoded = encode(value)
        assert min(encoded) >= 0x20
        assert json.loads(encoded.decode("utf-8")) == value

    @pytest.mark.parametrize(
        "text",
        [
            "".join(map(chr, range(0x20))),
            "\x7f\x80\x85\xa0",
            "\u2028\u2029",
            "\ufeff",
            "\ufffe\uffff",
            "\U0001f600\U0010ffff",
            '{"seal":{"rev":1}}\n{"seal":',
            '"\\',
            "e\u0301 \xe9",
            "",
        ],
    )
    def test_any_text_is_kept_as_it_is(self, text: str) -> None:
        value = {text: text}
        encoded = encode(value)
        assert same(decode_object(encoded), value)
        assert b"\n" not in encoded

    def test_separators_of_other_worlds_stand_there_as_themselves(self) -> None:
        assert encode({"a": "\u2028\x85"}) == '{"a":"\u2028\x85"}'.encode()

    @pytest.mark.parametrize("number", [-(2**63), -1, 0, 2**53 + 1, 2**63, 2**64 - 1])
    def test_integers_of_64_bit_are_kept_exactly(self, number: int) -> None:
        assert same(decode_object(encode({"a": number})), {"a": number})

    @pytest.mark.parametrize("number", [-0.0, 0.1, 1.0, 1e22, 1e308, 5e-324, 1.7976931348623157e308])
    def test_floats_are_kept_to_the_last_bit(self, number: float) -> None:
        assert same(decode_object(encode({"a": number})), {"a": number})

    def test_a_bool_is_not_an_integer(self) -> None:
        assert encode({"a": True, "b": 1}) == b'{"a":true,"b":1}'

    def test_a_tuple_comes_back_as_a_list(self) -> None:
        assert decode_object(encode({"a": (1, (2,))})) == {"a": [1, [2]]}

    @pytest.mark.parametrize("of", ["list", "dict", "both"])
    def test_128_levels_are_kept(self, of: str) -> None:
        value = nested(128, of=of)
        assert decode_object(encode(value)) == value

    def test_the_value_itself_is_left_alone(self) -> None:
        inner = [1]
        value = {"a": inner, "b": (2,)}
        encode(value)
        assert value["a"] is inner and value == {"a": [1], "b": (2,)}


class TestWhatIsRefused:
    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_a_float_that_is_no_number(self, number: float) -> None:
        assert reason_of({"a": number}) == "entry.a: NaN and infinities are not JSON"

    @pytest.mark.parametrize(
        "number",
        [-(2**63) - 1, 2**64, 2**100, 10**4_299, 10**4_999, -(10**4_999)],
        ids=lambda n: f"{n.bit_length()} bit",
    )
    def test_an_integer_beyond_64_bit(self, number: int) -> None:
        assert reason_of({"a": number}) == "entry.a: an integer beyond 64 bit"

    @pytest.mark.parametrize(
        "value",
        [
            b"x",
            bytearray(b"x"),
            memoryview(b"x"),
            dt.datetime(2026, 1, 31, tzinfo=dt.UTC),
            dt.date(2026, 1, 31),
            dt.timedelta(1),
            Decimal("1.5"),
            Fraction(1, 2),
            complex(1, 2),
            uuid.UUID(int=1),
            Colour.RED,
            Number.ONE,
            Word.YES,
            Text("x"),
            Whole(1),
            Real(1.5),
            Members(a=1),
            OrderedDict(a=1),
            defaultdict(int),
            Items([1]),
            Point(1, 2),
            Record(),
            {1},
            range(3),
            object(),
            int,
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_a_value_of_any_other_type(self, value: Any) -> None:
        assert reason_of({"a": value}) == f"entry.a: {type(value).__name__} is not JSON"

    @pytest.mark.parametrize("name", [1, 1.5, None, True, b"a", Text("a"), Word.YES, ("a",)], ids=repr)
    def test_a_member_name_that_is_not_plain_text(self, name: Any) -> None:
        assert reason_of({"a": {name: 1}}) == f"entry.a: a member name must be text, not {type(name).__name__}"

    @pytest.mark.parametrize("text", ["\ud800", "\udfff", "a\udc00b", "\ud83d\ude00", "\u00e9\udcff"], ids=ascii)
    def test_half_a_surrogate_pair_in_a_value_or_a_name(self, text: str) -> None:
        assert reason_of({"a": [text]}) == "entry.a[0]: half a surrogate pair is not text"
        assert reason_of({"a": {text: 1}}) == "entry.a: half a surrogate pair is not text"

    @pytest.mark.parametrize("value", [[], (), "text", None, 1, Members(), OrderedDict(), Record()], ids=repr)
    def test_anything_but_a_dict_at_the_top(self, value: Any) -> None:
        assert reason_of(value) == f"entry must be a JSON object (dict), not {type(value).__name__}"

    @pytest.mark.parametrize("of", ["list", "dict", "both"])
    @pytest.mark.parametrize("levels", [129, 200, 100_000])
    def test_more_than_128_levels(self, levels: int, of: str) -> None:
        with pytest.raises(TooDeepError) as caught:
            encode(nested(levels, of=of))
        assert caught.value.fields == {"session_id": "", "limit": MAX_DEPTH} == {"session_id": "", "limit": 128}

    def test_a_value_that_contains_itself(self) -> None:
        value: dict[str, Any] = {"a": []}
        value["a"].append(value)
        with pytest.raises(TooDeepError):
            encode(value)

    def test_what_is_longer_than_its_cap_by_one_byte(self) -> None:
        value = {"a": "é" * 10}
        size = len(encode(value))
        assert encode_object(value, max_bytes=size) == encode(value)
        with pytest.raises(TooLargeError) as caught:
            encode_object(value, max_bytes=size - 1)
        assert caught.value.fields == {
            "what": "entry",
            "size_bytes": size,
            "limit_bytes": size - 1,
            "setting": "max_entry_bytes",
        }


class TestTheReason:
    def test_it_names_the_way_to_the_value(self) -> None:
        assert reason_of({"x": [0, {"y": (1, {"z": math.nan})}]}).startswith("entry.x[1].y[1].z: ")

    def test_it_begins_with_what_the_caller_calls_the_value(self) -> None:
        with pytest.raises(MalformedError) as caught:
            encode_object({"a": b""}, max_bytes=LIMIT, what="config")
        assert caught.value.fields["reason"] == "config.a: bytes is not JSON"
        with pytest.raises(TooLargeError) as large:
            encode_object({"a": 1}, max_bytes=1, what="config")
        assert large.value.fields["what"] == "config"

    @given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
    def test_it_never_shows_content(self, other: Any) -> None:
        for bad in (
            f"{MARKER}\ud800",
            MARKER.encode(),
            Text(MARKER),
            {MARKER},
            {"\ud800" + MARKER: 1},
            {MARKER.encode(): 1},
        ):
            reason = reason_of({"before": MARKER, "list": [other, MARKER, bad, MARKER], "behind": MARKER})
            assert MARKER not in reason and "\ud800" not in reason
            assert reason.startswith("entry.list[2]: ")

    def test_a_long_name_in_it_is_cut(self) -> None:
        assert reason_of({"n" * 5000: b""}) == f"entry.{'n' * 40}…: bytes is not JSON"
        assert reason_of({"n" * 40: b""}) == f"entry.{'n' * 40}: bytes is not JSON"

    def test_control_characters_of_a_name_do_not_reach_a_terminal(self) -> None:
        assert reason_of({"\x1b[2J\n\u202e": b""}) == "entry.\ufffd[2J\ufffd\ufffd: bytes is not JSON"

    def test_a_long_way_keeps_its_beginning_and_its_end(self) -> None:
        value: Any = b""
        for number in reversed(range(20)):
            value = {f"m{number}": value}
        assert reason_of(value) == "entry.m0.m1.m2.m3….m16.m17.m18.m19: bytes is not JSON"

    def test_a_way_of_eight_steps_is_whole(self) -> None:
        value: Any = b""
        for number in reversed(range(8)):
            value = {f"m{number}": value}
        assert reason_of(value) == "entry.m0.m1.m2.m3.m4.m5.m6.m7: bytes is not JSON"
