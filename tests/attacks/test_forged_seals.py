"""Seals made without the key. The chain needs no key: an attacker can compute it, and make every written chain fit."""

from __future__ import annotations

import json
import os
import re
from hashlib import sha256
from typing import Any

import pytest

from sessionstore.errors import InvalidSignatureError, VerificationError

SEAL = b'\n{"seal":'
CHAIN = re.compile(rb'"chain":"([0-9a-f]{64})"')


def rechained(data: bytes, *, all_of_them: bool = False) -> bytes:
    """`data` with the written chain of every seal (but the last, unless `all_of_them`) made to fit what stands before.

    Lengths stay as they are, so that offsets stay true; signatures are left as they were.
    """
    out, chain, start, at = bytearray(data), bytes(32), 0, -1
    seals = []
    while (at := data.find(SEAL, at + 1)) >= 0:
        seals.append(at + 1)
    for number, begin in enumerate(seals):
        chain = sha256(chain + bytes(out[start:begin])).digest()
        end = out.index(b"\n", begin)
        found = CHAIN.search(out, begin, end)
        assert found is not None
        if all_of_them or number < len(seals) - 1:
            out[found.start(1) : found.end(1)] = chain.hex().encode()
        start = begin
    return bytes(out)


class TestRecomputedChain:
    @pytest.mark.parametrize("turn", [0, 1, 2])
    @pytest.mark.parametrize("all_of_them", [False, True])
    def test_a_forged_entry_with_every_later_chain_made_to_fit(self, victim: Any, turn: int, all_of_them: bool) -> None:
        forged = rechained(victim.good.replace(b"turn %d" % turn, b"forged"), all_of_them=all_of_them)
        assert len(forged) == len(victim.good) and b"forged" in forged
        victim.put(forged)
        victim.refusal()
        read = []
        with pytest.raises(InvalidSignatureError) as caught:
            read.extend(victim.store.entries(victim.id))
        if not all_of_them:
            assert caught.value.last_good_rev == turn + 1
        assert all(entry in victim.session.entries for entry in read)
        with pytest.raises(VerificationError):
            victim.store.append(victim.id, [{"role": "user", "content": "next"}])
        with pytest.raises(VerificationError):
            victim.store.fork(victim.id)
        with pytest.raises(VerificationError):
            victim.store.export(victim.id)

    def test_the_error_names_the_forged_seal_and_not_the_last(self, victim: Any) -> None:
        victim.put(rechained(victim.good.replace(b"turn 1", b"forged")))
        error = victim.refusal()
        assert isinstance(error, InvalidSignatureError)
        assert error.last_good_rev == 2

    def test_a_seal_changed_in_the_middle_alone(self, victim: Any) -> None:
        for member in (b'"rev":2', b'"entries":1', b'"name":"atlas"', b'"provenance":"native"', b'"closed_at":null'):
            at = victim.good.index(member)
            victim.put(rechained(victim.good[: at + len(member) - 1] + b"9" + victim.good[at + len(member) :]))
            victim.refusal()

    def test_a_seal_of_the_same_session_moved_into_another_place(self, victim: Any) -> None:
        lines = victim.good.splitlines(keepends=True)
        seals = [number for number, line in enumerate(lines) if line.startswith(b'{"seal":')]
        for one, other in [(seals[0], seals[1]), (seals[1], seals[2]), (seals[2], seals[1])]:
            moved = list(lines)
            moved[one] = lines[other]
            victim.put(rechained(b"".join(moved)))
            victim.refusal()


class TestOtherSigners:
    def test_a_seal_of_another_session_is_none_of_this_one(self, victim: Any, another: Any) -> None:
        mine, theirs = victim.good.splitlines(keepends=True), another.good.splitlines(keepends=True)
        victim.put(b"".join(mine[:-1]) + theirs[-1])
        victim.refusal()

    def test_a_seal_of_another_store_is_none_of_this_one(self, victim: Any, tmp_path: Any) -> None:
        from sessionstore import open_store

        with open_store(tmp_path / "elsewhere", environ={}) as elsewhere:
            elsewhere.create(name="atlas", tags=["t"], id=victim.id)
            for number in range(3):
                elsewhere.append(victim.id, [{"role": "user", "content": f"turn {number}"}])
        foreign = (tmp_path / "elsewhere" / "data" / "sessions" / victim.path.name).read_bytes()
        victim.put(foreign)
        victim.refusal()

    @pytest.mark.parametrize(
        "change",
        [
            lambda line: line.replace(b'"ss2.', b'"ss1.'),
            lambda line: line.replace(b'"ss2.', b'"SS2.'),
            lambda line: line[:-67] + line[-67:-3].upper() + line[-3:],
            lambda line: line[:-84] + b"0" * 16 + line[-68:],
            lambda line: line[:-67] + b"0" * 64 + line[-3:],
            lambda line: line[:-102] + b',"signature":null}\n',
            lambda line: line[:-102] + b"}\n",
            lambda line: line[:-102] + b" " + line[-102:],
            lambda line: line[:-1] + b" \n",
            lambda line: line[:-1] + b"\r\n",
            lambda line: b" " + line,
        ],
        ids=[
            "another version",
            "upper-case version",
            "upper-case tag",
            "unknown key",
            "tag of zeros",
            "no signature",
            "signature left out",
            "space before the signature",
            "space at the end",
            "CR LF",
            "space at the beginning",
        ],
    )
    def test_no_other_form_of_a_signature_is_taken(self, victim: Any, change: Any) -> None:
        lines = victim.good.splitlines(keepends=True)
        changed = change(lines[-1])
        assert changed != lines[-1]
        victim.put(b"".join(lines[:-1]) + changed)
        victim.refusal()


class TestCopiedSealLine:
    """A seal line inside an entry: lines end at 0x0A and nowhere else, so it is text there and a line only by hand."""

    def test_saved_as_text_it_comes_back_as_text(self, victim: Any) -> None:
        seal = victim.good.splitlines(keepends=True)[-1].decode()
        entry = {"role": "user", "content": f"look:\n{seal}", "\n" + seal: "\u2028" + seal}
        victim.store.append(victim.id, [entry])
        assert victim.store.load(victim.id).entries[-1] == entry
        assert victim.path.read_bytes().count(SEAL) == 5

    def test_written_into_the_file_after_a_raw_line_end_it_is_refused(self, victim: Any) -> None:
        for seal in [line for line in victim.good.splitlines(keepends=True) if line.startswith(b'{"seal":')]:
            for turn in (b"turn 0", b"turn 1", b"turn 2"):
                victim.put(victim.good.replace(turn, turn + b"\n" + seal))
                victim.refusal()
                victim.put(rechained(victim.path.read_bytes()))
                victim.refusal()

    def test_behind_the_last_seal_it_is_a_tail(self, victim: Any) -> None:
        seal = victim.good.splitlines(keepends=True)[-1]
        tail = b'{"entry":{"role":"user","content":"forged\n' + seal
        victim.put(victim.good + tail)
        assert victim.tail().startswith(f"{len(tail)} bytes")
        victim.put(victim.good + tail + b'"}}\n')
        assert victim.tail().startswith(f"{len(tail) + 4} bytes")


class TestLongSealLine:
    def test_a_seal_line_without_end_is_refused_after_a_bounded_part_of_it(self, victim: Any) -> None:
        """Not looked for again and again: a file of n MiB that begins like a seal once cost n * n."""
        from sessionstore.format.log import walk
        from sessionstore.format.seal import Broken

        data = b'{"seal":' + b"x" * (4 * 1024 * 1024)
        asked = []

        def read(start: int, size: int) -> bytes:
            asked.append(start)
            return data[start : start + size]

        with pytest.raises(Broken):
            list(walk(victim.store._ground.sealer(victim.id), read, end=len(data), step_bytes=64 * 1024))
        assert asked == [0]
        victim.put(victim.good[: len(victim.good) // 2] + b"\n" + data)
        victim.refusal()

    def test_a_hole_of_a_terabyte_is_refused_unread(self, victim: Any) -> None:
        from sessionstore.errors import TooLargeError

        os.truncate(victim.path, 1 << 40)
        with pytest.raises(TooLargeError) as caught:
            victim.store.load(victim.id)
        assert caught.value.size_bytes == 1 << 40
        assert json.dumps(victim.listed()) == json.dumps({victim.id: "too_large"})
