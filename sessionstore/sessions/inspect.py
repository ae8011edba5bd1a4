"""Looking into a session file that may be damaged: lines as they stand, and which of them a good seal commits."""

from __future__ import annotations

from contextlib import closing
from typing import Literal

from sessionstore.errors import SessionNotFoundError, SessionStoreError
from sessionstore.format.lines import ENTRY, OPEN, STATE
from sessionstore.format.seal import SEAL
from sessionstore.model import InspectedLine, Inspection, check_id
from sessionstore.sessions.ground import Ground, file_name
from sessionstore.sessions.judge import last_good
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import SUFFIX
from sessionstore.storage import Log

MAX_TEXT_CHARS = 400

Kind = Literal["open", "entry", "state", "seal", "other"]

_KINDS: tuple[tuple[bytes, Kind], ...] = (
    (OPEN, "open"),
    (ENTRY, "entry"),
    (STATE, "state"),
    (SEAL, "seal"),
)


def inspect(ground: Ground, reader: Reader, session_id: str) -> Inspection:
    """What stands in the file of a session, whether it verifies or not; else in its unsigned file. Nothing is decoded.

    Raises:
        SessionNotFoundError: There is no file of that name.
        UnsafeFileError: It is no ordinary file of ours.

    Of a file over the session cap, the lines up to the cap are looked at.
    """
    sealed = ground.backend.open(file_name(check_id(session_id)))
    log = sealed or ground.backend.open(session_id + SUFFIX)
    if log is None:
        raise SessionNotFoundError
    with closing(log):
        code, text = "ok", ""
        good_end: int | None = None if sealed is not None else 0
        try:
            good_end = reader.check(session_id).end
        except SessionStoreError as error:
            code, text = error.code, str(error)
        head = ground.ledger.head(session_id)
        size = log.stamp().size
        looked_at = min(size, ground.config.max_session_bytes)
        if good_end is None:
            good_end = _good_end(ground, session_id, log, looked_at)
        lines = _lines(log.read(0, looked_at), good_end)
        return Inspection(session_id, size, None if head is None else head.rev, code, text, lines)


def _good_end(ground: Ground, session_id: str, log: Log, size: int) -> int:
    last = last_good(ground, session_id, log, size)
    return 0 if last is None else last.end


def _lines(data: bytes, good_end: int) -> tuple[InspectedLine, ...]:
    found, at = [], 0
    for number, line in enumerate(data.split(b"\n"), 1):
        if line or at < len(data):
            kind = _kind_of(line)
            text = "".join(
                char if char.isprintable() else "\N{REPLACEMENT CHARACTER}"
                for char in line[: 4 * MAX_TEXT_CHARS].decode("utf-8", "replace")[:MAX_TEXT_CHARS]
            )
            found.append(InspectedLine(number, kind, len(line), at + len(line) < good_end, text))
        at += len(line) + 1
    return tuple(found)


def _kind_of(line: bytes) -> Kind:
    for start, kind in _KINDS:
        if line.startswith(start):
            return kind
    return "other"
