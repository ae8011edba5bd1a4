"""Attempts in the ledger: one transaction, rows that cannot be changed by hand, buckets that go when they are done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from sessionstore.errors import LedgerCorruptError, StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.ledger import AttemptClock, Ledger
from sessionstore.signing import new_key

OpenLedger = Callable[..., Ledger]
Tamper = Callable[..., None]

CLOCK = AttemptClock(now_us=7_000_000, boot="one", running_us=50, wall_us=60)


@pytest.fixture
def counted(ledger: Ledger) -> Ledger:
    """A ledger with two buckets."""
    with ledger.attempts() as attempts:
        attempts.set_clock(CLOCK)
        attempts.put("resume/global", (1, 5), leaves_at=10_000_000)
        attempts.put("resume/session/x", (5,), leaves_at=20_000_000)
    return ledger


def names(ledger: Ledger) -> list[str]:
    return [name for (name,) in ledger._database.read("SELECT bucket FROM attempts ORDER BY bucket")]


class TestAttempts:
    def test_a_new_ledger_has_none_and_no_time(self, ledger: Ledger) -> None:
        with ledger.attempts() as attempts:
            assert attempts.clock() is None
            assert attempts.entries("resume/global") == ()
        ledger.check()

    def test_what_was_noted_is_there_in_the_next_block_and_for_others(
        self, counted: Ledger, open_ledger: OpenLedger
    ) -> None:
        for ledger in (counted, open_ledger()):
            with ledger.attempts() as attempts:
                assert attempts.clock() == CLOCK
                assert attempts.entries("resume/global") == (1, 5)
                assert attempts.entries("resume/session/x") == (5,)
                assert attempts.entries("resume/session/y") == ()
        counted.check()

    def test_a_bucket_is_replaced(self, counted: Ledger) -> None:
        with counted.attempts() as attempts:
            attempts.put("resume/global", (5, 6), leaves_at=11_000_000)
            assert attempts.entries("resume/global") == (5, 6)
        assert names(counted) == ["resume/global", "resume/session/x"]

    def test_an_exception_takes_everything_back(self, counted: Ledger) -> None:
        with pytest.raises(ZeroDivisionError), counted.attempts() as attempts:
            attempts.set_clock(AttemptClock(8_000_000, "two", 1, 2))
            attempts.put("resume/global", (), leaves_at=0)
            _ = 1 // 0
        with counted.attempts() as attempts:
            assert (attempts.clock(), attempts.entries("resume/global")) == (CLOCK, (1, 5))

    def test_nobody_else_writes_meanwhile(self, counted: Ledger, open_ledger: OpenLedger) -> None:
        other = open_ledger(timeout_s=0)
        with counted.attempts(), pytest.raises(StoreUnavailableError, match="locked"), other.attempts():
            pass
        with other.attempts() as attempts:
            assert attempts.entries("resume/session/x") == (5,)

    def test_the_time_removes_buckets_in_which_nothing_counts(self, counted: Ledger) -> None:
        with counted.attempts() as attempts:
            attempts.set_clock(AttemptClock(9_999_999, "one", 51, 61))
        assert names(counted) == ["resume/global", "resume/session/x"]
        with counted.attempts() as attempts:
            attempts.set_clock(AttemptClock(10_000_000, "one", 51, 61))
        assert names(counted) == ["resume/session/x"]

    def test_stores_of_one_ledger_are_counted_apart(self, counted: Ledger, open_ledger: OpenLedger) -> None:
        other = open_ledger(store_id="00000000-0000-4000-8000-000000000000")
        with other.attempts() as attempts:
            assert attempts.clock() is None
            assert attempts.entries("resume/global") == ()
            attempts.set_clock(AttemptClock(99_000_000, "one", 1, 2))
        assert names(counted) == ["resume/global", "resume/session/x"]

    def test_a_ledger_that_is_only_read_refuses(self, counted: Ledger, open_ledger: OpenLedger) -> None:
        with pytest.raises(StoreUnavailableError, match="read-only"), open_ledger(read_only=True).attempts():
            pass

    def test_the_ledger_says_which_store_it_is(self, ledger: Ledger, store_id: str) -> None:
        assert ledger.store_id == store_id


class TestAChangedRow:
    @pytest.mark.parametrize(
        "change",
        [
            "leaves_at = 1",
            "leaves_at = 'never'",
            "leaves_at = x'01'",
            "bucket = 'resume/session/z'",
            "bucket = x'7265'",
            "key_id = '0000000000000000'",
            "payload = payload || x'00'",
            "payload = 'text'",
            "mac = zeroblob(32)",
            "mac = 5",
        ],
    )
    def test_of_a_bucket_is_refused(self, counted: Ledger, tamper: Tamper, change: str) -> None:
        tamper(f"UPDATE attempts SET {change} WHERE bucket = 'resume/session/x'")
        with pytest.raises(LedgerCorruptError):
            counted.check()
        if "bucket" not in change:
            with pytest.raises(LedgerCorruptError), counted.attempts() as attempts:
                attempts.entries("resume/session/x")

    @pytest.mark.parametrize("change", ["key_id = 'x'", "payload = x'90'", "payload = 1", "mac = zeroblob(32)"])
    def test_of_the_time_is_refused(self, counted: Ledger, tamper: Tamper, change: str) -> None:
        tamper(f"UPDATE attempts_clock SET {change}")
        with pytest.raises(LedgerCorruptError):
            counted.check()
        with pytest.raises(LedgerCorruptError), counted.attempts() as attempts:
            attempts.clock()

    def test_of_one_bucket_does_not_serve_another(self, counted: Ledger, tamper: Tamper) -> None:
        tamper(
            "UPDATE attempts SET (leaves_at, key_id, payload, mac) ="
            " (SELECT leaves_at, key_id, payload, mac FROM attempts WHERE bucket = 'resume/global')"
        )
        with counted.attempts() as attempts:
            assert attempts.entries("resume/global") == (1, 5)
        with pytest.raises(LedgerCorruptError), counted.attempts() as attempts:
            attempts.entries("resume/session/x")

    def test_of_the_time_does_not_serve_as_a_bucket_of_that_name(
        self, counted: Ledger, tamper: Tamper, state: Directory
    ) -> None:
        with closing(sqlite3.connect(f"{state.path}/ledger.db")) as connection:
            row = connection.execute("SELECT store_id, key_id, payload, mac FROM attempts_clock").fetchone()
        tamper("INSERT INTO attempts VALUES (?, 'clock', 9, ?, ?, ?)", *row)
        with pytest.raises(LedgerCorruptError, match="changed outside"), counted.attempts() as attempts:
            attempts.entries("clock")

    def test_of_another_installation_is_refused(self, counted: Ledger, open_ledger: OpenLedger, tamper: Tamper) -> None:
        counted.close()
        tamper("UPDATE attempts SET key_id = ?", new_key("2026-01-31T12:00:00.000000Z").id)
        with pytest.raises(LedgerCorruptError), open_ledger().attempts() as attempts:
            attempts.entries("resume/global")


class TestARemovedRow:
    """Not noticed, and nothing worse."""

    def test_a_bucket_without_its_row_is_empty(self, counted: Ledger, tamper: Tamper) -> None:
        tamper("DELETE FROM attempts WHERE bucket = 'resume/global'")
        with counted.attempts() as attempts:
            assert attempts.entries("resume/global") == ()
        counted.check()

    def test_without_the_time_nothing_is_dated_and_nothing_locks_for_ever(
        self, counted: Ledger, tamper: Tamper
    ) -> None:
        tamper("DELETE FROM attempts_clock")
        with counted.attempts() as attempts:
            assert attempts.clock() is None
            assert attempts.entries("resume/session/x") == ()
        assert names(counted) == []
