"""The table of events: what may be written, what is refused, what is cut."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionstore
from sessionstore import errors
from sessionstore.audit.events import EVENTS, Event, prepare
from sessionstore.audit.kinds import CUT, MAX_TEXT_BYTES, cut
from sessionstore.audit.lines import MAX_LINE_BYTES, Lines, Place
from sessionstore.errors import InvalidValueError
from sessionstore.signing import Keyring

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
# Written by the rooms that resume, rebind and limit.
BY_OTHERS = re.compile(r"resume_\w+|rate_limited|rebind|limits_off")


class TestTable:
    @pytest.mark.parametrize("name", EVENTS)
    def test_a_row_stands_there_only_if_something_writes_it(self, name: str) -> None:
        package = Path(sessionstore.__file__).parent
        sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path.name != "events.py"]
        written = re.compile(rf"(?:record|prepare)\(\s*\"{name}\"")
        assert any(written.search(source) for source in sources) or BY_OTHERS.fullmatch(name)

    @pytest.mark.parametrize("event", EVENTS.values(), ids=list(EVENTS))
    def test_its_fields_can_be_attributes_of_a_log_record(self, event: Event) -> None:
        taken = {*vars(logging.makeLogRecord({})), "message", "asctime", "event", "session_id"}
        assert not taken & event.fields.keys()

    @pytest.mark.parametrize("event", EVENTS.values(), ids=list(EVENTS))
    def test_no_field_is_named_like_what_must_not_be_told(self, event: Event) -> None:
        assert (
            not {"key", "tag", "tags", "token", "secret", "passphrase", "content", "text", "entry"}
            & event.fields.keys()
        )

    def test_what_hands_something_over_is_written_first_or_not_granted(self) -> None:
        assert {name for name, event in EVENTS.items() if event.grants} == {
            "resume_attempt",
            "resume_committed",
            "rebind",
            "repair",
            "restore",
            "rebase",
            "sealed_adopted",
            "ledger_rebuilt",
            "store_claimed",
            "key_added",
            "key_retired",
            "key_exported",
            "key_imported",
            "import_trusted",
            "inventory_taken",
            "redaction",
            "eviction",
            "migration",
            "adoption",
            "policy_raised",
            "policy_lowered",
        }

    def test_what_has_no_second_chance_is_on_the_disk_at_once(self) -> None:
        unsynced = {name for name, event in EVENTS.items() if not event.synced}
        assert unsynced == {
            "resume_attempt",
            "resume_refused",
            "resume_rolled_back",
            "resume_ended",
            "rate_limited",
            "limits_off",
        }


class TestPrepare:
    def test_a_field_that_is_not_given_is_null(self) -> None:
        assert prepare("resume_refused", ID, {"code": "missing"}).fields == {"code": "missing", "verdict": None}

    @pytest.mark.parametrize(
        ("name", "session_id", "fields"),
        [
            ("no_such_event", None, {}),
            ("resume_attempt", None, {"key": "0" * 64}),
            ("resume_attempt", "../../etc/passwd", {}),
            ("resume_refused", ID, {"code": "Not A Word"}),
            ("resume_refused", ID, {"code": "_".join(["x" * 16] * 4)}),
            ("resume_refused", ID, {"code": "a1" * 32}),
            ("resume_refused", ID, {"code": "f" * 25}),
            ("resume_refused", ID, {"verdict": "missing_" + "0a" * 16}),
            ("resume_refused", ID, {"code": ""}),
            ("resume_refused", ID, {"code": "missing\n"}),
            ("resume_refused", ID, {"code": 5}),
            ("resume_committed", ID, {"rev": -1}),
            ("resume_committed", ID, {"rev": True}),
            ("resume_committed", ID, {"rev": 2**53}),
            ("resume_committed", ID, {"rev": "3"}),
            ("import_trusted", ID, {"origin": "x", "key_id": "0" * 16}),
            ("import_trusted", ID, {"origin": ID, "key_id": "0" * 64}),
            ("import_trusted", ID, {"origin": 5}),
            ("import_trusted", ID, {"key_id": 5}),
            ("rebind", ID, {"before": b"/srv"}),
        ],
    )
    def test_what_the_table_does_not_allow_is_refused_and_not_repeated(
        self, name: str, session_id: str | None, fields: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidValueError) as refused:
            prepare(name, session_id, fields)
        for value in (*fields.values(), session_id):
            assert value in (None, -1, True, 5, ID, "x", "3", "") or str(value) not in str(refused.value)

    def test_every_code_of_an_error_is_a_word(self) -> None:
        for name in errors.__all__:
            code = getattr(errors, name).code
            assert prepare("resume_refused", ID, {"code": code}).fields["code"] == code


class TestCut:
    @given(st.text(max_size=2000))
    def test_a_text_of_any_kind_fits(self, text: str) -> None:
        kept = prepare("store_claimed", None, {"path": text}).fields["path"]
        assert isinstance(kept, str)
        spelled = len(repr(kept.encode("ascii", "backslashreplace")))
        assert kept == text.encode("utf-8", "backslashreplace").decode() or CUT in kept
        assert spelled < 3 * MAX_TEXT_BYTES

    def test_both_ends_stay(self) -> None:
        kept = cut("/start/" + "x" * 5000 + "/end")
        assert kept.startswith("/start/x") and kept.endswith("x/end") and CUT in kept

    def test_what_fits_stays_as_it_is(self) -> None:
        assert cut("x" * MAX_TEXT_BYTES) == "x" * MAX_TEXT_BYTES
        assert len(cut("x" * (MAX_TEXT_BYTES + 1))) < MAX_TEXT_BYTES

    @pytest.mark.parametrize("char", ["\x00", "\x7f", "é", "\u2028", "\U0001f600", "\udc80", '"', "\\", "x"])
    @pytest.mark.parametrize("name", EVENTS)
    def test_the_longest_line_of_every_event_is_within_4_kib(self, name: str, char: str, keyring: Keyring) -> None:
        longest: dict[str, object] = {}
        for field in EVENTS[name].fields:
            for value in (char * 10_000, 2**53 - 1, ID, "0" * 16, "0" * 64, "_".join(["w" * 15] * 4)):
                try:
                    prepare(name, ID, {field: value})
                except InvalidValueError:
                    continue
                longest[field] = value
                break
        assert longest.keys() == EVENTS[name].fields.keys()
        event = prepare(name, ID, longest)
        line, _ = Lines(keyring, ID).make(10**17, Place(2**60), "2026-01-31T12:00:00.000000Z", 2**22, event)
        assert len(line) <= MAX_LINE_BYTES
        assert all(0x20 <= byte <= 0x7E for byte in line[:-1]) and line.endswith(b"\n")
