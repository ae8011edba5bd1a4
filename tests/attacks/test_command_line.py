"""Hostile text on its way in through `sessionstore append`: refused with its line and its reason, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

GOOD = b'{"role":"user","content":"fine"}\n'
TEXTS = {
    "NaN": (b'{"a":NaN}', "malformed"),
    "infinity": (b'{"a":-Infinity}', "malformed"),
    "duplicate members": (b'{"a":1,"a":2}', "malformed"),
    "200 deep": (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "too_deep"),
    "100,000 deep": (b'{"a":' + b"[" * 100_000, "too_deep"),
    "4,300 digits": (b'{"a":' + b"9" * 4300 + b"}", "malformed"),
    "100,000 digits": (b'{"a":' + b"9" * 100_000 + b"}", "malformed"),
    "a lone surrogate": (b'{"a":"\\ud800"}', "malformed"),
    "a raw line end": (b'{"a":"x\ny"}', "malformed"),
    "a NUL": (b'{"a":"\0"}', "malformed"),
    "no UTF-8": (b'{"a":"\xff"}', "malformed"),
    "no object": (b"[1]", "malformed"),
    "no JSON": (b"\x1b[31m{", "malformed"),
}
IDS = ["../../state/keyring", "/etc/passwd", "\x1b[31mid", "x\ny", "A" * 36]


def append(victim: Any, session_id: str, text: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "sessionstore", "--root", str(victim.root), "append", session_id, *options]
    return subprocess.run(command, input=text, capture_output=True, env={**os.environ, "NO_COLOR": "1"}, timeout=60)


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_line_is_refused_with_its_reason_and_nothing_is_written(victim: Any, name: str) -> None:
    text, code = TEXTS[name]
    done = append(victim, victim.id, GOOD + text + b"\n" + GOOD, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (4, code)
    assert b"Traceback" not in done.stderr and b"\x1b" not in done.stdout + done.stderr
    assert victim.path.read_bytes() == victim.good


def test_line_separators_inside_text_are_text(victim: Any) -> None:
    entry = {"role": "user", "content": "a\u2028b\u2029c\u0085d"}
    done = append(victim, victim.id, json.dumps(entry, ensure_ascii=False).encode() + b"\n")
    assert done.returncode == 0, done.stderr
    assert victim.store.load(victim.id).entries[-1] == entry


@pytest.mark.parametrize("bad", IDS, ids=range(len(IDS)))
def test_what_is_no_id_reaches_no_file_and_no_terminal(victim: Any, bad: str) -> None:
    done = append(victim, bad, GOOD)
    assert done.returncode in (2, 3) and done.stdout == b""
    assert b"Traceback" not in done.stderr and b"\x1b" not in done.stderr
    assert victim.listed() == {} and len(victim.store.list().sessions) == 1
