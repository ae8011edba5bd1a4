"""Putting verified segments together: the open line, every entry in order, the merged state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import MalformedError, UnsupportedVersionError
from sessionstore.format.lines import Open
from sessionstore.format.log import Content
from sessionstore.model import Todo

CREATED = "2026-01-31T12:00:00.000000Z"


def content_of(shop: Any, data: bytes) -> Content:
    content = Content()
    for segment in shop.segments(data):
        content.add(segment)
    return content


class TestAdd:
    def test_what_was_saved_comes_back(self, shop: Any) -> None:
        content = content_of(shop, shop.file())
        assert content.opened == Open(id=shop.session_id, store=shop.store_id, created_at=CREATED)
        assert [entry["content"] for entry in content.entries] == ["eins", "zwei", "drei", "vier", "zwei"]
        assert (content.state.name, content.state.tags, content.state.closed_at) == ("Atlas", ("demo",), CREATED)

    @given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=4), max_size=5))
    def test_any_texts_in_any_saves(self, shop: Any, saves: list[list[str]]) -> None:
        data = shop.file((shop.opening(),), *(tuple(map(shop.entry, texts)) for texts in saves))
        content = content_of(shop, data)
        assert [entry["content"] for entry in content.entries] == [text for texts in saves for text in texts]

    def test_later_states_win_member_by_member(self, shop: Any) -> None:
        data = shop.file(
            (shop.opening(), shop.state(name="one", config={"a": 1, "b": 1}, todos=(Todo("x"),))),
            (shop.state(config={"a": 2}), shop.entry(), shop.state(name="two")),
            (shop.state(todos=()),),
        )
        state = content_of(shop, data).state
        assert (state.name, state.config, state.todos) == ("two", {"a": 2}, ())

    def test_segments_in_front_may_be_left_out_if_their_entries_are_counted(self, shop: Any) -> None:
        segments = shop.segments(shop.file())
        content = Content(segments[2].sealed.seal.entries)
        content.add(segments[3])
        assert [entry["content"] for entry in content.entries] == ["vier", "zwei"]
        assert content.opened is None

    @pytest.mark.parametrize("before", [0, 2, 4])
    def test_a_seal_that_counts_other_entries_is_malformed(self, shop: Any, before: int) -> None:
        with pytest.raises(MalformedError, match="counts other entries"):
            Content(before).add(shop.segments(shop.file())[3])

    def test_a_file_of_another_version_is_named_as_one(self, shop: Any) -> None:
        data = shop.file((shop.opening(format=3), shop.entry()))
        with pytest.raises(UnsupportedVersionError) as caught:
            content_of(shop, data)
        assert caught.value.fields == {"session_id": shop.session_id, "version": 3}


class TestAddBody:
    def test_a_body_may_be_a_part_of_other_bytes(self, shop: Any) -> None:
        body = shop.opening() + shop.entry("a") + shop.state(name="n") + shop.entry("b")
        alone, inside = Content(), Content()
        alone.add_body(body, is_first=True)
        inside.add_body(b'{"x\n' + body + b'{"entry":', is_first=True, start=4, stop=4 + len(body))
        assert (alone.opened, alone.entries, alone.state) == (inside.opened, inside.entries, inside.state)
        assert [entry["content"] for entry in inside.entries] == ["a", "b"]

    def test_a_body_without_lines_adds_nothing(self, shop: Any) -> None:
        content = Content()
        content.add_body(b"", is_first=False)
        assert (content.opened, content.entries) == (None, [])

    @pytest.mark.parametrize(
        "change",
        [
            lambda body: b"",
            lambda body: b"\n" + body,
            lambda body: b"\xef\xbb\xbf" + body,
            lambda body: body.replace(b"\n", b"\r\n"),
            lambda body: body.replace(b"\n", b"\n\n"),
            lambda body: body[:-1],
            lambda body: body[:-1] + b" ",
            lambda body: body + b" \n",
            lambda body: body + body,
            lambda body: body[body.index(b"\n") + 1 :],
            lambda body: body.replace(b'{"entry"', b'{ "entry"'),
            lambda body: body.replace(b'{"entry"', b'{"other"'),
            lambda body: body.replace(b'"}}\n{"state"', b'"},"x":1}\n{"state"'),
            lambda body: body.replace(b"}}\n{", "}}\u2028{".encode()),
            lambda body: body + b'{"seal":{}}\n',
            lambda body: body + b'{"entry":{}}\n'.replace(b"{}", b"[]"),
        ],
    )
    def test_lines_that_this_format_does_not_have_are_malformed_although_they_are_sealed(
        self, shop: Any, change: Any
    ) -> None:
        body = shop.opening() + shop.entry("a") + shop.state(name="n")
        changed = change(body)
        assert changed != body
        with pytest.raises(MalformedError):
            Content().add_body(changed, is_first=True)

    def test_a_last_line_without_an_end_is_named_as_one(self, shop: Any) -> None:
        for body in (shop.entry()[:-1], shop.entry() + shop.state(name="n")[:-1], b'{"entry":{}}}'):
            with pytest.raises(MalformedError, match="the last line has no end"):
                Content().add_body(body, is_first=False)

    def test_text_that_other_readers_split_lines_at_stays_in_its_entry(self, shop: Any) -> None:
        text = "a\u2028b\u2029c\x85d\x0be\x0cf\rg\nh\x00i\x1cj"
        content = Content()
        content.add_body(shop.entry(text), is_first=False)
        assert [entry["content"] for entry in content.entries] == [text]

    def test_one_session_does_not_share_its_state_with_the_next(self, shop: Any) -> None:
        one, other = Content(), Content()
        one.state.config["a"] = 1
        assert other.state.config == {}
        assert msgspec.structs.asdict(other.state)["config"] == {}
