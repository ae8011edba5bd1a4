"""Writing: lines go out with the seals that commit them, in segments, counted, capped, and whole or absent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import TooLargeError
from sessionstore.format.lines import ENTRY, StateChange
from sessionstore.format.log import MAX_PROJECT_CHARS, Batch, Segment, Summary
from sessionstore.format.seal import SEGMENT_BYTES
from sessionstore.model import ProjectRecord

LATER = "2026-01-31T12:00:01.000000Z"
ENOUGH = 1 << 40


def recounted(segments: list[Segment], data: bytes) -> list[tuple[int, int, int]]:
    """Offset, entries and lines before each seal, counted from the bytes."""
    facts, at = [], 0
    for segment in segments:
        at += len(segment.body)
        before = data[:at]
        entries = sum(line.startswith(ENTRY) for line in before.split(b"\n"))
        facts.append((at, entries, before.count(b"\n")))
        at += len(segment.sealed.line)
    return facts


class TestSegments:
    def test_a_small_save_is_its_lines_and_one_seal(self, shop: Any) -> None:
        lines = [shop.opening(), shop.entry("a"), shop.entry("b")]
        batch = Batch(shop.sealer(), None, shop.summary, max_session_bytes=ENOUGH)
        chunks = list(batch.chunks(lines))
        assert chunks == [b"".join(lines) + batch.sealed.line]
        assert not batch.sealed.seal.more

    def test_a_save_without_lines_is_one_seal(self, shop: Any) -> None:
        _, first = shop.save(None, shop.opening())
        data, second = shop.save(first)
        assert data == second.line
        assert (second.seal.rev, second.seal.entries, second.seal.lines) == (2, 0, 2)

    def test_a_segment_ends_with_the_line_that_fills_a_mebibyte(self, shop: Any, long_file: bytes) -> None:
        segments = shop.segments(long_file)
        *full, last, _ = segments
        for segment in full:
            before_its_last_line = segment.body[: segment.body.rindex(b"\n", 0, -1) + 1]
            assert len(before_its_last_line) < SEGMENT_BYTES <= len(segment.body)
        assert len(last.body) < SEGMENT_BYTES

    def test_a_segment_that_the_last_line_fills_is_not_followed_by_an_empty_one(self, shop: Any) -> None:
        batch = Batch(shop.sealer(), None, shop.summary, max_session_bytes=ENOUGH)
        chunks = list(batch.chunks([shop.opening(), shop.entry("x" * SEGMENT_BYTES)]))
        assert len(chunks) == 1 and not batch.sealed.seal.more

    def test_only_the_last_seal_of_a_save_ends_it_and_carries_its_key(self, shop: Any) -> None:
        lines = [shop.opening(), *(shop.entry("x" * SEGMENT_BYTES) for _ in range(3))]
        data, _ = shop.save(None, *lines, idempotency_key="turn-1")
        seals = [segment.sealed.seal for segment in shop.segments(data)]
        assert [seal.more for seal in seals] == [True, True, False]
        assert [seal.idempotency_key for seal in seals] == [None, None, "turn-1"]

    def test_lines_are_taken_as_they_are_written(self, shop: Any) -> None:
        taken = 0

        def lines() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(5):
                taken += 1
                yield shop.entry("x" * SEGMENT_BYTES)

        chunks = Batch(shop.sealer(), None, shop.summary, max_session_bytes=ENOUGH).chunks(lines())
        next(chunks)
        assert taken == 2

    def test_there_is_no_seal_to_ask_for_before_the_first_one_was_made(self, shop: Any) -> None:
        batch = Batch(shop.sealer(), None, shop.summary, max_session_bytes=ENOUGH)
        with pytest.raises(ValueError, match="nothing was sealed"):
            _ = batch.sealed


class TestCounts:
    def test_they_are_those_of_the_bytes(self, shop: Any, long_file: bytes) -> None:
        for data in (shop.file(), long_file):
            segments = shop.segments(data)
            told = [(s.sealed.seal.at, s.sealed.seal.entries, s.sealed.seal.lines) for s in segments]
            assert told == recounted(segments, data)
            assert [segment.sealed.seal.rev for segment in segments] == list(range(1, len(segments) + 1))
            assert segments[-1].sealed.end == len(data)

    @given(st.lists(st.lists(st.sampled_from(["entry", "state"]), max_size=4), min_size=1, max_size=6))
    def test_for_any_run_of_saves(self, shop: Any, saves: list[list[str]]) -> None:
        make = {"entry": shop.entry(), "state": shop.state(name="n")}
        data = shop.file((shop.opening(),), *(tuple(make[kind] for kind in save) for save in saves))
        segments = shop.segments(data)
        told = [(s.sealed.seal.at, s.sealed.seal.entries, s.sealed.seal.lines) for s in segments]
        assert told == recounted(segments, data)

    def test_a_rewritten_file_counts_its_own_lines_and_goes_on_counting_revisions(self, shop: Any) -> None:
        _, sealed = shop.save(None, shop.opening(), shop.entry(), first_rev=41, replaces="ss2.old")
        seal = sealed.seal
        assert (seal.rev, seal.at, seal.entries, seal.lines, seal.replaces) == (
            41,
            sealed.end - len(sealed.line),
            1,
            2,
            "ss2.old",
        )
        _, second = shop.save(sealed, shop.entry())
        assert (second.seal.rev, second.seal.replaces) == (42, None)

    def test_a_rewrite_of_several_segments_names_what_it_replaces_in_the_first_only(self, shop: Any) -> None:
        lines = [shop.opening(), *(shop.entry("x" * SEGMENT_BYTES) for _ in range(3))]
        data, _ = shop.save(None, *lines, first_rev=7, replaces="ss2.old")
        seals = [segment.sealed.seal for segment in shop.segments(data)]
        assert [(seal.rev, seal.replaces) for seal in seals] == [(7, "ss2.old"), (8, None), (9, None)]


class TestTheCap:
    def test_a_file_of_exactly_the_cap_is_written_and_one_byte_more_is_not_handed_out(self, shop: Any) -> None:
        lines = [shop.opening(), shop.entry("a")]
        data, _ = shop.save(None, *lines)
        assert shop.save(None, *lines, max_session_bytes=len(data))[0] == data
        batch = Batch(shop.sealer(), None, shop.summary, max_session_bytes=len(data) - 1)
        with pytest.raises(TooLargeError) as caught:
            next(batch.chunks(lines))
        assert caught.value.fields == {
            "what": "session",
            "size_bytes": len(data),
            "limit_bytes": len(data) - 1,
            "setting": "max_session_bytes",
        }
        with pytest.raises(ValueError, match="nothing was sealed"):
            _ = batch.sealed

    def test_it_counts_what_stands_in_the_file_already(self, shop: Any) -> None:
        data, first = shop.save(None, shop.opening())
        more, _ = shop.save(first, shop.entry())
        cap = len(data) + len(more)
        assert shop.save(first, shop.entry(), max_session_bytes=cap)[0] == more
        with pytest.raises(TooLargeError):
            shop.save(first, shop.entry(), max_session_bytes=cap - 1)

    def test_a_long_save_stops_before_the_segment_that_would_be_over_it(self, shop: Any) -> None:
        lines = [shop.opening(), *(shop.entry("x" * SEGMENT_BYTES) for _ in range(4))]
        whole = list(Batch(shop.sealer(), None, shop.summary, max_session_bytes=ENOUGH).chunks(lines))
        cap = sum(map(len, whole)) - 1
        out = []
        batch = Batch(shop.sealer(), None, shop.summary, max_session_bytes=cap)
        with pytest.raises(TooLargeError):
            out.extend(batch.chunks(lines))
        assert out == whole[:-1]


class TestSummary:
    def test_it_is_carried_from_seal_to_seal(self, shop: Any) -> None:
        _, sealed = shop.save(None, shop.opening())
        members = {name: getattr(sealed.seal, name) for name in Summary.__struct_fields__}
        assert Summary(**members) == shop.summary

    def test_every_save_has_a_time_and_nothing_else_changes_without_a_change(self, shop: Any) -> None:
        for change in (None, StateChange(), StateChange(config={"a": 1}, todos=())):
            assert shop.summary.changed(change, LATER) == msgspec.structs.replace(shop.summary, updated_at=LATER)

    @pytest.mark.parametrize(
        ("change", "name", "value"),
        [
            (StateChange(name="Other"), "name", "Other"),
            (StateChange(tags=()), "tags", ()),
            (StateChange(closed_at=LATER), "closed_at", LATER),
            (StateChange(closed_at=None), "closed_at", None),
        ],
    )
    def test_name_tags_and_closing_are_those_of_the_state(
        self, shop: Any, change: StateChange, name: str, value: Any
    ) -> None:
        before = msgspec.structs.replace(shop.summary, closed_at="2026-01-01T00:00:00.000000Z")
        after = before.changed(change, LATER)
        assert after == msgspec.structs.replace(before, **{"updated_at": LATER, name: value})

    @pytest.mark.parametrize(
        ("record", "project", "place"),
        [
            (None, None, None),
            (ProjectRecord(path=b"/srv/a", given_path=b"a", inode=7, device=3), "/srv/a", (3, 7)),
            (ProjectRecord(path=b"/srv/a", given_path=b"a"), "/srv/a", None),
            (ProjectRecord(path=b"/srv/a", given_path=b"a", inode=7), "/srv/a", None),
            (ProjectRecord(path=b"/srv/a", given_path=b"a", device=3), "/srv/a", None),
            (ProjectRecord(path=b"/srv/\xff\xfe", given_path=b"a", inode=7, device=3), "/srv/\\xff\\xfe", (3, 7)),
        ],
    )
    def test_a_project_is_shown_as_text_and_found_by_device_and_inode(
        self, shop: Any, record: ProjectRecord | None, project: str | None, place: tuple[int, int] | None
    ) -> None:
        after = shop.summary.changed(StateChange(project=record), LATER)
        assert (after.project, after.place) == (project, place)

    def test_a_long_path_is_cut_so_that_it_fits_a_seal(self, shop: Any) -> None:
        record = ProjectRecord(path=b"/" + b"\x01" * 4090, given_path=b"a", inode=7, device=3)
        after = shop.summary.changed(StateChange(project=record), LATER)
        assert after.project == "/" + "\x01" * (MAX_PROJECT_CHARS - 1)
        batch = Batch(shop.sealer(), None, after, max_session_bytes=ENOUGH)
        assert list(batch.chunks([shop.opening()]))
