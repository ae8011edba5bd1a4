"""Work over many sessions: verify all, search all, clean up old ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.model import VerifyResult
from sessionstore.storage import Holder

NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
Stored = Callable[[SessionStore, str], bytes]


def damage(home: Path, id: str, old: bytes, new: bytes) -> None:
    """Change a session's file by hand."""
    file = home / "data" / "sessions" / f"{id}.jsonl"
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new))


class TestVerify:
    def test_one_session_is_checked_to_its_revision(self, store: SessionStore) -> None:
        id = store.create().id
        store.append(id, [{"n": 1}])
        assert list(store.verify(id)) == [VerifyResult(id, True, 2, "ok")]

    def test_all_are_checked_newest_first_as_they_are_asked_for(self, store: SessionStore) -> None:
        ids = [store.create().id for _ in range(3)]
        results = store.verify()
        assert next(results) == VerifyResult(ids[2], True, 1, "ok")
        assert [result.session_id for result in results] == [ids[1], ids[0]]

    def test_the_unknown_is_a_result_and_what_is_no_id_an_error(self, store: SessionStore) -> None:
        (result,) = store.verify(NOBODY)
        assert (result.ok, result.rev, result.code, result.text) == (False, 0, "not_found", "there is no such session")
        assert "sessionstore list" in result.hint
        with pytest.raises(errors.InvalidIdError):
            store.verify("x")

    def test_what_is_wrong_is_told_with_its_code_and_the_others_go_on(self, home: Path) -> None:
        with open_store(home) as store:
            good, bad = store.create().id, store.create(entries=[{"n": 1}]).id
            damage(home, bad, b'"n":1', b'"n":2')
            stray = home / "data" / "sessions" / f"{NOBODY}.jsonl"
            stray.write_bytes(b"stray")
            results = {result.session_id: (result.ok, result.code) for result in store.verify()}
            assert results == {
                good: (True, "ok"),
                bad: (False, "invalid_signature"),
                NOBODY: (False, "unanchored"),
            }

    def test_what_is_worth_telling_of_a_good_session_is_told(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create().id
            with (home / "data" / "sessions" / f"{id}.jsonl").open("ab") as file:
                file.write(b"torn")
            (result,) = store.verify(id)
            assert (result.ok, [warning.code for warning in result.warnings]) == (True, ["uncommitted_tail"])


class TestSearch:
    def test_a_hit_names_session_and_entry_and_shows_the_text_around(self, store: SessionStore) -> None:
        id = store.create(entries=[{"role": "user", "content": "nothing"}]).id
        store.append(id, [{"content": [{"type": "text", "text": "a" * 60 + " The\n Needle \t" + "b" * 60}]}])
        (hit,) = store.search("nEEdle")
        assert (hit.session, hit.entry) == (store.summary(id), 1)
        assert hit.snippet == "…" + "a" * 34 + " The Needle " + "b" * 38 + "…"

    def test_short_text_is_shown_whole(self, store: SessionStore) -> None:
        store.create(entries=[{"content": "find me here"}])
        assert [hit.snippet for hit in store.search("me")] == ["find me here"]

    @pytest.mark.parametrize(
        ("content", "text"),
        [("ß" * 200 + " Needle " + "ß" * 200, "needle"), ("\u0130" * 300 + "x", "X"), ("Maße und Gewichte", "MASSE")],
    )
    def test_letters_that_grow_when_case_is_folded_move_nothing(
        self, store: SessionStore, content: str, text: str
    ) -> None:
        store.create(entries=[{"content": content}])
        (hit,) = store.search(text)
        assert text.casefold() in hit.snippet.casefold()

    def test_newest_session_first_and_each_entry_once(self, store: SessionStore) -> None:
        old = store.create(entries=[{"a": "x", "b": "x"}, {"b": ["-", {"c": "X"}]}, {"x": 1}, {"n": None}]).id
        new = store.create(entries=[{"content": "ax"}]).id
        assert [(hit.session.id, hit.entry) for hit in store.search("x")] == [(new, 0), (old, 0), (old, 1)]

    def test_no_more_than_the_limit(self, store: SessionStore) -> None:
        for _ in range(2):
            store.create(entries=[{"n": "x"}] * 3)
        assert [len(list(store.search("x", limit=limit))) for limit in (1, 3, 4, 6, 7)] == [1, 3, 4, 6, 6]

    @pytest.mark.parametrize("arguments", [{"text": ""}, {"text": "x", "limit": 0}, {"text": "x", "limit": -1}])
    def test_nothing_to_search_for_is_refused(self, store: SessionStore, arguments: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidValueError):
            next(store.search(**arguments))

    def test_nothing_found_is_no_error(self, store: SessionStore) -> None:
        store.create(entries=[{"n": ["x", 1, []]}])
        assert list(store.search("y")) == []

    def test_what_does_not_verify_is_left_out(self, home: Path) -> None:
        with open_store(home) as store:
            good, bad = store.create(entries=[{"n": "x"}]).id, store.create(entries=[{"n": "x"}]).id
            damage(home, bad, b'"x"', b'"xx')
            assert [hit.session.id for hit in store.search("x")] == [good]


class TestCleanup:
    @pytest.fixture
    def ids(self, store: SessionStore) -> list[str]:
        """Four sessions, last saved 30, 20, 10 and 0 days before the first of March."""
        ids = []
        for day in ("2026-01-30", "2026-02-09", "2026-02-19", "2026-03-01"):
            with freeze_time(f"{day} 12:00:00"):
                ids.append(store.create(name=day).id)
        return ids

    @pytest.mark.parametrize(
        ("arguments", "gone"),
        [
            ({"older_than": timedelta(days=15)}, [1, 0]),
            ({"older_than": timedelta(days=20)}, [0]),  # exactly so old is not older
            ({"older_than": timedelta(days=19, hours=23)}, [1, 0]),
            ({"older_than": timedelta(0)}, [2, 1, 0]),
            ({"older_than": timedelta(days=99)}, []),
            ({"keep_last": 3}, [0]),
            ({"keep_last": 0}, [3, 2, 1, 0]),
            ({"keep_last": 9}, []),
            ({"keep_last": 3, "older_than": timedelta(days=1)}, [0]),
            ({"keep_last": 1, "older_than": timedelta(days=25)}, [0]),
        ],
    )
    def test_what_is_old_and_not_among_the_newest_goes(
        self, store: SessionStore, ids: list[str], arguments: dict[str, Any], gone: list[int]
    ) -> None:
        with freeze_time("2026-03-01 12:00:00"):
            planned = store.cleanup(**arguments, dry_run=True)
            assert len(store.list().sessions) == 4
            report = store.cleanup(**arguments)
        assert [line.id for line in report.removed] == [ids[index] for index in gone]
        assert (report, report.skipped) == (planned, ())
        assert {line.id for line in store.list().sessions} == set(ids) - {ids[index] for index in gone}

    @pytest.mark.parametrize(
        "arguments", [{}, {"older_than": timedelta(days=-1)}, {"keep_last": -1}, {"dry_run": True}]
    )
    def test_without_a_bound_or_with_a_negative_one_nothing_goes(
        self, store: SessionStore, ids: list[str], arguments: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.InvalidValueError):
            store.cleanup(**arguments)
        assert len(store.list().sessions) == 4

    def test_a_session_saved_again_is_not_old_any_more(self, store: SessionStore, ids: list[str]) -> None:
        with freeze_time("2026-03-01 12:00:00"):
            store.append(ids[0], [{"n": 1}])
            report = store.cleanup(older_than=timedelta(days=15))
        assert [line.id for line in report.removed] == [ids[1]]

    def test_a_file_made_to_look_old_is_judged_by_its_signed_time(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create().id
            os.utime(home / "data" / "sessions" / f"{id}.jsonl", (0, 0))
            assert store.cleanup(older_than=timedelta(days=1)).removed == ()

    def test_what_does_not_verify_is_left_alone_and_told(self, home: Path) -> None:
        with open_store(home) as store:
            good, bad = store.create().id, store.create(entries=[{"n": 1}]).id
            damage(home, bad, b'"n":1', b'"n":2')
            report = store.cleanup(keep_last=0)
            assert [line.id for line in report.removed] == [good]
            assert [(line.name, line.code) for line in report.skipped] == [(bad, "invalid_signature")]
            assert (home / "data" / "sessions" / f"{bad}.jsonl").exists()

    def test_what_is_running_is_left_alone_and_told_also_in_a_dry_run(self, store: SessionStore) -> None:
        running, other = store.create().id, store.create().id
        with store._ground.backend.run(running, Holder(4711, "2026-01-31T12:00:00.000000Z")):
            for dry_run in (True, False):
                report = store.cleanup(keep_last=0, dry_run=dry_run)
                assert [line.id for line in report.removed] == [other]
                assert [(line.name, line.code) for line in report.skipped] == [(running, "already_running")]
        assert [line.id for line in store.cleanup(keep_last=0).removed] == [running]

    def test_what_began_to_run_since_the_list_was_made_is_left_alone_too(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id = store.create().id
        run = store._ground.backend.run(id, Holder())
        check = store._reader.check

        def check_and_run(session_id: str) -> object:
            run.__enter__()
            return check(session_id)

        monkeypatch.setattr(store._reader, "check", check_and_run)
        report = store.cleanup(keep_last=0)
        assert (report.removed, [line.code for line in report.skipped]) == ((), ["already_running"])
        run.__exit__(None, None, None)
        assert store.load(id).rev == 1

    def test_what_was_saved_since_it_was_checked_stays(self, store: SessionStore) -> None:
        id = store.create().id
        store.append(id, [{"n": 1}])
        with pytest.raises(errors.ConflictError) as caught:
            store._lifecycle.delete(id, expected_rev=1)
        assert caught.value.fields == {"session_id": id, "expected": 1, "found": 2}
        assert store.load(id).rev == 2

    def test_a_save_that_only_the_log_knows_is_no_conflict(
        self, home: Path, ledger_locked: Callable[[], AbstractContextManager[None]]
    ) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0)
        with open_store(config=config) as store:
            id = store.create().id
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                store.append(id, [{"n": 1}])
            report = store.cleanup(keep_last=0)
            assert ([(line.id, line.rev) for line in report.removed], report.skipped) == ([(id, 2)], ())
