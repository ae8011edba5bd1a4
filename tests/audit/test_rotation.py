"""Files are closed by size and by day, anchored, and removed when they are old; the chain goes on over all of them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from freezegun import freeze_time

from sessionstore import Config, open_store
from sessionstore.audit import AuditLog
from sessionstore.audit.lines import MAX_LINE_BYTES

SMALLEST = 16 * 1024


class TestSize:
    def test_a_file_never_grows_beyond_the_setting(self, place) -> None:
        log = place.log(audit_max_file_bytes=SMALLEST)
        for _ in range(200):
            log.record("resume_attempt", session_id=place.session)
        sizes = [path.stat().st_size for path in sorted(place.directory.glob("*.jsonl"))]
        assert len(sizes) > 3 and max(sizes) <= SMALLEST
        assert min(sizes[:-1]) > SMALLEST - 2 * MAX_LINE_BYTES
        assert place.is_unbroken() and len(place.records()) == 200 and place.report().ok

    def test_a_closed_file_is_anchored_by_its_digest(self, two_files) -> None:
        (row,) = two_files.ledger.audit.read()[1]
        assert row.digest == hashlib.sha256(two_files.file(1).read_bytes()).digest()
        assert (row.state, row.lines, row.seq, row.end) == ("closed", 3, 3, two_files.file(1).stat().st_size)
        assert row.mac.hex().encode() in two_files.lines(1)[-1]

    def test_a_closed_file_needs_no_key_of_its_own_any_more(self, two_files) -> None:
        # As after a rotation whose old key is gone: the rows are what vouches for the lines.
        from sessionstore.audit.closed import look
        from sessionstore.audit.lines import Lines
        from sessionstore.audit.shelf import Shelf
        from sessionstore.signing import Keyring, new_key

        (row,) = two_files.ledger.audit.read()[1]
        others = Lines(Keyring([new_key("2026-01-31T12:00:00.000000Z")], generation=2), "x")
        found = look(Shelf(two_files.state, make=False), others, row)
        assert found.damage is None and len(found.good) == 3

    def test_the_next_file_begins_where_the_last_one_ended(self, two_files) -> None:
        head, (row,) = two_files.ledger.audit.read()
        assert (head.start_seq, head.start_mac) == (row.seq, row.mac)
        assert [record.seq for record in two_files.records()] == [1, 2, 3, 4, 5]


class TestDay:
    def test_the_utc_date_decides(self, home) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state")

        def begun() -> int:
            return len(list((home / "state" / "audit").glob("*.jsonl")))

        with freeze_time(datetime(2026, 3, 1, 23, 59, 59, 999999, UTC)) as frozen, open_store(config=config) as store:
            store._ground.audit.record("resume_attempt")
            store._ground.audit.record("resume_attempt")
            assert begun() == 1
            frozen.tick(0.000001)
            store._ground.audit.record("resume_attempt")
            assert begun() == 2
            frozen.move_to(datetime(2026, 3, 2, 23, 59, 59, 999999, UTC))
            store._ground.audit.record("resume_attempt")
            assert begun() == 2
            assert store.verify_audit().ok and len(list(store.audit())) == 4

    def test_a_clock_that_was_wrong_for_a_day_does_no_harm(self, place, log: AuditLog) -> None:
        for days in (0, 4000, -4000, 0):
            place.pass_days(days)
            log.record("resume_attempt")
        assert place.report().ok and len(place.records()) == 4


class TestRetention:
    @pytest.fixture
    def old(self, place) -> AuditLog:
        """Three closed files of three days, and the newest of a fourth; 10 days are kept."""
        log = place.log(audit_retention_days=10)
        for _ in range(4):
            log.record("resume_committed")
            place.pass_days(1)
        return log

    def test_files_that_are_old_enough_go_and_their_rows_stay(self, place, old: AuditLog) -> None:
        place.pass_days(8)  # the first is 12 days old, the second 11, the third 10
        old.record("resume_attempt")
        assert place.names() == ["000003.jsonl", "000004.jsonl", "000005.jsonl"]
        assert [record.event for record in place.records() if record.file == 5] == ["audit_retired", "resume_attempt"]
        assert place.records()[-2].fields == {"first": 1, "last": 2}
        report = place.report()
        assert report.ok and (report.retired, report.files, report.lines) == (2, 3, 4)

    def test_not_a_day_earlier(self, place, old: AuditLog) -> None:
        place.pass_days(6)
        old.record("resume_attempt")
        assert len(place.names()) == 5

    def test_none_go_if_they_are_to_be_kept(self, place, old: AuditLog) -> None:
        place.pass_days(30_000)
        place.log(audit_retention_days=None).record("resume_attempt")
        assert len(place.names()) == 5

    def test_one_that_was_taken_is_not_mistaken_for_retired(self, place, old: AuditLog) -> None:
        place.file(1).unlink()
        assert place.found() == [("000001.jsonl", 0, "missing")]

    def test_a_changed_one_is_told_and_stays(self, place, old: AuditLog) -> None:
        place.put([place.lines(1)[0].replace(b"resume_committed", b"resume_COMMITTED")], 1)
        place.pass_days(8)
        old.record("resume_attempt")
        damaged, retired, _ = [record for record in place.records() if record.file == 5]
        assert (damaged.event, damaged.fields) == ("audit_damaged", {"file": 1, "line": 1, "reason": "changed"})
        assert retired.fields == {"first": 2, "last": 2}
        assert "000001.jsonl" in place.names() and place.found() == [("000001.jsonl", 1, "changed")]

    def test_what_was_set_aside_goes_with_its_file(self, place, old: AuditLog) -> None:
        for name in ("000001-0.tail", "000001-77-2.tail", "000004-0.tail"):
            (place.directory / name).write_bytes(b"x")
        place.pass_days(8)
        old.record("resume_attempt")
        assert [name for name in place.names() if name.endswith(".tail")] == ["000004-0.tail"]

    def test_a_file_that_a_killed_retirement_left_goes_the_next_time(self, place, old: AuditLog) -> None:
        kept = place.file(1).read_bytes()
        place.pass_days(8)
        old.record("resume_attempt")
        place.file(1).write_bytes(kept)
        assert place.report().ok
        place.pass_days(1)
        old.record("resume_attempt")
        assert "000001.jsonl" not in place.names()

    def test_a_file_that_cannot_be_removed_now_does_not_stop_the_log(
        self, place, old: AuditLog, caplog: pytest.LogCaptureFixture
    ) -> None:
        (place.directory / "000001-0.tail").mkdir()
        place.pass_days(8)
        old.record("resume_attempt")
        assert place.events()[-1] == "resume_attempt" and place.report().ok
        assert "not in the audit log: audit_retired" in caplog.text

    def test_a_reader_beside_a_retirement_calls_nothing_missing(
        self, place, old: AuditLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sessionstore.audit import read

        reader = place.log(read_only=True)
        look = read.look

        def late(shelf, lines, row):
            if row.file == 1 and "000001.jsonl" in place.names():
                place.pass_days(8)
                old.record("resume_attempt")
            return look(shelf, lines, row)

        monkeypatch.setattr(read, "look", late)
        assert reader.verify().ok
