"""Files as they are: torn, odd, growing, large, or of another kind."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

from sessionstore.errors import ImportFormatError, InvalidValueError, TooLargeError
from sessionstore.format.strict import encode_object
from sessionstore.importers import FORMATS, ImportedTranscript, open_transcript, read_transcript, rebuild, survey
from sessionstore.importers.demo import demo_transcript
from sessionstore.importers.detect import MAX_LINES_LOOKED_AT
from sessionstore.importers.transcript import MAX_WARNINGS

MAX_BYTES = 1024 * 1024
CLAUDE = b'{"type":"mode","sessionId":"s"}\n'
USER = b'{"uuid":"a","parentUuid":null,"type":"user","message":{"role":"user","content":"hi"}}\n'


def read(data: Any, **arguments: Any) -> ImportedTranscript:
    return read_transcript(data, **{"max_bytes": MAX_BYTES, **arguments})


class TestLines:
    def test_only_a_line_feed_ends_a_line(self) -> None:
        texts = ["\u2028", "\u2029", "\u0085", "\x1c", "\x0b", "\x0c", "\r"]
        record = {"type": "mode", "sessionId": "".join(texts)}
        data = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        assert read(data).entries == ({"type": "claude-code/mode", "record": record},)

    def test_a_carriage_return_before_the_line_feed_is_white_space(self) -> None:
        transcript = read(CLAUDE.replace(b"\n", b"\r\n") + USER.replace(b"\n", b"\r\n"))
        assert transcript.report.records == 2
        assert transcript.report.preserved == {"claude-code/mode": 1}

    def test_a_last_line_without_line_feed_is_a_line(self) -> None:
        transcript = read(CLAUDE + USER.rstrip())
        assert transcript.report.messages == 1
        assert not transcript.report.torn_last_line

    def test_blank_lines_are_counted(self) -> None:
        transcript = read(b"\n" + CLAUDE + b" \t\r\n\n" + USER)
        assert transcript.report.records == 2
        assert transcript.report.not_represented == {"blank lines": 3}

    def test_a_byte_order_mark_is_counted(self) -> None:
        transcript = read(b"\xef\xbb\xbf" + CLAUDE)
        assert transcript.report.not_represented == {"byte order mark": 1}
        assert transcript.report.preserved == {"claude-code/mode": 1}


class TestOddLines:
    @pytest.mark.parametrize(
        "line",
        [
            b"not json",
            b'{"type":"user","uuid":"b"',
            b'{"type":"user","type":"user"}',
            b'{"type":"user","n":NaN}',
            b'{"type":"user","n":1e999}',
            b'{"type":"user","n":99999999999999999999}',
            b'{"type":"user","text":"\\ud83d"}',
            b'{"type":"user","deep":' + b"[" * 200 + b"]" * 200 + b"}",
            b"\0\0\0",
            b'{"type":"user"}\r\r{',
        ],
    )
    def test_a_line_that_cannot_be_kept_as_a_record_is_kept_as_text(self, line: bytes) -> None:
        transcript = read(CLAUDE + line + b"\n" + USER)
        entry = transcript.entries[1]
        assert (entry["type"], entry["line"], entry["text"]) == ("claude-code/unparsed", 2, line.decode())
        assert rebuild(entry) == line
        assert transcript.report.preserved["claude-code/unparsed"] == 1
        assert transcript.report.warnings == (f"line 2 is kept as text: {entry['reason']}",)
        assert not transcript.report.torn_last_line

    def test_a_line_that_is_not_utf_8_is_kept_as_base64(self) -> None:
        entry = read(CLAUDE + b'{"a":"\xff"}\n').entries[1]
        assert "text" not in entry
        assert rebuild(entry) == b'{"a":"\xff"}'

    @pytest.mark.parametrize("value", [[1], "text", 5, None, True])
    def test_a_value_that_is_no_object_is_kept(self, value: Any) -> None:
        entry = read(CLAUDE + json.dumps(value).encode() + b"\n").entries[1]
        assert entry == {"type": "claude-code/unknown", "record": value}
        assert rebuild(entry) == value

    def test_odd_lines_before_the_first_that_tells_keep_their_places(self) -> None:
        transcript = read(b'[]\n{torn\n{"a":1}\n{"type":"tag"}\n' + CLAUDE)
        assert [entry["type"].split("/")[1] for entry in transcript.entries] == [
            "unknown",
            "unparsed",
            "unknown",
            "tag",
            "mode",
        ]

    @pytest.mark.parametrize("type", ["a/b", "", "x" * 65, "\x1b[31m", "unparsed\n", 5, None, ["mode"]])
    def test_a_record_type_that_is_no_plain_word_does_not_get_into_the_entry_type(self, type: Any) -> None:
        entry = read(CLAUDE + json.dumps({"type": type, "sessionId": "s"}).encode()).entries[1]
        assert entry == {"type": "claude-code/unknown", "record": {"type": type, "sessionId": "s"}}

    def test_a_record_that_calls_itself_unparsed_is_kept_as_a_record(self) -> None:
        record = {"type": "unparsed", "sessionId": "s", "text": "x"}
        entry = read(json.dumps(record).encode()).entries[0]
        assert rebuild(entry) == record

    def test_warnings_do_not_grow_with_the_file(self) -> None:
        report = read(CLAUDE + b"{\n" * 1000 + b"{").report
        assert report.preserved["claude-code/unparsed"] == 1001
        assert len(report.warnings) <= MAX_WARNINGS + 3
        assert "980 more lines are kept as text" in report.warnings
        assert any("torn" in warning for warning in report.warnings)


class TestTheLastLine:
    @pytest.mark.parametrize("format", FORMATS)
    def test_a_transcript_torn_at_any_byte_of_its_last_record_imports_the_rest(self, format: str) -> None:
        data = demo_transcript(format)
        start = data.rindex(b"\n", 0, len(data) - 1) + 1
        whole = read(data)
        for end in range(start + 1, len(data) - 1):
            report = read(data[:end]).report
            assert report.torn_last_line
            assert report.records == whole.report.records
            assert report.preserved[f"{format}/unparsed"] == 1

    def test_it_is_kept_and_told(self) -> None:
        transcript = read(CLAUDE + USER + USER[:-20])
        assert rebuild(transcript.entries[-1]) == USER[:-20]
        assert transcript.report.warnings[0].startswith("line 3 is torn, and kept as text: ")

    def test_one_that_ends_within_a_character_is_kept(self) -> None:
        cut = '{"type":"user","text":"ü'.encode()[:-1]
        transcript = read(CLAUDE + cut)
        assert transcript.report.torn_last_line
        assert rebuild(transcript.entries[-1]) == cut

    def test_zero_bytes_that_a_crash_left_are_kept(self) -> None:
        transcript = read(CLAUDE + b"\0" * 100)
        assert transcript.report.torn_last_line
        assert rebuild(transcript.entries[-1]) == b"\0" * 100

    def test_a_bad_line_with_its_end_is_not_torn(self) -> None:
        assert not read(CLAUDE + b"{\n").report.torn_last_line


class TestTheFormat:
    @pytest.mark.parametrize("format", FORMATS)
    def test_it_may_be_said_or_found_out(self, format: str) -> None:
        data = demo_transcript(format)
        assert read(data, format=format) == read(data)
        assert read(data).format == format

    @pytest.mark.parametrize(("said", "real"), list(permutations(FORMATS, 2)))
    def test_the_wrong_one_is_refused_with_the_right_one(self, said: str, real: str) -> None:
        with pytest.raises(ImportFormatError) as refused:
            read(demo_transcript(real), format=said)
        assert refused.value.format == said
        assert refused.value.line > 0
        assert f"--format {real}" in refused.value.hint

    @pytest.mark.parametrize(
        "data", [b"", b"\n\n", b"{}\n", b"[1]\n", b"hello", b"\x7fELF\0", b"{}\n" * 5000, b"x\n" * 5000]
    )
    @pytest.mark.parametrize("format", ["auto", *FORMATS])
    def test_a_file_of_no_transcript_is_refused(self, data: bytes, format: str) -> None:
        with pytest.raises(ImportFormatError):
            read(data, format=format)

    @pytest.mark.parametrize("format", ["", "claude", "AUTO"])
    def test_a_format_that_is_none_is_refused(self, format: str) -> None:
        with pytest.raises(InvalidValueError):
            read(CLAUDE, format=format)

    def test_a_file_open_as_text_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "text.jsonl"
        path.write_bytes(CLAUDE)
        with path.open() as file, pytest.raises(InvalidValueError, match="binary mode"):
            read(file)
        with pytest.raises(InvalidValueError, match="binary mode"):
            open_transcript(io.StringIO(CLAUDE.decode()), max_bytes=MAX_BYTES)  # type: ignore[arg-type]

    def test_a_file_without_buffer_is_refused_where_it_would_be_slow(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.jsonl"
        path.write_bytes(CLAUDE)
        with path.open("rb", buffering=0) as raw, pytest.raises(InvalidValueError, match="buffered"):
            open_transcript(raw, max_bytes=MAX_BYTES)  # type: ignore[arg-type]

    @pytest.mark.parametrize("line", [b"{}\n", b"x\n", b"\n"])
    def test_a_file_is_not_searched_to_its_end_for_a_transcript(self, line: bytes) -> None:
        assert read(line * (MAX_LINES_LOOKED_AT - 1) + CLAUDE).format == "claude-code"
        with pytest.raises(ImportFormatError):
            read(line * MAX_LINES_LOOKED_AT + CLAUDE)


class TestSize:
    def test_a_file_of_too_many_lines_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(survey, "MAX_LINES", 3)
        assert read(CLAUDE * 3).report.records == 3
        with pytest.raises(ImportFormatError, match="more than 3 lines") as refused:
            read(CLAUDE * 4)
        assert refused.value.line == 4

    def test_a_transcript_at_the_cap_is_read_and_one_byte_more_is_refused(self) -> None:
        assert read(CLAUDE, max_bytes=len(CLAUDE)).report.records == 1
        with pytest.raises(TooLargeError) as refused:
            read(CLAUDE, max_bytes=len(CLAUDE) - 1)
        assert (refused.value.what, refused.value.size_bytes) == ("file", len(CLAUDE))
        assert refused.value.limit_bytes == len(CLAUDE) - 1

    def test_pieces_are_no_longer_collected_once_over_the_cap(self) -> None:
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield CLAUDE

        with pytest.raises(TooLargeError):
            read(endless(), max_bytes=10 * len(CLAUDE))
        assert taken == 11


class TestSources:
    def test_bytes_pieces_and_files_give_the_same(self, tmp_path: Path) -> None:
        data = demo_transcript("codex")
        path = tmp_path / "rollout.jsonl"
        path.write_bytes(data)
        expected = read(data)
        assert read(iter([data[:100], b"", data[100:101], data[101:]])) == expected
        assert read(bytearray(data)) == expected
        with path.open("rb") as file:
            file.seek(50)
            assert read(file) == expected
        with path.open("rb", buffering=0) as raw:
            raw.seek(50)
            assert read(raw) == expected
            assert not raw.closed
        with NamedTemporaryFile() as temporary:
            temporary.write(data)
            assert read(temporary) == expected

    def test_a_file_that_cannot_seek_is_read(self) -> None:
        class Stream(io.BytesIO):
            def seekable(self) -> bool:
                return False

        data = demo_transcript("gemini")
        assert read(Stream(data)) == read(data)

    def test_entries_can_be_read_again(self) -> None:
        data = demo_transcript("claude-code")
        reader = open_transcript(io.BytesIO(data), max_bytes=MAX_BYTES)
        first = list(reader.entries())
        assert list(reader.entries()) == first == list(read(data).entries)


class TestAFileThatChanges:
    def test_what_is_appended_after_the_start_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "live.jsonl"
        path.write_bytes(CLAUDE + USER)
        with path.open("rb") as file, path.open("ab") as writer:
            reader = open_transcript(file, max_bytes=MAX_BYTES)
            writer.write(CLAUDE * 10)
            writer.flush()
            assert len(list(reader.entries())) == reader.head.report.records == 2

    def test_a_line_that_grows_while_the_file_is_read_is_taken_as_it_was(self) -> None:
        class Growing(io.BytesIO):
            def readline(self, size: int | None = -1, /) -> bytes:
                at = self.tell()
                self.seek(0, io.SEEK_END)
                self.write(USER[-40:])
                self.seek(at)
                return super().readline(size)

        transcript = read(Growing(CLAUDE + USER[:-40]))
        assert transcript.report.torn_last_line
        assert rebuild(transcript.entries[-1]) == USER[:-40]

    def test_a_line_that_becomes_another_one_stops_the_import(self, tmp_path: Path) -> None:
        path = tmp_path / "live.jsonl"
        path.write_bytes(CLAUDE + USER)
        with path.open("rb") as file:
            reader = open_transcript(file, max_bytes=MAX_BYTES)
            path.write_bytes(CLAUDE + USER.replace(b"hi", b"ho"))
            entries = reader.entries()
            next(entries)
            with pytest.raises(ImportFormatError) as refused:
                next(entries)
        assert (refused.value.line, refused.value.reason) == (2, "the file changed while it was read")

    def test_a_file_that_is_cut_stops_the_import(self, tmp_path: Path) -> None:
        path = tmp_path / "live.jsonl"
        path.write_bytes(CLAUDE + USER)
        with path.open("rb") as file:
            reader = open_transcript(file, max_bytes=MAX_BYTES)
            with path.open("r+b") as writer:
                writer.truncate(len(CLAUDE))
            with pytest.raises(ImportFormatError):
                list(reader.entries())


class TestTheStoreTakesIt:
    @pytest.mark.parametrize("format", FORMATS)
    def test_every_entry_of_a_transcript_with_deep_and_odd_records_can_be_stored(
        self, format: str, jsonl: Callable[..., bytes]
    ) -> None:
        deep: Any = {}
        for _ in range(122):
            deep = [deep]
        arguments = json.dumps({"deep": deep})
        odd = jsonl(
            {"type": "response_item", "payload": {"type": "function_call", "arguments": arguments}},
            {"type": "user", "uuid": "deep", "message": {"role": "user", "content": deep[0][0]}},
            {
                "type": "gemini",
                "id": "deep",
                "content": deep[0][0],
                "toolCalls": [{"name": "x", "args": deep[0][0][0]}],
            },
            {"deep": deep, "max": 2**64 - 1, "min": -(2**63)},
        )
        for entry in read(demo_transcript(format) + odd, format=format).entries:
            encode_object(entry, max_bytes=MAX_BYTES)
