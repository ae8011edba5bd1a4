"""A session is a snapshot: it does not change, and what is added to it makes a new one."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import sessionstore.model
from sessionstore.model import LoadWarning, Message, Session, SessionPage, Todo, VerifyResult
from sessionstore.model.session import as_entry

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
STRUCTS = [
    value for value in vars(sessionstore.model).values() if inspect.isclass(value) and issubclass(value, msgspec.Struct)
]


@pytest.fixture
def session() -> Session:
    return Session(
        id="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d",
        key=None,
        name="a session",
        project=None,
        parent=None,
        origin=None,
        created_at=NOON,
        updated_at=NOON,
        closed_at=None,
        rev=1,
        entries=({"role": "user", "content": "hello"}, {"kind": "tool_call", "arguments": {"path": "x"}}),
        todos=(Todo("first"),),
        config={},
        tags=(),
        provenance="native",
        size_bytes=512,
    )


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
class TestEveryValue:
    def test_it_cannot_be_changed(self, struct: type[msgspec.Struct]) -> None:
        assert struct.__struct_config__.frozen

    def test_its_docstring_names_its_attributes(self, struct: type[msgspec.Struct]) -> None:
        assert "Attributes:" in (struct.__doc__ or "")


class TestSession:
    def test_assigning_to_it_is_an_error(self, session: Session) -> None:
        with pytest.raises(AttributeError):
            session.rev = 2  # type: ignore[misc]

    def test_append_makes_a_new_snapshot_and_leaves_the_old_one(self, session: Session) -> None:
        longer = session.append({"role": "assistant", "content": "hi"}, {"kind": "note"})
        assert len(session.entries) == 2
        assert longer.entries == (*session.entries, {"role": "assistant", "content": "hi"}, {"kind": "note"})
        assert (longer.id, longer.rev, longer.updated_at) == (session.id, session.rev, session.updated_at)

    def test_appending_nothing_is_the_same_content(self, session: Session) -> None:
        assert session.append() == session

    def test_append_takes_typed_messages(self, session: Session) -> None:
        longer = session.append(Message("assistant", "hi", id="m2", timestamp=NOON))
        expected = {"role": "assistant", "content": "hi", "id": "m2", "timestamp": "2026-01-31T12:00:00.000000Z"}
        assert longer.entries[-1] == expected
        assert longer.messages[-1] == Message("assistant", "hi", "m2", NOON)

    def test_messages_are_a_view_that_leaves_other_entries_out(self, session: Session) -> None:
        assert session.messages == (Message("user", "hello"),)
        assert len(session.entries) == 2

    def test_a_session_as_it_was_made_carries_no_warnings(self, session: Session) -> None:
        assert session.warnings == ()


class TestAsEntry:
    def test_a_dict_is_passed_on_untouched(self) -> None:
        entry: dict[str, Any] = {"any": ["thing"]}
        assert as_entry(entry) is entry

    def test_a_message_gets_no_members_it_does_not_have(self) -> None:
        assert as_entry(Message("user", None)) == {"role": "user", "content": None}


class TestResults:
    def test_a_page_without_a_cursor_is_the_last(self) -> None:
        assert SessionPage((), ()).next_cursor is None

    def test_a_check_can_be_good_and_still_carry_warnings(self) -> None:
        warning = LoadWarning("uncommitted_tail", "12 bytes after the last seal were not acknowledged")
        result = VerifyResult("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d", True, 3, "ok", warnings=(warning,))
        assert result.ok
        assert result.warnings == (warning,)
