"""A log whose ledger was lost: every file of it gets a row again, and what cannot be checked is said."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore.audit import AuditLog
from sessionstore.audit.found import MAX_GAP
from sessionstore.ledger import Ledger
from sessionstore.signing import Keyring, added, closed, new_key, promoted, retired, waiting_key

NOW = "2026-01-31T12:00:00.000000Z"
STORE = "5f0c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


@pytest.fixture
def keyring() -> Keyring:
    return Keyring([new_key(NOW)], generation=1)


def lose(place: Any) -> AuditLog:
    """Another ledger in the place of the old one, and a log on it."""
    place.ledger.close()
    for path in (place.home / "state").glob("ledger.db*"):
        path.unlink()
    with Ledger.create(place.state, place.keyring, STORE) as ledger:
        ledger.bind(STORE, 1, 2)
    Ledger.place(place.state)
    place.ledger = place.opened.enter_context(Ledger.open(place.state, place.keyring, STORE, timeout_s=0.05))
    return place.log()


def rotate(place: Any) -> None:
    key = waiting_key(NOW)
    place.keyring.take(added(place.keyring, key))
    place.keyring.take(promoted(place.keyring))
    place.ledger.generations.follow(place.keyring.changed(place.keyring.keys))
    while place.ledger.renewal.page():
        pass
    place.keyring.take(closed(place.keyring))


def taken(place: Any) -> tuple[list[tuple[int, str, int]], list[tuple[str, int, str]]]:
    """Lose the ledger, take the files over, write an event: the rows in short, and what a check finds."""
    kept = {path.name: path.read_bytes() for path in place.directory.glob("*.jsonl") if not path.is_symlink()}
    log = lose(place)
    rows = log.take_over()
    log.record("store_claimed", path="behind")
    for name, data in kept.items():
        assert (place.directory / name).read_bytes() == data
    assert place.ledger.audit.read()[1] == list(rows)
    assert place.records()[-1].event == "store_claimed"
    return [(row.file, row.state, row.lines) for row in rows], place.found()


def revs(place: Any) -> list[int]:
    return [record.fields["rev"] for record in place.records(events=["resume_committed"])]


@pytest.fixture
def days(place: Any, log: AuditLog) -> Any:
    """Four files of two lines each, of four days: revisions 0 to 7."""
    for rev in range(8):
        log.record("resume_committed", rev=rev)
        place.pass_days(rev % 2)
    return place


class TestWhole:
    def test_nothing_is_lost_and_the_chain_goes_on(self, days: Any) -> None:
        before = days.records()
        assert taken(days) == ([(number, "closed", 2) for number in range(1, 5)], [])
        assert days.records()[:-1] == before and days.is_unbroken()
        report = days.report()
        assert (report.files, report.lines, report.notes) == (5, 9, ())

    def test_before_the_first_event_they_are_read_too(self, days: Any) -> None:
        before = days.records()
        log = lose(days)
        log.take_over()
        assert list(log.records()) == before
        assert log.verify().ok

    def test_an_empty_log_begins_as_ever(self, place: Any) -> None:
        log = lose(place)
        assert log.take_over() == ()
        log.record("store_claimed")
        assert place.names() == ["000001.jsonl"] and place.report().ok

    def test_it_can_be_lost_again_and_again(self, days: Any) -> None:
        for _ in range(3):
            taken(days)
        assert revs(days) == list(range(8)) and days.report().lines == 11 and days.is_unbroken()

    def test_files_of_old_keys_are_bound_by_what_follows(self, place: Any, log: AuditLog) -> None:
        for rev in range(3):
            log.record("resume_committed", rev=rev)
            rotate(place)
            log.renew()
        assert taken(place) == ([(1, "closed", 1), (2, "closed", 2), (3, "closed", 2), (4, "closed", 1)], [])
        assert revs(place) == [0, 1, 2]

    def test_a_taken_over_file_needs_no_key_and_leaves_with_its_age(self, place: Any, log: AuditLog) -> None:
        log.record("resume_committed", rev=0)
        old = place.keyring.primary.id
        rotate(place)
        log.renew()
        taken(place)
        place.keyring.take(retired(place.keyring, old, "destroyed"))
        assert revs(place) == [0] and place.report().ok
        for _ in range(2):
            place.pass_days(2)
            place.log(audit_retention_days=10).record("resume_attempt")
        assert "000001.jsonl" in place.names()
        place.pass_days(20)
        place.log(audit_retention_days=10).record("resume_attempt")
        place.pass_days(1)
        place.log(audit_retention_days=10).record("resume_attempt")
        assert "000001.jsonl" not in place.names() and place.report().ok


class TestUnchecked:
    def test_the_end_under_an_old_key_counts_only_if_the_primary_one_follows(self, place: Any, log: AuditLog) -> None:
        log.record("resume_committed", rev=0)
        rotate(place)
        place.ledger.close()
        rows, found = taken(place)
        assert (rows, found, revs(place)) == ([(1, "taken", 0)], [], [])
        assert place.report().notes == (
            "000001.jsonl: when the ledger was made anew, none of its lines could be checked",
        )

    def test_nor_do_lines_whose_key_is_gone(self, place: Any, log: AuditLog) -> None:
        log.record("resume_committed", rev=0)
        old = place.keyring.primary.id
        rotate(place)
        log.renew()
        log.record("resume_committed", rev=1)
        place.keyring.take(retired(place.keyring, old, "destroyed"))
        assert taken(place) == ([(1, "taken", 0), (2, "closed", 2)], [])
        assert revs(place) == [1]

    def test_a_file_of_two_keys_counts_from_the_known_one_on(self, place: Any, log: AuditLog) -> None:
        log.record("resume_committed", rev=0)
        old = place.keyring.primary.id
        rotate(place)
        log.record("resume_committed", rev=1)
        log.record("resume_committed", rev=2)
        place.keyring.take(retired(place.keyring, old, "destroyed"))
        assert taken(place) == ([(1, "taken", 2)], [])
        assert revs(place) == [1, 2]
        assert "only 2 of its lines" in place.report().notes[0]

    def test_a_torn_last_line_is_kept_and_said(self, days: Any) -> None:
        days.put([*days.lines(4), b'{"audit":{"fi'], 4)
        rows, found = taken(days)
        assert (rows[3], found, revs(days)) == ((4, "taken", 2), [], list(range(8)))

    def test_an_empty_file_too(self, days: Any) -> None:
        days.put([], 4)
        rows, found = taken(days)
        assert (rows[3], found, revs(days)) == ((4, "taken", 0), [], list(range(6)))

    def test_it_is_anchored_from_then_on_and_stays_as_long_as_a_young_one(self, place: Any, log: AuditLog) -> None:
        log.record("resume_committed", rev=0)
        rotate(place)
        place.pass_days(30)
        taken(place)
        place.pass_days(9)
        for days in (0, 2):
            place.pass_days(days)
            place.log(audit_retention_days=10).record("resume_attempt")
            assert ("000001.jsonl" in place.names()) is (days == 0)

    def test_changed_later_it_is_found(self, place: Any, log: AuditLog) -> None:
        log.record("resume_committed", rev=0)
        rotate(place)
        taken(place)
        place.put([place.lines(1)[0].replace(b'"rev":0', b'"rev":9')])
        assert place.found() == [("000001.jsonl", 1, "changed")] and revs(place) == []


class TestGone:
    def test_one_in_the_middle_is_missing_and_the_line_behind_it_unchecked(self, days: Any) -> None:
        days.file(2).unlink()
        rows, found = taken(days)
        assert rows == [(1, "closed", 2), (2, "damaged", 0), (3, "taken", 1), (4, "closed", 2)]
        assert (found, revs(days)) == ([("000002.jsonl", 0, "missing")], [0, 1, 5, 6, 7])

    def test_several_at_the_begin_are_retired_if_the_log_says_so(self, place: Any) -> None:
        log = place.log(audit_retention_days=10)
        for rev in range(4):
            log.record("resume_committed", rev=rev)
            place.pass_days(1)
        place.pass_days(8)
        log.record("resume_committed", rev=4)
        log.record("resume_committed", rev=5)
        assert place.names() == ["000003.jsonl", "000004.jsonl", "000005.jsonl"]
        rows, found = taken(place)
        assert rows == [(1, "retired", 0), (2, "retired", 0), (3, "taken", 0), (4, "closed", 1), (5, "closed", 3)]
        assert (found, revs(place), place.report().retired) == ([], [3, 4, 5], 2)

    def test_what_only_an_old_key_calls_retired_is_missing(self, place: Any) -> None:
        log = place.log(audit_retention_days=10)
        log.record("resume_committed", rev=0)
        place.pass_days(20)
        log.record("resume_committed", rev=1)
        place.pass_days(1)
        log.record("resume_committed", rev=2)
        assert "000001.jsonl" not in place.names()
        rotate(place)
        rows, found = taken(place)
        assert rows[0] == (1, "damaged", 0) and found[0] == ("000001.jsonl", 0, "missing")

    def test_one_that_was_retired_and_put_back_is_there(self, place: Any) -> None:
        log = place.log(audit_retention_days=10)
        for rev in range(4):
            log.record("resume_committed", rev=rev)
            place.pass_days(1)
        kept = place.file(2).read_bytes()
        place.pass_days(8)
        log.record("resume_committed", rev=4)
        place.file(2).write_bytes(kept)
        place.file(2).chmod(0o600)
        rows, _ = taken(place)
        assert [state for _, state, _ in rows[:2]] == ["retired", "taken"]

    def test_else_they_are_missing(self, days: Any) -> None:
        for number in (1, 2):
            days.file(number).unlink()
        assert taken(days)[1] == [("000001.jsonl", 0, "missing"), ("000002.jsonl", 0, "missing")]
        assert revs(days) == [5, 6, 7]

    def test_a_number_out_of_reach_is_no_file_of_this_log(self, days: Any) -> None:
        far = days.file(5 + MAX_GAP)
        far.write_bytes(b"x\n")
        far.chmod(0o600)
        rows, found = taken(days)
        assert (len(rows), found) == (4, [(far.name, 0, "unknown_file")])


class TestDamaged:
    @pytest.mark.parametrize(
        ("change", "line", "left"),
        [
            (lambda lines: [lines[0].replace(b'"rev":2', b'"rev":9'), lines[1]], 1, [0, 1, 5, 6, 7]),
            (lambda lines: [lines[0], lines[1].replace(b'"rev":3', b'"rev":9')], 2, [0, 1, 2, 5, 6, 7]),
            (lambda lines: lines[:1], 2, [0, 1, 2, 5, 6, 7]),
            (lambda lines: lines[1:], 1, [0, 1, 5, 6, 7]),
            (lambda lines: [*lines, b"more\n"], 3, [0, 1, 2, 3, 4, 5, 6, 7]),
        ],
        ids=["first", "second", "cut", "begun later", "behind"],
    )
    def test_a_closed_file_that_was_changed_is_found_for_ever(
        self, days: Any, change: Any, line: int, left: list[int]
    ) -> None:
        days.put(change(days.lines(2)), 2)
        rows, found = taken(days)
        assert rows[1][1] == "damaged" and found == [("000002.jsonl", line, "changed")]
        assert revs(days) == left
        taken(days)
        assert days.found() == found and revs(days) == left

    def test_lines_of_an_old_key_before_a_break_are_vouched_for_by_nobody(self, place: Any, log: AuditLog) -> None:
        # Whoever has that key could have written them: what the present key signed is chained to other lines.
        for rev in range(2):
            log.record("resume_committed", rev=rev)
        rotate(place)
        log.renew()
        log.record("resume_committed", rev=2)
        place.put(place.lines(1)[:1], 1)
        rows, found = taken(place)
        assert (rows[0], found) == ((1, "damaged", 0), [("000001.jsonl", 1, "changed")])
        assert revs(place) == [2]

    def test_the_newest_file_with_bad_lines_too(self, days: Any) -> None:
        days.put([*days.lines(4), b"more\n"], 4)
        assert taken(days)[1] == [("000004.jsonl", 3, "changed")]
        assert revs(days) == list(range(8))

    def test_a_file_of_nothing_but_claims_casts_no_doubt_on_the_one_before(self, days: Any) -> None:
        claim = days.lines(4)[0].replace(b'"file":4,"seq":7,', b'"file":5,"seq":90,')
        days.file(5).write_bytes(claim)
        days.file(5).chmod(0o600)
        rows, found = taken(days)
        assert rows[3:] == [(4, "closed", 2), (5, "damaged", 0)]
        assert (found, revs(days)) == ([("000005.jsonl", 1, "changed")], list(range(8)))

    def test_a_damaged_one_behind_a_gap_counts_for_nothing(self, days: Any) -> None:
        days.file(2).unlink()
        days.put([*days.lines(3), b"more\n"], 3)
        rows, _ = taken(days)
        assert rows[1:3] == [(2, "damaged", 0), (3, "damaged", 0)]
        assert revs(days) == [0, 1, 6, 7]

    def test_a_link_is_not_read(self, days: Any) -> None:
        days.file(2).rename(days.home / "elsewhere")
        days.file(2).symlink_to(days.home / "elsewhere")
        rows, found = taken(days)
        assert (rows[1], found) == ((2, "damaged", 0), [("000002.jsonl", 0, "unsafe_file")])
        assert revs(days) == [0, 1, 5, 6, 7]

    def test_the_file_of_another_store_is_no_file_of_this_one(self, days: Any) -> None:
        days.put([line.replace(b'"file":1', b'"file":2') for line in days.lines(1)], 2)
        assert ("000002.jsonl", 1, "changed") in taken(days)[1]
