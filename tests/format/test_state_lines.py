"""State lines: only what changed goes out, nothing but what this format has comes in, and changes merge."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sessionstore.errors import MalformedError, TooDeepError, TooLargeError
from sessionstore.format.lines import (
    State,
    StateChange,
    decode_state,
    state_line,
)
from sessionstore.model import ProjectRecord, Todo

LIMIT = 1024 * 1024
CREATED = "2026-01-31T12:00:00.000000Z"
MARKER = "s3cr3t-content"


def state(**members: Any) -> bytes:
    return state_line(StateChange(**members), max_bytes=LIMIT)


def refused(decode: Any, line: bytes) -> str:
    with pytest.raises(MalformedError) as caught:
        decode(line)
    return str(caught.value.fields["reason"])


class TestStateLine:
    @pytest.mark.parametrize(
        ("change", "line"),
        [
            (StateChange(), b'{"state":{}}\n'),
            (StateChange(name="Atlas"), b'{"state":{"name":"Atlas"}}\n'),
            (StateChange(tags=("a", "b")), b'{"state":{"tags":["a","b"]}}\n'),
            (StateChange(config={"model": "m"}), b'{"state":{"config":{"model":"m"}}}\n'),
            (
                StateChange(todos=(Todo("Read", "in_progress", "Reading"),)),
                b'{"state":{"todos":[{"content":"Read","status":"in_progress","active_form":"Reading"}]}}\n',
            ),
            (StateChange(project=None, closed_at=None), b'{"state":{"project":null,"closed_at":null}}\n'),
            (
                StateChange(project=ProjectRecord(path=b"/srv/\xff", given_path=b"x", inode=7, handle=b"\x01")),
                b'{"state":{"project":{"path":"L3Nydi//","given_path":"eA==","inode":7,"handle":"AQ==","handle_type":null,'
                b'"birth_time_ns":null,"fs_type":null,"device":null,"fsid":null,"owner_uid":null,"owner_gid":null,'
                b'"mode":null,"allowed_roots":[],"trust":[],"capability":"none"}}}\n',
            ),
        ],
        ids=lambda item: ascii(item)[:30],
    )
    def test_it_holds_only_what_changed(self, change: StateChange, line: bytes) -> None:
        assert state_line(change, max_bytes=LIMIT) == line
        assert decode_state(line[:-1]) == change

    def test_an_empty_change_says_so(self) -> None:
        assert StateChange().is_empty
        assert not StateChange(project=None).is_empty
        assert not StateChange(name="").is_empty

    def test_the_reason_for_a_config_names_the_way(self) -> None:
        with pytest.raises(MalformedError, match=r"config\.a\[0\]: NaN and infinities"):
            state(config={"a": [float("nan")]})
        with pytest.raises(TooDeepError):
            state(config=msgspec.json.decode(b'{"a":' + b"[" * 128 + b"]" * 128 + b"}"))

    @pytest.mark.parametrize(
        "members",
        [
            {"name": 5},
            {"name": "\ud800" + MARKER},
            {"tags": ("a", "\udfff" + MARKER)},
            {"tags": MARKER},
            {"tags": (5,)},
            {"todos": (Todo("\ud800" + MARKER),)},
            {"todos": (Todo(5),)},  # type: ignore[arg-type]
            {"todos": (Todo(object()),)},  # type: ignore[arg-type]
            {"todos": (Todo("x", "pending", None),)},  # type: ignore[arg-type]
            {"config": None},
            {"config": {MARKER: b""}, "closed_at": 5},
            {"project": MARKER},
            {"project": ProjectRecord(path=b"", given_path=b"", capability=MARKER)},  # type: ignore[arg-type]
            {"closed_at": 5},
        ],
        ids=lambda members: ascii(members)[:40],
    )
    def test_a_member_that_could_not_be_read_again_is_refused_before_it_is_sealed(
        self, members: dict[str, Any]
    ) -> None:
        with pytest.raises(MalformedError) as caught:
            state(**members)
        reason = str(caught.value.fields["reason"])
        assert reason.startswith(("state: ", "config"))
        assert "config" in members or MARKER not in reason

    def test_the_cap_is_on_the_change_without_its_frame(self) -> None:
        change = StateChange(name="Atlas")
        assert state_line(change, max_bytes=16) == b'{"state":{"name":"Atlas"}}\n'
        with pytest.raises(TooLargeError) as caught:
            state_line(change, max_bytes=15)
        assert caught.value.fields["what"] == "state"
        assert (caught.value.fields["size_bytes"], caught.value.fields["limit_bytes"]) == (16, 15)

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"{}",
            b'{"state":{}',
            b'{"state":{} ',
            b'{"state":{}}\r',
            b'{"state":{},"x":1}',
            b'{"state":{"name":"a","x":1}}',
            b'{"state":{"name":5}}',
            b'{"state":{"name":null}}',
            b'{"state":{"tags":null}}',
            b'{"state":{"config":[]}}',
            b'{"state":{"closed_at":5}}',
            b'{"state":{"todos":[{"content":"a","status":"done"}]}}',
            b'{"state":{"todos":[{"content":"a","x":1}]}}',
            b'{"state":{"project":{"path":"*","given_path":""}}}',
            b'{"state":{"name":"\xff"}}',
            b'{"state":[]}',
            b'{"seal":{}}',
            b'{"other":{}}',
            b' {"state":{}}',
            b'{ "state":{}}',
            b'{"State":{}}',
            b"\xef\xbb\xbf" + b'{"state":{}}',
            b"null",
        ],
        ids=ascii,
    )
    def test_a_sealed_line_that_is_no_state_of_this_format_is_malformed(self, line: bytes) -> None:
        refused(decode_state, line)

    def test_the_reason_names_the_place_and_repeats_no_word_of_the_line(self) -> None:
        reason = refused(decode_state, b'{"state":{"todos":[{"content":"a","status":"%s"}]}}' % MARKER.encode())
        assert reason == "state line: an unknown word - at `$.todos[0].status`"
        reason = refused(decode_state, b'{"state":{"todos":[{"content":5,"status":"%s"}]}}' % MARKER.encode())
        assert reason == "state line: Expected `str`, got `int` - at `$.todos[0].content`"
        assert refused(decode_state, b'{"state":{"name":"%s\xff"}}' % MARKER.encode()) == "state line: not UTF-8 text"


class TestState:
    full = State(
        name="Atlas",
        tags=("a",),
        config={"m": 1},
        todos=(Todo("x"),),
        project=ProjectRecord(path=b"/a", given_path=b"a"),
        closed_at=CREATED,
    )

    @pytest.mark.parametrize("name", State.__struct_fields__)
    def test_a_change_replaces_a_whole_member_and_touches_no_other(self, name: str) -> None:
        merged = State().merged(StateChange(**{name: getattr(self.full, name)}))
        assert getattr(merged, name) == getattr(self.full, name)
        assert [other for other in State.__struct_fields__ if getattr(merged, other) != getattr(State(), other)] == [
            name
        ]

    def test_none_is_a_value_and_absence_is_not(self) -> None:
        merged = self.full.merged(StateChange(project=None, closed_at=None))
        assert (merged.project, merged.closed_at, merged.name) == (None, None, "Atlas")
        assert self.full.merged(StateChange()) == self.full

    def test_a_config_is_replaced_and_not_merged_inside(self) -> None:
        assert self.full.merged(StateChange(config={"n": 2})).config == {"n": 2}

    def test_one_change_makes_the_whole_state_again(self) -> None:
        line = state_line(self.full.as_change(), max_bytes=LIMIT)
        assert State().merged(decode_state(line[:-1])) == self.full
