"""Whatever lines a file holds, an import takes all of them and gives all of them back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import ImportFormatError
from sessionstore.format.strict import encode_object
from sessionstore.importers import FORMATS, read_transcript, rebuild
from sessionstore.importers.demo import demo_transcript
from sessionstore.model import Message, check_name

MAX_BYTES = 1024 * 1024
FIRST = {
    "claude-code": {"type": "mode", "sessionId": "s"},
    "codex": {"type": "session_meta", "payload": {"id": "s"}},
    "gemini": {"sessionId": "s", "projectHash": "h"},
}
WORDS = sorted(
    {
        word
        for format in FORMATS
        for record in map(json.loads, demo_transcript(format).split(b"\n")[:-1])
        for holder in (record, record.get("payload"), record.get("message"), record.get("$set"))
        if isinstance(holder, dict)
        for word in holder
    }
)
TYPES = ["user", "assistant", "gemini", "system", "summary", "custom-title", "response_item", "event_msg", "message"]
TYPES += ["function_call", "function_call_output", "custom_tool_call", "user_message", "agent_message", "tool_use"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([*TYPES, "a", "b", "c", "2026-03-02T09:00:00Z", '{"x": 1}', "<command-name>"])
    | st.text(max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=2), inner, max_size=5)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["a", "b", "c", None])
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "tool_use", "tool_result"])}, optional={"tool_use_id": NAMES}
    ),
    max_size=2,
)
CLAUDE = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "assistant", "system"]), "uuid": NAMES, "parentUuid": NAMES},
    optional={
        "isSidechain": st.booleans(),
        "isMeta": st.booleans(),
        "logicalParentUuid": NAMES,
        "message": st.fixed_dictionaries(
            {"role": st.just("user"), "content": BLOCKS | st.text(max_size=3)}, optional={"id": NAMES}
        ),
    },
)
CODEX = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["response_item", "event_msg", "session_meta"]),
        "payload": st.fixed_dictionaries(
            {"type": st.sampled_from(TYPES)},
            optional={
                "role": NAMES,
                "content": VALUES,
                "message": VALUES,
                "arguments": VALUES,
                "input": VALUES,
                "output": VALUES,
                "call_id": NAMES,
                "id": NAMES,
            },
        ),
    }
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(max_size=2)}, optional={"id": NAMES, "args": VALUES, "result": VALUES, "status": NAMES}
    ),
    max_size=3,
)
GEMINI = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "gemini", "info"]), "content": VALUES},
    optional={"id": NAMES, "toolCalls": CALLS | VALUES},
) | st.fixed_dictionaries({"$rewindTo": NAMES})
OBJECTS = st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=2), VALUES, max_size=6)
RECORDS = st.lists(OBJECTS | CLAUDE | CODEX | GEMINI, max_size=12)


def exact(values: list[Any]) -> list[str]:
    return sorted(json.dumps(value, sort_keys=True) for value in values)


class TestAnyRecords:
    @pytest.mark.parametrize("format", FORMATS)
    @given(records=RECORDS)
    def test_none_is_lost_and_the_counts_agree(self, format: str, records: list[Any]) -> None:
        records = [FIRST[format], *records]
        data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        transcript = read_transcript(data, format=format, max_bytes=MAX_BYTES)
        assert exact([rebuild(entry) for entry in transcript.entries]) == exact(records)
        report = transcript.report
        assert len(transcript.entries) == report.records == report.messages + sum(report.preserved.values())
        assert sum(Message.from_entry(entry) is not None for entry in transcript.entries) == report.messages
        check_name(transcript.title)
        for entry in transcript.entries:
            encode_object(entry, max_bytes=MAX_BYTES)

    @pytest.mark.parametrize("format", FORMATS)
    @given(records=RECORDS)
    def test_records_that_are_no_messages_keep_their_places(self, format: str, records: list[Any]) -> None:
        records = [FIRST[format], *records]
        data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        entries = read_transcript(data, format=format, max_bytes=MAX_BYTES).entries
        for entry, record in zip(entries, records, strict=True):
            assert "role" in entry or exact([entry["record"]]) == exact([record])


class TestAnyBytes:
    @given(
        lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=10),
        torn=st.binary(max_size=5),
    )
    def test_every_line_that_is_not_blank_is_kept(self, lines: list[bytes], torn: bytes) -> None:
        torn = torn.replace(b"\n", b"")
        data = b'{"type":"mode","sessionId":"s"}\n' + b"".join(line + b"\n" for line in lines) + torn
        transcript = read_transcript(data, max_bytes=MAX_BYTES)
        kept = [line for line in (*lines, torn) if line.strip(b" \t\r")]
        assert transcript.report.records == 1 + len(kept)
        for entry, line in zip(transcript.entries[1:], kept, strict=True):
            if entry["type"] == "claude-code/unparsed":
                assert rebuild(entry) == line
            encode_object(entry, max_bytes=MAX_BYTES)

    @pytest.mark.parametrize("format", ["auto", *FORMATS])
    @given(data=st.binary(max_size=100))
    def test_a_file_is_read_or_refused(self, format: str, data: bytes) -> None:
        try:
            read_transcript(data, format=format, max_bytes=MAX_BYTES)
        except ImportFormatError as refused:
            assert refused.reason
