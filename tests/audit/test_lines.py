"""Lines: made and checked as pure values."""

from __future__ import annotations

import json

import pytest

from sessionstore.audit.events import Ready, prepare
from sessionstore.audit.lines import MAX_LINE_BYTES, NOTHING_BEFORE, SUFFIX_BYTES, GoodLine, Lines, Place, decode, split
from sessionstore.signing import Key, Keyring, new_key

STORE = "5f0c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
AT = "2026-01-31T12:00:00.000000Z"


@pytest.fixture
def event() -> Ready:
    return prepare("rebind", STORE, {"before": "/a\x1b[2J\u202e\u2028\x7f\udc80", "after": 'b"\\', "consent": "é"})


@pytest.fixture
def lines(keyring: Keyring) -> Lines:
    return Lines(keyring, STORE)


def walked(lines: Lines, data: bytes, file: int = 1, before: Place = Place()) -> list[GoodLine]:  # noqa: B008
    return list(lines.walk(data, file, before))


class TestMake:
    def test_a_line_says_what_was_given(self, lines: Lines, event: Ready) -> None:
        line, place = lines.make(3, Place(41, b"m" * 32), AT, 77, event)
        record = decode(line, 9)
        assert (record.file, record.line, record.seq, record.pid) == (3, 9, 42, 77)
        assert (record.event, record.session_id) == ("rebind", STORE)
        assert record.fields == {
            "before": "/a\x1b[2J\u202e\u2028\x7f\\udc80",
            "after": 'b"\\',
            "consent": "é",
            "trust": None,
        }
        assert place.seq == 42

    def test_it_is_printable_ascii_and_json(self, lines: Lines, event: Ready) -> None:
        line, _ = lines.make(1, Place(), AT, 77, event)
        assert all(0x20 <= byte <= 0x7E for byte in line[:-1])
        assert json.loads(line)["audit"]["session"] == STORE

    def test_the_suffix_has_its_length(self, lines: Lines, event: Ready) -> None:
        line, place = lines.make(1, Place(), AT, 77, event)
        assert line[-SUFFIX_BYTES:].startswith(b',"signature":"sa2.')
        assert line.endswith(place.mac.hex().encode() + b'"}\n')


class TestWalk:
    def test_it_yields_every_line_with_its_place(self, lines: Lines, event: Ready) -> None:
        first, place = lines.make(1, Place(), AT, 1, event)
        second, last = lines.make(1, place, AT, 1, event)
        found = walked(lines, first + second)
        assert [line.number for line in found] == [1, 2]
        assert (found[1].start, found[1].end, found[1].place) == (len(first), len(first + second), last)

    @pytest.mark.parametrize("what", ["file", "seq", "before", "store", "key"])
    def test_a_line_is_good_in_one_place_only(self, what: str, lines: Lines, event: Ready, keyring: Keyring) -> None:
        before = Place(4, b"m" * 32)
        line, _ = lines.make(2, before, AT, 1, event)
        assert len(walked(lines, line, 2, before)) == 1
        file, there = (3 if what == "file" else 2), before
        if what == "seq":
            there = before._replace(seq=5)
        if what == "before":
            there = before._replace(mac=NOTHING_BEFORE)
        judge = Lines(
            Keyring([new_key(AT)], generation=1) if what == "key" else keyring, "x" if what == "store" else STORE
        )
        assert walked(judge, line, file, there) == []

    def test_a_line_of_a_disabled_key_is_not_good(self, lines: Lines, event: Ready, keyring: Keyring) -> None:
        line, _ = lines.make(1, Place(), AT, 1, event)
        old = Key(keyring.primary.secret, "disabled", AT)
        assert walked(Lines(Keyring([new_key(AT), old], generation=2), STORE), line) == []

    def test_a_line_that_does_not_end_is_none(self, lines: Lines, event: Ready) -> None:
        line, _ = lines.make(1, Place(), AT, 1, event)
        assert walked(lines, line[:-1]) == []
        assert walked(lines, b"x" * MAX_LINE_BYTES + b"\n") == []
        assert walked(lines, b"") == [] and walked(lines, b"\n") == []


def test_the_lines_of_a_file_that_needs_no_key_are_counted() -> None:
    assert [(line.number, line.start, line.end) for line in split(b"a\nbc\n")] == [(1, 0, 2), (2, 2, 5)]
