"""An audit line without waiting for the disk, and with; and checking a log of many lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Row, in_turns, store_in

RUNS = 1000
BURST = 100
SESSION = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
BOUND_MS = 0.2
LINE_BYTES = 300


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    with store_in(directory) as store:
        log = store._ground.audit

        def unsynced() -> None:
            log.record("resume_refused", session_id=SESSION, code="project_path_security_violation", verdict="symlink")

        def synced() -> None:
            log.record("resume_committed", session_id=SESSION, rev=7)

        unsynced()
        line_ms, synced_ms, bare_ms = in_turns(RUNS, unsynced, synced, _bare_append(directory / "bare"), burst=BURST)
        (check_ms,) = in_turns(5, store.verify_audit)
        lines = store.verify_audit().lines
    return [
        Row("an audit line, not synced", line_ms, "what is allowed", BOUND_MS, "<= 1"),
        Row("an audit line, synced", synced_ms, "bare append + fdatasync of 300 bytes", bare_ms, "-"),
        Row(f"a check of {lines:,} lines, for each", check_ms / lines, "a line", line_ms, "-"),
    ]


def _bare_append(path: Path) -> Callable[[], object]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    data = b"x" * LINE_BYTES

    def append() -> None:
        os.pwrite(fd, data, os.fstat(fd).st_size)
        os.fdatasync(fd)

    return append
