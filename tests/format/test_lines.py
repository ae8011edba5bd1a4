"""The lines of a session file: exact bytes out, and nothing but these frames in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import MalformedError, TooLargeError, UnsupportedVersionError
from sessionstore.format.lines import (
    Open,
    decode_entry,
    decode_open,
    entry_line,
    open_line,
    read_lines,
)

LIMIT = 1024 * 1024
CREATED = "2026-01-31T12:00:00.000000Z"
OPENED = Open(
    id="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d", store="5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e5f", created_at=CREATED
)


def refused(decode: Any, line: bytes) -> str:
    with pytest.raises(MalformedError) as caught:
        decode(line)
    return str(caught.value.fields["reason"])


class TestOpenLine:
    def test_its_bytes(self) -> None:
        assert open_line(OPENED) == (
            b'{"open":{"format":2,"id":"0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d",'
            b'"store":"5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e5f","created_at":"2026-01-31T12:00:00.000000Z",'
            b'"key":null,"parent":null,"origin":null}}\n'
        )

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
    def test_an_external_key_is_kept_whatever_it_holds(self, key: str) -> None:
        opened = msgspec.structs.replace(OPENED, key=key, parent="p", origin="o")
        line = open_line(opened)
        assert line.count(b"\n") == 1
        assert decode_open(line[:-1]) == opened

    @pytest.mark.parametrize("version", [1, 3, 0, -1])
    def test_another_format_version_is_named(self, version: int) -> None:
        line = open_line(OPENED).replace(b'"format":2', b'"format":%d' % version)[:-1]
        with pytest.raises(UnsupportedVersionError) as caught:
            decode_open(line)
        assert caught.value.fields == {"session_id": OPENED.id, "version": version}

    @pytest.mark.parametrize("version", [b'"2"', b"2.5", b"null", b"true", b"[2]"])
    def test_a_version_that_is_no_integer_is_malformed(self, version: bytes) -> None:
        assert "format" in refused(decode_open, open_line(OPENED).replace(b'"format":2', b'"format":' + version)[:-1])

    @pytest.mark.parametrize("member", ["id", "store", "created_at"])
    def test_no_member_may_be_missing(self, member: str) -> None:
        members = {"format": 2, "id": "a", "store": "b", "created_at": "c"}
        del members[member]
        assert member in refused(decode_open, b'{"open":' + msgspec.json.encode(members) + b"}")


class TestEntryLine:
    def test_its_bytes(self) -> None:
        line = entry_line({"role": "user", "content": ["é\n", 1.5, None]}, max_bytes=LIMIT)
        assert line == '{"entry":{"role":"user","content":["é\\n",1.5,null]}}\n'.encode()

    def test_what_cannot_be_stored_is_refused(self) -> None:
        with pytest.raises(MalformedError, match=r"entry\.a: bytes is not JSON"):
            entry_line({"a": b""}, max_bytes=LIMIT)

    def test_the_cap_is_on_the_entry_without_its_frame(self) -> None:
        assert entry_line({"a": 1}, max_bytes=7) == b'{"entry":{"a":1}}\n'
        with pytest.raises(TooLargeError):
            entry_line({"a": 1}, max_bytes=6)

    def test_an_entry_that_looks_like_a_seal_is_an_entry(self) -> None:
        entry = {"seal": {"rev": 9}, "text": '\n{"seal":{"rev":9},"signature":"ss2.0.0"}\n'}
        line = entry_line(entry, max_bytes=LIMIT)
        assert line.startswith(b'{"entry":{"seal":') and line.count(b"\n") == 1
        assert decode_entry(line[:-1]) == entry

    def test_it_is_decoded_from_a_view_as_from_bytes(self) -> None:
        line = entry_line({"a": ["x"]}, max_bytes=LIMIT)[:-1]
        assert decode_entry(line) == decode_entry(memoryview(line)) == {"a": ["x"]}

    @pytest.mark.parametrize(
        "line",
        [
            b'{"entry":{"a":1},"x":1}',
            b'{"entry":{"a":1},"entry":{"b":1}}',
            b'{"entry":{"a":1}',
            b'{"entry":{"a":1}}}',
            b'{"entry":{"a":1}}\r',
            b'{"entry":{"a":1} \r',
            b'{"entry":{"a":1} ',
            b'{"entry":{"a":1}]',
            b'{"entry":',
            b'{"entry":}',
            b'{"entry":[]}',
            b'{"entry":null}',
            b'{"entry":"a"}',
            b'{"entry":{"a":NaN}}',
            b'{"entry":{"a":"\xff"}}',
            b'{"entry":{"a":"\n"}}',
            b'{"entry":{"a":"\x00"}}',
            b'{"entry":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        ],
        ids=lambda line: ascii(line)[:30],
    )
    def test_a_sealed_line_that_is_not_exactly_one_object_in_its_frame_is_malformed(self, line: bytes) -> None:
        refused(decode_entry, line)


class TestFirstLine:
    good = open_line(OPENED)[:-1]

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"{}",
            b"\xef\xbb\xbf" + good,
            b" " + good,
            good + b"\r",
            good + b" ",
            good[:-1],
            good[:-1] + b" ",
            good[:-1] + b"]",
            good[:-1] + b',"x":1}',
            good[:-2] + b',"x":1}}',
            good.replace(b'"key":null', b'"key":5'),
            good.replace(b'"id":"0', b'"id":"\xff'),
            b'{"entry":{}}',
            b'{"open":[]}',
            b'{"open":null}',
        ],
        ids=lambda line: ascii(line)[:30],
    )
    def test_only_an_open_line_is_one(self, line: bytes) -> None:
        refused(decode_open, line)


class TestReadLines:
    def test_nothing_but_0x0a_splits_lines(self) -> None:
        body = "a\u2028b\u2029c\x85d\x0be\x0cf\rg\x1ch\n\x00\n".encode()
        assert list(read_lines(body)) == [body.split(b"\n")[0], b"\x00"]

    @pytest.mark.parametrize(("body", "lines"), [(b"", []), (b"\n", [b""]), (b"a\n\nb\n", [b"a", b"", b"b"])])
    def test_lines_come_without_their_ends(self, body: bytes, lines: list[bytes]) -> None:
        assert list(read_lines(body)) == lines

    def test_a_last_line_without_an_end_is_malformed(self) -> None:
        with pytest.raises(MalformedError, match="last line has no end"):
            list(read_lines(b"a\nb"))
