"""Reads a transcript in two passes: the first finds out what every line is (`survey`), the second makes the entries.

Every line that is not blank becomes one entry. If a line is another one in the second pass than in the first, the
import stops: what was counted would not be what was imported.

Memory: the first pass keeps about 25 bytes a line, and for Claude Code about 400 more for each record of the tree. The
entries are made one at a time. `read_transcript` holds all of them: several times the size of the file.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO, cast

import msgspec

from sessionstore.errors import ImportFormatError, InvalidValueError, TooLargeError
from sessionstore.importers import claude_code, codex, gemini
from sessionstore.importers.detect import FORMATS
from sessionstore.importers.reading import MESSAGE
from sessionstore.importers.rebuild import unparsed_entry
from sessionstore.importers.strict_json import LineRefused, parse_line
from sessionstore.importers.survey import BLANK, UNPARSED, Survey, content_of, full_type
from sessionstore.importers.transcript import ImportedTranscript, TranscriptHead

_MESSAGE_ENTRY: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    claude_code.FORMAT: claude_code.message_entry,
    codex.FORMAT: codex.message_entry,
    gemini.FORMAT: gemini.message_entry,
}
_PIECE_BYTES = 1024 * 1024
_decode = msgspec.json.Decoder().decode


def read_transcript(
    data: bytes | BinaryIO | Iterable[bytes], *, format: str = "auto", max_bytes: int
) -> ImportedTranscript:
    """The whole transcript in memory, several times the size of the file; `open_transcript` is for large ones.

    Args:
        data: The bytes, a file open in binary mode (read from its start if it can seek), or pieces of any length.
        format: `claude-code`, `codex`, `gemini`, or `auto` to find out.
        max_bytes: Cap on the size of the transcript, in bytes.

    Raises:
        ImportFormatError, InvalidValueError, TooLargeError: As in `open_transcript`.
    """
    reader = open_transcript(_seekable(data, max_bytes), format=format, max_bytes=max_bytes)
    head = {name: getattr(reader.head, name) for name in TranscriptHead.__struct_fields__}
    return ImportedTranscript(**head, entries=tuple(reader.entries()))


def open_transcript(file: BinaryIO, *, format: str = "auto", max_bytes: int) -> TranscriptReader:
    """The transcript in `file`: its head is known, its entries are to be fetched. Reads the file once.

    Errors that `file` itself raises pass through. The file is not closed.

    Args:
        file: Open for reading in binary mode with a buffer, able to seek; read from its start.
        format: `claude-code`, `codex`, `gemini`, or `auto` to find out.
        max_bytes: Cap on the size of the file, in bytes.

    Raises:
        ImportFormatError: The file is empty, of no such format, of another format than was said, or has more than
            4,000,000 lines.
        InvalidValueError: `format` is none of the four, or the file is open as text or without a buffer.
        TooLargeError: The file is larger than `max_bytes`.
    """
    if format not in ("auto", *FORMATS):
        raise InvalidValueError(what="format", reason=f"one of auto, {', '.join(FORMATS)} is needed")
    _check_binary(file)
    if isinstance(file, io.RawIOBase):
        # It may give fewer bytes than asked for, and a line from it costs a system call for every byte.
        raise InvalidValueError(what="transcript", reason="a buffered file is needed")
    size_bytes = file.seek(0, io.SEEK_END)
    if size_bytes > max_bytes:
        raise _too_large(size_bytes, max_bytes)
    survey = Survey(None if format == "auto" else format)
    head, moved = survey.read(file, size_bytes)
    return TranscriptReader(file, head, moved, survey)


class TranscriptReader:
    """A transcript after its first pass. For one thread at a time: it moves the position of the file.

    Attributes:
        head: Everything but the entries.
    """

    def __init__(self, file: BinaryIO, head: TranscriptHead, moved: dict[int, int], survey: Survey) -> None:
        self.head = head
        self._file = file
        self._moved = moved
        self._kinds, self._ends, self._sums = survey.kinds, survey.ends, survey.sums

    def entries(self) -> Iterator[dict[str, Any]]:
        """The entries in order, one at a time; the file must still be open. Each call reads it again.

        Raises:
            ImportFormatError: A line is not the one that the first pass saw: the file was changed in between.
        """
        at = -1
        for shown_at in range(len(self._kinds)):
            place = self._moved.get(shown_at, shown_at)
            if self._kinds[place] == BLANK:
                continue
            start, end = self._ends[place - 1] if place else 0, self._ends[place]
            if at != start:
                self._file.seek(start)
            raw = self._file.read(end - start)
            at = end
            if zlib.crc32(raw) != self._sums[place]:
                raise self._changed(place)
            yield self._entry(place, content_of(place, raw))

    def _entry(self, place: int, line: bytes) -> dict[str, Any]:
        kind = self._kinds[place]
        if kind == MESSAGE:
            return _MESSAGE_ENTRY[self.head.format](_decode(line))
        if kind != UNPARSED:
            # The first pass let nothing through that this decoder would change.
            return {"type": full_type(self.head.format, kind), "record": _decode(line)}
        try:
            parse_line(line)
        except LineRefused as refused:
            return unparsed_entry(full_type(self.head.format, kind), place + 1, refused.reason, line)
        raise self._changed(place)

    def _changed(self, place: int) -> ImportFormatError:
        reason = "the file changed while it was read"
        hint = "close the tool that is writing it, or import a copy"
        return ImportFormatError(format=self.head.format, line=place + 1, reason=reason, hint=hint)


def _seekable(data: bytes | BinaryIO | Iterable[bytes], max_bytes: int) -> BinaryIO:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return io.BytesIO(data)
    pieces: Iterable[bytes] = data
    if hasattr(data, "read"):
        file = cast(BinaryIO, data)
        _check_binary(file)
        if file.seekable():
            if not isinstance(file, io.RawIOBase):
                return file
            file.seek(0)
        pieces = iter(partial(file.read, _PIECE_BYTES), b"")
    held = io.BytesIO()
    for piece in pieces:
        held.write(piece)
        if held.tell() > max_bytes:
            raise _too_large(held.tell(), max_bytes)
    return held


def _check_binary(file: BinaryIO) -> None:
    if not isinstance(file.read(0), bytes):
        raise InvalidValueError(what="transcript", reason="a file open in binary mode is needed")


def _too_large(size_bytes: int, max_bytes: int) -> TooLargeError:
    return TooLargeError(what="file", size_bytes=size_bytes, limit_bytes=max_bytes, setting="max_session_bytes")
