"""The transcripts in the package: what a newcomer sees first, so every count stands here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sessionstore.errors import InvalidValueError
from sessionstore.importers import FORMATS, read_transcript, rebuild
from sessionstore.importers.demo import demo_transcript

Exact = Callable[..., list[str]]

FACTS: dict[str, tuple[str, int, int, int, int]] = {
    # title, records, messages, tool calls, tool results
    "claude-code": ("Week numbers follow ISO 8601", 35, 18, 5, 5),
    "codex": ("Large files in atlas", 22, 8, 2, 2),
    "gemini": ("The docs folder and ISO 8601", 15, 5, 2, 2),
}


@pytest.mark.parametrize("format", FORMATS)
class TestDemoTranscript:
    def test_it_imports_with_exactly_these_counts(self, format: str) -> None:
        transcript = read_transcript(demo_transcript(format), max_bytes=100_000)
        report = transcript.report
        counted = (transcript.title, report.records, report.messages, report.tool_calls, report.tool_results)
        assert counted == FACTS[format]
        assert report.not_represented == {}
        assert not report.torn_last_line

    def test_every_record_comes_back(self, format: str, exact: Exact) -> None:
        records = [json.loads(line) for line in demo_transcript(format).split(b"\n")[:-1]]
        transcript = read_transcript(demo_transcript(format), max_bytes=100_000)
        assert exact(rebuild(entry) for entry in transcript.entries) == exact(records)

    def test_it_holds_a_record_type_that_no_importer_knows(self, format: str) -> None:
        unknown = {"claude-code": "tide-table", "codex": "harbour_report", "gemini": "lighthouse"}[format]
        report = read_transcript(demo_transcript(format), max_bytes=100_000).report
        assert report.preserved[f"{format}/{unknown}"] == 1

    def test_every_tool_call_of_the_conversation_is_answered(self, format: str) -> None:
        transcript = read_transcript(demo_transcript(format), max_bytes=100_000)
        blocks: list[dict[str, Any]] = [
            block
            for entry in transcript.entries
            if isinstance(entry.get("content"), list)
            for block in entry["content"]
        ]
        called = {block["id"] for block in blocks if block.get("type") == "tool_use"}
        answered = {block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"}
        assert called == answered != set()


def test_a_format_without_one_is_refused() -> None:
    with pytest.raises(InvalidValueError):
        demo_transcript("../claude-code")
