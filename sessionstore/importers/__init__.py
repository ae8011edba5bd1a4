"""Transcripts of other agent tools, read into entries of ours. Nothing here touches a store or opens a path.

`read_transcript` for small ones, `open_transcript` for large ones, `detect` to ask which tool wrote it, `rebuild` to
get a record back from its entry. What is read is an unsigned file: it says what it says, and nobody has verified it.
"""

from __future__ import annotations

from sessionstore.importers.detect import FORMATS, detect
from sessionstore.importers.reader import TranscriptReader, open_transcript, read_transcript
from sessionstore.importers.rebuild import rebuild
from sessionstore.importers.transcript import ImportedTranscript, ImportReport, TranscriptHead

__all__ = [
    "FORMATS",
    "ImportReport",
    "ImportedTranscript",
    "TranscriptHead",
    "TranscriptReader",
    "detect",
    "open_transcript",
    "read_transcript",
    "rebuild",
]
