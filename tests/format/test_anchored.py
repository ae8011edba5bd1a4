"""A file whose beginning is under an older key: read in steps, verified by the seal that commits it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest

from sessionstore.errors import KeyDisabledError, KeyringError
from sessionstore.format.anchored import walk_anchored
from sessionstore.format.log import Batch, Segment, Summary
from sessionstore.format.seal import Broken, Sealed, Sealer, bound_seal, key_id_in
from sessionstore.signing import Keyring, added, closed, new_key, promoted, retired, waiting_key

AT = "2026-01-31T12:00:00.000000Z"
STORE, ID = "5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e5f", "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
SUMMARY = Summary(
    name="n",
    tags=(),
    project=None,
    place=None,
    provenance="native",
    created_at=AT,
    updated_at=AT,
    closed_at=None,
)


def rotated(ring: Keyring) -> Keyring:
    for step in (lambda ring: added(ring, waiting_key(AT)), promoted, closed):
        newer = step(ring)
        assert newer is not None
        ring = newer
    return ring


def _reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda start, size: data[start : start + size]


class File:
    """The bytes of a session whose saves are under the keyrings given, one line each."""

    def __init__(self, rings: Iterable[Keyring]) -> None:
        self.data, self.sealed = b"", None
        self.ends: list[int] = []
        for number, ring in enumerate(rings):
            batch = Batch(Sealer(ring, STORE, ID), self.sealed, SUMMARY, max_session_bytes=1 << 30)
            self.data += b"".join(batch.chunks([b'{"entry":{"n":%d}}\n' % number]))
            self.sealed = batch.sealed
            self.ends.append(len(self.data))

    @property
    def last(self) -> Sealed:
        assert self.sealed is not None
        return self.sealed

    def read(self, start: int, size: int) -> bytes:
        return self.data[start : start + size]

    def walk(self, ring: Keyring, data: bytes | None = None, **options: Any) -> list[Segment]:
        held = self.data if data is None else data
        return list(walk_anchored(Sealer(ring, STORE, ID), _reader(held), self.last, **options))


@pytest.fixture(scope="module")
def old() -> Keyring:
    return Keyring([new_key(AT)], generation=1)


@pytest.fixture(scope="module")
def new(old: Keyring) -> Keyring:
    return rotated(old)


class TestWalk:
    @pytest.mark.parametrize("step_bytes", [1, 7, 500, 1 << 20])
    @pytest.mark.parametrize("under_old", [0, 1, 3, 5])
    def test_every_segment_comes_in_order_whatever_key_it_is_under(
        self, old: Keyring, new: Keyring, under_old: int, step_bytes: int
    ) -> None:
        file = File([old] * under_old + [new] * (6 - under_old))
        segments = file.walk(new, step_bytes=step_bytes)
        assert [segment.body for segment in segments] == [b'{"entry":{"n":%d}}\n' % number for number in range(6)]
        assert [segment.sealed.seal.rev for segment in segments] == [1, 2, 3, 4, 5, 6]
        assert [segment.is_first for segment in segments] == [True] + [False] * 5
        assert segments[-1].sealed.signature == file.last.signature

    def test_a_last_seal_under_an_old_key_anchors_as_well(self, old: Keyring, new: Keyring) -> None:
        # The ledger names it, and it was verified; the walk asks for no more.
        file = File([old] * 3)
        assert len(file.walk(new)) == 3

    def test_old_keys_need_not_be_there(self, old: Keyring, new: Keyring) -> None:
        gone = retired(new, old.primary.id, "destroyed")
        assert gone is not None
        file = File([old, old, new])
        assert len(file.walk(gone)) == 3
        with pytest.raises(KeyDisabledError):
            Sealer(gone, STORE, ID).verify_line(file.data[file.data.index(b'{"seal"') : file.ends[0]])

    def test_an_old_seal_between_new_ones_is_read_too(self, old: Keyring, new: Keyring) -> None:
        # What a process leaves that was overtaken by a change of keys.
        assert len(File([new, old, new]).walk(new)) == 3

    @pytest.mark.parametrize("under_old", [1, 2])
    def test_any_changed_byte_is_found_before_its_segment_is_handed_out(
        self, old: Keyring, new: Keyring, under_old: int
    ) -> None:
        file = File([old] * under_old + [new] * (3 - under_old))
        for at in range(len(file.data)):
            changed = bytearray(file.data)
            changed[at] ^= 1
            handed: list[Segment] = []
            held = bytes(changed)
            read = _reader(held)
            with suppress(Broken, KeyringError):
                handed.extend(walk_anchored(Sealer(new, STORE, ID), read, file.last))
            whole = [held[0 if number == 0 else file.ends[number - 1] : end] for number, end in enumerate(file.ends)]
            for number, segment in enumerate(handed):
                assert whole[number] == file.data[0 if number == 0 else file.ends[number - 1] : file.ends[number]]
                assert segment.sealed.end == file.ends[number]
            assert len(handed) < 3

    def test_a_file_that_ends_early_is_broken_or_gives_nothing(self, old: Keyring, new: Keyring) -> None:
        file = File([old, old, new])
        assert file.walk(new, b"") == file.walk(new, file.data[:10]) == []
        for end in (file.ends[0], file.ends[1], file.ends[2] - 1):
            with pytest.raises(Broken):
                file.walk(new, file.data[:end])

    def test_what_changes_between_the_looks_is_found(self, old: Keyring, new: Keyring) -> None:
        file = File([old, old, new])
        other = file.data.replace(b'{"n":1}', b'{"n":7}')
        reads = iter([file.data, file.data, other])

        def read(start: int, size: int) -> bytes:
            return next(reads, other)[start : start + size]

        with pytest.raises(Broken):
            list(walk_anchored(Sealer(new, STORE, ID), read, file.last, step_bytes=300))


class TestBoundSeal:
    def test_it_reads_without_a_key(self, old: Keyring) -> None:
        file = File([old])
        line = file.data[file.data.index(b'{"seal"') :]
        assert bound_seal(line) == file.last
        assert key_id_in(line) == old.primary.id

    @pytest.mark.parametrize(
        "change",
        [
            lambda line: line[:-1],
            lambda line: b" " + line,
            lambda line: line.replace(b"ss2.", b"ss3."),
            lambda line: line.replace(b'"rev"', b'"rew"'),
            lambda line: line.replace(b'"name":"n"', b'"name":"' + b"n" * 17_000 + b'"'),
            lambda line: b"",
        ],
    )
    def test_what_no_writer_leaves_is_broken(self, old: Keyring, change: Callable[[bytes], bytes]) -> None:
        file = File([old])
        with pytest.raises(Broken):
            bound_seal(change(file.data[file.data.index(b'{"seal"') :]))

    def test_a_line_that_is_none_names_no_key(self) -> None:
        assert key_id_in(b'{"entry":{}}\n') == ""
