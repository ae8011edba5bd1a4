"""Segments whose key cannot be used: everything is checked but the signature, and only a later seal makes them good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore.format.held import Good, Held, good_part, walk_held
from sessionstore.format.seal import Broken
from sessionstore.signing import Keyring, KeyStatus

STATUSES: tuple[KeyStatus, ...] = ("disabled", "destroyed")


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda start, size: data[start : start + size]


def given_up(shop: Any, status: KeyStatus) -> Keyring:
    """The workshop's key has that status, the other one is primary."""
    ring = shop.keyring("verify_only", "primary")
    return ring.changed([key.changed(status) if key is ring.keys[0] else key for key in ring.keys])


def saved(shop: Any, *makers: str, more: tuple[int, ...] = ()) -> tuple[bytes, list[Any]]:
    """A file of one save by each of "old" and "new"; the first seal of those in `more` is kept alone."""
    data, last, seals = b"", None, []
    for number, maker in enumerate(makers):
        sealer = shop.sealer(shop.keyring() if maker == "old" else shop.other_keyring())
        lines = [shop.opening()] if number == 0 else [shop.entry(f"{number}")]
        if number in more:
            lines += [shop.entry("x" * (1 << 20)), shop.entry("behind")]
        bytes_, last = shop.save(last, *lines, sealer=sealer)
        if number in more:
            bytes_ = bytes_[: bytes_.rindex(b'{"entry"')]
        data += bytes_
        seals.append(last)
    return data, seals


def walked(shop: Any, data: bytes, keyring: Keyring, **options: Any) -> list[Held]:
    return list(walk_held(shop.sealer(keyring, **options), reader(data), end=len(data)))


def good_of(shop: Any, data: bytes, keyring: Keyring, rev: int = 0) -> Good:
    return good_part(shop.sealer(keyring), reader(data), end=len(data), counts=lambda held: held.checked, rev=rev)


class TestWalk:
    @pytest.mark.parametrize("status", STATUSES)
    def test_an_old_keys_segments_are_handed_out_unchecked(self, shop: Any, status: KeyStatus) -> None:
        data, _ = saved(shop, "old", "old", "new", "new")
        found = walked(shop, data, given_up(shop, status))
        assert [held.checked for held in found] == [False, False, True, True]
        assert b"".join(held.segment.body + held.segment.sealed.line for held in found) == data
        assert [held.segment.is_first for held in found] == [True, False, False, False]

    def test_so_are_those_of_a_key_that_was_never_here(self, shop: Any) -> None:
        data, seals = saved(shop, "old", "old")
        found = walked(shop, data, shop.other_keyring())
        assert [(held.checked, held.segment.sealed) for held in found] == [(False, seal) for seal in seals]

    def test_what_can_be_checked_is_checked(self, shop: Any) -> None:
        data, _ = saved(shop, "old", "old")
        for ring in (shop.keyring(), shop.keyring("verify_only", "primary")):
            assert all(held.checked for held in walked(shop, data, ring))
            with pytest.raises(Broken):
                walked(shop, data, ring, session=shop.store_id)
            digit = data[-5:-4]
            with pytest.raises(Broken):
                walked(shop, data[:-5] + (b"0" if digit != b"0" else b"1") + data[-4:], ring)

    @pytest.mark.parametrize("status", STATUSES)
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'"content":"1"', b'"content":"2"'),
            (b'"rev":2', b'"rev":3'),
            (b'"rev":2', b'"rev":1'),
            (b'"rev":1', b'"rev":2'),
            (b'"at":', b'"at":1'),
            (b'"chain":"', b'"chain":"x'),
            (b'"name":"Atlas"', b'"name":"\xff"'),
            (b'"name":"Atlas"', b'"none":"Atlas"'),
            (b'"rev":2', b'"rev":' + b"2" * 5000),
            (b'"signature":"ss2.', b'"signature":"ss3.'),
        ],
    )
    def test_bytes_that_do_not_fit_are_refused_whoever_signed_them(
        self, shop: Any, status: KeyStatus, old: bytes, new: bytes
    ) -> None:
        data, _ = saved(shop, "old", "old", "new")
        assert data.replace(old, new, 1) != data
        with pytest.raises(Broken):
            walked(shop, data.replace(old, new, 1), given_up(shop, status))


class TestGood:
    @pytest.mark.parametrize("status", STATUSES)
    def test_a_seal_that_counts_commits_what_older_keys_sealed(self, shop: Any, status: KeyStatus) -> None:
        data, seals = saved(shop, "old", "old", "new")
        assert good_of(shop, data, given_up(shop, status), rev=2) == (
            seals[0],
            seals[2],
            seals[2],
            seals[1],
            seals[0],
            False,
        )

    @pytest.mark.parametrize("status", STATUSES)
    def test_what_no_such_seal_commits_is_not_good(self, shop: Any, status: KeyStatus) -> None:
        data, seals = saved(shop, "old", "old")
        assert good_of(shop, data, given_up(shop, status), rev=2) == (None, None, None, None, seals[0], False)
        data, seals = saved(shop, "old", "new", "old")
        assert good_of(shop, data, given_up(shop, status), rev=3) == (
            seals[0],
            seals[1],
            seals[1],
            None,
            seals[0],
            False,
        )

    def test_a_seal_in_the_middle_of_a_save_commits_the_saves_before(self, shop: Any) -> None:
        data, seals = saved(shop, "old", "old", "new", more=(2,))
        good = good_of(shop, data, given_up(shop, "destroyed"))
        assert good.last is not None and good.last.seal.more
        assert (good.last.seal.rev, good.whole, good.broken) == (3, seals[1], False)

    def test_an_old_part_that_was_replaced_is_not_what_the_later_seal_commits(self, shop: Any) -> None:
        """Somebody with the old key makes its part anew, seals and all."""
        data, seals = saved(shop, "old", "old", "new")
        forged, last = shop.save(None, shop.opening(key="forged"))
        more, last = shop.save(last, shop.entry("1"))
        forged += more + data[seals[1].end :]
        good = good_of(shop, forged, given_up(shop, "disabled"))
        assert (good.first, good.last, good.whole, good.broken) == (None, None, None, True)

    def test_nothing_is_good_of_no_seals(self, shop: Any) -> None:
        assert good_of(shop, b"", shop.keyring()) == (None, None, None, None, None, False)
        assert good_of(shop, b"\n\n{}\n", shop.keyring()) == (None, None, None, None, None, False)
