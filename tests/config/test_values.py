from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.config.secret import Secret
from sessionstore.config.values import Count, Kind, Place, Salt, Seconds, Size, StorageUri, Word

SIZE = Size(64, 1 << 40)
COUNT = Count(1, 1000, "things")
OPTIONAL = Count(1, 1000, "things", optional=True)
SECONDS = Seconds(0, 3600)
WORD = Word(("adopt", "ask", "refuse"))

NOT_PLAIN = [
    "",
    " ",
    "1e6",
    "-5",
    "+5",
    "0x10",
    "1_000",
    "010",
    " 100",
    "100 ",
    "100\n",
    "\u0661\u0660\u0660",
    "1,000",
    "9" * 5000,
]


def refused(kind: Kind, raw: object) -> bool:
    try:
        kind.read(raw)
    except ValueError as exc:
        return str(exc) == kind.needed
    return False


class TestSize:
    @pytest.mark.parametrize(
        ("raw", "size_bytes"),
        [("64", 64), ("1KiB", 1024), ("256MiB", 256 << 20), ("3 GiB", 3 << 30), ("1TiB", 1 << 40), (4096, 4096)],
    )
    def test_plain_numbers_and_binary_units_are_read(self, raw: object, size_bytes: int) -> None:
        assert SIZE.read(raw) == size_bytes

    @pytest.mark.parametrize("raw", [*NOT_PLAIN, "1MB", "1M", "1mib", "1Mib", "1.5MiB", "1  MiB", "MiB", "1MiBs", "1B"])
    def test_anything_else_is_refused(self, raw: str) -> None:
        assert refused(SIZE, raw)

    @pytest.mark.parametrize("raw", [True, False, 100.0, None, [100], {"a": 1}, Path("/100")])
    def test_other_types_are_refused(self, raw: object) -> None:
        assert refused(SIZE, raw)

    @pytest.mark.parametrize("raw", [True, False])
    def test_a_boolean_is_no_number_even_where_0_and_1_are_allowed(self, raw: bool) -> None:
        for kind in (Size(0, 5), Count(0, 5, "things"), Seconds(0, 5)):
            assert refused(kind, raw)
            with pytest.raises(ValueError, match="needed"):
                kind.check(raw)

    @pytest.mark.parametrize(("raw", "fits"), [(63, False), (64, True), (1 << 40, True), ((1 << 40) + 1, False)])
    def test_both_ends_of_the_range_belong_to_it(self, raw: int, fits: bool) -> None:
        assert refused(SIZE, raw) is not fits
        assert refused(SIZE, str(raw)) is not fits

    @given(st.integers(64, 1 << 40))
    def test_what_is_shown_can_be_read_back(self, size_bytes: int) -> None:
        assert SIZE.read(SIZE.show(size_bytes)) == size_bytes

    @given(st.integers(1, 1 << 30), st.sampled_from(["KiB", "MiB", "GiB", "TiB"]))
    def test_a_unit_multiplies_by_its_power_of_1024(self, number: int, unit: str) -> None:
        size_bytes = number * 1024 ** (["KiB", "MiB", "GiB", "TiB"].index(unit) + 1)
        assert Size(0, 1 << 80).read(f"{number}{unit}") == size_bytes

    @given(st.text())
    def test_any_text_is_a_number_in_range_or_refused(self, text: str) -> None:
        if not refused(SIZE, text):
            assert 64 <= SIZE.read(text) <= 1 << 40

    def test_a_number_that_no_unit_divides_is_shown_in_bytes(self) -> None:
        assert SIZE.show(1025) == "1025"
        assert SIZE.show(10 << 20) == "10 MiB"


class TestCount:
    @given(st.integers(1, 1000))
    def test_plain_digits_and_whole_numbers_are_read(self, number: int) -> None:
        assert COUNT.read(number) == COUNT.read(str(number)) == COUNT.read(COUNT.show(number)) == number

    @given(st.integers())
    def test_numbers_out_of_range_are_refused(self, number: int) -> None:
        fits = 1 <= number <= 1000
        assert refused(COUNT, number) is refused(COUNT, str(number)) is not fits

    @pytest.mark.parametrize("raw", [*NOT_PLAIN, "1KiB", "5.0", "nan", True, 5.0, None, [], "off"])
    def test_anything_else_is_refused(self, raw: object) -> None:
        assert refused(COUNT, raw)

    def test_off_is_a_value_only_where_the_number_is_optional(self) -> None:
        assert OPTIONAL.read("off") is None
        assert OPTIONAL.show(None) == "off"
        OPTIONAL.check(None)
        for raw in ("Off", "none", "", "0", False, 0):
            assert refused(OPTIONAL, raw)
        with pytest.raises(ValueError, match="whole number"):
            COUNT.check(None)


class TestSeconds:
    @pytest.mark.parametrize(
        ("raw", "seconds"),
        [("0", 0.0), ("5", 5.0), ("2.5", 2.5), ("0.001", 0.001), ("3600", 3600.0), (5, 5.0), (2.5, 2.5)],
    )
    def test_whole_and_decimal_numbers_are_read(self, raw: object, seconds: float) -> None:
        assert SECONDS.read(raw) == seconds
        assert type(SECONDS.read(raw)) is float

    @pytest.mark.parametrize("raw", [*NOT_PLAIN, ".5", "5.", "5s", "nan", "inf", "Infinity", "3600.1", "1.0e1", "5KiB"])
    def test_anything_else_is_refused(self, raw: str) -> None:
        assert refused(SECONDS, raw)

    @pytest.mark.parametrize(
        "raw", [True, False, None, math.nan, math.inf, -math.inf, -0.1, 3600.5, [1.0], pytest.param(10**400, id="huge")]
    )
    def test_other_types_and_numbers_are_refused(self, raw: object) -> None:
        assert refused(SECONDS, raw)

    @given(st.integers(0, 3600 * 10**6))
    def test_what_is_shown_can_be_read_back(self, microseconds: int) -> None:
        seconds = microseconds / 10**6
        assert SECONDS.read(SECONDS.show(seconds)) == seconds


class TestWord:
    @pytest.mark.parametrize("word", ["adopt", "ask", "refuse"])
    def test_the_words_themselves_are_read(self, word: str) -> None:
        assert WORD.read(word) == WORD.show(word) == word

    @pytest.mark.parametrize("raw", ["", "Adopt", "adopt ", "yes", True, 1, None, [], {}])
    def test_anything_else_is_refused(self, raw: object) -> None:
        assert refused(WORD, raw)


class TestPlace:
    def test_an_absolute_path_is_read_as_it_is_written(self) -> None:
        assert Place().read("/srv/a/../b/ä") == Path("/srv/a/../b/ä")

    @pytest.mark.parametrize(
        "raw", ["", ".", "data", "../data", "~", "~/data", "/a\0b", "/a\ud800b", 5, None, b"/a", []]
    )
    def test_anything_else_is_refused(self, raw: object) -> None:
        assert refused(Place(), raw)

    def test_text_is_not_a_path_in_code(self) -> None:
        with pytest.raises(ValueError, match="absolute"):
            Place().check("/srv/data")

    def test_a_name_that_is_not_utf8_is_accepted_and_shown_without_breaking_the_report(self) -> None:
        path = Place().read("/srv/\udcff")
        assert Place().show(path).encode() == rb"/srv/\xff" or Place().show(path).encode() == rb"/srv/\udcff"


class TestSalt:
    def test_text_becomes_a_secret_of_its_utf8_bytes(self) -> None:
        assert Salt().read("pepper ä").reveal() == "pepper ä".encode()

    @pytest.mark.parametrize(
        "raw", ["", "a\n", "a\tb", "a\0", "a\x1b[0m", "a\u2028", "\udcff", "a" * 1025, 5, True, None, b"a"]
    )
    def test_empty_long_or_unprintable_salts_are_refused(self, raw: object) -> None:
        assert refused(Salt(), raw)

    def test_both_ends_of_the_length_are_allowed(self) -> None:
        assert len(Salt().read("a").reveal()) == 1
        assert len(Salt().read("ä" * 512).reveal()) == 1024

    @pytest.mark.parametrize("value", ["text", b"bytes", Secret(b""), Secret(b"a" * 1025), 5])
    def test_in_code_only_a_secret_of_allowed_length_is_taken(self, value: object) -> None:
        with pytest.raises(ValueError, match="needed"):
            Salt().check(value)

    def test_it_is_shown_only_as_set_or_not(self) -> None:
        assert Salt().show(Secret("pepper")) == "set (hidden)"
        assert Salt().show(None) == "not set"


class TestStorageUri:
    @pytest.mark.parametrize("raw", ["memory://", "redis://:pass@host:6379/1", "redis+unix:///run/redis.sock?db=1"])
    def test_an_address_becomes_a_secret(self, raw: str) -> None:
        secret = StorageUri().read(raw)
        assert secret is not None
        assert secret.reveal() == raw.encode()

    def test_the_ledger_is_a_word(self) -> None:
        assert StorageUri().read("ledger") is None
        assert StorageUri().read(StorageUri().show(None)) is None

    @pytest.mark.parametrize(
        "raw",
        ["", "Ledger", "redis", "://x", "Redis://x", "redis://a b", "redis://a\n", "redis://ä", "\udcff", 5, None],
    )
    def test_anything_else_is_refused(self, raw: object) -> None:
        assert refused(StorageUri(), raw)

    def test_its_length_is_bounded(self) -> None:
        assert not refused(StorageUri(), "redis://" + "a" * 2040)
        assert refused(StorageUri(), "redis://" + "a" * 2041)

    @pytest.mark.parametrize("value", ["memory://", Secret("memory"), Secret(b"redis://\xff"), Secret("a" * 3000), 5])
    def test_in_code_only_a_secret_address_is_taken(self, value: object) -> None:
        with pytest.raises(ValueError, match="needed"):
            StorageUri().check(value)

    def test_only_its_scheme_is_shown(self) -> None:
        assert StorageUri().show(Secret("redis://:hunter2@host:6379")) == "redis://(hidden)"
        assert StorageUri().show(Secret("memory://")) == "memory://"
