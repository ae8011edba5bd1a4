"""Making a session: what it holds afterwards, what is refused, and that a refusal leaves nothing behind."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from sessionstore import Message, SessionStore, Todo, errors
from sessionstore.model import ProjectRecord

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
OTHER = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
Make = Callable[..., SessionStore]
Stored = Callable[[SessionStore, str], bytes]


class TestWhatItHolds:
    def test_without_arguments_it_is_empty_and_named_by_its_time(self, store: SessionStore) -> None:
        with freeze_time("2026-01-31 12:00:00.000001"):
            session = store.create()
        made = datetime(2026, 1, 31, 12, 0, 0, 1, UTC)
        assert uuid.UUID(session.id).version == 4
        assert session.name == "Session of 2026-01-31T12:00:00Z"
        assert (session.created_at, session.updated_at, session.closed_at) == (made, made, None)
        assert (session.rev, session.entries, session.todos, session.config, session.tags) == (1, (), (), {}, ())
        assert (session.key, session.project, session.parent, session.origin) == (None, None, None, None)
        assert (session.provenance, session.warnings) == ("native", ())

    def test_everything_given_comes_back_also_from_the_disk(self, store: SessionStore, tmp_path: Path) -> None:
        session = store.create(
            name="Überblick \u2028"[:9],
            project=tmp_path,
            key="thread/1",
            parent=OTHER,
            config={"model": "m", "temperature": 0.7, "nested": {"list": [1, None, True]}},
            todos=[Todo("write", "in_progress", "writing"), Todo("test")],
            tags=["b", "a", "b"],
            id=ID,
            origin="abc",
            entries=[{"role": "user", "content": "hi"}, Message("assistant", [{"type": "text"}], id="m1")],
        )
        assert (session.id, session.name, session.key, session.parent) == (ID, "Überblick", "thread/1", OTHER)
        assert session.origin == "abc"
        assert session.config == {"model": "m", "temperature": 0.7, "nested": {"list": [1, None, True]}}
        assert session.todos == (Todo("write", "in_progress", "writing"), Todo("test"))
        assert session.tags == ("b", "a")
        assert session.entries == (
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "text"}], "id": "m1"},
        )
        assert session.project is not None
        assert session.project.path == os.fsencode(tmp_path)
        assert session.project.inode == tmp_path.stat().st_ino
        assert store.load(ID) == session

    def test_messages_are_a_typed_view_on_the_entries(self, store: SessionStore) -> None:
        moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
        said = Message("user", "hi", "m1", moment)
        session = store.create(entries=[said, {"type": "tool_call"}])
        assert session.entries[0]["timestamp"] == "2026-01-31T12:00:00.000000Z"
        assert session.messages == (said,)

    def test_a_project_record_is_stored_as_it_is(self, store: SessionStore) -> None:
        record = ProjectRecord(path=b"/srv/\xff", given_path=b"/srv/\xff")
        session = store.create(project=record)
        assert session.project == record
        assert store.summary(session.id).project == "/srv/\\xff"

    def test_entries_are_taken_one_by_one_from_any_iterable(self, store: SessionStore) -> None:
        session = store.create(entries=({"n": number} for number in range(3)))
        assert session.entries == ({"n": 0}, {"n": 1}, {"n": 2})
        assert store.summary(session.id).entries == 3

    def test_the_size_is_that_of_the_log(self, store: SessionStore, stored: Stored) -> None:
        session = store.create(entries=[{"a": 1}])
        assert session.size_bytes == len(stored(store, session.id))

    def test_two_sessions_never_get_the_same_id(self, store: SessionStore) -> None:
        assert len({store.create().id for _ in range(5)}) == 5


def failing() -> Iterator[dict[str, Any]]:
    yield {"n": 1}
    raise ZeroDivisionError("in the caller's own generator")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"name": ""}, errors.InvalidValueError),
            ({"name": "a\nb"}, errors.InvalidValueError),
            ({"name": "n" * 201}, errors.InvalidValueError),
            ({"tags": "one"}, errors.InvalidValueError),
            ({"tags": ["a\x1b[0m"]}, errors.InvalidValueError),
            ({"tags": [f"t{number}" for number in range(65)]}, errors.InvalidValueError),
            ({"key": ""}, errors.InvalidValueError),
            ({"key": "k" * 513}, errors.TooLargeError),
            ({"key": "\ud800"}, errors.InvalidValueError),
            ({"id": ID.upper()}, errors.InvalidIdError),
            ({"id": ID + "\n"}, errors.InvalidIdError),
            ({"id": "../" + ID}, errors.InvalidIdError),
            ({"parent": "nobody"}, errors.InvalidIdError),
            ({"origin": ""}, errors.InvalidValueError),
            ({"origin": "\ud800"}, errors.InvalidValueError),
            ({"origin": 5}, errors.InvalidValueError),
            ({"origin": "o" * 513}, errors.TooLargeError),
            ({"provenance": "invented"}, errors.InvalidValueError),
            ({"config": {"x": float("nan")}}, errors.MalformedError),
            ({"config": {"x": 2**64}}, errors.MalformedError),
            ({"config": [1]}, errors.MalformedError),
            ({"todos": ["write it"]}, errors.InvalidValueError),
            ({"todos": [Todo("\ud800")]}, errors.InvalidValueError),
            ({"entries": [{"x": float("inf")}]}, errors.MalformedError),
            ({"entries": [{"x": "\udfff"}]}, errors.MalformedError),
            ({"entries": [{1: 2}]}, errors.MalformedError),
            ({"entries": ["text"]}, errors.MalformedError),
            ({"entries": [{"x": b"bytes"}]}, errors.MalformedError),
            ({"project": "/", "trust": ["everything"]}, errors.InvalidValueError),
            ({"project": "/no/such/directory"}, errors.ProjectPathError),
            ({"project": "a\0b"}, errors.ProjectPathError),
            ({"project": "/", "trust": "foreign_owner"}, errors.InvalidValueError),
        ],
    )
    def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
        self, store: SessionStore, arguments: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            store.create(**arguments)
        assert store.list().sessions == ()
        assert store.list().unreadable == ()
        assert list(store._ground.backend.scan()) == []

    def test_what_the_entries_raise_comes_through_and_leaves_nothing(self, store: SessionStore) -> None:
        with pytest.raises(ZeroDivisionError):
            store.create(entries=failing())
        assert (store.list().sessions, list(store._ground.backend.scan())) == ((), [])

    def test_an_entry_nested_too_deep_is_refused(self, store: SessionStore) -> None:
        entry: dict[str, Any] = {}
        for _ in range(128):
            entry = {"x": entry}
        with pytest.raises(errors.TooDeepError) as caught:
            store.create(entries=[entry])
        assert caught.value.fields["limit"] == 128
        assert store.create(entries=[entry["x"]]).entries == (entry["x"],)

    def test_a_taken_id_is_refused_and_its_session_untouched(self, store: SessionStore, stored: Stored) -> None:
        store.create(id=ID, entries=[{"a": 1}])
        before = stored(store, ID)
        with pytest.raises(errors.AlreadyExistsError) as caught:
            store.create(id=ID)
        assert caught.value.fields == {"what": "id"}
        assert stored(store, ID) == before

    def test_a_taken_key_is_refused(self, store: SessionStore) -> None:
        first = store.create(key="k")
        with pytest.raises(errors.AlreadyExistsError) as caught:
            store.create(key="k", id=ID)
        assert caught.value.fields == {"what": "key"}
        assert [line.id for line in store.list().sessions] == [first.id]

    def test_an_id_stays_free_after_a_create_that_failed(self, store: SessionStore) -> None:
        with pytest.raises(ZeroDivisionError):
            store.create(id=ID, key="k", entries=failing())
        assert store.find("k") is None
        with pytest.raises(errors.SessionNotFoundError):
            store.load(ID)
        assert store.create(id=ID, key="k").rev == 1

    def test_a_deleted_id_stays_taken_and_a_deleted_key_does_not(self, store: SessionStore) -> None:
        store.create(id=ID, key="k")
        store.delete(ID)
        with pytest.raises(errors.AlreadyExistsError):
            store.create(id=ID)
        assert store.create(key="k").key == "k"

    def test_a_project_outside_the_allowed_roots_is_refused(self, store: SessionStore, tmp_path: Path) -> None:
        inside, outside = tmp_path / "in", tmp_path / "out"
        for directory in (inside, outside):
            directory.mkdir()
        session = store.create(project=inside, allowed_roots=[inside])
        assert session.project is not None
        assert session.project.allowed_roots == (os.fsencode(inside),)
        with pytest.raises(errors.ProjectPathError) as caught:
            store.create(project=outside, allowed_roots=[inside])
        assert caught.value.fields["verdict"] == "outside_allowed_roots"

    def test_a_world_writable_project_needs_somebody_who_vouches(self, store: SessionStore, tmp_path: Path) -> None:
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        with pytest.raises(errors.ProjectPathError) as caught:
            store.create(project=tmp_path / "open")
        assert caught.value.fields["verdict"] == "world_writable"
        session = store.create(project=tmp_path / "open", trust=["world_writable"])
        assert session.project is not None
        assert session.project.trust == ("world_writable",)


class TestMaxSessions:
    def test_from_four_fifths_on_making_one_warns(self, make_store: Make) -> None:
        store = make_store(max_sessions=5)
        assert [store.create().warnings for _ in range(3)] == [(), (), ()]
        session = store.create()
        assert [(warning.code, "4 of the 5" in warning.text) for warning in session.warnings] == [
            ("session_limit_near", True)
        ]
        assert store.load(session.id).warnings == ()

    def test_a_full_store_refuses_one_more_until_one_is_deleted(self, make_store: Make) -> None:
        store = make_store(max_sessions=2)
        first = store.create()
        store.create()
        with pytest.raises(errors.SessionLimitError) as caught:
            store.create(id=ID)
        assert caught.value.fields == {"limit": 2}
        assert len(store.list().sessions) == 2
        store.delete(first.id)
        assert store.create(id=ID).id == ID
