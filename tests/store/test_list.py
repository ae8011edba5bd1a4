"""The list: order, filters, pages, and the numbers over all of it."""

from __future__ import annotations

import base64
import os
import sys
from datetime import timedelta
from pathlib import Path
from types import FrameType

import pytest
from freezegun import freeze_time

from sessionstore import SessionStore, errors, open_store
from sessionstore.model import ProjectRecord, SessionPage

UNUSED = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


def names(page: SessionPage) -> list[str]:
    return [line.name for line in page.sessions]


class TestOrder:
    def test_an_empty_store_has_an_empty_list(self, store: SessionStore) -> None:
        assert store.list() == SessionPage((), (), None)

    def test_the_last_saved_comes_first(self, store: SessionStore) -> None:
        with freeze_time("2026-01-31", auto_tick_seconds=1):
            ids = [store.create(name=name).id for name in "abc"]
            store.append(ids[0], [{"n": 1}])
        assert names(store.list()) == ["a", "c", "b"]

    def test_equal_times_are_ordered_by_id_and_pages_do_not_lose_any(self, store: SessionStore) -> None:
        with freeze_time("2026-01-31"):
            ids = [store.create().id for _ in range(6)]
        expected = sorted(ids, reverse=True)
        assert [line.id for line in store.list().sessions] == expected
        assert [line.id for line in walk(store, 4)] == expected

    def test_a_clock_set_back_orders_by_the_times_that_were_signed(self, store: SessionStore) -> None:
        with freeze_time("2026-01-31") as clock:
            store.create(name="first")
            clock.tick(timedelta(hours=-1))
            store.create(name="second")
        assert names(store.list()) == ["first", "second"]


def walk(store: SessionStore, limit: int, **only: str) -> list[object]:
    found, cursor = [], None
    while True:
        page = store.list(limit=limit, cursor=cursor, **only)  # type: ignore[arg-type]
        assert len(page.sessions) <= limit
        found += page.sessions
        cursor = page.next_cursor
        if cursor is None:
            return found


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
    def test_pages_of_any_size_give_the_whole_list(self, store: SessionStore, limit: int) -> None:
        for number in range(7):
            store.create(name=f"n{number}")
        assert tuple(walk(store, limit)) == store.list().sessions

    def test_pages_of_a_filter_give_the_whole_filtered_list(self, store: SessionStore) -> None:
        for number in range(9):
            store.create(name=f"n{number}", tags=["odd"] if number % 2 else [])
        assert tuple(walk(store, 2, tag="odd")) == store.list(tag="odd").sessions
        assert len(store.list(tag="odd").sessions) == 4

    def test_the_last_page_has_no_cursor(self, store: SessionStore) -> None:
        for _ in range(4):
            store.create()
        first = store.list(limit=2)
        assert (len(first.sessions), first.next_cursor is None) == (2, False)
        second = store.list(limit=2, cursor=first.next_cursor)
        assert (len(second.sessions), second.next_cursor) == (2, None)

    def test_a_session_saved_between_two_pages_repeats_none_and_hides_no_other(self, store: SessionStore) -> None:
        for name in "abcd":
            store.create(name=name)
        first = store.list(limit=2)
        store.append(first.sessions[0].id, [{"n": 1}])
        assert names(store.list(limit=9, cursor=first.next_cursor)) == ["b", "a"]

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_limit_below_one_is_refused(self, store: SessionStore, limit: int) -> None:
        with pytest.raises(errors.InvalidValueError) as caught:
            store.list(limit=limit)
        assert caught.value.fields["what"] == "limit"

    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "x",
            "é",
            "AAAA",
            base64.urlsafe_b64encode(b"2026-01-31T12:00:00.000000Z").decode(),
            base64.urlsafe_b64encode(b"yesterday " + UNUSED.encode()).decode(),
            base64.urlsafe_b64encode(b"2026-01-31T12:00:00.000000Z ../x").decode(),
            base64.urlsafe_b64encode("2026-01-31T12:00:00.000000Z é".encode()).decode(),
        ],
    )
    def test_a_cursor_that_no_list_gave_is_refused(self, store: SessionStore, cursor: str) -> None:
        with pytest.raises(errors.InvalidValueError) as caught:
            store.list(cursor=cursor)
        assert caught.value.fields["what"] == "cursor"


class TestFilters:
    def test_by_tag(self, store: SessionStore) -> None:
        store.create(name="a", tags=["x", "y"])
        store.create(name="b", tags=["xy"])
        assert names(store.list(tag="x")) == ["a"]
        assert names(store.list(tag="z")) == []

    @pytest.mark.parametrize("text", ["STRASSE", "thread/7", "urgent", "PROJ-dir", ""])
    def test_by_text_whatever_the_case(self, store: SessionStore, tmp_path: Path, text: str) -> None:
        (tmp_path / "Proj-Dir").mkdir()
        store.create(name="eine Straße", key="Thread/7", tags=["Urgent"], project=tmp_path / "Proj-Dir")
        assert names(store.list(search=text)) == ["eine Straße"]
        assert names(store.list(search="nowhere")) == []

    def test_by_a_part_of_the_id(self, store: SessionStore) -> None:
        store.create(name="a", id=UNUSED)
        assert names(store.list(search=UNUSED[4:20].upper())) == ["a"]

    def test_filters_are_combined(self, store: SessionStore) -> None:
        store.create(name="quick", tags=["t"])
        store.create(name="quiet")
        store.create(name="slow", tags=["t"])
        assert names(store.list(tag="t", search="qui")) == ["quick"]


class TestByProject:
    def test_by_the_directory_itself_through_any_spelling(self, store: SessionStore, tmp_path: Path) -> None:
        project, other = tmp_path / "project", tmp_path / "other"
        for directory in (project, other):
            directory.mkdir()
        (tmp_path / "link").symlink_to(project)
        store.create(name="here", project=project)
        store.create(name="there", project=other)
        store.create(name="nowhere")
        for spelling in (
            project,
            str(tmp_path / "link"),
            os.fsencode(f"{tmp_path}/other/../link/."),
            tmp_path / "link",
        ):
            assert names(store.list(project=spelling)) == ["here"]

    def test_a_renamed_directory_is_still_the_same(self, store: SessionStore, tmp_path: Path) -> None:
        (tmp_path / "old").mkdir()
        store.create(name="n", project=tmp_path / "old")
        (tmp_path / "old").rename(tmp_path / "new")
        assert names(store.list(project=tmp_path / "new")) == ["n"]
        (tmp_path / "old").mkdir()
        assert names(store.list(project=tmp_path / "old")) == []

    def test_a_session_without_identity_is_found_by_its_path_as_text(self, store: SessionStore, tmp_path: Path) -> None:
        for path in (b"/gone/\xffelsewhere", os.fsencode(tmp_path)):
            store.create(name=ascii(path), project=ProjectRecord(path=path, given_path=path))
        store.create(name="captured", project=tmp_path)
        assert names(store.list(project=b"/gone/\xffelsewhere")) == [ascii(b"/gone/\xffelsewhere")]
        assert names(store.list(project=os.fsdecode(b"/gone/\xffelsewhere"))) == [ascii(b"/gone/\xffelsewhere")]
        assert names(store.list(project=tmp_path)) == ["captured", ascii(os.fsencode(tmp_path))]
        assert names(store.list(project="/gone")) == []

    def test_what_cannot_be_a_path_is_refused(self, store: SessionStore) -> None:
        for bad in ("", "a\0b"):
            with pytest.raises(errors.ProjectPathError) as caught:
                store.list(project=bad)
            assert caught.value.fields["verdict"] == "invalid_path"

    def test_inside_names_the_nearest_recorded_project(self, store: SessionStore, tmp_path: Path) -> None:
        deep = tmp_path / "project" / "part" / "deep"
        deep.mkdir(parents=True)
        assert store.inside(deep) is None
        store.create(project=tmp_path / "project")
        assert store.inside(deep) == str(tmp_path / "project")
        store.create(project=tmp_path / "project" / "part")
        assert store.inside(deep) == str(tmp_path / "project" / "part")
        assert store.inside(tmp_path / "project") == str(tmp_path / "project")
        assert store.inside(tmp_path) is None


class TestProjectState:
    def test_nobody_looks_unless_asked(self, store: SessionStore, tmp_path: Path) -> None:
        store.create(project=tmp_path)
        opened: list[str] = []

        def hook(frame: FrameType, event: str, arg: object) -> None:
            if event == "call":
                opened.append(frame.f_code.co_name)

        sys.setprofile(hook)
        try:
            lines = store.list().sessions
        finally:
            sys.setprofile(None)
        assert lines[0].project_state == "unchecked"
        assert "open_nofollow" not in opened and len(opened) > 5

    def test_what_stands_under_the_names_now(self, store: SessionStore, tmp_path: Path) -> None:
        for name in ("here", "gone", "replaced", "linked"):
            (tmp_path / name).mkdir()
            store.create(name=name, project=tmp_path / name)
        (tmp_path / "gone").rmdir()
        (tmp_path / "replaced").rename(tmp_path / "aside")
        (tmp_path / "replaced").mkdir()
        (tmp_path / "linked").rename(tmp_path / "behind")
        (tmp_path / "linked").symlink_to("behind")
        for path in (b"/gone/elsewhere", os.fsencode(tmp_path)):
            store.create(name="stated", project=ProjectRecord(path=path, given_path=path))
        store.create(name="none")
        found = [(line.name, line.project_state) for line in store.list(check_projects=True).sessions]
        assert found == [
            ("none", "unknown"),
            ("stated", "unknown"),
            ("stated", "unknown"),
            ("linked", "replaced"),
            ("replaced", "replaced"),
            ("gone", "gone"),
            ("here", "here"),
        ]

    def test_a_path_too_long_for_the_seal_is_unknown(self, store: SessionStore, tmp_path: Path) -> None:
        deep = tmp_path.joinpath(*["d" * 200] * 5)
        deep.mkdir(parents=True)
        store.create(project=deep)
        assert store.list(check_projects=True).sessions[0].project_state == "unknown"

    def test_each_project_is_looked_at_once_and_only_those_of_the_page(
        self, store: SessionStore, tmp_path: Path
    ) -> None:
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
            for _ in range(3):
                store.create(project=tmp_path / name)
        looks: list[str] = []

        def hook(frame: FrameType, event: str, arg: object) -> None:
            if event == "call" and frame.f_code.co_name == "open_nofollow":
                looks.append(os.fsdecode(frame.f_locals["path"]))

        sys.setprofile(hook)
        try:
            states = {line.project_state for line in store.list(check_projects=True).sessions}
            store.list(check_projects=True, limit=2)
        finally:
            sys.setprofile(None)
        assert states == {"here"}
        assert [Path(look).name for look in looks] == ["new", "old", "new"]


class TestStats:
    def test_of_an_empty_store(self, store: SessionStore) -> None:
        stats = store.stats()
        assert (stats.sessions, stats.entries, stats.size_bytes, stats.unreadable) == (0, 0, 0, 0)
        assert (stats.max_sessions, stats.by_provenance) == (10_000, {})
        assert (stats.oldest_at, stats.newest_at) == (None, None)

    def test_they_are_the_sums_over_the_list(self, store: SessionStore) -> None:
        first = store.create(entries=[{"n": 1}, {"n": 2}])
        second = store.create(entries=[{"n": 3}])
        store.import_document(store.export(first.id))
        stats = store.stats()
        lines = store.list().sessions
        assert (stats.sessions, stats.entries) == (3, 5)
        assert stats.size_bytes == sum(line.size_bytes for line in lines)
        assert stats.by_provenance == {"native": 2, "imported": 1}
        assert (stats.oldest_at, stats.newest_at) == (first.updated_at, lines[0].updated_at)
        store.delete(second.id)
        assert store.stats().sessions == 2


class TestKeys:
    def test_they_are_given_by_their_beginning_with_the_ids(self, store: SessionStore) -> None:
        ids = {key: store.create(key=key).id for key in ("a/1", "a/2", "A/1", "b")}
        store.create()
        gone = store.create(key="a/3").id
        store.delete(gone)
        assert store.keys("a/") == {"a/1": ids["a/1"], "a/2": ids["a/2"]}
        assert store.keys() == ids
        assert store.keys("c") == {}

    def test_one_is_found_by_its_key(self, store: SessionStore) -> None:
        id = store.create(key="a").id
        assert store.id_of("a") == id
        assert store.id_of("A") is None
        store.delete(id)
        assert store.id_of("a") is None
        with pytest.raises(errors.InvalidValueError):
            store.id_of("")

    def test_a_file_that_is_broken_or_gone_hides_no_key(self, home: Path) -> None:
        with open_store(home) as store:
            ids = {key: store.create(key=key).id for key in ("broken", "gone")}
            (home / "data" / "sessions" / f"{ids['broken']}.jsonl").write_bytes(b"x")
            (home / "data" / "sessions" / f"{ids['gone']}.jsonl").unlink()
            assert store.keys() == ids
            assert [store.id_of(key) for key in ids] == list(ids.values())
