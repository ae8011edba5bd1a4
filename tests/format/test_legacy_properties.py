"""Files of format version 1 in any condition: read without a loss, or refused with an error of ours, never another."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import MalformedError, TooDeepError, VerificationError
from sessionstore.format.legacy import KEPT, ROLES, STATUSES, LegacySession, read_legacy
from sessionstore.format.lines import decode_entry, entry_line, state_line
from sessionstore.format.origin import read_signed
from sessionstore.model import check_name, parse_time
from sessionstore.signing import OriginKey

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
KEY = bytes(range(32))

OldFile = Callable[..., dict[str, Any]]


def is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(timezones=zones).map(lambda moment: moment.isoformat()).filter(is_time)
names = texts | st.text(st.characters(exclude_categories=["Cs"]), min_size=195, max_size=210)
others = st.dictionaries(texts.map(lambda text: f"x-{text}"), values, max_size=2)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    message = {
        "id": draw(texts),
        "role": draw(st.sampled_from(ROLES)),
        "content": draw(texts),
        "timestamp": draw(times),
    }
    return message | draw(others)


@st.composite
def todos(draw: st.DrawFn) -> dict[str, Any]:
    todo = {"content": draw(texts), "status": draw(st.sampled_from(STATUSES)), "active_form": draw(texts)}
    return todo | draw(st.just({}) | others)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """What the tool, or a later or patched one of its kind, may have written."""
    return {
        "version": 1,
        "id": ID,
        "name": draw(names),
        "project_path": draw(texts.filter(lambda text: "\0" not in text)),
        "config": draw(st.dictionaries(texts | st.sampled_from(["provider", "model", KEPT]), values, max_size=4)),
        "created_at": draw(times),
        "updated_at": draw(times),
        "closed_at": draw(times),
        "conversation": draw(st.lists(messages(), max_size=6)),
        "todos": draw(st.lists(todos(), max_size=3)),
    } | draw(others)


def held(value: dict[str, Any]) -> dict[str, Any]:
    """What of the object of a file must come back: all of it; times as moments, messages in order, "" as None."""
    config = {
        name: None if name in ("provider", "model") and member == "" else member
        for name, member in value["config"].items()
    }
    said = sorted(value["conversation"], key=lambda message: parse_time(message["timestamp"]))
    moments = {name: parse_time(value[name]) for name in ("created_at", "updated_at", "closed_at")}
    return {**value, **moments, "config": config, "conversation": said}


def given_back(session: LegacySession, value: dict[str, Any]) -> dict[str, Any]:
    """The same, out of what was read of it."""
    state, config = session.state, dict(session.state.config)
    added = config.keys() - value["config"].keys()
    kept = config.pop(added.pop()) if added else {}
    return {
        "version": 1,
        "id": session.id,
        "name": state.name,
        "project_path": "" if state.project is None else state.project.path.decode(),
        "config": config,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "closed_at": parse_time(state.closed_at or ""),
        "conversation": list(session.entries),
        "todos": [{"content": t.content, "status": t.status, "active_form": t.active_form} for t in state.todos],
    } | kept


class TestNothingIsLost:
    @given(files())
    def test_the_file_can_be_made_again_from_what_was_read_and_all_of_it_can_be_sealed(
        self, value: dict[str, Any]
    ) -> None:
        session = read_legacy(json.dumps(value).encode(), file_stem=ID)
        assert given_back(session, value) == held(value)
        check_name(session.state.name)
        state_line(session.state.as_change(), max_bytes=1 << 20)
        for entry in session.entries:
            assert decode_entry(entry_line(entry, max_bytes=1 << 20)[:-1]) == entry


class TestDamage:
    def test_every_flipped_bit_is_read_or_refused(self, old_file: OldFile) -> None:
        data = bytearray(json.dumps(old_file(), separators=(",", ":"), ensure_ascii=False).encode())
        outcomes = set()
        for at in range(len(data)):
            for bit in range(8):
                data[at] ^= 1 << bit
                try:
                    outcomes.add(type(read_legacy(bytes(data), file_stem=ID)))
                except VerificationError as error:
                    outcomes.add(type(error))
                data[at] ^= 1 << bit
        assert LegacySession in outcomes
        assert MalformedError in outcomes

    @given(data=st.data())
    def test_any_byte_changed_added_or_taken_away_is_read_or_refused(
        self, old_file: OldFile, data: st.DataObject
    ) -> None:
        file = json.dumps(old_file(), indent=2).encode()
        start = data.draw(st.integers(0, len(file)))
        length = data.draw(st.integers(0, 2))
        put = data.draw(st.binary(max_size=2))
        read_or_refused(file[:start] + put + file[start + length :])

    @given(st.binary(max_size=40))
    def test_any_bytes_are_refused(self, data: bytes) -> None:
        with pytest.raises(VerificationError):
            read_legacy(data, file_stem=ID)

    @given(
        st.sampled_from(
            [
                "version",
                "id",
                "name",
                "project_path",
                "config",
                "created_at",
                "conversation",
                "todos",
                "signature",
                "usage",
            ]
        ),
        values,
    )
    def test_any_value_of_any_member_is_read_or_refused(self, old_file: OldFile, name: str, value: Any) -> None:
        read_or_refused(json.dumps(old_file(**{name: value})).encode())

    @given(st.sampled_from(["id", "role", "content", "timestamp", "usage", "more"]), values)
    def test_any_value_of_any_member_of_a_message_is_read_or_refused(
        self, old_file: OldFile, name: str, value: Any
    ) -> None:
        message = {**old_file()["conversation"][0], name: value}
        read_or_refused(json.dumps(old_file(conversation=[message])).encode())

    @given(st.sampled_from(["{", "[", '{"a":']), st.integers(1, 3000))
    def test_any_depth_is_refused(self, opening: str, levels: int) -> None:
        with pytest.raises((MalformedError, TooDeepError)):
            read_legacy((opening * levels).encode(), file_stem=ID)


class TestDamageOfASignedFile:
    def test_every_flipped_bit_gives_the_same_session_or_is_refused(self, old_file: OldFile) -> None:
        value = old_file()
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
        value["signature"] = base64.b64encode(hmac.digest(KEY, text.encode(), "sha256")).decode()
        key = OriginKey(KEY)
        data = bytearray(json.dumps(value, separators=(",", ":")).encode())
        session = read_signed(bytes(data), key=key, file_stem=ID)
        for at in range(len(data)):
            for bit in (0, 5):
                data[at] ^= 1 << bit
                with suppress(VerificationError):
                    assert read_signed(bytes(data), key=key, file_stem=ID) == session
                data[at] ^= 1 << bit


def read_or_refused(data: bytes) -> None:
    try:
        read_legacy(data, file_stem=ID)
    except VerificationError as error:
        assert error.session_id == ID
