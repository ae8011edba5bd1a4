"""What somebody does to the log's files is found, named with its line, and does not stop the log."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from sessionstore.audit import AuditLog
from sessionstore.audit.lines import Lines
from sessionstore.signing import Keyring


def put_back(place, line: bytes) -> list[bytes]:
    return [line, *place.lines()[1:]]


class TestWhole:
    def test_a_log_that_nobody_touched_is_whole(self, small) -> None:
        report = small.report()
        assert report.ok and (report.lines, report.files, report.retired, report.notes) == (6, 1, 0, ())

    def test_so_is_one_that_was_never_begun(self, place) -> None:
        assert place.report().ok and place.records() == [] and not place.directory.exists()

    def test_so_is_one_of_two_files(self, two_files) -> None:
        assert (two_files.report().lines, two_files.report().files, two_files.found()) == (5, 2, [])
        assert two_files.is_unbroken()


class TestFlippedBytes:
    @pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
    def test_every_one_is_found_in_its_line(self, bit: int, small) -> None:
        good = small.file().read_bytes()
        reader = small.log(read_only=True)
        missed = []
        for at in range(len(good)):
            changed = bytearray(good)
            changed[at] ^= bit
            small.file().write_bytes(changed)
            report = reader.verify()
            line = good.count(b"\n", 0, at) + 1
            if [(found.line, found.kind) for found in report.findings] != [(line, "changed")]:
                missed.append((at, report.findings))
        assert missed == []

    def test_every_one_in_a_closed_file_too(self, two_files) -> None:
        good = two_files.file().read_bytes()
        reader = two_files.log(read_only=True)
        for at in range(0, len(good), 7):
            changed = bytearray(good)
            changed[at] ^= 0x01
            two_files.file().write_bytes(changed)
            line = good.count(b"\n", 0, at) + 1
            assert [(found.file, found.line) for found in reader.verify().findings] == [("000001.jsonl", line)]

    def test_the_good_lines_before_it_can_still_be_read(self, small) -> None:
        lines = small.lines()
        small.put([*lines[:3], lines[3].replace(b"the owner", b"THE OWNER"), *lines[4:]])
        assert small.events() == ["resume_attempt", "rate_limited", "resume_refused"]


class TestLines:
    @pytest.mark.parametrize("at", range(6))
    def test_a_removed_line_is_found_where_it_was(self, at: int, small) -> None:
        lines = small.lines()
        small.put(lines[:at] + lines[at + 1 :])
        assert small.found() == [("000001.jsonl", at + 1, "changed")]

    @pytest.mark.parametrize("at", range(5))
    def test_two_lines_in_the_wrong_order_are_found(self, at: int, small) -> None:
        lines = small.lines()
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
        small.put(lines)
        assert small.found() == [("000001.jsonl", at + 1, "changed")]

    @pytest.mark.parametrize("at", range(6))
    def test_a_line_that_stands_there_twice_is_found(self, at: int, small) -> None:
        lines = small.lines()
        small.put([*lines[: at + 1], lines[at], *lines[at + 1 :]])
        assert small.found() == [("000001.jsonl", at + 2, "changed")]

    def test_a_line_of_another_file_is_found(self, two_files) -> None:
        first, second = two_files.lines(1), two_files.lines(2)
        two_files.put([*second, first[0]], 2)
        assert two_files.found() == [("000002.jsonl", 3, "changed")]
        two_files.put([first[0], *second[1:]], 2)
        assert two_files.found() == [("000002.jsonl", 1, "changed")]

    def test_a_forged_line_behind_the_last_one_is_found(self, small) -> None:
        lines = small.lines()
        small.put([*lines, lines[-1].replace(b'"seq":6', b'"seq":7')])
        assert small.found() == [("000001.jsonl", 7, "changed")]

    def test_a_line_signed_with_another_key_is_found(self, small, place) -> None:
        from sessionstore.audit.events import prepare
        from sessionstore.audit.lines import Place
        from sessionstore.signing import new_key

        head = place.ledger.audit.head()
        other = Lines(
            Keyring([new_key("2026-01-31T12:00:00.000000Z")], generation=1), "5f0c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        )
        line, _ = other.make(
            1, Place(head.seq, head.mac), "2026-01-31T12:00:00.000000Z", 1, prepare("resume_attempt", None, {})
        )
        small.put([*small.lines(), line])
        assert small.found() == [("000001.jsonl", 7, "changed")]

    def test_a_genuine_line_of_another_history_is_found(self, small, place) -> None:
        # Written before the whole state was put back from a backup: the same key, the same place in the chain.
        from sessionstore.audit.events import prepare
        from sessionstore.audit.lines import Place

        lines, head = small.lines(), place.ledger.audit.head()
        before = Place(5, bytes.fromhex(lines[-2][-67:-3].decode()))
        maker = Lines(place.keyring, "5f0c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")
        event = prepare("resume_ended", small.session, {"status": 1})
        other, _ = maker.make(1, before, "2026-01-31T12:00:00.000000Z", os.getpid(), event)
        assert len(other) == len(lines[-1]) and head.seq == 6
        small.put([*lines[:-1], other])
        assert small.found() == [("000001.jsonl", 6, "changed")]


class TestFiles:
    @pytest.mark.parametrize("number", [1, 2])
    def test_a_removed_one_is_found(self, number: int, two_files) -> None:
        two_files.file(number).unlink()
        assert two_files.found() == [(f"{number:06d}.jsonl", 0, "missing")]

    def test_so_is_the_whole_directory(self, two_files) -> None:
        for path in two_files.directory.iterdir():
            path.unlink()
        two_files.directory.rmdir()
        assert two_files.found() == [("000001.jsonl", 0, "missing"), ("000002.jsonl", 0, "missing")]

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.parametrize("cut", ["all", "a line", "a byte"])
    def test_a_shortened_one_is_found(self, cut: str, number: int, two_files) -> None:
        lines = two_files.lines(number)
        two_files.put({"all": [], "a line": lines[:-1], "a byte": [*lines[:-1], lines[-1][:-1]]}[cut], number)
        assert two_files.found() == [(f"{number:06d}.jsonl", 1 if cut == "all" else len(lines), "changed")]

    def test_exchanged_ones_are_found(self, two_files) -> None:
        first, second = two_files.lines(1), two_files.lines(2)
        two_files.put(second, 1)
        two_files.put(first, 2)
        assert two_files.found() == [("000001.jsonl", 1, "changed"), ("000002.jsonl", 1, "changed")]

    @pytest.mark.parametrize(("name", "line"), [("000000.jsonl", 0), ("000003.jsonl", 1), ("000009.jsonl", 0)])
    def test_one_that_the_ledger_does_not_know_is_found(self, name: str, line: int, two_files) -> None:
        (two_files.directory / name).write_bytes(two_files.file(2).read_bytes())
        (two_files.directory / name).chmod(0o600)
        assert two_files.found() == [(name, line, "unknown_file")]

    def test_bytes_behind_a_closed_one_are_found(self, two_files) -> None:
        two_files.put([*two_files.lines(1), two_files.lines(2)[0]], 1)
        assert two_files.found() == [("000001.jsonl", 4, "changed")]

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.parametrize("kind", ["symlink", "loose", "linked", "fifo"])
    def test_what_is_no_private_file_is_found_and_not_read(self, kind: str, number: int, two_files) -> None:
        file = two_files.file(number)
        if kind == "loose":
            file.chmod(0o644)
        elif kind == "linked":
            os.link(file, two_files.home / "second-name")
        else:
            file.rename(two_files.home / "moved")
            if kind == "symlink":
                file.symlink_to(two_files.home / "moved")
            else:
                os.mkfifo(file, 0o600)
        assert two_files.found() == [(f"{number:06d}.jsonl", 0, "unsafe_file")]

    def test_an_unsafe_file_behind_the_newest_is_found(self, two_files) -> None:
        two_files.file(3).symlink_to(two_files.file(2))
        assert two_files.found() == [("000003.jsonl", 1, "unknown_file")]


def removed(place) -> None:
    place.file().unlink()


def emptied(place) -> None:
    place.file().write_bytes(b"")


def shortened(place) -> None:
    place.put(place.lines()[:-1])


def changed(place) -> None:
    place.put([line.replace(b"the owner", b"THE OWNER") for line in place.lines()])


def linked(place) -> None:
    place.file().rename(place.home / "moved")
    place.file().symlink_to(place.home / "moved")


class TestTheLogGoesOn:
    @pytest.mark.parametrize(
        ("harm", "line", "reason"),
        [
            (removed, 0, "missing"),
            (emptied, 1, "changed"),
            (shortened, 6, "changed"),
            (changed, 4, "changed"),
            (linked, 0, "unsafe_file"),
        ],
    )
    def test_in_the_next_file_whose_first_line_says_what_was_found(
        self, harm: Callable[..., None], line: int, reason: str, small, log: AuditLog
    ) -> None:
        harm(small)
        log.record("resume_attempt")
        first, second = [record for record in small.records() if record.file == 2]
        assert (first.event, first.fields) == ("audit_damaged", {"file": 1, "line": line, "reason": reason})
        # The chain goes on from the last line that was committed, not from what is left.
        assert (first.seq, second.seq, second.event) == (7, 8, "resume_attempt")
        assert small.found() == [("000001.jsonl", line, reason)]

    def test_and_the_place_is_named_for_ever_after(self, small, log: AuditLog) -> None:
        changed(small)
        for _ in range(3):
            small.pass_days(100)
            log.record("resume_attempt")
        assert small.found() == [("000001.jsonl", 4, "changed")]
        assert small.file().exists()

    def test_what_was_put_back_is_no_finding_any_more_but_a_note(self, small, log: AuditLog) -> None:
        good = small.lines()
        changed(small)
        log.record("resume_attempt")
        small.put(good)
        report = small.report()
        assert report.ok and "was damaged" in report.notes[0] and report.lines == 8

    def test_a_removed_directory_is_made_again(self, small, log: AuditLog) -> None:
        small.directory.rename(small.home / "taken")
        log.record("resume_attempt")
        assert small.names() == ["000002.jsonl"]
        assert small.found() == [("000001.jsonl", 0, "missing")]

    def test_an_exchanged_directory_is_noticed_at_once(self, small, log: AuditLog) -> None:
        small.directory.rename(small.home / "taken")
        small.directory.mkdir(mode=0o700)
        log.record("resume_attempt")
        assert small.names() == ["000002.jsonl"] and len(list((small.home / "taken").glob("*.jsonl"))) == 1

    def test_damage_that_left_the_times_alone_is_found_when_the_file_is_closed(self, small, log: AuditLog) -> None:
        # A change within one tick of the file system's clock leaves the stamp as it was; here the head is made to fit.
        import msgspec

        changed(small)
        rows, status = small.ledger.audit, small.file().stat()
        head = rows.head()
        fitting = msgspec.structs.replace(head, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)
        rows.move(fitting, head)
        log.record("resume_attempt")
        assert small.names() == ["000001.jsonl"]
        small.pass_days(1)
        log.record("resume_attempt")
        assert [record.event for record in small.records() if record.file == 2] == ["audit_damaged", "resume_attempt"]
        assert small.found() == [("000001.jsonl", 4, "changed")]

    def test_a_touched_file_is_verified_and_goes_on(self, small, log: AuditLog) -> None:
        os.utime(small.file(), (0, 0))
        log.record("resume_attempt")
        assert small.names() == ["000001.jsonl"] and small.report().lines == 7
