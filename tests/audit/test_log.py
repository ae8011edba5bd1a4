"""`record`: what it writes, what it tells `logging`, and what happens when it cannot write."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from sessionstore import errors
from sessionstore.audit import AuditLog


@pytest.fixture
def blocked(place) -> Path:
    """Something stands in the way of the directory: no line can be written."""
    place.directory.symlink_to(place.home)
    return place.directory


class TestRecord:
    def test_each_event_is_one_line(self, small) -> None:
        assert len(small.lines()) == 6
        assert small.events() == [
            "resume_attempt",
            "rate_limited",
            "resume_refused",
            "rebind",
            "resume_committed",
            "resume_ended",
        ]
        assert small.is_unbroken()

    def test_it_says_who_when_and_what(self, small) -> None:
        record = small.records()[3]
        assert (record.file, record.line, record.seq) == (1, 4, 4)
        assert (record.at, record.pid, record.session_id) == (small.now, os.getpid(), small.session)
        assert record.fields == {"before": "/srv/a", "after": "/srv/b", "consent": "the owner", "trust": ""}

    def test_the_file_is_private(self, small) -> None:
        assert small.file().stat().st_mode & 0o777 == 0o600
        assert small.directory.stat().st_mode & 0o777 == 0o700

    def test_what_is_not_in_the_table_writes_nothing(self, log: AuditLog, place) -> None:
        with pytest.raises(errors.InvalidValueError):
            log.record("resume_attempt", token="abc")
        with pytest.raises(errors.InvalidValueError):
            log.record("saved")
        assert not place.directory.exists()

    def test_the_same_finding_of_the_same_session_is_written_once_a_minute(self, log: AuditLog, place) -> None:
        other = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        for _ in range(100):
            log.record("tampering_found", session_id=place.session, code="rollback")
        log.record("tampering_found", session_id=place.session, code="fork")
        log.record("tampering_found", session_id=other, code="rollback")
        assert len(place.records()) == 3
        place.ticks += 59.9
        log.record("tampering_found", session_id=place.session, code="rollback")
        assert len(place.records()) == 3
        place.ticks += 0.2
        log.record("tampering_found", session_id=place.session, code="rollback")
        assert len(place.records()) == 4

    def test_a_limit_that_is_off_is_told_once_a_process(self, log: AuditLog, place) -> None:
        for _ in range(3):
            place.ticks += 1e9
            log.record("limits_off", setting="resume_limit")
        log.record("limits_off", setting="resume_global_limit")
        assert len(place.records()) == 2

    def test_what_is_remembered_of_findings_is_bounded(
        self, place, log: AuditLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sessionstore.audit.log._MOST_REMEMBERED", 4)
        for number in range(20):
            log.record("tampering_found", session_id=f"{number:08d}-3b61-4d7a-9c58-7e4f1a2b3c4d", code="fork")
        assert len(place.records()) == 20 and len(log._told_at) <= 4


class TestFilter:
    def test_by_kind_session_time_and_number(self, small, log: AuditLog) -> None:
        then = small.now
        small.pass_days(1)
        log.record("resume_attempt", session_id="1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")
        assert [record.seq for record in small.records(events=("resume_attempt", "rebind"))] == [1, 4, 7]
        assert [record.seq for record in small.records(session_id=small.session)] == [1, 2, 3, 4, 5, 6]
        assert [record.seq for record in small.records(since=small.now)] == [7]
        assert [record.seq for record in small.records(until=small.now)] == [1, 2, 3, 4, 5, 6]
        assert [record.seq for record in small.records(since=then, limit=2)] == [6, 7]

    def test_what_makes_no_sense_is_refused_at_once(self, small) -> None:
        log = small.log(read_only=True)
        for only in ({"events": ["saved"]}, {"limit": 0}, {"since": small.now.replace(tzinfo=None)}):
            with pytest.raises(errors.InvalidValueError):
                log.records(**only)


class TestLogging:
    def test_every_event_is_told_with_its_particulars(self, log: AuditLog, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "sessionstore")
        log.record("resume_refused", session_id=None, code="missing", verdict="symlink")
        log.record("resume_attempt", session_id="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")
        refused, attempt = caplog.records
        assert (refused.levelname, attempt.levelname, refused.name) == ("WARNING", "INFO", "sessionstore")
        assert refused.getMessage() == "resume_refused code=missing verdict=symlink"
        assert vars(refused)["event"] == "resume_refused" and vars(refused)["verdict"] == "symlink"
        assert vars(attempt)["session_id"] == "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        assert attempt.getMessage() == "resume_attempt session=0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"

    def test_nobody_can_write_a_line_of_their_own_into_it(
        self, log: AuditLog, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "sessionstore")
        hostile = "/srv/a\nresume_committed session=x\x1b[2J\u202e\u2028\x7f"
        log.record("rebind", before=hostile, after="b", consent="c")
        (record,) = caplog.records
        for text in (record.getMessage(), vars(record)["before"]):
            assert text.isascii() and text.isprintable()

    def test_without_a_handler_nothing_is_printed(self, log: AuditLog, capfd: pytest.CaptureFixture[str]) -> None:
        log.record("resume_refused", code="missing")
        assert capfd.readouterr() == ("", "")
        assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("sessionstore").handlers)


class TestWhenItCannotBeWritten:
    @pytest.mark.parametrize(
        "event", ["resume_attempt", "resume_committed", "rebind", "store_claimed", "import_trusted"]
    )
    def test_nothing_is_granted(self, event: str, log: AuditLog, blocked: Path) -> None:
        with pytest.raises(errors.StoreUnavailableError) as refused:
            log.record(event)
        assert refused.value.outcome == "not_written" and "audit" in refused.value.reason

    @pytest.mark.parametrize("event", ["resume_refused", "rate_limited", "tampering_found", "resume_ended"])
    def test_a_refusal_goes_its_way_and_the_failure_is_logged(
        self, event: str, log: AuditLog, blocked: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        log.record(event)
        (record,) = caplog.records
        assert (record.levelname, vars(record)["event"], vars(record)["audit_error"]) == ("ERROR", event, "unsafe_file")
        assert record.getMessage().startswith("not in the audit log: ")

    def test_a_damaged_ledger_is_said_as_such(self, small, log: AuditLog) -> None:
        small.ledger._database.write("UPDATE audit SET mac = x'00'", (), durable=False)
        with pytest.raises(errors.LedgerCorruptError):
            log.record("resume_attempt")
        log.record("resume_refused")

    def test_somebody_else_who_keeps_the_lock_is_waited_for_and_then_refused(self, place, log: AuditLog) -> None:
        log.record("resume_attempt")
        with place.log()._locks.hold("audit", timeout_s=0), pytest.raises(errors.StoreUnavailableError):
            log.record("resume_attempt")
        log.record("resume_attempt")
        assert len(place.records()) == 2

    def test_a_refusal_waits_for_a_short_time_only(self, place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sessionstore.audit.log.LONGEST_WAIT_BESIDE_S", 0.0)
        patient = place.log(lock_timeout_s=30.0)
        with place.log()._locks.hold("audit", timeout_s=0):
            patient.record("resume_refused", code="missing")
        assert place.records() == []

    def test_a_head_that_cannot_be_moved_is_a_refusal_and_the_line_is_taken_in_later(
        self, small, log: AuditLog, ledger_locked
    ) -> None:
        with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
            log.record("resume_committed", rev=9)
        assert len(small.lines()) == 7 and small.report().ok
        log.record("resume_rolled_back")
        assert [record.event for record in small.records()][-2:] == ["resume_committed", "resume_rolled_back"]
        assert small.is_unbroken()

    def test_a_reader_waits_for_a_writer_too(self, small) -> None:
        reader = small.log(read_only=True, lock_timeout_s=0.0)
        with small.log()._locks.hold("audit", timeout_s=0), pytest.raises(errors.StoreUnavailableError):
            reader.verify()
        assert reader.verify().ok


class TestReadOnly:
    def test_events_go_to_logging_and_nothing_is_made(self, place, caplog: pytest.LogCaptureFixture) -> None:
        place.log(read_only=True).record("tampering_found", code="rollback")
        place.log(read_only=True).record("resume_committed")
        assert not place.directory.exists()
        assert [vars(record)["event"] for record in caplog.records] == ["tampering_found"]


class TestSync:
    def synced(self, place) -> bool:
        head = place.ledger.audit.head()
        return head.synced_end == head.end

    def test_what_has_no_second_chance_is_synced_at_once(self, place, log: AuditLog) -> None:
        log.record("resume_attempt")
        assert self.synced(place)  # the first line of a file is
        log.record("resume_attempt")
        assert not self.synced(place)
        log.record("resume_committed")
        assert self.synced(place)

    def test_other_lines_are_after_a_while(self, place, log: AuditLog) -> None:
        log.record("resume_attempt")
        log.record("resume_attempt")
        place.ticks += 5.0
        log.record("resume_attempt")
        assert self.synced(place)

    def test_and_at_the_end(self, place, log: AuditLog) -> None:
        log.record("resume_attempt")
        log.record("resume_attempt")
        log.close()
        assert self.synced(place)
        log.close()

    def test_a_sync_that_finds_damage_leaves_it_to_the_next_event(self, small, log: AuditLog) -> None:
        small.file().unlink()
        log.sync()
        assert small.names() == []

    def test_a_log_that_cannot_be_synced_at_the_end_is_logged(
        self, small, log: AuditLog, ledger_locked, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ledger_locked():
            log.close()
        (record,) = caplog.records
        assert "not synced" in record.getMessage() and vars(record)["audit_error"] == "store_unavailable"

    def test_nothing_is_synced_twice(self, place, log: AuditLog) -> None:
        log.record("resume_committed")
        before = place.ledger.changed_token()
        log.sync()
        log._unsynced = True  # another process has synced our line
        log.sync()
        assert place.ledger.changed_token() == before
