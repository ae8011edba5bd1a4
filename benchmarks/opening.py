"""Opening 9 MB, verified and decoded, beside reading, hashing and decoding the same bytes; refusing hostile files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.measure import Row, in_turns, store_in, turn
from sessionstore import SessionStore, errors

SIZE_BYTES = 9_000_000
LARGE_BYTES = 256 * 1024 * 1024
RUNS = 15


def run(directory: Path) -> list[Row]:
    """The rows of this benchmark."""
    rows = []
    with store_in(directory) as store:
        for turns_a_seal in (10, 1):
            session_id = _session(store, turns_a_seal)
            path = directory / "data" / "sessions" / f"{session_id}.jsonl"
            plain = directory / f"plain-{turns_a_seal}.json"
            plain.write_text(json.dumps({"messages": list(store.load(session_id).entries)}))
            ours, bare, whole = in_turns(
                RUNS, lambda i=session_id: store.load(i), lambda p=path: _bare(p), lambda p=plain: _json_load(p)
            )
            seals = f"a seal every {turns_a_seal} turns" if turns_a_seal > 1 else "a seal every turn"
            rows.append(Row(f"open 9 MB, {seals}", ours, "read + SHA-256 + decode_lines", bare, "<= 1.6"))
            rows.append(Row(f"open 9 MB, {seals}", ours, "json.load of it unsigned", whole, "<= 0.5"))
        rows += _hostile(store, directory)
        rows.append(_memory(store, directory))
    return rows


def _session(store: SessionStore, turns_a_seal: int) -> str:
    session_id = store.create(name=f"{turns_a_seal} turns a seal").id
    count = SIZE_BYTES // 2048
    for start in range(0, count, turns_a_seal):
        store.append(session_id, [turn(number) for number in range(start, min(start + turns_a_seal, count))])
    return session_id


def _bare(path: Path) -> None:
    data = path.read_bytes()
    hashlib.sha256(data).digest()
    msgspec.json.Decoder().decode_lines(data)


def _json_load(path: Path) -> None:
    with path.open() as file:
        json.load(file)


def _hostile(store: SessionStore, directory: Path) -> list[Row]:
    rows = []
    shapes: dict[str, Callable[[bytes], bytes]] = {
        "a byte changed near the end": lambda good: good[:-4000] + bytes([good[-4000] ^ 1]) + good[-3999:],
        "a byte changed in the middle": lambda good: good[: len(good) // 2] + b"#" + good[len(good) // 2 + 1 :],
        "one endless line": lambda good: b"x" * len(good),
        "only line ends": lambda good: b"\n" * len(good),
        "only the beginnings of seals": lambda good: (b'{"seal":\n' * (len(good) // 9 + 1))[: len(good)],
    }
    flip = "a byte changed near the end"
    cases = [(what, 10, change) for what, change in shapes.items()]
    for what, turns_a_seal, change in (*cases, (f"{flip}, a seal every turn", 1, shapes[flip])):
        session_id = _session(store, turns_a_seal)
        path = directory / "data" / "sessions" / f"{session_id}.jsonl"
        path.write_bytes(change(path.read_bytes()))
        ours, other = in_turns(RUNS, lambda i=session_id: _refused(store, i), lambda p=path: _sha256(p))
        rows.append(Row(f"refuse 9 MB: {what}", ours, "SHA-256 of the file", other, "<= 1.5"))
    return rows


def _sha256(path: Path) -> None:
    hashlib.sha256(path.read_bytes()).digest()


def _refused(store: SessionStore, session_id: str) -> None:
    try:
        store.load(session_id)
    except errors.VerificationError:
        return
    raise AssertionError("a hostile file was loaded")


def _memory(store: SessionStore, directory: Path) -> Row:
    session_id = store.create(name="256 MiB").id
    store.append(session_id, (turn(number) for number in range(LARGE_BYTES // 2100)))
    # The high-water mark of this program alone: what getrusage tells is inherited from who started it.
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from benchmarks.measure import store_in\n"
        "with store_in(Path(sys.argv[1])) as store:\n"
        "    count = sum(1 for _ in store.entries(sys.argv[2]))\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    print(status.partition('VmHWM:')[2].split()[0])\n"
    )
    small = store.create(name="one turn").id
    store.append(small, [turn(0)])
    peaks = []
    for which in (small, session_id):
        command = [sys.executable, "-c", script, str(directory), which]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024)
    grown = peaks[1] - peaks[0]
    return Row("memory of entries() over 256 MiB, above one turn", grown, "the bound", 64.0, "<= 1", "MiB")
