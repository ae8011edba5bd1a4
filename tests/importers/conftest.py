"""Transcripts as bytes, their import, and the proof that nothing of them was lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers import ImportedTranscript, read_transcript, rebuild

MAX_BYTES = 10 * 1024 * 1024


@pytest.fixture
def jsonl() -> Callable[..., bytes]:
    """Records to the lines of a file."""

    def write(*records: Any) -> bytes:
        return b"".join(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n" for record in records)

    return write


@pytest.fixture
def imported(jsonl: Callable[..., bytes]) -> Callable[..., ImportedTranscript]:
    """Records to the transcript they make; every record must come back from an entry, whatever the test is about."""

    def read(*records: Any, format: str = "auto") -> ImportedTranscript:
        transcript = read_transcript(jsonl(*records), format=format, max_bytes=MAX_BYTES)
        assert exact([rebuild(entry) for entry in transcript.entries], sort=True) == exact(records, sort=True)
        return transcript

    return read


def exact(records: Any, *, sort: bool = False) -> list[str]:
    """Each record as text in which 1, 1.0 and true differ and the order of members does not."""
    texts = [json.dumps(record, sort_keys=True) for record in records]
    return sorted(texts) if sort else texts


@pytest.fixture(name="exact")
def exact_fixture() -> Callable[..., list[str]]:
    """See `exact`."""
    return exact


@pytest.fixture(scope="session")
def transcripts() -> Path:
    """The real sample transcripts, which lie beside the repository and are no part of it."""
    found = Path(__file__).resolve().parents[3] / "shared" / "samples" / "transcripts"
    if not found.is_dir():
        pytest.skip("no sample transcripts: put them into ../shared/samples/transcripts beside the repository")
    return found
