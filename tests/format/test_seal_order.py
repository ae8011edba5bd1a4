"""Seals in their place: each follows the one before and commits the bytes between; and how seals are found."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore.errors import KeyDisabledError, KeyringError, UnknownKeyError
from sessionstore.format.seal import (
    HOPS,
    Broken,
    Seal,
    Sealed,
    Sealer,
    find_seal,
)

CREATED = "2026-01-31T12:00:00.000000Z"
FIELDS: dict[str, Any] = {
    "rev": 1,
    "at": 0,
    "entries": 0,
    "lines": 0,
    "name": "Atlas",
    "tags": (),
    "project": None,
    "place": None,
    "provenance": "native",
    "created_at": CREATED,
    "updated_at": CREATED,
    "closed_at": None,
}


def made(sealer: Sealer, previous: Sealed | None = None, body: bytes = b"", **fields: Any) -> Sealed:
    at = (previous.end if previous else 0) + len(body)
    rev = previous.seal.rev + 1 if previous else 1
    return sealer.make(previous, body, Seal(**{**FIELDS, "at": at, "rev": rev, "chain": "", **fields}))


class TestVerify:
    def test_it_follows_the_seal_before_and_commits_its_bytes(self, shop: Any) -> None:
        first = made(shop.sealer(), body=b"abc\n")
        second = made(shop.sealer(), first, b"def\n")
        assert shop.sealer().verify(None, b"abc\n", first.line).seal == first.seal
        assert shop.sealer().verify(first, memoryview(b"def\n"), second.line).seal == second.seal

    @pytest.mark.parametrize("body", [b"", b"def", b"deF\n", b"def\n\n", b"abc\ndef\n"])
    def test_other_bytes_are_broken(self, shop: Any, body: bytes) -> None:
        first = made(shop.sealer(), body=b"abc\n")
        second = made(shop.sealer(), first, b"def\n")
        with pytest.raises(Broken):
            shop.sealer().verify(first, body, second.line)

    @pytest.mark.parametrize(
        "change", [{"at": 3}, {"at": 5}, {"rev": 3}, {"rev": 1}, {"replaces": "ss2.x"}, {"chain": "0" * 64}]
    )
    def test_a_good_tag_on_another_place_order_or_chain_does_not_help(self, shop: Any, change: dict[str, Any]) -> None:
        first = made(shop.sealer(), body=b"abc\n")
        second = made(shop.sealer(), first, b"def\n")
        if "at" in change:
            change = {"at": second.seal.at + change["at"] - 4}
        with pytest.raises(Broken):
            shop.sealer().verify(first, b"def\n", shop.forge_seal(second, **change))

    def test_a_seal_cannot_be_left_out(self, shop: Any) -> None:
        first = made(shop.sealer(), body=b"abc\n")
        second = made(shop.sealer(), first)
        third = made(shop.sealer(), second)
        with pytest.raises(Broken):
            shop.sealer().verify(first, b"", third.line)

    def test_the_same_lines_behind_another_seal_are_broken(self, shop: Any) -> None:
        one, other = made(shop.sealer(), body=b"abc\n"), made(shop.sealer(), body=b"abd\n")
        second = made(shop.sealer(), one, b"def\n")
        with pytest.raises(Broken):
            shop.sealer().verify(other, b"def\n", second.line)

    @pytest.mark.parametrize(
        ("rev", "replaces", "good"),
        [(1, None, True), (5, "ss2.old", True), (1, "ss2.old", False), (5, None, False)],
    )
    def test_a_first_seal_replaces_another_exactly_if_its_revision_is_not_the_first(
        self, shop: Any, rev: int, replaces: str | None, good: bool
    ) -> None:
        line = made(shop.sealer(), body=b"abc\n", rev=rev, replaces=replaces).line
        if good:
            assert shop.sealer().verify(None, b"abc\n", line).seal.replaces == replaces
        else:
            with pytest.raises(Broken):
                shop.sealer().verify(None, b"abc\n", line)


class TestFindSeal:
    line = b'{"seal":x\n'

    @pytest.mark.parametrize(
        ("data", "found"),
        [
            (b"", None),
            (b"abc", None),
            (b"abc\n", None),
            (b'{"seal":', None),
            (b'{"seal":x', None),
            (b'a\n{"seal":x', None),
            (b'a{"seal":x\n', None),
            (b' {"seal":x\n', None),
            (b'\r{"seal":x\n', None),
            (b'{"seal":\n', (0, 9)),
            (b'a\n{"seal":x\nb', (2, 12)),
            (b'a\n\n{"seal":x\n{"seal":y\n', (3, 13)),
            (b'{"Seal":x\n{"seal":y\n', (10, 20)),
        ],
    )
    def test_it_stands_at_the_beginning_of_a_line_and_is_whole(
        self, data: bytes, found: tuple[int, int] | None
    ) -> None:
        assert find_seal(data, 0) == found

    @pytest.mark.parametrize("lines", [0, 1, HOPS - 2, HOPS - 1, HOPS, HOPS + 1, 5 * HOPS])
    @pytest.mark.parametrize("before", [0, 3])
    def test_any_number_of_lines_may_stand_before_it(self, lines: int, before: int) -> None:
        data = b"a\n" * before + b"b\n" * lines + self.line + b"c\n" * 5
        start = 2 * (before + lines)
        assert find_seal(data, 2 * before) == (start, start + len(self.line))
        assert find_seal(data[: start + 9], 2 * before) is None

    def test_only_what_is_there_is_searched(self) -> None:
        assert find_seal(b"a\n" * 5 * HOPS, 0) is None
        assert find_seal(b"a\n" * 5 * HOPS + b"b", 0) is None

    def test_it_goes_on_where_the_search_stopped_and_ends_at_the_limit(self) -> None:
        data = b"a\n" * 100 + self.line
        assert find_seal(data, 0, scan=150) == (200, 210)
        assert find_seal(data, 0, scan=150, limit=150) is None
        assert find_seal(data, 0, limit=207) is None
        assert find_seal(data, 0, limit=208) == (200, 210)


def test_every_refusal_is_one_that_readers_catch() -> None:
    assert issubclass(UnknownKeyError, KeyringError) and issubclass(KeyDisabledError, KeyringError)
