"""Every change of a byte that was acknowledged is refused, with the line and the last good revision."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import errors, open_store

ALL = {"load", "entries", "append", "rewind", "compact", "fork", "export", "verify"}
Seals = Callable[[bytes], list[dict[str, Any]]]


def expected(seals: list[dict[str, Any]], at: int) -> dict[str, int]:
    """What must be said of a change of the byte at that offset."""
    good = [seal for seal in seals if seal["end"] <= at]
    return (
        {"line": good[-1]["number"] + 1, "last_good_rev": good[-1]["rev"]} if good else {"line": 1, "last_good_rev": 0}
    )


class TestChangedBytes:
    @pytest.mark.parametrize("change", [0x01, 0x20, 0x80])
    def test_every_changed_byte_is_refused_where_it_stands(self, place: Any, seals: Seals, change: int) -> None:
        id = place.session()
        original = place.read(id)
        step = 1 if change == 0x01 else 7
        for at in range(0, len(original), step):
            changed = bytearray(original)
            changed[at] ^= change
            place.put(id, changed)
            with pytest.raises(errors.InvalidSignatureError) as caught:
                place.store.load(id)
            assert caught.value.fields == {"session_id": id, **expected(seals(original), at)}
            assert next(place.store.verify(id)).text == str(caught.value)
        place.put(id, original)
        assert place.store.load(id).rev == 4

    def test_every_way_in_refuses_and_leaves_the_file_as_it_is(self, place: Any) -> None:
        id = place.session()
        place.put(id, place.read(id).replace(b'"n":1', b'"n":7'))
        assert place.refusals(id) == {(call, "invalid_signature") for call in ALL}

    def test_a_list_judges_a_changed_file_by_its_last_seal(self, place: Any) -> None:
        body, end = place.session(), place.session()
        place.put(body, place.read(body).replace(b'"n":1', b'"n":7'))
        place.put(end, place.read(end)[:-5])
        page = place.store.list()
        assert [line.id for line in page.sessions] == [body]
        assert [(line.name, line.code) for line in page.unreadable] == [(end, "invalid_signature")]
        assert place.store.stats().unreadable == 1

    def test_a_file_that_was_changed_before_it_was_opened_again_is_refused_too(self, place: Any) -> None:
        id = place.session()
        place.put(id, place.read(id).replace(b'"n":1', b'"n":7'))
        place.reopen()
        assert place.refusals(id) == {(call, "invalid_signature") for call in ALL}

    def test_entries_before_the_damage_are_good_and_what_follows_is_never_given(self, place: Any) -> None:
        id = place.session(saves=4)
        place.put(id, place.read(id).replace(b'"n":2', b'"n":7'))
        found = []
        with pytest.raises(errors.InvalidSignatureError) as caught:
            for entry in place.store.entries(id):
                found.append(entry)
        assert found == [{"n": 0}, {"n": 1}]
        assert caught.value.fields["last_good_rev"] == 3

    def test_restoring_the_bytes_is_all_it_takes(self, place: Any) -> None:
        id = place.session()
        original = place.read(id)
        place.put(id, original[:-5])
        with pytest.raises(errors.InvalidSignatureError):
            place.store.append(id, [{"n": 3}])
        place.put(id, original)
        assert place.store.append(id, [{"n": 3}]) == 5


class TestCuts:
    def test_every_cut_is_refused(self, place: Any, seals: Seals) -> None:
        id = place.session()
        original = place.read(id)
        ends = {seal["end"]: seal["rev"] for seal in seals(original)}
        for size in range(0, len(original), 3):
            place.put(id, original[:size])
            with pytest.raises(errors.VerificationError) as caught:
                place.store.load(id)
            assert caught.value.code == ("rollback" if size in ends else "invalid_signature")
            if size not in ends:
                assert caught.value.fields == {"session_id": id, **expected(seals(original), size)}

    def test_a_cut_behind_an_older_save_is_a_rollback(self, place: Any, seals: Seals) -> None:
        id = place.session()
        original = place.read(id)
        for seal in seals(original)[:-1]:
            place.put(id, original[: seal["end"]])
            with pytest.raises(errors.RollbackError) as caught:
                place.store.load(id)
            assert caught.value.fields == {"session_id": id, "rev": seal["rev"], "head_rev": 4}
            assert place.refusals(id) == {(call, "rollback") for call in ALL}


class TestLines:
    @pytest.mark.parametrize(
        "change",
        [
            lambda lines: [lines[0], lines[1], lines[2], lines[4], lines[3], *lines[5:]],
            lambda lines: [*lines[:3], lines[5], lines[6], lines[3], lines[4], *lines[7:]],
            lambda lines: [*lines[:5], *lines[3:]],
            lambda lines: [*lines[:3], lines[3], *lines[3:]],
            lambda lines: [*lines[:3], *lines[5:]],
            lambda lines: lines[1:],
            lambda lines: [*lines[:3], b"\n", *lines[3:]],
            lambda lines: [*lines[:3], b'{"entry":{"n":9}}\n', *lines[3:]],
            lambda lines: [*lines[:4], lines[-1], *lines[4:]],
            lambda lines: [*lines[:3], lines[3].replace(b"\n", b"\r\n"), *lines[4:]],
            lambda lines: [*lines[:3], b"\xef\xbb\xbf" + lines[3], *lines[4:]],
            lambda lines: [*lines[:3], b"\0" * 4096, *lines[3:]],
            lambda lines: lines[::-1],
        ],
    )
    def test_swapped_repeated_dropped_and_inserted_lines_are_refused(
        self, place: Any, change: Callable[[list[bytes]], list[bytes]]
    ) -> None:
        id = place.session()
        place.put(id, b"".join(change(place.read(id).splitlines(keepends=True))))
        assert place.refusals(id) == {(call, "invalid_signature") for call in ALL}

    @pytest.mark.parametrize("content", [b"", b"\n", b"\0" * 9000, b"{}\n", b'{"seal":{}}\n', b"x" * 70_000])
    def test_anything_else_in_its_place_is_refused(self, place: Any, content: bytes) -> None:
        id = place.session()
        place.put(id, content)
        with pytest.raises(errors.InvalidSignatureError) as caught:
            place.store.load(id)
        assert caught.value.fields == {"session_id": id, "line": 1, "last_good_rev": 0}
        assert place.refusals(id) == {(call, "invalid_signature") for call in ALL}

    def test_a_copy_of_a_seal_inside_an_entry_is_text(self, place: Any) -> None:
        id = place.session()
        seal = place.read(id).splitlines()[-1].decode()
        place.store.append(id, [{"text": f"a\n{seal}\nb"}])
        assert place.store.load(id).entries[-1] == {"text": f"a\n{seal}\nb"}
        assert place.store.append(id, [{"n": 9}]) == 6


class TestOverTheCap:
    def test_a_file_that_grew_over_the_cap_is_too_large_to_load_and_not_touched(self, place: Any) -> None:
        id = place.session()
        store = place.reopen(max_session_bytes=64 * 1024)
        place.put(id, place.read(id) + b"x" * 70_000)
        size = place.file(id).stat().st_size
        with pytest.raises(errors.TooLargeError) as caught:
            store.load(id)
        assert (caught.value.fields["size_bytes"], caught.value.fields["limit_bytes"]) == (size, 64 * 1024)
        assert place.refusals(id) == {(call, "too_large") for call in ALL}
        inspection = store.inspect(id)
        assert (inspection.code, inspection.size_bytes) == ("too_large", size)

    def test_one_byte_more_than_the_cap_is_refused_and_exactly_the_cap_is_not(self, place: Any) -> None:
        id = place.session()
        store = place.reopen(max_session_bytes=64 * 1024)
        original = place.read(id)
        place.put(id, original.ljust(64 * 1024, b"x"))
        assert store.load(id).rev == 4
        place.put(id, original.ljust(64 * 1024 + 1, b"x"))
        with pytest.raises(errors.TooLargeError):
            store.load(id)

    def test_a_raised_cap_opens_it_again(self, place: Any) -> None:
        id = place.store.create(entries=[{"x": "a" * 1000}] * 100).id
        with pytest.raises(errors.TooLargeError):
            place.reopen(max_session_bytes=64 * 1024).load(id)
        assert len(place.reopen().load(id).entries) == 100


class TestMisplaced:
    def test_the_file_of_one_session_under_the_name_of_another_is_refused(self, place: Any) -> None:
        first, second = place.session(), place.session()
        shutil.copyfile(place.file(first), place.file(second))
        assert place.refusals(second) == {(call, "wrong_session") for call in ALL}
        assert place.store.load(first).rev == 4

    def test_also_when_both_are_exchanged(self, place: Any) -> None:
        first, second = place.session(), place.session(saves=1)
        one, two = place.read(first), place.read(second)
        place.put(first, two)
        place.put(second, one)
        assert [place.store.inspect(id).code for id in (first, second)] == ["wrong_session"] * 2

    def test_a_file_whose_name_was_written_into_it_is_a_changed_file(self, place: Any) -> None:
        first, second = place.session(), place.session()
        place.put(second, place.read(first).replace(first.encode(), second.encode()))
        assert place.refusals(second) == {(call, "invalid_signature") for call in ALL}

    def test_a_file_of_another_store_is_a_changed_file(self, place: Any, tmp_path: Any) -> None:
        id = place.session()
        with open_store(tmp_path / "other") as other:
            other.create(id=id)
            theirs = (tmp_path / "other" / "data" / "sessions" / f"{id}.jsonl").read_bytes()
        place.put(id, theirs)
        assert place.refusals(id) == {(call, "invalid_signature") for call in ALL}
