"""Real transcripts of three tools: exact counts, exact order, exact titles, and every record back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.format.strict import encode_object
from sessionstore.importers import ImportedTranscript, detect, read_transcript, rebuild

Exact = Callable[..., list[str]]

FILES = {"claude-code": "claude-code/small.jsonl", "codex": "codex/small.jsonl", "gemini": "gemini/session.jsonl"}
FACTS: dict[str, tuple[str, str, bytes | None, int, int, int, int]] = {
    # title, source id, project, records, messages, tool calls, tool results
    "claude-code": ("Stage0 small fixture", "ses_stage0_small", b"/tmp", 89, 5, 0, 0),
    "codex": ("[trimmed for fixture]", "019fc8be-3658-7ca3-9e29-000000000000", b"/tmp/repo", 118, 15, 6, 6),
    "gemini": ("Say hello and list files.", "gemini_stage0_jsonl", None, 5, 3, 1, 1),
}
ROLES = {
    # line of each message, and its role
    "claude-code": {63: "user", 65: "assistant", 77: "assistant", 78: "assistant", 87: "user"},
    "codex": {
        6: "user",
        9: "assistant",
        10: "assistant",
        11: "tool",
        12: "assistant",
        13: "tool",
        21: "tool",
        23: "assistant",
        28: "tool",
        43: "assistant",
        98: "developer",
        103: "assistant",
        105: "tool",
        114: "assistant",
        115: "tool",
    },
    "gemini": {2: "user", 4: "assistant", 5: "assistant"},
}


@pytest.mark.parametrize("format", FILES)
class TestRealTranscripts:
    def data(self, transcripts: Path, format: str) -> bytes:
        return (transcripts / FILES[format]).read_bytes()

    def read(self, transcripts: Path, format: str) -> ImportedTranscript:
        return read_transcript(self.data(transcripts, format), max_bytes=1024 * 1024)

    def test_its_tool_is_found_out(self, transcripts: Path, format: str) -> None:
        assert detect(self.data(transcripts, format).split(b"\n")) == format

    def test_head_and_counts_are_exactly_these(self, transcripts: Path, format: str) -> None:
        head = self.read(transcripts, format)
        report = head.report
        assert (
            head.title,
            head.source_id,
            head.project,
            report.records,
            report.messages,
            report.tool_calls,
            report.tool_results,
        ) == FACTS[format]
        assert report.not_represented == {}
        assert not report.torn_last_line
        assert report.records == report.messages + sum(report.preserved.values())

    def test_messages_stand_exactly_at_these_lines(self, transcripts: Path, format: str) -> None:
        entries = self.read(transcripts, format).entries
        assert {line: entry["role"] for line, entry in enumerate(entries, 1) if "role" in entry} == ROLES[format]

    def test_every_record_comes_back_in_its_place(self, transcripts: Path, format: str, exact: Exact) -> None:
        records = [json.loads(line) for line in self.data(transcripts, format).split(b"\n") if line]
        assert exact(rebuild(entry) for entry in self.read(transcripts, format).entries) == exact(records)

    def test_every_entry_can_be_stored(self, transcripts: Path, format: str) -> None:
        for entry in self.read(transcripts, format).entries:
            encode_object(entry, max_bytes=1024 * 1024)


def test_records_off_the_chain_of_the_real_claude_transcript_are_counted(transcripts: Path) -> None:
    preserved = read_transcript(
        (transcripts / FILES["claude-code"]).read_bytes(), max_bytes=1024 * 1024
    ).report.preserved
    assert preserved["claude-code/off-chain/sidechain"] == 7
    assert preserved["claude-code/off-chain/branch"] == 8
    assert preserved["claude-code/attachment"] == 38
    assert preserved["claude-code/system"] == 12


def test_a_real_rollout_gives_each_turn_once(transcripts: Path) -> None:
    report = read_transcript((transcripts / FILES["codex"]).read_bytes(), max_bytes=1024 * 1024).report
    assert report.preserved["codex/event_msg/user_message"] == 3
    assert report.preserved["codex/event_msg/agent_message"] == 1
    assert report.preserved["codex/session_meta"] == 7
