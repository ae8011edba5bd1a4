"""Bytes behind the last acknowledged save: reported to the byte, never taken in, never swallowed, never an alarm."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from sessionstore.errors import RollbackError, VerificationError

ENTRY = b'{"entry":{"role":"user","content":"smuggled in"}}\n'


def tails(victim: Any) -> dict[str, bytes]:
    lines = victim.good.splitlines(keepends=True)
    return {
        "a torn line": ENTRY[:20],
        "a whole line without a seal": ENTRY,
        "NUL bytes, as after a power cut": bytes(4096),
        "a line end": b"\n",
        "one byte": b"{",
        "the last seal again": lines[-1],
        "the last save again": lines[-2] + lines[-1],
        "the whole file again": victim.good,
        "an entry sealed by an old seal": ENTRY + lines[-1],
        "a seal made up": ENTRY + lines[-1][:-70] + b"0" * 67 + lines[-1][-3:],
        "a seal line without end": b'{"seal":' + b"x" * 70_000,
        "bytes that are no text": b"\xff\xfe\x80" * 100,
    }


NAMES = [
    "a torn line",
    "a whole line without a seal",
    "NUL bytes, as after a power cut",
    "a line end",
    "one byte",
    "the last seal again",
    "the last save again",
    "the whole file again",
    "an entry sealed by an old seal",
    "a seal made up",
    "a seal line without end",
    "bytes that are no text",
]


@pytest.mark.parametrize("name", NAMES)
class TestTail:
    def test_it_is_reported_with_its_exact_size_and_left_alone_by_readers(self, victim: Any, name: str) -> None:
        tail = tails(victim)[name]
        victim.put(victim.good + tail)
        assert victim.tail().startswith(f"{len(tail)} bytes behind the last complete save")
        assert victim.listed() == {}
        assert victim.path.read_bytes() == victim.good + tail

    def test_the_next_save_sets_it_aside_whole(self, victim: Any, name: str) -> None:
        tail = tails(victim)[name]
        victim.put(victim.good + tail)
        rev = victim.store.append(victim.id, [{"role": "user", "content": "next"}])
        assert rev == victim.session.rev + 1
        assert victim.quarantined() == [tail]
        session = victim.store.load(victim.id)
        assert session.warnings == ()
        assert session.entries == (*victim.session.entries, {"role": "user", "content": "next"})
        assert victim.path.read_bytes().startswith(victim.good)


class TestTailBesideAWriter:
    def test_a_writer_of_another_process_keeps_what_was_appended_behind_its_back(self, victim: Any) -> None:
        writer = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from sessionstore import open_store\n"
                "with open_store(sys.argv[1], environ={}) as store:\n"
                "    for line in sys.stdin:\n"
                "        print(store.append(sys.argv[2], [{'role': 'user', 'content': line}]), flush=True)\n",
                str(victim.root),
                victim.id,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdin is not None and writer.stdout is not None
        kept = []
        for number in range(5):
            writer.stdin.write(f"{number}\n")
            writer.stdin.flush()
            assert int(writer.stdout.readline()) == 5 + number
            victim.acknowledge()
            tail = b"tail %d" % number
            victim.put(victim.good + tail)
            assert victim.tail().startswith("6 bytes")
            kept.append(tail)
        writer.stdin.write("last\n")
        writer.stdin.close()
        assert (int(writer.stdout.readline()), writer.wait(), writer.stdout.close()) == (10, 0, None)
        assert victim.quarantined() == kept
        assert victim.store.load(victim.id).warnings == ()

    def test_a_tail_that_cannot_be_kept_stops_the_save_and_stays(self, victim: Any) -> None:
        (victim.root / "data" / "quarantine").write_bytes(b"in the way")
        victim.put(victim.good + ENTRY)
        with pytest.raises(VerificationError):
            victim.store.append(victim.id, [{"role": "user", "content": "next"}])
        assert victim.path.read_bytes() == victim.good + ENTRY


class TestTailAndDamage:
    def test_a_tail_does_not_hide_damage_before_it(self, victim: Any) -> None:
        victim.put(victim.good.replace(b"turn 1", b"turn x") + ENTRY)
        victim.refusal()

    def test_a_tail_does_not_make_an_older_file_acceptable(self, victim: Any) -> None:
        old = victim.good
        victim.store.append(victim.id, [{"role": "user", "content": "next"}])
        victim.put(old + b"x" * (victim.path.stat().st_size - len(old)))
        victim.refusal()
        victim.put(old)
        assert isinstance(victim.refusal(), RollbackError)
