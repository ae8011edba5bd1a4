"""Unsigned files of format version 1: what the tool wrote comes back whole, in order, and in the values of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sessionstore.errors import MalformedError, TooDeepError, TooLargeError
from sessionstore.format.legacy import HINT, MAX_LEGACY_BYTES, LegacySession, read_legacy
from sessionstore.format.lines import State, decode_state, state_line
from sessionstore.model import Message, ProjectRecord, Todo, check_name

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"

OldFile = Callable[..., dict[str, Any]]


def read(value: dict[str, Any], **how: Any) -> LegacySession:
    return read_legacy(json.dumps(value, **how).encode(), file_stem=ID)


def contents(session: LegacySession) -> list[str]:
    return [entry["content"] for entry in session.entries]


class TestWhatComesBack:
    def test_every_member_of_a_plain_file(self, old_file: OldFile) -> None:
        session = read(old_file())
        assert session == LegacySession(
            id=ID,
            state=State(
                name="Atlas",
                tags=(),
                config={"provider": "anthropic", "model": "m-1", "temperature": 0.7, "max_tokens": 4096},
                todos=(Todo("Read", "in_progress", "Reading"),),
                project=ProjectRecord(path=b"/srv/demo/atlas", given_path=b"/srv/demo/atlas"),
                closed_at="2025-12-08T10:00:00.123456Z",
            ),
            entries=(
                {"id": "m1", "role": "user", "content": "Hello", "timestamp": "2025-12-08T09:01:00.000000Z"},
                {"id": "m2", "role": "assistant", "content": "Hi", "timestamp": "2025-12-08T09:02:00.000000Z"},
            ),
            created_at=datetime(2025, 12, 8, 9, 0, 0, 1, UTC),
            updated_at=datetime(2025, 12, 8, 9, 30, tzinfo=UTC),
            notes=(),
        )

    @pytest.mark.parametrize(
        "how",
        [
            {"indent": 2, "sort_keys": True, "ensure_ascii": False},
            {"indent": "\t"},
            {"separators": (",", ":")},
        ],
    )
    def test_how_it_is_written_does_not_matter(self, old_file: OldFile, how: dict[str, Any]) -> None:
        assert read(old_file(name="Grüße\u2028"), **how) == read(old_file(name="Grüße\u2028"))

    def test_carriage_returns_are_white_space(self, old_file: OldFile) -> None:
        written = json.dumps(old_file(), indent=2).replace("\n", "\r\n") + "\r\n"
        assert read_legacy(written.encode(), file_stem=ID) == read(old_file())

    def test_a_session_without_messages_and_todos(self, old_file: OldFile) -> None:
        session = read(old_file(conversation=[], todos=[], config={}))
        assert (session.entries, session.state.todos, session.state.config) == ((), (), {})


class TestMessages:
    def test_the_newest_first_comes_back_oldest_first(self, old_file: OldFile, said: Callable[..., Any]) -> None:
        messages = [said(str(minute), f"2025-12-08T09:{minute:02}:00.000000Z") for minute in range(7)]
        session = read(old_file(conversation=messages[::-1]))
        assert list(session.entries) == messages

    def test_the_order_is_that_of_the_moments_and_not_of_the_texts(
        self, old_file: OldFile, said: Callable[..., Any]
    ) -> None:
        messages = [
            said("third", "2025-12-08T09:00:00.5Z"),
            said("first", "2025-12-08T10:30:00+02:00"),
            said("second", "2025-12-08T03:30:00-05:30"),
            said("fourth", "2025-12-08T09:00:01Z"),
        ]
        assert contents(read(old_file(conversation=messages))) == ["first", "second", "third", "fourth"]

    def test_those_of_one_moment_stay_as_they_stand(self, old_file: OldFile, said: Callable[..., Any]) -> None:
        same = ("2025-12-08T09:00:00Z", "2025-12-08T10:00:00+01:00", "2025-12-08T09:00:00.000000Z")
        messages = [said("last", "2025-12-08T09:00:01Z"), *(said(str(n), text) for n, text in enumerate(same))]
        assert contents(read(old_file(conversation=messages))) == ["0", "1", "2", "last"]

    def test_every_field_is_kept_unknown_ones_included(self, old_file: OldFile, said: Callable[..., Any]) -> None:
        message = said("x", "2025-12-08T10:30:00+02:00", role="tool", tool_call_id="t1", extra={"a": [1, 1.5, None]})
        (entry,) = read(old_file(conversation=[message])).entries
        assert entry == message
        assert list(entry) == list(message)

    @pytest.mark.parametrize("role", ["user", "assistant", "system", "tool"])
    def test_each_is_a_message_of_ours_too(self, old_file: OldFile, said: Callable[..., Any], role: str) -> None:
        (entry,) = read(old_file(conversation=[said("", "2025-12-08T10:30:00+02:00", role=role)])).entries
        assert Message.from_entry(entry) == Message(role, "", "m", datetime(2025, 12, 8, 8, 30, tzinfo=UTC))


class TestConfig:
    def test_unknown_members_stay(self, old_file: OldFile) -> None:
        config = {"provider": "openai", "model": "m", "seed": 7, "nested": {"top_p": 0.5}, "language": "elixir"}
        assert read(old_file(config=config)).state.config == config

    def test_an_empty_provider_or_model_is_none(self, old_file: OldFile) -> None:
        config = read(old_file(config={"provider": "", "model": "", "style": ""})).state.config
        assert config == {"provider": None, "model": None, "style": ""}

    def test_an_integer_temperature_stays_an_integer(self, old_file: OldFile) -> None:
        session = read(old_file(config={"temperature": 1, "top_p": 1.0}))
        assert json.dumps(session.state.config) == '{"temperature": 1, "top_p": 1.0}'


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2025-12-08T09:00:00Z", datetime(2025, 12, 8, 9, tzinfo=UTC)),
            ("2025-12-08T09:00:00.000001Z", datetime(2025, 12, 8, 9, 0, 0, 1, UTC)),
            ("2025-12-08T09:00:00.5+05:30", datetime(2025, 12, 8, 3, 30, 0, 500_000, UTC)),
        ],
    )
    def test_they_are_moments_in_utc_and_nothing_more_is_kept_of_them(
        self, old_file: OldFile, text: str, moment: datetime
    ) -> None:
        session = read(old_file(created_at=text, updated_at=text, closed_at=text))
        assert (session.created_at, session.updated_at) == (moment, moment)
        assert session.created_at.tzinfo is UTC
        assert session.state.closed_at == f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
        assert (session.state.config, session.notes) == (old_file()["config"], ())

    def test_one_that_is_finer_than_a_microsecond_is_kept_as_it_stands_too(self, old_file: OldFile) -> None:
        session = read(old_file(updated_at="2025-12-08T09:30:00.123456789Z"))
        assert session.updated_at == datetime(2025, 12, 8, 9, 30, 0, 123_456, UTC)
        assert session.state.config["legacy"] == {"updated_at": "2025-12-08T09:30:00.123456789Z"}


class TestNames:
    @pytest.mark.parametrize("name", ["x", " ", "Gr\u00fc\u00dfe \U0001f600", "n" * 51, "n" * 200])
    def test_a_long_one_is_kept(self, old_file: OldFile, name: str) -> None:
        session = read(old_file(name=name))
        assert (session.state.name, session.state.config, session.notes) == (name, old_file()["config"], ())

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("n" * 201, "n" * 199 + "…"),
            ("n" * 100_000, "n" * 199 + "…"),
            ("a\nb\x1b[2J\u2028c", "a b [2J c"),
            ("", "Session of 2025-12-08T09:00:00Z"),
        ],
    )
    def test_one_that_no_session_can_have_is_mended_and_kept_as_it_stands_too(
        self, old_file: OldFile, name: str, shown: str
    ) -> None:
        session = read(old_file(name=name))
        assert check_name(session.state.name) == shown
        assert session.state.config["legacy"] == {"name": name}
        assert "name" in session.notes[0]


class TestProject:
    @pytest.mark.parametrize("path", ["/srv/Grüße/a b\n", "relative/dir", "~", "/" + "x" * 5000])
    def test_it_is_the_stated_path_and_nobody_opened_it(self, old_file: OldFile, path: str) -> None:
        record = read(old_file(project_path=path)).state.project
        assert record == ProjectRecord(path=path.encode(), given_path=path.encode())
        assert record is not None
        assert not record.has_identity

    def test_an_empty_path_is_no_project(self, old_file: OldFile) -> None:
        assert read(old_file(project_path="")).state.project is None


class TestWhatHasNoPlaceOfItsOwn:
    def test_unknown_members_of_the_file_are_kept_in_the_config(self, old_file: OldFile) -> None:
        session = read(old_file(theme="dark", pinned=None))
        assert session.state.config == {**old_file()["config"], "legacy": {"theme": "dark", "pinned": None}}
        assert "2 members" in session.notes[0]

    def test_todos_with_unknown_members_are_kept_whole_beside_ours(self, old_file: OldFile) -> None:
        todos = [
            {"content": "a", "status": "pending", "active_form": "b"},
            {"content": "c", "status": "completed", "active_form": "", "due": 5},
        ]
        session = read(old_file(todos=todos))
        assert session.state.todos == (Todo("a", "pending", "b"), Todo("c", "completed", ""))
        assert session.state.config["legacy"] == {"todos": todos}

    def test_a_config_that_has_a_member_of_that_name_keeps_it(self, old_file: OldFile) -> None:
        config = {"legacy": 1, "legacy_1": 2}
        session = read(old_file(config=config, theme="dark"))
        assert session.state.config == {**config, "legacy_2": {"theme": "dark"}}

    def test_a_value_that_the_config_cannot_hold_is_refused_before_anybody_tries_to_seal_it(
        self, old_file: OldFile
    ) -> None:
        written = json.dumps(old_file(theme="@"))
        data = written.replace('"@"', "[" * 126 + "]" * 126).encode()
        state_line(read_legacy(data, file_stem=ID).state.as_change(), max_bytes=1 << 20)
        data = written.replace('"@"', "[" * 127 + "]" * 127).encode()
        with pytest.raises(TooDeepError) as caught:
            read_legacy(data, file_stem=ID)
        assert caught.value.fields == {"session_id": ID, "limit": 128}
        assert caught.value.hint == HINT


class TestSealing:
    def test_the_state_can_be_sealed_as_it_is(self, old_file: OldFile) -> None:
        state = read(old_file(name="\x00" * 300, theme="dark")).state
        line = state_line(state.as_change(), max_bytes=1 << 20)
        assert State().merged(decode_state(line[:-1])) == state


class TestRefusals:
    def test_a_refusal_names_places_and_never_values(self, old_file: OldFile, said: Callable[..., Any]) -> None:
        secret = "s3cr3t-content"
        for changes in (
            {"conversation": [said("x", "2025-12-08T09:00:00Z", role=secret)]},
            {"conversation": [said("x", secret)]},
            {"todos": [{"content": secret, "status": secret, "active_form": secret}]},
            {"created_at": secret},
            {"signature": secret},
            {"version": secret},
        ):
            with pytest.raises(MalformedError) as caught:
                read(old_file(**changes))
            assert secret not in str(caught.value) + caught.value.hint
            assert caught.value.session_id == ID

    def test_one_byte_over_the_cap_is_enough_and_is_not_parsed(self) -> None:
        with pytest.raises(TooLargeError) as caught:
            read_legacy(b"[" * (MAX_LEGACY_BYTES + 1), file_stem=ID)
        assert caught.value.fields["limit_bytes"] == 10_485_760
        with pytest.raises(TooDeepError):
            read_legacy(b"[" * MAX_LEGACY_BYTES, file_stem=ID)
