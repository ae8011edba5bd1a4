"""Looking into a file that nobody vouches for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import SessionStore, errors

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
Stored = Callable[[SessionStore, str], bytes]


class TestOfAGoodSession:
    def test_every_line_is_there_with_its_kind_and_sealed(self, store: SessionStore, stored: Stored) -> None:
        id = store.create(name="n").id
        store.append(id, [{"n": 1}], name="m")
        found = store.inspect(id)
        log = stored(store, id)
        assert (found.session_id, found.size_bytes, found.head_rev) == (id, len(log), 2)
        assert (found.code, found.text) == ("ok", "")
        assert [line.kind for line in found.lines] == ["open", "state", "seal", "state", "entry", "seal"]
        assert [line.number for line in found.lines] == [1, 2, 3, 4, 5, 6]
        assert all(line.sealed for line in found.lines)
        lines = log.splitlines()
        assert [line.size_bytes for line in found.lines] == [len(line) for line in lines]
        assert [line.text for line in found.lines] == [line[:400].decode() for line in lines]

    def test_looking_changes_nothing(self, store: SessionStore, stored: Stored) -> None:
        id = store.create().id
        before, summary = stored(store, id), store.summary(id)
        store.inspect(id)
        assert (stored(store, id), store.summary(id)) == (before, summary)

    def test_without_a_file_there_is_nothing_to_look_at(self, store: SessionStore) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            store.inspect(ID)
        with pytest.raises(errors.InvalidIdError):
            store.inspect("../x")


class TestOfAnUnsignedFile:
    def test_it_is_shown_and_sealed_by_nothing_that_was_not_listed(self, place: Any, unsigned: Any) -> None:
        content = unsigned(ID)
        place.file(ID).with_suffix(".json").write_bytes(content)
        found = place.store.inspect(ID)
        assert (found.code, found.head_rev, found.size_bytes) == ("unsigned_unknown", None, len(content))
        assert found.lines and not any(line.sealed for line in found.lines)
        assert "".join(line.text for line in found.lines) in content.decode().replace("\n", "")


class TestOfADamagedSession:
    def test_it_shows_where_what_is_good_ends(self, place: Any) -> None:
        id = place.session()
        place.put(id, place.read(id).replace(b'"n":1', b'"n":7'))
        found = place.store.inspect(id)
        assert (found.code, found.head_rev) == ("invalid_signature", 4)
        assert "first bad line: 6" in found.text
        assert [line.sealed for line in found.lines] == [True] * 5 + [False] * 4
        assert found.lines[5].text == '{"entry":{"n":7}}'

    def test_a_tail_is_shown_and_not_sealed(self, place: Any) -> None:
        id = place.session(saves=0)
        place.put(id, place.read(id) + b"\n\ntorn")
        found = place.store.inspect(id)
        assert found.code == "ok"
        assert [(line.kind, line.sealed, line.text) for line in found.lines[3:]] == [
            ("other", False, ""),
            ("other", False, ""),
            ("other", False, "torn"),
        ]

    def test_hostile_bytes_are_shown_harmlessly_and_in_part(self, place: Any) -> None:
        place.put(ID, b'{"entry":\x1b[31m\xff\r' + b"\xe2\x80\xae" + b"x" * 5000 + b"\n")
        found = place.store.inspect(ID)
        assert (found.code, found.head_rev) == ("unanchored", None)
        (line,) = found.lines
        assert (line.kind, line.sealed, line.size_bytes) == ("entry", False, 5019)
        assert len(line.text) == 400
        assert line.text.isprintable()
        assert line.text.startswith('{"entry":\N{REPLACEMENT CHARACTER}[31m')

    def test_an_empty_file_has_no_lines(self, place: Any) -> None:
        place.put(ID, b"")
        assert place.store.inspect(ID).lines == ()

    def test_only_as_much_as_a_session_may_have_is_looked_at(self, place: Any) -> None:
        id = place.session()
        size = len(place.read(id))
        store = place.reopen(max_session_bytes=64 * 1024)
        place.put(id, place.read(id) + b"x" * 100_000)
        found = store.inspect(id)
        assert (found.code, found.size_bytes) == ("too_large", size + 100_000)
        assert sum(line.size_bytes + 1 for line in found.lines) == 64 * 1024 + 1
        assert all(line.sealed for line in found.lines[:-1])
