"""Taking in a transcript: one session, whole or not at all, without loading it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sessionstore import SessionStore, errors
from sessionstore.fs.project import stated


class TestTakeIn:
    def test_it_becomes_one_imported_session(self, store: SessionStore) -> None:
        entries = ({"role": "user", "content": str(number)} for number in range(3))
        line = store.take_in("a talk", entries, project=stated("/gone"), origin="abc", config={"model": "m"})
        session = store.load(line.id)
        assert (line.name, line.entries, line.rev, line.provenance) == ("a talk", 3, 1, "imported")
        assert [entry["content"] for entry in session.entries] == ["0", "1", "2"]
        assert (session.origin, session.config) == ("abc", {"model": "m"})
        assert session.project is not None and not session.project.has_identity

    def test_entries_that_end_in_an_error_leave_no_session(self, store: SessionStore) -> None:
        def torn() -> Iterator[dict[str, Any]]:
            yield {"n": 1}
            raise RuntimeError("the transcript changed")

        with pytest.raises(RuntimeError, match="changed"):
            store.take_in("torn", torn())
        assert (store.list().sessions, store.list().unreadable) == ((), ())

    @pytest.mark.parametrize("origin", ["", "x" * 513])
    def test_an_origin_that_cannot_be_kept_is_refused(self, store: SessionStore, origin: str) -> None:
        with pytest.raises((errors.InvalidValueError, errors.TooLargeError)):
            store.take_in("name", [], origin=origin)
        assert store.list().sessions == ()
