"""Seals that a person vouches for: everything is checked but signatures of keys that are not here."""

from __future__ import annotations

import os

import pytest

from sessionstore.errors import KeyDisabledError
from sessionstore.format.log import Batch, Segment, Summary, walk
from sessionstore.format.seal import Broken, Sealer
from sessionstore.format.vouched import VouchedSealer
from sessionstore.signing import Keyring
from sessionstore.signing.keyring import Key

STORE, ID = "7a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
TIME = "2026-01-31T12:00:00.000000Z"
OURS, THEIRS = (Keyring([Key(os.urandom(32), "primary", TIME)], generation=1) for _ in range(2))


def sealed_by(keyring: Keyring) -> bytes:
    """Two segments."""
    summary = Summary(
        name="n",
        tags=(),
        project=None,
        place=None,
        provenance="native",
        created_at=TIME,
        updated_at=TIME,
        closed_at=None,
    )
    sealer, data, last = Sealer(keyring, STORE, ID), b"", None
    for line in (b'{"open":{}}\n', b'{"entry":{}}\n'):
        batch = Batch(sealer, last, summary, max_session_bytes=1 << 20)
        data += b"".join(batch.chunks([line]))
        last = batch.sealed
    return data


def walked(data: bytes, id: str = ID) -> tuple[list[Segment], int]:
    """The segments that are taken, and how many signatures could not be checked."""
    sealer = VouchedSealer(OURS, STORE, id)
    found = list(walk(sealer, lambda start, size: data[start : start + size], end=len(data)))
    return found, sealer.unchecked


class TestVouched:
    def test_a_file_of_another_key_is_taken_and_counted(self) -> None:
        segments, unchecked = walked(sealed_by(THEIRS))
        assert ([segment.sealed.seal.rev for segment in segments], unchecked) == ([1, 2], 2)
        assert segments[0].sealed.key_id == THEIRS.primary.id

    def test_what_can_be_checked_is_checked(self) -> None:
        data = sealed_by(OURS)
        assert walked(data)[1] == 0
        with pytest.raises(Broken):
            walked(data, STORE)
        digit = data[-5:-4]
        with pytest.raises(Broken):
            walked(data[:-5] + (b"0" if digit != b"0" else b"1") + data[-4:])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'{"entry":{}}', b'{"entry":[]}'),
            (b'"rev":2', b'"rev":3'),
            (b'"chain":"', b'"chain":"x'),
            (b'"name":"n"', b'"name":"\xff"'),
            (b'"name":"n"', b'"none":"n"'),
        ],
    )
    def test_bytes_that_do_not_fit_are_refused_whoever_signed_them(self, old: bytes, new: bytes) -> None:
        data = sealed_by(THEIRS)
        assert data.replace(old, new) != data
        with pytest.raises(Broken):
            walked(data.replace(old, new))

    def test_nobody_vouches_for_a_key_that_was_given_up(self) -> None:
        keys = [*OURS.keys, Key(THEIRS.primary.secret, "disabled", TIME)]
        sealer, data = VouchedSealer(Keyring(keys, generation=2), STORE, ID), sealed_by(THEIRS)
        with pytest.raises(KeyDisabledError):
            list(walk(sealer, lambda start, size: data[start : start + size], end=len(data)))
