"""Which tool wrote it, and what to say where none of them did."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from sessionstore.errors import ImportFormatError
from sessionstore.importers import FORMATS, detect
from sessionstore.importers.demo import demo_transcript
from sessionstore.importers.detect import MAX_LINES_LOOKED_AT, identify


def line(record: Any) -> bytes:
    return json.dumps(record).encode() + b"\n"


CLAUDE = {"type": "mode", "sessionId": "s"}


class TestWhatDecides:
    @pytest.mark.parametrize("format", FORMATS)
    def test_every_line_of_a_transcript_that_tells_names_the_same_tool(self, format: str) -> None:
        lines = demo_transcript(format).splitlines(keepends=True)
        found = set()
        for each in lines:
            try:
                found.add(detect([each]))
            except ImportFormatError:
                continue
        assert found == {format}

    @pytest.mark.parametrize(
        ("record", "format"),
        [
            ({"type": "summary", "summary": "x", "leafUuid": "u"}, "claude-code"),
            ({"type": "file-history-snapshot", "messageId": "m", "snapshot": {}}, "claude-code"),
            ({"type": "user", "message": {"role": "user", "content": "x"}}, "claude-code"),
            ({"type": "made-up", "uuid": "u", "parentUuid": None}, "claude-code"),
            ({"type": "session_meta", "payload": {}}, "codex"),
            ({"type": "event_msg", "payload": {"type": "x"}}, "codex"),
            ({"sessionId": "s", "projectHash": "h"}, "gemini"),
            ({"$set": {}}, "gemini"),
            ({"$rewindTo": "x"}, "gemini"),
            ({"id": "x", "type": "user", "content": ""}, "gemini"),
        ],
    )
    def test_one_record_is_enough(self, record: dict[str, Any], format: str) -> None:
        assert detect([line(record)]) == format

    def test_lines_that_do_not_tell_are_passed_over(self) -> None:
        assert (
            detect([b"\n", b"{torn\n", line([]), line({"a": 1}), line({"type": "user"}), line(CLAUDE)]) == "claude-code"
        )

    def test_a_byte_order_mark_does_not_hide_the_first_line(self) -> None:
        assert detect([b"\xef\xbb\xbf" + line(CLAUDE)]) == "claude-code"

    def test_only_the_first_lines_are_looked_at(self) -> None:
        assert detect([b"{}\n"] * (MAX_LINES_LOOKED_AT - 1) + [line(CLAUDE)]) == "claude-code"
        with pytest.raises(ImportFormatError):
            detect([b"{}\n"] * MAX_LINES_LOOKED_AT + [line(CLAUDE)])

    def test_a_record_that_two_tools_could_have_written_belongs_to_the_one_that_is_wanted(self) -> None:
        either = {"type": "user", "id": "x", "content": "y", "sessionId": "s"}
        assert [identify(either, wanted) for wanted in (None, "gemini", "claude-code")] == [
            "gemini",
            "gemini",
            "claude-code",
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "empty"),
            (b" \n", "empty"),
            (gzip.compress(b"{}", mtime=0), "compressed"),
            (b"PK\x03\x04", "compressed"),
            ("{}".encode("utf-16"), "UTF-16"),
            (b"\x7fELF\0\0", "binary"),
            (b"caf\xe9", "binary"),
            (b"hello\n", "not JSON"),
            (b'{\n  "messages": []\n}\n', "not JSON Lines"),
            (b'{"open":{"format":2}}\n', "session file of this program"),
            (b'{"any":"thing"}\n', "no record"),
            (b"5\n", "no record"),
        ],
    )
    def test_the_reason_says_what_the_file_seems_to_be(self, data: bytes, reason: str) -> None:
        with pytest.raises(ImportFormatError) as refused:
            detect([data] if b"messages" not in data else data.splitlines(keepends=True))
        assert reason in refused.value.reason
        assert refused.value.line == 0
        assert "JSON Lines" in refused.value.hint
