"""Walking a file: only bytes that a good seal commits are handed out, in any step, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.format.log import Segment, walk
from sessionstore.format.seal import MAX_SEAL_BYTES, SEGMENT_BYTES, Broken
from sessionstore.signing import key_id

MEBIBYTE = 1024 * 1024


def facts(segments: list[Segment]) -> list[tuple[bytes, bytes, bool]]:
    return [(segment.body, segment.sealed.line, segment.is_first) for segment in segments]


@pytest.fixture(scope="module")
def good(shop: Any) -> bytes:
    """Four saves, four seals, some 2.5 KB."""
    data: bytes = shop.file()
    return data


@pytest.fixture(scope="module")
def all_of_it(shop: Any, good: bytes) -> list[tuple[bytes, bytes, bool]]:
    return facts(shop.segments(good))


class TestGoodFiles:
    def test_every_byte_is_handed_out_once_and_in_order(self, good: bytes, all_of_it: Any) -> None:
        assert b"".join(body + line for body, line, _ in all_of_it) == good
        assert [is_first for *_, is_first in all_of_it] == [True, False, False, False]

    def test_any_step_gives_the_same_segments(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        for step in (*range(1, 40), *range(40, len(good) + 50, 37), len(good), 10 * len(good)):
            assert facts(shop.segments(good, step_bytes=step)) == all_of_it

    def test_any_step_finds_a_seal_behind_many_lines_that_it_cuts(self, shop: Any) -> None:
        data = shop.file((shop.opening(), *[shop.entry()] * 100), tuple([shop.entry()] * 100))
        whole = facts(shop.segments(data))
        for step in range(1, len(data), 61):
            assert facts(shop.segments(data, step_bytes=step)) == whole

    def test_a_reader_that_gives_less_than_asked_changes_nothing(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        def stingy(start: int, size: int) -> bytes:
            return good[start : start + max(1, size // 3)]

        assert facts(list(walk(shop.sealer(), stingy, end=len(good)))) == all_of_it

    def test_reading_can_begin_behind_any_seal(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        segments = shop.segments(good)
        for number, segment in enumerate(segments):
            assert facts(shop.segments(good, previous=segment.sealed)) == all_of_it[number + 1 :]

    def test_it_ends_at_the_end_that_is_given_and_at_the_last_whole_seal(
        self, shop: Any, good: bytes, all_of_it: Any
    ) -> None:
        ends = [segment.sealed.end for segment in shop.segments(good)]
        for end in range(len(good) + 1):
            assert facts(shop.segments(good, end=end)) == all_of_it[: sum(last <= end for last in ends)]

    def test_an_end_behind_the_end_of_the_file_ends_with_the_file(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        assert facts(shop.segments(good, end=len(good) + 1000)) == all_of_it

    def test_nothing_behind_the_end_is_asked_for(self, shop: Any, good: bytes) -> None:
        asked = []

        def read(start: int, size: int) -> bytes:
            asked.append(start + size)
            return good[start : start + size]

        list(walk(shop.sealer(), read, end=len(good) - 5))
        assert max(asked) == len(good) - 5

    def test_a_file_of_old_and_new_keys_is_walked_with_both(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        rotated = shop.keyring("verify_only", "primary")
        more, _ = shop.save(sealed, shop.entry(), sealer=shop.sealer(rotated))
        found = shop.segments(data + more, shop.sealer(rotated))
        assert [segment.sealed.key_id for segment in found] == [key_id(shop.secret), key_id(shop.other_secret)]

    def test_a_rewritten_file_begins_with_a_later_revision(self, shop: Any) -> None:
        data, _ = shop.save(None, shop.opening(), shop.entry(), first_rev=9, replaces="ss2.old")
        (segment,) = shop.segments(data)
        assert (segment.sealed.seal.rev, segment.sealed.seal.replaces) == (9, "ss2.old")

    @pytest.mark.parametrize("step", [1000, 100_000, MEBIBYTE, 1 << 30])
    def test_a_save_of_several_segments_is_walked_in_any_step(self, shop: Any, long_file: bytes, step: int) -> None:
        segments = shop.segments(long_file, step_bytes=step)
        assert [segment.sealed.seal.more for segment in segments] == [True, True, True, False, False]
        assert b"".join(body + line for body, line, _ in facts(segments)) == long_file


class TestChangedFiles:
    """Whatever is done to a file: what is handed out is a beginning of what was saved, and never all of it."""

    def refused(self, shop: Any, changed: bytes, good: bytes, all_of_it: Any, step: int = MEBIBYTE) -> None:
        found, error = shop.handed_out(changed, step_bytes=step)
        assert facts(found) == all_of_it[: len(found)]
        assert len(found) < len(all_of_it)
        assert error in ("Broken", "UnknownKeyError", "")

    def test_every_single_bit(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        for at in range(len(good)):
            for bit in range(8):
                changed = bytearray(good)
                changed[at] ^= 1 << bit
                self.refused(shop, bytes(changed), good, all_of_it)

    def test_every_byte_left_out(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        for at in range(len(good)):
            self.refused(shop, good[:at] + good[at + 1 :], good, all_of_it)

    @pytest.mark.parametrize("byte", [b"\n", b"\0", b"\r", b"}", b" ", b"0"])
    def test_a_byte_put_in_anywhere(self, shop: Any, good: bytes, all_of_it: Any, byte: bytes) -> None:
        for at in range(len(good) - 1):
            self.refused(shop, good[:at] + byte + good[at:], good, all_of_it)

    @given(st.data())
    def test_any_piece_exchanged_for_any_other(
        self, shop: Any, good: bytes, all_of_it: Any, data: st.DataObject
    ) -> None:
        start = data.draw(st.integers(0, len(good) - 1))
        end = data.draw(st.integers(start, len(good)))
        other = data.draw(st.binary(max_size=20) | st.integers(0, len(good)).map(lambda at: good[at : at + 200]))
        changed = good[:start] + other + good[end:]
        if not changed.startswith(good):
            self.refused(shop, changed, good, all_of_it, step=data.draw(st.sampled_from([7, 1000, MEBIBYTE])))

    def test_any_two_lines_swapped(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        lines = good.splitlines(keepends=True)
        for one in range(len(lines)):
            for other in range(one):
                changed = list(lines)
                changed[one], changed[other] = changed[other], changed[one]
                if changed != lines:
                    self.refused(shop, b"".join(changed), good, all_of_it)

    def test_any_line_repeated_or_left_out(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        lines = good.splitlines(keepends=True)
        for one in range(len(lines)):
            self.refused(shop, b"".join(lines[:one] + lines[one + 1 :]), good, all_of_it)
            for place in range(len(lines) - 1):
                self.refused(shop, b"".join([*lines[:place], lines[one], *lines[place:]]), good, all_of_it)

    def test_any_run_of_lines_left_out(self, shop: Any, good: bytes, all_of_it: Any) -> None:
        lines = good.splitlines(keepends=True)
        for start in range(len(lines)):
            for end in range(start + 1, len(lines) + 1):
                self.refused(shop, b"".join(lines[:start] + lines[end:]), good, all_of_it)

    def test_segments_of_two_histories_of_one_session_do_not_mix(self, shop: Any, good: bytes) -> None:
        other = shop.file((shop.opening(), shop.state(name="Other")), (shop.entry("fünf"),), (shop.entry("sechs"),))
        one, two = ([segment.body + segment.sealed.line for segment in shop.segments(data)] for data in (good, other))
        for place in range(1, len(two)):
            for mixed in (one[:place] + two[place:], two[:place] + one[place:]):
                found, error = shop.handed_out(b"".join(mixed))
                assert ([segment.body + segment.sealed.line for segment in found], error) == (mixed[:place], "Broken")

    @pytest.mark.parametrize(
        "changed",
        [
            lambda good: b"\xef\xbb\xbf" + good,
            lambda good: good.replace(b"\n", b"\r\n"),
            lambda good: b"\n" + good,
            lambda good: good.decode("latin-1").encode("utf-16"),
            lambda good: bytes(len(good)),
            lambda good: b"",
            lambda good: good[: len(good) // 2] + bytes(len(good) - len(good) // 2),
        ],
    )
    def test_what_editors_and_crashes_do(self, shop: Any, good: bytes, all_of_it: Any, changed: Any) -> None:
        self.refused(shop, changed(good), good, all_of_it)


class TestStrangeFiles:
    def test_the_file_of_one_session_under_the_name_of_another(self, shop: Any, good: bytes) -> None:
        other = shop.sealer(session="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4e")
        assert shop.handed_out(good, other) == ([], "Broken")

    def test_the_file_of_another_store(self, shop: Any, good: bytes) -> None:
        other = shop.sealer(store="5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e50")
        assert shop.handed_out(good, other) == ([], "Broken")

    def test_the_file_of_another_installation(self, shop: Any, good: bytes) -> None:
        assert shop.handed_out(good, shop.sealer(shop.other_keyring())) == ([], "UnknownKeyError")

    def test_a_disabled_key(self, shop: Any, good: bytes) -> None:
        assert shop.handed_out(good, shop.sealer(shop.keyring("disabled", "primary"))) == ([], "KeyDisabledError")

    def test_a_key_we_do_not_have_further_on(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        more, _ = shop.save(sealed, shop.entry(), sealer=shop.sealer(shop.other_keyring()))
        found, error = shop.handed_out(data + more)
        assert (len(found), error) == (1, "UnknownKeyError")

    def test_an_entry_that_holds_a_copy_of_a_seal_line_is_an_entry(self, shop: Any, good: bytes) -> None:
        copied = shop.segments(good)[0].sealed.line.decode()
        data = shop.file((shop.opening(),), (shop.entry(f"look:\n{copied}and on"),), (shop.entry(copied),))
        assert len(shop.segments(data)) == 3

    def test_a_copy_of_a_seal_line_behind_a_raw_line_end_is_broken(self, shop: Any, good: bytes) -> None:
        segments = shop.segments(good)
        raw = b'{"entry":{"a":"\n' + segments[0].sealed.line + b'"}}\n'
        changed = good[: segments[0].sealed.end] + raw + good[segments[0].sealed.end :]
        found, error = shop.handed_out(changed)
        assert (len(found), error) == (1, "Broken")

    def test_a_seal_line_cannot_be_sealed_as_a_line(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        inner, _ = shop.save(sealed, shop.entry("inner"))
        lying, _ = shop.save(sealed, *inner.splitlines(keepends=True), shop.entry("outer"))
        found, error = shop.handed_out(data + lying)
        assert ([segment.body for segment in found[1:]], error) == ([shop.entry("inner")], "Broken")

    @pytest.mark.parametrize("step", [1000, MEBIBYTE])
    def test_a_tail_without_a_seal_ends_the_walk_and_breaks_nothing(self, shop: Any, good: bytes, step: int) -> None:
        for tail in (
            b"{",
            shop.entry(),
            bytes(4096),
            b"\n\n\n",
            b'{"seal":',
            b'{"seal":' + b"x" * 10_000,
            b"x" * 500_000,
        ):
            found, error = shop.handed_out(good + tail, step_bytes=step)
            assert (len(found), error) == (4, "")

    @pytest.mark.parametrize("step", [1000, MEBIBYTE])
    def test_a_tail_that_begins_like_a_seal_and_is_longer_than_any_is_broken(
        self, shop: Any, good: bytes, step: int
    ) -> None:
        found, error = shop.handed_out(good + b'{"seal":' + b"x" * 50_000, step_bytes=step)
        assert (len(found), error) == (4, "Broken")

    def test_a_seal_line_over_16_kib_is_broken_with_a_good_tag_too(self, shop: Any) -> None:
        data, sealed = shop.save(None, shop.opening())
        long = shop.forge(shop.forge_seal(sealed)[:-102].replace(b'"Atlas"', b'"Atlas"' + b" " * MAX_SEAL_BYTES))
        assert shop.handed_out(data[: sealed.seal.at] + long) == ([], "Broken")


class TestFilesWithoutSeals:
    """A segment ends behind the line that fills it, so what has no seal there is given up at once."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\n" * 9 * MEBIBYTE,
            b"x\n" * 4 * MEBIBYTE,
            b'{"entry":{"a":1}}\n' * MEBIBYTE,
            b'{"seal"!' + b"\n{" * 4 * MEBIBYTE,
        ],
        ids=lambda data: ascii(data[:10]),
    )
    @pytest.mark.parametrize("step", [100_000, MEBIBYTE, 16 * MEBIBYTE])
    def test_only_its_first_mebibyte_is_looked_at(self, shop: Any, data: bytes, step: int) -> None:
        asked = []

        def read(start: int, size: int) -> bytes:
            asked.append(start)
            return data[start : start + size]

        with pytest.raises(Broken):
            list(walk(shop.sealer(), read, end=len(data), step_bytes=step))
        assert max(asked) <= 2 * MEBIBYTE

    @pytest.mark.parametrize("beginning", [b'{"entry":', b""])
    def test_one_endless_line_is_read_once_in_growing_steps(self, shop: Any, beginning: bytes) -> None:
        data = beginning + b"x" * 20 * MEBIBYTE
        asked = []

        def read(start: int, size: int) -> bytes:
            asked.append((start, size))
            return data[start : start + size]

        assert list(walk(shop.sealer(), read, end=len(data), step_bytes=1000)) == []
        assert sum(size for _, size in asked) == len(data)
        assert len(asked) < 40

    @pytest.mark.parametrize("step", [1000, MEBIBYTE, 1 << 30])
    @pytest.mark.parametrize("lines", [1, 2, 50])
    def test_a_seal_behind_a_segment_that_was_full_before_is_not_ours(self, shop: Any, step: int, lines: int) -> None:
        filling = shop.entry("x" * SEGMENT_BYTES)
        body = shop.opening() + filling
        sealed = shop.save(None, body)[1]
        assert len(shop.segments(body + sealed.line, step_bytes=step)) == 1
        late = body + shop.entry() * lines
        made = shop.sealer().make(None, late, {**_members(sealed), "at": len(late)})
        assert shop.handed_out(late + made.line, step_bytes=step) == ([], "Broken")

    @pytest.mark.parametrize("step", [1000, MEBIBYTE, 1 << 30])
    @pytest.mark.parametrize(("over", "error"), [(-1, ""), (0, "Broken"), (1, "Broken")])
    def test_and_full_means_exactly_one_mebibyte(self, shop: Any, step: int, over: int, error: str) -> None:
        room = SEGMENT_BYTES - len(shop.opening()) - len(shop.entry("")) + over
        body = shop.opening() + shop.entry("x" * room) + shop.entry()
        made = shop.sealer().make(None, body, {**_members(shop.save(None)[1]), "at": len(body)})
        found, ended = shop.handed_out(body + made.line, step_bytes=step)
        assert (len(found), ended) == (0 if error else 1, error)

    @pytest.mark.parametrize("step", [1000, MEBIBYTE, 1 << 30])
    @pytest.mark.parametrize("over", [-1, 0, 1])
    def test_a_segment_is_full_at_exactly_one_mebibyte(self, shop: Any, step: int, over: int) -> None:
        room = SEGMENT_BYTES - len(shop.opening()) - len(shop.entry("")) + over
        data = shop.file((shop.opening(), shop.entry("x" * room), shop.entry("next")))
        segments = shop.segments(data, step_bytes=step)
        assert len(segments) == (1 if over < 0 else 2)
        assert b"".join(segment.body + segment.sealed.line for segment in segments) == data

    def test_good_segments_before_it_are_handed_out(self, shop: Any, good: bytes) -> None:
        found, error = shop.handed_out(good + b"\n" * 3 * MEBIBYTE)
        assert (len(found), error) == (4, "Broken")


class TestMemory:
    def test_64_mib_are_walked_in_a_few(self, shop: Any, tmp_path: Path) -> None:
        path = tmp_path / "long.jsonl"
        line, previous, size = shop.entry("x" * 2000), None, 0
        first = [shop.opening()]
        with path.open("wb") as file:
            while size < 64 * MEBIBYTE:
                data, previous = shop.save(previous, *first, *[line] * 2000)
                size += file.write(data)
                first = []
        with path.open("rb", buffering=0) as file:

            def read(start: int, count: int) -> bytes:
                file.seek(start)
                return file.read(count)

            tracemalloc.start()
            try:
                last = None
                for segment in walk(shop.sealer(), read, end=size):
                    last = segment.sealed
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert last is not None and last.end == size
        assert peak < 16 * MEBIBYTE

    def test_an_entry_of_8_mib_costs_a_few_times_itself(self, shop: Any) -> None:
        data = shop.file((shop.opening(), shop.entry("x" * 8 * MEBIBYTE)), (shop.entry(),))
        tracemalloc.start()
        try:
            assert (
                sum(1 for _ in walk(shop.sealer(), lambda start, size: data[start : start + size], end=len(data))) == 2
            )
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 48 * MEBIBYTE


def _members(sealed: Any) -> dict[str, Any]:
    return {name: getattr(sealed.seal, name) for name in sealed.seal.__struct_fields__ if name != "chain"}
