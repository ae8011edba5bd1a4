"""One more durable turn of 2 KB: beside a bare append, at two sizes of the session, and from a cold process state."""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from benchmarks.measure import Row, in_turns, store_in, turn
from sessionstore import SessionStore

TURN_BYTES = 2048
RUNS = 800
BURST = 100
PAUSE_S = 0.003


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    with store_in(directory) as store:
        small, large = _session(store, 10_000), _session(store, 9_000_000)
        bare = _bare_append(directory / "bare")
        actions = (bare, _turns(store, small), _turns(store, large), _parts(directory / "parts"))
        bare_ms, small_ms, large_ms, parts_ms = in_turns(RUNS, *actions, burst=BURST, pause_s=PAUSE_S)
        dense_bare_ms, dense_ms, _, dense_parts_ms = in_turns(RUNS, *actions, burst=BURST)
        cold_small_ms, warm_small_ms = in_turns(RUNS, _cold(store, small), _turns(store, small), burst=BURST)
        cold_large_ms, warm_large_ms = in_turns(RUNS, _cold(store, large), _turns(store, large), burst=BURST)
        first, last = _growth(store, small), _growth(store, large)
    return [
        Row(
            "a turn, 3 ms after the last, session of 10 KB",
            small_ms,
            "bare append + fdatasync of 2 KB",
            bare_ms,
            "<= 1.5",
        ),
        Row("the same without pauses", dense_ms, "the same without pauses", dense_bare_ms, "<= 1.5"),
        Row("only what a turn is made of, 3 ms apart", parts_ms, "bare append + fdatasync of 2 KB", bare_ms, "none"),
        Row("the same without pauses", dense_parts_ms, "the same without pauses", dense_bare_ms, "none"),
        Row("a turn, session of 9 MB", large_ms, "the same, session of 10 KB", small_ms, "<= 1.3"),
        Row("a cold turn, 10 KB", cold_small_ms, "a warm one", warm_small_ms, "<= 2"),
        Row("a cold turn, 9 MB", cold_large_ms, "a warm one", warm_large_ms, "<= 2"),
        Row("bytes written for a turn at 9 MB", last, "at 10 KB", first, "<= 1.01", "bytes"),
    ]


def _session(store: SessionStore, size_bytes: int) -> str:
    session = store.create(name=f"{size_bytes} bytes")
    store.append(session.id, [turn(number) for number in range(size_bytes // TURN_BYTES)])
    return session.id


def _turns(store: SessionStore, session_id: str) -> Callable[[], object]:
    entry = turn(1)
    return lambda: store.append(session_id, [entry])


def _cold(store: SessionStore, session_id: str) -> Callable[[], object]:
    entry = turn(1)

    def append() -> None:
        store._writer.close()  # what a fresh process does not have: open logs
        store._ground.ledger._heads._verified = {}  # and rows it has verified before
        store.append(session_id, [entry])

    return append


def _bare_append(path: Path) -> Callable[[], object]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    data = b"x" * TURN_BYTES

    def append() -> None:
        os.pwrite(fd, data, os.fstat(fd).st_size)
        os.fdatasync(fd)

    return append


def _parts(path: Path) -> Callable[[], object]:
    """What no turn can do without, and nothing around it: how far below a turn of ours there is room."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    ledger = sqlite3.connect(f"{path}.db", isolation_level=None)
    ledger.execute("PRAGMA journal_mode = WAL")
    ledger.execute("PRAGMA synchronous = NORMAL")
    ledger.execute("CREATE TABLE heads (id TEXT PRIMARY KEY, payload BLOB, mac BLOB) WITHOUT ROWID")
    ledger.execute("INSERT INTO heads VALUES ('a', x'', x'')")
    encoder, decoder, entry, key, seal = msgspec.json.Encoder(), msgspec.json.Decoder(), turn(1), bytes(32), bytes(480)

    def append() -> None:
        line = encoder.encode(entry)
        decoder.decode(line)
        ledger.execute("SELECT payload, mac FROM heads WHERE id = 'a'").fetchall()
        chain = sha256(line).digest()
        data = line + seal + chain + hmac.digest(key, seal, "sha256")
        os.pwrite(fd, data, os.fstat(fd).st_size)
        os.fdatasync(fd)
        mac = hmac.digest(key, seal, "sha256")
        ledger.execute("UPDATE heads SET payload = ?, mac = ? WHERE id = 'a'", (seal, mac))

    return append


def _growth(store: SessionStore, session_id: str) -> float:
    before = store.summary(session_id).size_bytes
    store.append(session_id, [turn(1)])
    return float(store.summary(session_id).size_bytes - before)
