"""Times: aware, UTC, and growing also where the clock does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.model import format_time, next_time, parse_time, utc_now

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)

# Whole-hour zones around the world; at the ends of the calendar UTC itself would leave it.
ZONES = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
MOMENTS = st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30), timezones=ZONES)


class TestUtcNow:
    def test_it_is_the_wall_clock_in_utc(self) -> None:
        with freeze_time("2026-01-31 12:00:00"):
            assert utc_now() == NOON
            assert utc_now().utcoffset() == timedelta(0)


class TestNextTime:
    def test_a_clock_that_moved_on_is_believed(self) -> None:
        assert next_time(NOON + TICK, NOON) == NOON + TICK

    def test_a_clock_that_stands_still_gives_the_next_microsecond(self) -> None:
        assert next_time(NOON, NOON) == NOON + TICK

    def test_a_clock_that_was_set_back_never_gives_an_earlier_time(self) -> None:
        with freeze_time(NOON - timedelta(days=365)):
            assert next_time(utc_now(), NOON) == NOON + TICK

    @given(st.lists(MOMENTS, min_size=2))
    def test_times_grow_whatever_the_clock_does(self, clock: list[datetime]) -> None:
        times = [clock[0]]
        for now in clock[1:]:
            times.append(next_time(now, times[-1]))
        assert all(earlier < later for earlier, later in pairwise(times))


class TestFormatTime:
    def test_all_six_digits_are_written_also_when_they_are_zero(self) -> None:
        assert format_time(NOON) == "2026-01-31T12:00:00.000000Z"

    def test_another_zone_is_written_in_utc(self) -> None:
        assert format_time(NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))) == "2026-01-31T12:00:00.000000Z"

    def test_a_time_without_a_zone_is_refused(self) -> None:
        with pytest.raises(ValueError, match="zone"):
            format_time(datetime(2026, 1, 31))

    def test_early_years_have_four_digits_too(self) -> None:
        assert format_time(datetime(33, 4, 3, tzinfo=UTC)) == "0033-04-03T00:00:00.000000Z"

    @given(MOMENTS, MOMENTS)
    def test_text_order_is_time_order(self, one: datetime, other: datetime) -> None:
        assert (format_time(one) < format_time(other)) == (one < other)

    @given(MOMENTS)
    def test_reading_it_back_gives_the_same_moment(self, moment: datetime) -> None:
        assert parse_time(format_time(moment)) == moment
        assert len(format_time(moment)) == 27


class TestParseTime:
    @pytest.mark.parametrize(
        "text",
        ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z", "2026-01-31T13:30:00+01:30", "2026-01-31T04:00:00-08:00"],
    )
    def test_every_spelling_of_a_moment_is_the_same_utc_time(self, text: str) -> None:
        assert parse_time(text) == NOON
        assert parse_time(text).utcoffset() == timedelta(0)

    @pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "2026-01-31"])
    def test_a_time_without_a_zone_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="zone"):
            parse_time(text)

    @pytest.mark.parametrize(
        "text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-31T25:00:00Z", "٢٠٢٦-01-31T00:00:00Z"]
    )
    def test_what_is_no_time_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"Invalid|month|hour"):
            parse_time(text)

    @pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
    def test_a_moment_outside_the_calendar_is_refused_like_any_other(self, text: str) -> None:
        with pytest.raises(ValueError, match="calendar"):
            parse_time(text)
