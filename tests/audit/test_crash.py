"""A writer that dies in between: complete lines are taken in, torn ones set aside; nothing is lost silently."""

from __future__ import annotations

import os

import msgspec
import pytest

from sessionstore.audit import AuditLog
from sessionstore.fs import boot


def behind(place, back: int = 1) -> None:
    """Put the head row back by so many lines, as if their writer had died before it moved the head."""
    rows = place.ledger.audit
    head, lines = rows.head(), place.lines()
    kept = lines[:-back]
    mac = bytes.fromhex(kept[-1][-67:-3].decode())
    old = msgspec.structs.replace(
        head, seq=head.seq - back, mac=mac, end=sum(map(len, kept)), lines=head.lines - back, size=0, synced_end=0
    )
    rows.move(old, head)


class TestLinesBehindTheHead:
    @pytest.mark.parametrize("back", [1, 3])
    def test_complete_ones_are_taken_in(self, back: int, small, log: AuditLog) -> None:
        behind(small, back)
        assert small.report().ok and len(small.records()) == 6
        log.record("resume_attempt")
        assert len(small.lines()) == 7 and small.is_unbroken() and small.report().lines == 7

    def test_ones_of_a_key_that_is_not_primary_any_more_are_set_aside(self, small, keyring) -> None:
        from sessionstore.signing import Key, Keyring, new_key

        behind(small)
        old = Key(keyring.primary.secret, "verify_only", "2026-01-31T12:00:00.000000Z")
        both = Keyring([new_key("2026-01-31T12:00:00.000000Z"), old], generation=2)
        log = small.log(keyring=both)
        log.record("resume_attempt")
        assert [record.event for record in log.records()][-2:] == ["audit_set_aside", "resume_attempt"]

    def test_a_torn_one_is_a_note_and_the_next_event_sets_it_aside(self, small, log: AuditLog) -> None:
        whole = small.lines()
        small.put([*whole, b'{"audit":{"file":1,"se'])
        assert small.report().ok and "22 bytes" in small.report().notes[0]
        log.record("resume_attempt")
        aside, attempt = small.records()[-2:]
        assert (aside.event, attempt.event) == ("audit_set_aside", "resume_attempt")
        name = f"000001-{sum(map(len, whole))}.tail"
        assert aside.fields == {"file": 1, "bytes": 22, "kept_as": name}
        assert (small.directory / name).read_bytes() == b'{"audit":{"file":1,"se'
        assert small.report().ok and small.report().notes == () and small.is_unbroken()

    def test_a_forged_one_is_set_aside_and_told(self, small, log: AuditLog) -> None:
        small.put([*small.lines(), small.lines()[0]])
        log.record("resume_attempt")
        assert small.events()[-2:] == ["audit_set_aside", "resume_attempt"]
        assert small.report().ok

    def test_what_is_set_aside_is_capped(self, small, log: AuditLog) -> None:
        small.put([*small.lines(), b"x" * 3_000_000])
        log.record("resume_attempt")
        (aside,) = small.records(events=["audit_set_aside"])
        assert aside.fields["bytes"] == 3_000_000
        assert (small.directory / aside.fields["kept_as"]).stat().st_size == 64 * 1024

    def test_a_second_tail_in_the_same_place_gets_another_name(self, small, log: AuditLog, ledger_locked) -> None:
        small.put([*small.lines(), b"first"])
        with ledger_locked():
            log.record("resume_refused")
        # The line was taken back by hand, as if it had never reached the disk.
        small.put([*small.lines()[:6], b"second"])
        log.record("resume_attempt")
        assert len([name for name in small.names() if name.endswith(".tail")]) == 2


class TestABegunFile:
    def begun(self, place, log: AuditLog, ledger_locked) -> None:
        """The second file is written, and its row is not."""
        place.pass_days(1)
        with ledger_locked():
            log.record("resume_refused", code="missing")
        assert place.names() == ["000001.jsonl", "000002.jsonl"]
        assert place.ledger.audit.head().file == 1

    def test_it_goes_on_if_it_is_ours(self, small, log: AuditLog, ledger_locked) -> None:
        self.begun(small, log, ledger_locked)
        assert small.report().ok and "begun by a process that died" in small.report().notes[0]
        log.record("resume_attempt")
        assert [record.event for record in small.records() if record.file == 2] == ["resume_refused", "resume_attempt"]
        assert small.is_unbroken() and small.report().ok and small.report().notes == ()

    def test_also_if_the_day_is_another_one_again(self, small, log: AuditLog, ledger_locked) -> None:
        self.begun(small, log, ledger_locked)
        small.pass_days(-1)
        log.record("resume_attempt")
        assert [record.event for record in small.records() if record.file == 2] == ["resume_refused", "resume_attempt"]

    def test_also_if_it_is_the_first(self, place, log: AuditLog, ledger_locked) -> None:
        with ledger_locked():
            log.record("resume_refused", code="missing")
        assert "begun by a process that died" in place.report().notes[0]
        log.record("resume_attempt")
        assert place.events() == ["resume_refused", "resume_attempt"] and place.is_unbroken()

    def test_what_is_not_ours_in_it_is_set_aside(self, small, log: AuditLog) -> None:
        small.file(2).write_bytes(b"something else\n")
        small.file(2).chmod(0o600)
        log.record("resume_attempt")
        assert [record.event for record in small.records() if record.file == 2] == ["audit_set_aside", "resume_attempt"]
        assert (small.directory / "000002-0.tail").read_bytes() == b"something else\n"
        assert small.report().ok and small.is_unbroken()

    def test_a_link_in_its_place_is_replaced_and_never_followed(self, small, log: AuditLog) -> None:
        target = small.home / "target"
        target.write_bytes(b"precious")
        small.file(2).symlink_to(target)
        log.record("resume_attempt")
        assert target.read_bytes() == b"precious" and not small.file(2).is_symlink()
        assert [record.event for record in small.records() if record.file == 2] == ["audit_set_aside", "resume_attempt"]


class TestPowerCut:
    @pytest.fixture
    def unsynced(self, small, log: AuditLog):
        """A log whose last two lines were not synced."""
        assert small.ledger.audit.head().synced_end < small.ledger.audit.head().end
        log.record("resume_attempt")
        return small

    @pytest.fixture
    def restarted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("write", "read"):
            monkeypatch.setattr(f"sessionstore.audit.{module}.boot_id", lambda: "another start")

    def test_unsynced_lines_that_went_with_the_machine_are_a_note_and_told(
        self, unsynced, log: AuditLog, restarted: None
    ) -> None:
        unsynced.put([*unsynced.lines()[:5], b"\0" * 40])
        report = unsynced.report()
        assert report.ok and "2 unsynced lines were lost" in report.notes[0]
        log.record("resume_attempt")
        lost = next(record for record in unsynced.records() if record.file == 2)
        assert (lost.event, lost.fields, lost.seq) == ("audit_lost", {"file": 1, "lines": 2}, 8)
        report = unsynced.report()
        assert report.ok and report.lines == 7 and "lost when the machine went down" in report.notes[0]
        assert [record.seq for record in unsynced.records()] == [1, 2, 3, 4, 5, 8, 9]

    def test_what_is_changed_afterwards_is_found(self, unsynced, log: AuditLog, restarted: None) -> None:
        unsynced.put(unsynced.lines()[:5])
        log.record("resume_attempt")
        unsynced.put(unsynced.lines()[:4])
        assert unsynced.found() == [("000001.jsonl", 5, "changed")]

    def test_synced_lines_cannot_go_that_way(self, unsynced, restarted: None) -> None:
        unsynced.put(unsynced.lines()[:4])
        assert unsynced.found() == [("000001.jsonl", 5, "changed")]

    def test_without_a_restart_nothing_can(self, unsynced) -> None:
        if not boot.boot_id():
            pytest.skip("this system does not say when it was started")
        unsynced.put(unsynced.lines()[:5])
        assert unsynced.found() == [("000001.jsonl", 6, "changed")]


def test_a_directory_is_made_only_where_that_is_allowed(place) -> None:
    from sessionstore.audit.shelf import Shelf
    from sessionstore.errors import StoreUnavailableError

    with pytest.raises(StoreUnavailableError):
        Shelf(place.state, make=False).made()
    assert not place.directory.exists()


def test_a_system_that_does_not_say_when_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "_BOOT_ID", "/nowhere/boot_id")
    boot.boot_id.cache_clear()
    assert boot.boot_id() == ""
    monkeypatch.undo()
    boot.boot_id.cache_clear()
    assert boot.boot_id() == boot.boot_id()
    assert os.path.exists(boot._BOOT_ID) == bool(boot.boot_id())
