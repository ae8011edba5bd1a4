"""Messages, todos and project records: views that never fail, values that never change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import InvalidValueError
from sessionstore.model import Message, ProjectRecord, Todo

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


class TestMessage:
    def test_an_entry_with_role_and_content_is_a_message(self) -> None:
        entry = {"role": "user", "content": "hello", "id": "m1", "timestamp": "2026-01-31T12:00:00Z"}
        assert Message.from_entry(entry) == Message("user", "hello", "m1", datetime(2026, 1, 31, 12, tzinfo=UTC))

    def test_content_blocks_are_handed_over_as_they_are(self) -> None:
        blocks = [{"type": "text", "text": "hello"}]
        message = Message.from_entry({"role": "assistant", "content": blocks})
        assert message is not None
        assert message.content is blocks

    @pytest.mark.parametrize("content", [None, "", [], {}])
    def test_empty_content_is_content(self, content: Any) -> None:
        assert Message.from_entry({"role": "tool", "content": content}) == Message("tool", content)

    @pytest.mark.parametrize(
        "entry", [{}, {"role": "user"}, {"content": "x"}, {"role": None, "content": "x"}, {"role": 1, "content": "x"}]
    )
    def test_other_entries_are_no_messages(self, entry: dict[str, Any]) -> None:
        assert Message.from_entry(entry) is None

    @pytest.mark.parametrize("stamp", ["yesterday", "2026-01-31T12:00:00", 1769860800, None, "", []])
    def test_a_time_that_is_none_is_left_out(self, stamp: Any) -> None:
        assert Message.from_entry({"role": "user", "content": "x", "timestamp": stamp}) == Message("user", "x")

    def test_a_time_outside_the_calendar_is_left_out(self) -> None:
        entry = {"role": "user", "content": "x", "timestamp": "0001-01-01T00:00:00+14:00"}
        assert Message.from_entry(entry) == Message("user", "x")

    @pytest.mark.parametrize("given_id", [7, None, ["m1"]])
    def test_an_id_that_is_no_text_is_left_out(self, given_id: Any) -> None:
        assert Message.from_entry({"role": "user", "content": "x", "id": given_id}) == Message("user", "x")

    @given(st.dictionaries(st.sampled_from(["role", "content", "id", "timestamp", "x"]), JSON))
    def test_no_entry_makes_the_view_fail(self, entry: dict[str, Any]) -> None:
        message = Message.from_entry(entry)
        assert (message is not None) == (isinstance(entry.get("role"), str) and "content" in entry)


class TestTodo:
    def test_a_new_todo_is_pending(self) -> None:
        assert Todo("write it") == Todo(content="write it", status="pending", active_form="")

    @pytest.mark.parametrize("status", ["pending", "in_progress", "completed"])
    def test_the_three_statuses_are_taken(self, status: Any) -> None:
        assert Todo("x", status).status == status

    @pytest.mark.parametrize("status", ["done", "", "Pending", None, 1])
    def test_another_status_is_refused_with_the_ones_there_are(self, status: Any) -> None:
        with pytest.raises(InvalidValueError, match="pending, in_progress or completed"):
            Todo("x", status)

    @pytest.mark.parametrize(
        "json", [b'{"content":"x","status":"done"}', b'{"content":"x","extra":1}', b'{"content":1}']
    )
    def test_stored_todos_are_checked_like_given_ones(self, json: bytes) -> None:
        with pytest.raises((msgspec.ValidationError, InvalidValueError)):
            msgspec.json.decode(json, type=Todo)


class TestProjectRecord:
    def test_a_path_that_is_no_utf8_can_be_shown(self) -> None:
        record = ProjectRecord(path=b"/srv/caf\xe9", given_path=b"caf\xe9")
        assert record.display_path == "/srv/caf\\xe9"

    def test_a_record_without_an_inode_carries_no_identity(self) -> None:
        assert not ProjectRecord(path=b"/srv", given_path=b"/srv").has_identity
        assert ProjectRecord(path=b"/srv", given_path=b"/srv", inode=2).has_identity

    def test_it_survives_being_stored_byte_for_byte(self) -> None:
        record = ProjectRecord(
            path=b"/srv/caf\xe9\n",
            given_path=b"./caf\xe9\n",
            inode=2**64 - 1,
            handle=bytes(range(128)),
            handle_type=-1,
            birth_time_ns=-1,
            allowed_roots=(b"/srv", b"/\xff"),
            trust=("foreign_owner",),
            capability="full",
        )
        assert msgspec.json.decode(msgspec.json.encode(record), type=ProjectRecord) == record

    def test_an_unknown_member_is_refused(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            msgspec.json.decode(b'{"path":"","given_path":"","verdict":"ok"}', type=ProjectRecord)
