"""Bytes behind the last acknowledged save: complete saves are adopted, the rest is told, kept aside and never lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from sessionstore import errors

Seals = Callable[[bytes], list[dict[str, Any]]]

TORN = [
    b"x",
    b'{"entry":{"n":3}}\n',
    b'{"entry":{"n":3}}\n{"seal":{"rev":5',
    b'{"seal":{}}\n',
    b"\0" * 5000,
    b"\n",
    b"x" * 200_000,
]


class TestUncommittedTail:
    @pytest.mark.parametrize("tail", TORN)
    def test_it_is_told_with_its_size_and_the_session_is_good(self, place: Any, tail: bytes) -> None:
        id = place.session()
        good = place.store.load(id)
        place.put(id, place.read(id) + tail)
        session = place.store.load(id)
        (warning,) = session.warnings
        assert warning.code == "uncommitted_tail"
        assert warning.text.startswith(f"{len(tail)} bytes behind the last complete save")
        assert (session.entries, session.rev, session.size_bytes) == (good.entries, 4, good.size_bytes)
        assert list(place.store.entries(id)) == list(good.entries)
        (result,) = place.store.verify(id)
        assert (result.ok, result.rev, result.warnings) == (True, 4, session.warnings)
        assert place.store.summary(id).size_bytes == good.size_bytes
        assert place.store.list().unreadable == ()

    @pytest.mark.parametrize("tail", TORN)
    def test_reading_leaves_it_where_it_is(self, place: Any, tail: bytes) -> None:
        id = place.session()
        torn = place.read(id) + tail
        place.put(id, torn)
        place.store.load(id)
        list(place.store.verify())
        place.store.list()
        place.store.inspect(id)
        place.reopen().load(id)
        assert place.read(id) == torn
        assert place.kept() == []

    @pytest.mark.parametrize("tail", TORN)
    def test_the_next_save_sets_it_aside_and_goes_on(self, place: Any, tail: bytes) -> None:
        id = place.session()
        good = place.read(id)
        place.put(id, good + tail)
        assert place.store.append(id, [{"n": 3}]) == 5
        session = place.store.load(id)
        assert ([entry["n"] for entry in session.entries], session.warnings) == ([0, 1, 2, 3], ())
        assert place.read(id).startswith(good)
        assert place.read(id)[len(good) :].count(b"\n") == 2
        assert place.kept() == [tail]
        (kept,) = (place.home / "data" / "quarantine").glob(f"{id}.tail.*")
        assert oct(kept.stat().st_mode & 0o777) == "0o600"

    def test_a_rewrite_sets_it_aside_too(self, place: Any) -> None:
        id = place.session()
        place.put(id, place.read(id) + b"torn")
        assert place.store.rewind(id, 1) == 5
        assert (place.store.load(id).warnings, place.kept()) == ((), [b"torn"])

    def test_two_tails_are_kept_one_beside_the_other(self, place: Any) -> None:
        id = place.session()
        for number, tail in enumerate((b"first", b"second"), 5):
            place.put(id, place.read(id) + tail)
            assert place.store.append(id, [{"n": number}]) == number
        assert sorted(place.kept()) == [b"first", b"second"]

    def test_a_refused_save_leaves_the_good_bytes_and_the_tail_is_not_lost(self, place: Any) -> None:
        id = place.session()
        good = place.read(id)
        place.put(id, good + b"torn")
        with pytest.raises(errors.ConflictError):
            place.store.append(id, [{"n": 3}], expected_rev=1)
        assert (place.read(id), place.kept()) == (good, [b"torn"])
        assert place.store.load(id).rev == 4

    def test_damage_before_the_tail_is_damage(self, place: Any) -> None:
        id = place.session()
        place.put(id, place.read(id).replace(b'"n":1', b'"n":7') + b"torn")
        with pytest.raises(errors.InvalidSignatureError):
            place.store.append(id, [{"n": 3}])
        assert place.kept() == []


class TestCompleteSaves:
    def test_a_save_whose_head_was_not_moved_is_there_for_everybody(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": 3}], name="new"))
        assert place.store._ground.ledger.head(id).rev == 4
        session = place.store.load(id)
        assert (session.rev, session.entries[-1], session.name, session.warnings) == (5, {"n": 3}, "new", ())
        summary = place.store.summary(id)
        assert (summary.rev, summary.entries, summary.name) == (5, 4, "new")
        assert place.store.list().sessions == (summary,)
        assert [(result.ok, result.rev) for result in place.store.verify(id)] == [(True, 5)]
        assert len(list(place.store.entries(id))) == 4

    def test_the_next_save_goes_on_behind_it(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": 3}]))
        assert place.store.append(id, [{"n": 4}]) == 6
        assert [entry["n"] for entry in place.store.load(id).entries] == [0, 1, 2, 3, 4]
        assert place.kept() == []

    def test_a_retry_with_the_same_key_saves_it_once(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": 3}], idempotency_key="turn"))
        assert place.store.append(id, [{"n": 3}], idempotency_key="turn") == 5
        assert place.reopen().append(id, [{"n": 3}], idempotency_key="turn") == 5
        assert [entry["n"] for entry in place.store.load(id).entries] == [0, 1, 2, 3]

    def test_the_writer_goes_on_from_a_new_inode(self, place: Any) -> None:
        # After a failed sync nobody knows which pages are on the disk: all of them are written again.
        id = place.session()
        inode = place.file(id).stat().st_ino
        place.half_saved(lambda: place.store.append(id, [{"n": 3}]))
        good = place.read(id)
        kept_open = os.open(place.file(id), os.O_RDONLY)  # keeps its number from being given out again
        try:
            place.store.append(id, [{"n": 4}])
            assert place.file(id).stat().st_ino != inode
            assert place.read(id).startswith(good)
        finally:
            os.close(kept_open)

    def test_all_saves_that_an_older_ledger_does_not_know_are_adopted(self, place: Any) -> None:
        id = place.session()
        place.close()
        ledger = (place.home / "state" / "ledger.db").read_bytes()
        place.reopen()
        for number in (3, 4, 5):
            place.store.append(id, [{"n": number}])
        place.close()
        (place.home / "state" / "ledger.db").write_bytes(ledger)  # as after a power cut
        place.reopen()
        good = place.store.load(id)
        assert (good.rev, len(good.entries), good.warnings) == (7, 6, ())
        place.put(id, place.read(id) + b"torn")
        torn = place.store.load(id)
        assert (torn.rev, torn.entries, len(torn.warnings)) == (7, good.entries, 1)
        assert place.store.append(id, [{"n": 6}]) == 8
        assert (place.kept(), place.store.load(id).warnings) == ([b"torn"], ())

    def test_saves_that_were_adopted_are_verified_like_all_others(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.append(id, [{"n": 3}]))
        changed = place.read(id).replace(b'"n":3', b'"n":7')
        place.put(id, changed)
        session = place.store.load(id)
        assert (session.rev, len(session.entries)) == (4, 3)
        assert [warning.code for warning in session.warnings] == ["uncommitted_tail"]


class TestBigSaves:
    ENTRIES = tuple({"n": number, "fill": "x" * 400_000} for number in range(8))

    def test_a_save_of_many_segments_comes_back_in_order(self, place: Any, seals: Seals) -> None:
        id = place.session(saves=1)
        rev = place.store.append(id, iter(self.ENTRIES), name="big")
        found = seals(place.read(id))
        assert [seal["rev"] for seal in found] == list(range(1, rev + 1))
        assert [seal["more"] for seal in found] == [False, False, *[True] * (len(found) - 3), False]
        assert len(found) >= 4
        assert all(seal["end"] - before["end"] < 2 * 1024 * 1024 for before, seal in pairwise(found))
        session = place.store.load(id)
        assert (session.rev, session.entries[1:], session.name) == (rev, self.ENTRIES, "big")
        assert [entry["n"] for entry in place.store.entries(id, -3)] == [5, 6, 7]
        assert place.store.append(id, [{"n": "after"}]) == rev + 1

    def test_cut_behind_any_of_its_segments_it_is_a_tail_and_not_a_part(self, place: Any, seals: Seals) -> None:
        id = place.session(saves=1)
        old = place.store.load(id)
        place.half_saved(lambda: place.store.append(id, self.ENTRIES))
        whole = place.read(id)
        inner = [seal for seal in seals(whole) if seal["more"]]
        assert len(inner) >= 2
        for seal in inner:
            for end in (seal["end"], seal["end"] + 5):
                place.put(id, whole[:end])
                session = place.store.load(id)
                assert (session.rev, session.entries) == (old.rev, old.entries)
                assert session.warnings[0].text.startswith(f"{end - old.size_bytes} bytes")
        place.put(id, whole)
        assert len(place.store.load(id).entries) == 9

    def test_the_next_save_sets_the_whole_part_aside(self, place: Any, seals: Seals) -> None:
        id = place.session(saves=1)
        old = place.read(id)
        place.half_saved(lambda: place.store.append(id, self.ENTRIES))
        part = place.read(id)[: next(seal["end"] for seal in seals(place.read(id)) if seal["more"])]
        place.put(id, part)
        assert place.store.append(id, [{"n": "next"}]) == 3
        assert place.kept() == [part[len(old) :]]
        assert place.store.load(id).entries == ({"n": 0}, {"n": "next"})

    def test_a_create_of_many_segments_is_one_session(self, place: Any) -> None:
        session = place.store.create(entries=self.ENTRIES)
        assert session.entries == self.ENTRIES
        assert session.rev >= 3
        assert place.store.append(session.id, [{"n": 1}]) == session.rev + 1
