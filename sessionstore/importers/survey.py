"""The first pass over a transcript: what every line is, where it ends, and what all of them together say.

Rules:

- A line ends at byte 0x0A and nowhere else: transcripts hold U+2028 and carriage returns in plain text.
- One odd line never stops an import: what is not JSON, or is JSON that the store would change or refuse, is kept as the
  text that it is, and counted.
- A file that is still being written is read up to the size it has at the start.

A place is the number of a line, from 0. About 25 bytes are kept for each, besides what the format's reading keeps.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from typing import Any, BinaryIO

from sessionstore.errors import ImportFormatError
from sessionstore.importers import claude_code, codex, gemini
from sessionstore.importers.detect import BYTE_ORDER_MARK, MAX_LINES_LOOKED_AT, identify, unknown_format, wrong_format
from sessionstore.importers.reading import MESSAGE, Reading, Settled, entry_type, moved, project_bytes
from sessionstore.importers.strict_json import LineRefused, parse_line
from sessionstore.importers.transcript import MAX_WARNINGS, ImportReport, TranscriptHead, title_from

MAX_LINES = 4_000_000
"""A bound on memory: a file of empty objects has a line for every three bytes."""

BLANK = "blank"
UNPARSED = "unparsed"
NOT_AN_OBJECT = "unknown"

_READINGS: dict[str, type[Reading]] = {
    claude_code.FORMAT: claude_code.ClaudeCodeReading,
    codex.FORMAT: codex.CodexReading,
    gemini.FORMAT: gemini.GeminiReading,
}


class Survey:
    """One first pass.

    Attributes:
        kinds: For each place `MESSAGE`, `BLANK`, `UNPARSED`, `NOT_AN_OBJECT`, or the entry type (it holds a "/").
        ends: For each place the offset in bytes after the line.
        sums: For each place the CRC-32 of the line, by which the second pass sees that the file changed.
    """

    def __init__(self, wanted: str | None) -> None:
        self.kinds: list[str] = []
        self.ends = array("Q")
        self.sums = array("I")
        self._wanted = wanted
        self._format = wanted or "supported"
        self._reading: Reading | None = None
        self._waiting: list[tuple[int, dict[str, Any]]] = []
        self._first_line = b""
        self._torn = False
        self._not_represented: Counter[str] = Counter()
        self._odd_lines: list[str] = []
        self._more_odd_lines = 0

    def read(self, file: BinaryIO, size_bytes: int) -> tuple[TranscriptHead, dict[int, int]]:
        """The head, and which places are shown elsewhere. `file` is read from its start up to `size_bytes`.

        Raises:
            ImportFormatError: As in `open_transcript`.
        """
        file.seek(0)
        at = 0
        while at < size_bytes and (raw := file.readline(size_bytes - at)):
            at += len(raw)
            place = len(self.kinds)
            if self._reading is None and place >= MAX_LINES_LOOKED_AT:
                break
            if place >= MAX_LINES:
                reason = f"it has more than {MAX_LINES} lines"
                raise ImportFormatError(format=self._format, line=place + 1, reason=reason, hint="split the file")
            self.ends.append(at)
            self.sums.append(zlib.crc32(raw))
            self.kinds.append(self._kind_of(place, raw))
        if self._reading is None:
            raise unknown_format(self._first_line, self._format)
        return self._settle(self._reading)

    def _kind_of(self, place: int, raw: bytes) -> str:
        line = content_of(place, raw)
        if place == 0 and raw.startswith(BYTE_ORDER_MARK):
            self._not_represented["byte order mark"] = 1
        if not line.strip(b" \t\r"):
            self._not_represented["blank lines"] += 1
            return BLANK
        self._first_line = self._first_line or line
        try:
            record = parse_line(line)
        except LineRefused as refused:
            # Only the last line can lack its end.
            self._torn = not raw.endswith(b"\n")
            kept = "is torn, and kept as text" if self._torn else "is kept as text"
            self._note_odd_line(f"line {place + 1} {kept}: {refused.reason}")
            return UNPARSED
        if not isinstance(record, dict):
            return NOT_AN_OBJECT
        if self._reading is None:
            self._identify(place, record)
        if self._reading is None:
            return NOT_AN_OBJECT
        return self._reading.note(place, record)

    def _identify(self, place: int, record: dict[str, Any]) -> None:
        found = identify(record, self._wanted)
        if found is None:
            self._waiting.append((place, record))
            return
        if self._wanted is not None and found != self._wanted:
            raise wrong_format(self._wanted, found, place + 1)
        self._format = found
        self._reading = _READINGS[found]()
        for waiting_place, waiting in self._waiting:
            self.kinds[waiting_place] = self._reading.note(waiting_place, waiting)
        self._waiting.clear()

    def _settle(self, reading: Reading) -> tuple[TranscriptHead, dict[int, int]]:
        settled = reading.settle()
        for place, kind in settled.demoted.items():
            self.kinds[place] = kind
        shown = {} if settled.conversation is None else moved(settled.conversation)
        project = project_bytes(settled.project)
        if settled.project is not None and project is None:
            settled.warnings.append("the project directory it states is no absolute path here, and left out")
        if shown:
            settled.warnings.append(f"{len(shown)} messages stand in the order of the conversation, not of the file")
        head = TranscriptHead(
            format=self._format,
            title=title_from(settled.titles, format=self._format, source_id=settled.source_id),
            source_id=settled.source_id,
            project=project,
            created_at=reading.moments.first,
            updated_at=reading.moments.last,
            config=settled.config,
            report=self._report(settled),
        )
        return head, shown

    def _report(self, settled: Settled) -> ImportReport:
        counts = Counter(self.kinds)
        records = len(self.kinds) - counts.pop(BLANK, 0)
        messages = counts.pop(MESSAGE, 0)
        warnings = [*settled.warnings, *self._odd_lines]
        if not messages:
            warnings.append("it holds no message")
        if self._more_odd_lines:
            warnings.append(f"{self._more_odd_lines} more lines are kept as text")
        return ImportReport(
            records=records,
            messages=messages,
            tool_calls=settled.tool_calls,
            tool_results=settled.tool_results,
            preserved={full_type(self._format, kind): count for kind, count in sorted(counts.items())},
            not_represented={**settled.not_represented, **self._not_represented},
            torn_last_line=self._torn,
            warnings=tuple(warnings),
        )

    def _note_odd_line(self, warning: str) -> None:
        if len(self._odd_lines) < MAX_WARNINGS or self._torn:
            self._odd_lines.append(warning)
        else:
            self._more_odd_lines += 1


def content_of(place: int, raw: bytes) -> bytes:
    """The line at `place` without its end; a carriage return is JSON's white space and stays."""
    line = raw.removesuffix(b"\n")
    return line.removeprefix(BYTE_ORDER_MARK) if place == 0 else line


def full_type(format: str, kind: str) -> str:
    """The entry type of a kind: those of every format carry no format yet."""
    return kind if "/" in kind else entry_type(format, kind)
