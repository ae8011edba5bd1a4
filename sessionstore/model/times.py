"""Timestamps: aware, UTC, microseconds; as text RFC 3339 with all six digits, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_TICK = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The wall clock, as an aware UTC time."""
    return datetime.now(UTC)


def next_time(now: datetime, previous: datetime) -> datetime:
    """`now`, or one microsecond after `previous` where the clock was set back or has not moved."""
    return max(now, previous + _TICK)


def format_time(moment: datetime) -> str:
    """`moment` as RFC 3339 text in UTC, always 27 characters: `2026-01-31T12:00:00.000000Z`.

    Raises:
        ValueError: `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone means nothing here")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """The aware UTC time that RFC 3339 `text` names, `Z` or a numeric offset.

    Raises:
        ValueError: `text` is not a time, or has no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError("a time without a zone means nothing here")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC that time lies outside the calendar") from None
