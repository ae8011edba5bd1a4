"""Every byte up to the last acknowledged seal: changed, cut off, put in, moved. Nothing of it is ever given back."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from sessionstore.errors import InvalidSignatureError, RollbackError, VerificationError

SEED = 20261121


@pytest.fixture
def dice() -> random.Random:
    print(f"seed {SEED}")
    return random.Random(SEED)


@pytest.fixture
def large(victim: Any) -> Any:
    """3 MiB: saves that were sealed in steps, so that seals in the middle of a save are among them."""
    text = "".join(random.Random(SEED).choices("abcdefgh \u00e9", k=2000))
    for _ in range(2):
        victim.store.append(victim.id, ({"role": "user", "content": text} for _ in range(700)))
    victim.acknowledge()
    assert victim.good.count(b'"more":true') >= 2
    return victim


def ends_of_saves(data: bytes) -> list[int]:
    """Where each seal line ends."""
    ends, at = [], -1
    while (at := data.find(b'\n{"seal":', at + 1)) >= 0:
        ends.append(data.index(b"\n", at + 1) + 1)
    return ends


class TestFlippedBytes:
    def test_every_byte_of_a_session_changed_one_after_the_other(self, victim: Any) -> None:
        for at in range(len(victim.good)):
            data = bytearray(victim.good)
            data[at] ^= 1 << at % 8
            victim.put(data)
            victim.is_refused()
        victim.put(victim.good)
        assert victim.store.load(victim.id) == victim.session

    def test_every_way_of_reading_refuses_a_changed_byte(self, victim: Any, dice: random.Random) -> None:
        for at in sorted(dice.sample(range(len(victim.good)), 60)):
            data = bytearray(victim.good)
            data[at] ^= 1 << dice.randrange(8)
            victim.put(data)
            assert isinstance(victim.refusal(), VerificationError)

    def test_bytes_of_a_large_session(self, large: Any, dice: random.Random) -> None:
        for at in dice.sample(range(len(large.good)), 60):
            with open(large.path, "r+b") as file:
                os.pwrite(file.fileno(), bytes([large.good[at] ^ 1 << dice.randrange(8)]), at)
                large.is_refused()
                os.pwrite(file.fileno(), large.good[at : at + 1], at)
        assert large.store.load(large.id) == large.session

    def test_a_zeroed_page_is_refused_wherever_it_lies(self, large: Any, dice: random.Random) -> None:
        for at in dice.sample(range(0, len(large.good) - 8192, 4096), 20):
            with open(large.path, "r+b") as file:
                os.pwrite(file.fileno(), bytes(4096), at)
                large.is_refused()
                os.pwrite(file.fileno(), large.good[at : at + 4096], at)

    def test_a_writer_that_has_the_file_open_does_not_seal_damage_in(self, victim: Any) -> None:
        data = bytearray(victim.good)
        data[victim.good.index(b"turn 1")] ^= 1
        victim.put(data)
        with pytest.raises(VerificationError):
            victim.store.append(victim.id, [{"role": "user", "content": "next"}])
        assert victim.path.read_bytes() == data


class TestCuts:
    def test_every_length_that_is_too_short(self, victim: Any) -> None:
        for length in range(len(victim.good)):
            victim.put(victim.good[:length])
            victim.is_refused()

    def test_a_file_cut_at_a_seal_is_an_older_state_and_says_so(self, victim: Any) -> None:
        for end in ends_of_saves(victim.good)[:-1]:
            victim.put(victim.good[:end])
            error = victim.refusal()
            assert isinstance(error, RollbackError) and error.head_rev == 4

    def test_a_save_cut_between_the_seals_of_its_steps(self, large: Any) -> None:
        middle = large.good.index(b'"more":true')
        large.put(large.good[: large.good.index(b"\n", middle) + 1])
        assert isinstance(large.refusal(), RollbackError)

    def test_every_beginning_that_is_missing(self, victim: Any) -> None:
        for start in range(1, len(victim.good), 7):
            victim.put(victim.good[start:])
            victim.is_refused()

    def test_an_empty_file(self, victim: Any) -> None:
        victim.put(b"")
        assert isinstance(victim.refusal(), InvalidSignatureError)
        with pytest.raises(VerificationError):
            victim.store.append(victim.id, [{"role": "user", "content": "next"}])
        assert victim.path.read_bytes() == b""

    def test_bytes_cut_out_of_the_middle(self, victim: Any, dice: random.Random) -> None:
        for at in dice.sample(range(len(victim.good) - 1), 300):
            victim.put(victim.good[:at] + victim.good[at + dice.randrange(1, len(victim.good) - at) :])
            victim.is_refused()


class TestInsertions:
    def test_one_byte_put_in_anywhere(self, victim: Any) -> None:
        # A line end before the last one is the same bytes with a tail.
        for at in range(len(victim.good) - 1):
            what = (b"\n", b" ", b"\0", b"\r", b"}")[at % 5]
            victim.put(victim.good[:at] + what + victim.good[at:])
            victim.is_refused()

    def test_a_line_end_put_in_around_every_line(self, victim: Any) -> None:
        at = -1
        while 0 <= (at := victim.good.find(b"\n", at + 1)) < len(victim.good) - 1:
            victim.put(victim.good[:at] + b"\n" + victim.good[at:])
            victim.is_refused()

    def test_pieces_of_the_file_itself_put_in_anywhere(self, victim: Any, dice: random.Random) -> None:
        size = len(victim.good)
        for _ in range(400):
            start, at = dice.randrange(size), dice.randrange(size)
            victim.put(victim.good[:at] + victim.good[start : start + dice.randrange(1, 600)] + victim.good[at:])
            victim.is_refused()

    def test_nul_bytes_over_the_middle(self, victim: Any) -> None:
        middle = len(victim.good) // 2
        victim.put(victim.good[:middle] + bytes(64) + victim.good[middle + 64 :])
        assert isinstance(victim.refusal(), InvalidSignatureError)


class TestLines:
    def test_removed_one_by_one(self, victim: Any) -> None:
        lines = victim.good.splitlines(keepends=True)
        for number in range(len(lines)):
            victim.put(b"".join(lines[:number] + lines[number + 1 :]))
            victim.is_refused()

    def test_repeated_one_by_one(self, victim: Any) -> None:
        lines = victim.good.splitlines(keepends=True)
        for number in range(len(lines) - 1):
            for behind in range(number, len(lines) - 1):
                victim.put(b"".join([*lines[: behind + 1], lines[number], *lines[behind + 1 :]]))
                victim.is_refused()

    def test_swapped_in_every_pair(self, victim: Any) -> None:
        lines = victim.good.splitlines(keepends=True)
        for one in range(len(lines)):
            for other in range(one + 1, len(lines)):
                moved = list(lines)
                moved[one], moved[other] = moved[other], moved[one]
                victim.put(b"".join(moved))
                victim.is_refused()

    def test_whole_saves_swapped_removed_and_repeated(self, victim: Any) -> None:
        ends = ends_of_saves(victim.good)
        first, second, third, fourth = (victim.good[a:b] for a, b in zip([0, *ends], ends, strict=False))
        for order in ([first, third, second, fourth], [first, second, fourth], [first, second, second, third, fourth]):
            victim.put(b"".join(order))
            assert isinstance(victim.refusal(), InvalidSignatureError)

    def test_a_line_of_another_session_in_the_place_of_ones_own(self, victim: Any, another: Any) -> None:
        mine, theirs = victim.good.splitlines(keepends=True), another.good.splitlines(keepends=True)
        assert len(mine) == len(theirs)
        for number in range(len(mine)):
            if mine[number] != theirs[number]:
                victim.put(b"".join([*mine[:number], theirs[number], *mine[number + 1 :]]))
                victim.is_refused()

    def test_the_error_names_the_first_bad_line_and_the_last_good_save(self, victim: Any) -> None:
        lines = victim.good.splitlines(keepends=True)
        number = next(number for number, line in enumerate(lines) if b"turn 1" in line)
        victim.put(victim.good.replace(b"turn 1", b"turn x"))
        error = victim.refusal()
        assert isinstance(error, InvalidSignatureError)
        assert (error.line, error.last_good_rev) == (number + 1, 2)
