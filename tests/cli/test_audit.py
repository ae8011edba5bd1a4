"""audit show and audit verify: what happened is told, and a changed log is named."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionstore import open_store

OTHER = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


@pytest.fixture
def events(session_id: str, home: Path) -> str:
    """The id of a session that somebody tried to resume, and four events."""
    with open_store(home, environ={}) as store:
        log = store._ground.audit
        log.record("resume_attempt", session_id=session_id)
        log.record("resume_refused", session_id=session_id, code="missing", verdict=None)
        log.record("rebind", session_id=session_id, before="/srv/\x1b[2J\u202e", after="/b", consent="me\nand you")
        log.record("resume_attempt", session_id=OTHER)
    return session_id


@pytest.fixture
def log(home: Path) -> Path:
    return home / "state/audit/000001.jsonl"


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place whose clocks are half a day off."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-12")
        time.tzset()
        yield
    time.tzset()


class TestShow:
    def test_nothing_happened_yet(self, call) -> None:
        assert call("audit", "show") == (0, "", "no events yet\n")
        assert call("audit", "show", "--event", "rebind") == (0, "", "no event fits\n")
        assert call("audit", "show", "--json").value == {"damaged": False, "events": []}

    def test_events_are_shown_with_their_particulars(self, call, events: str) -> None:
        lines = call("audit", "show").out.splitlines()
        assert lines[0].split() == ["TIME", "EVENT", "SESSION", "WHAT"]
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  resume_refused  {events}  code=missing", lines[2])
        assert len(lines) == 5

    def test_control_characters_are_written_out(self, call, events: str) -> None:
        ran = call("audit", "show", "--event", "rebind")
        assert r"before=/srv/\x1b[2J\u202e  after=/b  consent=me\nand you" in ran.out
        assert ran.out.count("\n") == 2

    def test_a_terminal_gets_short_ids(self, terminal, events: str) -> None:
        screen = terminal("audit", "show", "-n", "3")
        assert screen.code == 0
        assert events[:8] in screen.text and events not in screen.text and "\x1b[2J" not in screen.text

    @pytest.mark.parametrize(
        ("only", "expected"),
        [
            (["--event", "resume_attempt"], [1, 4]),
            (["--event", "resume_attempt", "--event", "rebind"], [1, 3, 4]),
            (["--session", OTHER], [4]),
            (["--session", "first"], [1, 2, 3]),
            (["-n", "2"], [3, 4]),
            (["--since", "1h"], [1, 2, 3, 4]),
            (["--until", "1h"], []),
            (["--since", "2020-01-01", "--until", "2020-01-02"], []),
            (["--since", "2020-01-01T00:00:00Z"], [1, 2, 3, 4]),
        ],
    )
    def test_they_can_be_narrowed_down(self, only: list[str], expected: list[int], call, events: str) -> None:
        assert [event["seq"] for event in call("audit", "show", *only, "--json").value["events"]] == expected

    def test_a_time_without_a_zone_is_the_time_here(self, call, events: str, far_away: None) -> None:
        with_zone = call("audit", "show", "--until", "2020-01-01T12:00:00+12:00", "--json")
        without = call("audit", "show", "--until", "2020-01-01T12:00:00", "--json")
        assert with_zone.value == without.value
        from sessionstore.cli.audit import _moment

        assert str(_moment(None, None, "2020-01-01T12:00:00")) == "2020-01-01 12:00:00+12:00"

    def test_programs_get_every_member(self, call, events: str) -> None:
        event = call("audit", "show", "--event", "rebind", "--json").value["events"][0]
        assert list(event) == ["file", "line", "seq", "at", "event", "session_id", "pid", "fields"]
        assert event["fields"] == {
            "before": "/srv/\x1b[2J\u202e",
            "after": "/b",
            "consent": "me\nand you",
            "trust": None,
        }

    @pytest.mark.parametrize(
        ("only", "code"),
        [
            (["--event", "saved"], "invalid_value"),
            (["--since", "yesterday"], "usage"),
            (["--since", "0d"], "usage"),
            (["--until", "999999w"], "usage"),
            (["-n", "0"], "usage"),
        ],
    )
    def test_what_makes_no_sense_is_wrong_usage(self, only: list[str], code: str, call, events: str) -> None:
        ran = call("audit", "show", *only, "--json")
        assert (ran.code, ran.error["code"]) == (2, code)

    def test_a_session_that_nobody_knows_is_not_found(self, call, events: str) -> None:
        assert call("audit", "show", "--session", "nothing").code == 3

    def test_lines_that_do_not_verify_are_left_out_with_a_warning(self, call, events: str, log: Path) -> None:
        log.write_bytes(log.read_bytes().replace(b"missing", b"MISSING"))
        ran = call("audit", "show")
        assert ran.code == 0 and ran.out.count("\n") == 2
        assert ran.err.startswith("warning: the audit log was changed")
        value = call("audit", "show", "--json").value
        assert value["damaged"] is True and len(value["events"]) == 1


class TestVerify:
    def test_a_whole_log(self, call, events: str) -> None:
        assert call("audit", "verify") == (0, "4 events in 1 file verified, nothing found\n", "")
        assert call("audit", "verify", "--json").value == {
            "ok": True,
            "lines": 4,
            "files": 1,
            "retired": 0,
            "findings": [],
            "notes": [],
        }

    def test_the_first_bad_line_is_named_and_it_ends_with_4(self, call, events: str, log: Path) -> None:
        log.write_bytes(log.read_bytes().replace(b"missing", b"MISSING"))
        ran = call("audit", "verify")
        assert ran.code == 4
        assert ran.out.splitlines()[1].split() == [
            *("000001.jsonl", "2", "changed", "changed"),
            *["outside", "this", "store,", "from", "line", "2", "on"],
        ]
        assert ran.out.endswith("1 event in 0 files verified, 1 finding\n")
        value = call("audit", "verify", "--json")
        assert (value.code, value.value["ok"], value.value["findings"][0]["line"]) == (4, False, 2)

    def test_a_missing_file_has_no_line(self, call, events: str, log: Path) -> None:
        log.unlink()
        assert call("audit", "verify").out.splitlines()[1].split() == ["000001.jsonl", "-", "missing", "gone"]

    def test_a_torn_line_is_a_note(self, call, events: str, log: Path) -> None:
        with log.open("ab") as stream:
            stream.write(b'{"audit"')
        ran = call("audit", "verify")
        assert ran.code == 0 and ran.err.startswith("note: 000001.jsonl: ")

    def test_retired_files_are_counted(self, call, home: Path) -> None:
        from freezegun import freeze_time

        with freeze_time("2026-01-01") as frozen, open_store(home, environ={}) as store:
            store._ground.audit.record("resume_attempt")
            frozen.move_to("2028-01-01")
            store._ground.audit.record("resume_attempt")
            frozen.move_to("2028-01-02")
            store._ground.audit.record("resume_attempt")
        # The newest file has a line more: that one was retired.
        assert call("audit", "verify").out == "3 events in 2 files verified, 1 file retired, nothing found\n"

    def test_a_damaged_ledger_is_said_as_such(self, call, events: str, home: Path) -> None:
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(home / "state/ledger.db")) as connection, connection:
            connection.execute("DELETE FROM audit")
        ran = call("audit", "verify", "--json")
        assert (ran.code, ran.error["code"]) == (8, "ledger_corrupt")


class TestDoctor:
    @staticmethod
    def findings(call) -> list[dict[str, str]]:
        value = json.loads(call("doctor", "--json").out)
        return [finding for finding in value["findings"] if finding["check"] == "audit log"]

    def test_a_whole_log_is_ok(self, call, events: str) -> None:
        (finding,) = self.findings(call)
        assert (finding["level"], finding["text"]) == ("ok", "whole; 4 events in 1 file")

    def test_a_damaged_one_is_a_problem(self, call, events: str, log: Path) -> None:
        log.write_bytes(b"")
        (finding,) = self.findings(call)
        assert finding["level"] == "problem" and finding["text"].startswith("000001.jsonl: changed")
        assert "audit verify" in finding["mend"]

    def test_a_torn_line_is_a_note(self, call, events: str, log: Path) -> None:
        with log.open("ab") as stream:
            stream.write(b'{"audit"')
        assert [finding["level"] for finding in self.findings(call)] == ["note", "ok"]

    def test_one_that_cannot_be_written_is_a_problem(self, call, events: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sessionstore.health.examination.why_unwritable", lambda fd: "the disk is full")
        (finding,) = self.findings(call)
        assert (finding["level"], finding["text"]) == ("problem", "cannot be written: the disk is full")

    def test_a_directory_that_is_not_safe_is_a_problem(self, call, events: str, log: Path) -> None:
        log.parent.chmod(0o755)
        (finding,) = self.findings(call)
        assert (finding["level"], finding["code"]) == ("problem", "unsafe_file")
