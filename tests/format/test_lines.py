"""The lines of a session file: exact bytes out, and nothing but these frames in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import MalformedError, TooDeepError, TooLargeError, UnsupportedVersionError
from sessionstore.format.lines import (
    Open,
    State,
    StateChange,
    decode_entry,
    decode_open,
    decode_state,
    entry_line,
    open_line,
    read_lines,
    state_line,
)
from sessionstore.model import ProjectRecord, Todo

LIMIT = 1024 * 1024
CREATED = "2026-01-31T12:00:00.000000Z"
OPENED = Open(
    id="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d", store="5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e5f", created_at=CREATED
)
MARKER = "s3cr3t-content"


def state(**members: Any) -> bytes:
    return state_line(StateChange(**members), max_bytes=LIMIT)


def refused(decode: Any, line: bytes) -> str:
    with pytest.raises(MalformedError) as caught:
        decode(line)
    return str(caught.value.fields["reason"])


class TestOpenLine:
    def test_its_bytes(self) -> None:
        assert open_line(OPENED) == (
            b'{"open":{"format":2,"id":"0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d",'
            b'"store":"5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e5f","created_at":"2026-01-31T12:00:00.000000Z",'
            b'"key":null,"parent":null,"origin":null}}\n'
        )

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
    def test_an_external_key_is_kept_whatever_it_holds(self, key: str) -> None:
        opened = msgspec.structs.replace(OPENED, key=key, parent="p", origin="o")
        line = open_line(opened)
        assert line.count(b"\n") == 1
        assert decode_open(line[:-1]) == opened

    @pytest.mark.parametrize("version", [1, 3, 0, -1])
    def test_another_format_version_is_named(self, version: int) -> None:
        line = open_line(OPENED).replace(b'"format":2', b'"format":%d' % version)[:-1]
        with pytest.raises(UnsupportedVersionError) as caught:
            decode_open(line)
        assert caught.value.fields == {"session_id": OPENED.id, "version": version}

    @pytest.mark.parametrize("version", [b'"2"', b"2.5", b"null", b"true", b"[2]"])
    def test_a_version_that_is_no_integer_is_malformed(self, version: bytes) -> None:
        assert "format" in refused(decode_open, open_line(OPENED).replace(b'"format":2', b'"format":' + version)[:-1])

    @pytest.mark.parametrize("member", ["id", "store", "created_at"])
    def test_no_member_may_be_missing(self, member: str) -> None:
        members = {"format": 2, "id": "a", "store": "b", "created_at": "c"}
        del members[member]
        assert member in refused(decode_open, b'{"open":' + msgspec.json.encode(members) + b"}")


class TestEntryLine:
    def test_its_bytes(self) -> None:
        line = entry_line({"role": "user", "content": ["é\n", 1.5, None]}, max_bytes=LIMIT)
        assert line == '{"entry":{"role":"user","content":["é\\n",1.5,null]}}\n'.encode()

    def test_what_cannot_be_stored_is_refused(self) -> None:
        with pytest.raises(MalformedError, match=r"entry\.a: bytes is not JSON"):
            entry_line({"a": b""}, max_bytes=LIMIT)

    def test_the_cap_is_on_the_entry_without_its_frame(self) -> None:
        assert entry_line({"a": 1}, max_bytes=7) == b'{"entry":{"a":1}}\n'
        with pytest.raises(TooLargeError):
            entry_line({"a": 1}, max_bytes=6)

    def test_an_entry_that_looks_like_a_seal_is_an_entry(self) -> None:
        entry = {"seal": {"rev": 9}, "text": '\n{"seal":{"rev":9},"signature":"ss2.0.0"}\n'}
        line = entry_line(entry, max_bytes=LIMIT)
        assert line.startswith(b'{"entry":{"seal":') and line.count(b"\n") == 1
        assert decode_entry(line[:-1]) == entry

    def test_it_is_decoded_from_a_view_as_from_bytes(self) -> None:
        line = entry_line({"a": ["x"]}, max_bytes=LIMIT)[:-1]
        assert decode_entry(line) == decode_entry(memoryview(line)) == {"a": ["x"]}

    @pytest.mark.parametrize(
        "line",
        [
            b'{"entry":{"a":1},"x":1}',
            b'{"entry":{"a":1},"entry":{"b":1}}',
            b'{"entry":{"a":1}',
            b'{"entry":{"a":1}}}',
            b'{"entry":{"a":1}}\r',
            b'{"entry":{"a":1} \r',
            b'{"entry":{"a":1} ',
            b'{"entry":{"a":1}]',
            b'{"entry":',
            b'{"entry":}',
            b'{"entry":[]}',
            b'{"entry":null}',
            b'{"entry":"a"}',
            b'{"entry":{"a":NaN}}',
            b'{"entry":{"a":"\xff"}}',
            b'{"entry":{"a":"\n"}}',
            b'{"entry":{"a":"\x00"}}',
            b'{"entry":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        ],
        ids=lambda line: ascii(line)[:30],
    )
    def test_a_sealed_line_that_is_not_exactly_one_object_in_its_frame_is_malformed(self, line: bytes) -> None:
        refused(decode_entry, line)


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


class TestFirstLine:
    good = open_line(OPENED)[:-1]

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"{}",
            b"\xef\xbb\xbf" + good,
            b" " + good,
            good + b"\r",
            good + b" ",
            good[:-1],
            good[:-1] + b" ",
            good[:-1] + b"]",
            good[:-1] + b',"x":1}',
            good[:-2] + b',"x":1}}',
            good.replace(b'"key":null', b'"key":5'),
            good.replace(b'"id":"0', b'"id":"\xff'),
            b'{"entry":{}}',
            b'{"open":[]}',
            b'{"open":null}',
        ],
        ids=lambda line: ascii(line)[:30],
    )
    def test_only_an_open_line_is_one(self, line: bytes) -> None:
        refused(decode_open, line)


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


class TestReadLines:
    def test_nothing_but_0x0a_splits_lines(self) -> None:
        body = "a\u2028b\u2029c\x85d\x0be\x0cf\rg\x1ch\n\x00\n".encode()
        assert list(read_lines(body)) == [body.split(b"\n")[0], b"\x00"]

    @pytest.mark.parametrize(("body", "lines"), [(b"", []), (b"\n", [b""]), (b"a\n\nb\n", [b"a", b"", b"b"])])
    def test_lines_come_without_their_ends(self, body: bytes, lines: list[bytes]) -> None:
        assert list(read_lines(body)) == lines

    def test_a_last_line_without_an_end_is_malformed(self) -> None:
        with pytest.raises(MalformedError, match="last line has no end"):
            list(read_lines(b"a\nb"))
