"""Unsigned files of the old format: which may be opened, what each is called, and that reading touches none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.ledger import InventoryEntry
from sessionstore.model import AdoptionReport, SessionPage, format_time
from sessionstore.storage import FileBackend

OLD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
OTHER = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
TEN_MIB = 10 * 1024 * 1024


def shown(store: SessionStore) -> list[tuple[str, str]]:
    return [(line.name, line.code) for line in store.list().unreadable]


Unsigned = Callable[..., bytes]


def put(directory: Path, content: bytes, id: str = OLD) -> Path:
    file = directory / f"{id}.json"
    file.write_bytes(content)
    return file


class TestInventory:
    def test_files_that_were_here_at_the_start_are_listed_with_one_notice(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        for id in (OTHER, OLD):
            put(directory, unsigned(id), id)
        with open_store(home) as store:
            assert len(store.notices) == 1
            assert store.notices[0].startswith("2 unsigned session files")
            assert "sessionstore migrate" in store.notices[0]
            assert (shown(store), store.stats().unreadable) == ([], 0)
            assert [(line.id, line.integrity, line.rev) for line in store.list().sessions] == [
                (OTHER, "legacy", 0),
                (OLD, "legacy", 0),
            ]
        with open_store(home) as store:
            assert store.notices == ()
            assert {line.id for line in store.list().sessions} == {OLD, OTHER}

    def test_a_file_that_came_later_is_unknown(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        with open_store(home) as store:
            put(directory, unsigned(OLD))
            assert shown(store) == [(OLD, "unsigned_unknown")]
            for call in every_call(store):
                with pytest.raises(errors.UnsignedUnknownError):
                    call()
        with open_store(home) as store:
            assert (store.notices, shown(store)) == ((), [(OLD, "unsigned_unknown")])
        assert (directory / f"{OLD}.json").read_bytes() == unsigned(OLD)

    @pytest.mark.parametrize("change", [b" ", b"", b"[]"])
    def test_a_changed_file_is_modified(self, home: Path, directory: Path, unsigned: Unsigned, change: bytes) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            assert store.load(OLD).name == "Atlas" and shown(store) == []
            file.write_bytes(unsigned(OLD) + change if change == b" " else change)
            assert shown(store) == [(OLD, "legacy_modified")]
            assert store.list().sessions == ()
            for call in every_call(store):
                with pytest.raises(errors.LegacyModifiedError):
                    call()
            file.write_bytes(unsigned(OLD))
            assert store.load(OLD).name == "Atlas" and shown(store) == []

    def test_a_change_that_keeps_size_and_time_is_found_by_the_list_too(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            assert shown(store) == []
            before = os.stat(file)
            file.write_bytes(unsigned(OLD).replace(b"said 1", b"said 7"))
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert shown(store) == [(OLD, "legacy_modified")]

    @pytest.mark.parametrize("legacy", ["ask", "refuse"])
    def test_nothing_is_taken_unless_it_is_to_be_adopted(
        self, home: Path, directory: Path, unsigned: Unsigned, legacy: Any
    ) -> None:
        put(directory, unsigned(OLD))
        config = Config(data_dir=home / "data", state_dir=home / "state", legacy=legacy)
        with open_store(config=config) as store:
            assert len(store.notices) == (legacy == "ask")
            assert all("sessionstore adopt --dir" in notice for notice in store.notices)
            assert shown(store) == [(OLD, "unsigned_unknown")]
            with pytest.raises(errors.UnsignedUnknownError):
                store.load(OLD)

    def test_a_file_longer_than_any_of_that_format_is_not_taken(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        for id, size in ((OLD, TEN_MIB), (OTHER, TEN_MIB + 1)):
            put(directory, unsigned(id).ljust(size), id)
        with open_store(home) as store:
            assert store.notices[0].startswith("1 unsigned")
            assert shown(store) == [(OTHER, "unsigned_unknown")]
            assert store.load(OLD).size_bytes == TEN_MIB
            with pytest.raises(errors.UnsignedUnknownError):
                store.load(OTHER)
            (directory / f"{OLD}.json").write_bytes(unsigned(OLD).ljust(TEN_MIB + 1))
            with pytest.raises(errors.LegacyModifiedError):
                store.load(OLD)

    def test_the_cap_of_sessions_holds_for_them_too(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD).ljust(65537))
        put(directory, unsigned(OTHER).ljust(65536), OTHER)
        config = Config(data_dir=home / "data", state_dir=home / "state", max_session_bytes=65536)
        with open_store(config=config) as store:
            with pytest.raises(errors.TooLargeError) as caught:
                store.load(OLD)
            assert caught.value.fields["setting"] == "max_session_bytes"
            assert len(store.load(OTHER).entries) == 2

    @pytest.mark.parametrize("name", ["notes.json", f"{OLD.upper()}.json", f"{OLD}.json.bak", f"{OLD}", ".json"])
    def test_other_names_are_not_taken(self, home: Path, directory: Path, name: str) -> None:
        (directory / name).write_text("{}")
        with open_store(home) as store:
            assert store.notices == ()
            assert {code for _, code in shown(store)} <= {"invalid_id"}

    def test_links_and_other_kinds_are_not_taken(self, home: Path, directory: Path) -> None:
        (directory / "target").write_text("{}")
        (directory / f"{OLD}.json").symlink_to("target")
        os.mkfifo(directory / f"{OTHER}.json")
        with open_store(home) as store:
            assert store.notices == ()
            assert shown(store) == [(OLD, "unsafe_file"), (OTHER, "unsafe_file")]
            with pytest.raises(errors.UnsafeFileError):
                store.load(OLD)

    def test_a_listed_file_that_is_gone_is_missed_until_it_is_given_up(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            file.unlink()
            assert shown(store) == [(OLD, "missing")]
            for call in every_call(store, but=("delete",)):
                with pytest.raises(errors.MissingError):
                    call()
            assert [(result.session_id, result.code) for result in store.verify()] == [(OLD, "missing")]
            store.delete(OLD)
            assert shown(store) == [] and list(store.verify()) == []
            with pytest.raises(errors.SessionNotFoundError):
                store.load(OLD)


def every_call(store: SessionStore, but: tuple[str, ...] = ()) -> list[Callable[[], object]]:
    """Every way to read or change the session."""
    calls: dict[str, Callable[[], object]] = {
        "load": lambda: store.load(OLD),
        "entries": lambda: list(store.entries(OLD)),
        "summary": lambda: store.summary(OLD),
        "append": lambda: store.append(OLD, [{"n": 1}]),
        "nothing": lambda: store.append(OLD),
        "rename": lambda: store.rename(OLD, "n"),
        "rewind": lambda: store.rewind(OLD, 0),
        "compact": lambda: store.compact(OLD),
        "fork": lambda: store.fork(OLD),
        "export": lambda: store.export(OLD),
        "resume": lambda: store.resume(OLD).__enter__(),
        "migrate": lambda: store._lifecycle.migrate(OLD),
        "delete": lambda: store.delete(OLD),
    }
    return [call for name, call in calls.items() if name not in but]


class TestReading:
    def test_everything_of_it_is_given_back_in_the_order_of_time(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD, 7))
        with open_store(home) as store:
            session = store.load(OLD)
            assert [entry["id"] for entry in session.entries] == [f"m{number}" for number in range(7)]
            assert session.messages[6].content == "said 6"
            assert session.config == {
                "provider": "anthropic",
                "model": None,
                "temperature": 1,
                "extra": {"kept": [1, 2.5]},
            }
            assert (session.rev, session.provenance, session.tags, session.key) == (0, "legacy-adopted", (), None)
            assert format_time(session.created_at) == "2025-12-08T09:00:00.000001Z"
            assert session.closed_at is not None and session.todos[0].active_form == "Reading"
            assert session.project is not None and session.project.display_path == "/srv/demo/atlas"
            assert not session.project.has_identity
            assert list(store.entries(OLD, start=-3, limit=2)) == list(session.entries[4:6])
            assert list(store.entries(OLD, start=5)) == list(session.entries[5:])
            summary = store.summary(OLD)
            assert (summary.entries, summary.integrity, summary.size_bytes) == (7, "legacy", session.size_bytes)
            assert [hit.entry for hit in store.search("SAID 3")] == [3]
            (result,) = store.verify(OLD)
            assert (result.ok, result.rev) == (True, 0)
            assert list(store.verify()) == [result]
            assert store._reader.project(OLD) == session.project

    def test_an_export_of_it_comes_back_elsewhere(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD, 7))
        with open_store(home) as store:
            made = store.import_document(store.export(OLD))
            assert (made.entries, made.origin) == (store.load(OLD).entries, OLD)

    def test_a_fork_of_it_is_sealed_and_it_stays_as_it_is(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD, 7))
        with open_store(home) as store:
            forked = store.fork(OLD)
            assert (forked.parent, forked.rev, forked.provenance) == (OLD, 1, "legacy-adopted")
            assert forked.entries == store.load(OLD).entries and forked.closed_at is None
            with pytest.raises(errors.InvalidValueError):
                store.fork(OLD, at=0)
            assert store.load(OLD).rev == 0
        assert file.read_bytes() == unsigned(OLD, 7)

    def test_it_is_warned_about_once_for_every_file_and_process(
        self, home: Path, directory: Path, unsigned: Unsigned, child: Callable[..., str]
    ) -> None:
        put(directory, unsigned(OLD, name="x" * 300))
        put(directory, unsigned(OTHER), OTHER)
        with open_store(home) as store:
            (warning,) = store.load(OLD).warnings
            assert warning.code == "legacy" and "sessionstore migrate" in warning.text
            assert "its name was changed" in warning.text
            assert store.load(OLD).warnings == ()
            assert len(store.load(OTHER).warnings) == 1
        with open_store(home) as store:
            assert store.load(OLD).warnings == ()
        script = "import sys; from sessionstore import open_store\nwith open_store(sys.argv[1]) as store:"
        assert child(f"{script} print(len(store.load(sys.argv[2]).warnings))", home, OLD) == "1"

    def test_a_store_opened_to_read_reads_it(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home):
            pass
        with open_store(home, read_only=True) as store:
            assert store.load(OLD).entries and len(store.list().sessions) == 1
            with pytest.raises(errors.StoreUnavailableError):
                store.append(OLD, [{}])
            with pytest.raises(errors.StoreUnavailableError):
                list(store.migrate(OLD))
            assert [result.outcome for result in store.migrate(dry_run=True)] == ["migrated"]

    def test_a_writers_look_says_what_to_do(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store, pytest.raises(errors.UnsupportedVersionError) as caught:
            store._reader.settled(OLD)
        assert "sessionstore migrate" in caught.value.hint


class TestList:
    def test_old_and_new_sessions_are_one_list_in_order_over_pages(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        ids = [f"{number}f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d" for number in range(6)]
        for number, id in enumerate(ids):
            put(directory, unsigned(id, updated_at=f"2025-12-0{number + 1}T09:30:00.000000Z"), id)
        with open_store(home) as store:
            for id in ids[::2]:
                list(store.migrate(id))
            new = store.create().id
            assert [line.id for line in store.list().sessions] == [new, *reversed(ids)]
            cursor, seen = None, []
            while True:
                page = store.list(limit=2, cursor=cursor)
                seen += [line.id for line in page.sessions]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert seen == [new, *reversed(ids)]
            assert store.stats().by_provenance == {"native": 1, "legacy-adopted": 6}
            assert len(store.list(search="atlas").sessions) == 6
            assert len(store.list(project="/srv/demo/atlas").sessions) == 6
            assert store.list(tag="t").sessions == () and store.list(running=True).sessions == ()

    def test_a_path_that_no_seal_could_hold_is_cut_in_the_list_only(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        path = "/" + "x" * 9000
        put(directory, unsigned(OLD, project_path=path))
        with open_store(home) as store:
            (line,) = store.list().sessions
            assert line.project is not None and path.startswith(line.project) and len(line.project) < len(path)
            list(store.migrate(OLD))
            (after,) = store.list().sessions
            assert after.project == line.project
            session = store.load(OLD)
            assert session.project is not None and session.project.display_path == path

    def test_what_cannot_be_read_has_its_code_and_disturbs_nobody(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        put(directory, unsigned(OTHER, version=2), OTHER)
        with open_store(home) as store:
            for _ in range(2):
                assert shown(store) == [(OTHER, "unsupported_version")]
                assert [line.id for line in store.list().sessions] == [OLD]
            with pytest.raises(errors.UnsupportedVersionError):
                store.load(OTHER)

    def test_a_cleanup_leaves_them_and_says_why(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            report = store.cleanup(keep_last=0)
            assert report.removed == () and [line.code for line in report.skipped] == ["legacy"]
            assert store.load(OLD)


class TestListMeanwhile:
    """What a list says while somebody else migrates or deletes."""

    @pytest.mark.parametrize("limit", [None, 9])
    def test_one_that_is_migrated_meanwhile_is_listed_once(
        self,
        home: Path,
        directory: Path,
        unsigned: Unsigned,
        eventful: Callable[..., SessionStore],
        limit: int | None,
    ) -> None:
        put(directory, unsigned(OLD))
        put(directory, unsigned(OTHER), OTHER)
        with open_store(home) as store:
            # OLD is read first, and migrated when OTHER is read: it has a line of the list by then.
            events: dict[str, Callable[[], object]] = {}
            face = eventful(store, read=lambda: events.update(read=lambda: store.append(OLD, [{"n": 1}])))
            events = face._ground.backend._events  # type: ignore[attr-defined]
            page = face.list(limit=limit)
            assert [(line.id, line.rev) for line in page.sessions] == [(OLD, 2), (OTHER, 0)]
            assert page.unreadable == ()

    def test_what_is_half_way_is_no_alarm(
        self, home: Path, directory: Path, unsigned: Unsigned, eventful: Callable[..., SessionStore]
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            page = eventful(store, read=lambda: store.append(OLD, [{"n": 1}])).list()
            assert page.unreadable == () and [line.rev for line in page.sessions] == [2]

    def test_one_that_is_being_deleted_is_no_alarm(
        self, home: Path, directory: Path, unsigned: Unsigned, face: Callable[..., SessionStore]
    ) -> None:
        file = put(directory, unsigned(OLD))

        class Interrupted(FileBackend):
            def retire(self, name: str) -> str | None:
                raise KeyboardInterrupt

        with open_store(home) as store:
            interrupted = Interrupted.__new__(Interrupted)
            interrupted.__dict__.update(store._ground.backend.__dict__)
            with pytest.raises(KeyboardInterrupt):
                face(store, backend=interrupted).delete(OLD)
            assert file.exists() and store.list() == SessionPage((), ())
            with pytest.raises(errors.SessionNotFoundError):
                store.load(OLD)
        with open_store(home) as store:
            assert not file.exists() and store.list() == SessionPage((), ())


class TestAdoptionMeanwhile:
    """What becomes of an adoption while somebody else has the same id."""

    def test_an_id_that_a_session_was_made_with_meanwhile_is_not_listed(
        self, home: Path, directory: Path, unsigned: Unsigned, eventful: Callable[..., SessionStore]
    ) -> None:
        with open_store(home) as store:
            put(directory, unsigned(OLD))
            put(directory, unsigned(OTHER), OTHER)
            face = eventful(store, write=lambda: store.create(id=OLD))
            report = face.adopt(directory=directory, consent="me")
            assert [file.session_id for file in report.adopted] == [OTHER]
            assert [(line.name, line.code) for line in report.refused] == [(OLD, "signature_stripped")]
            assert set(store._ground.ledger.inventory()) == {f"{OTHER}.json"}
            assert [event.session_id for event in store.audit(events=["adoption"])] == [OTHER]

    def test_two_at_once_take_each_file_once(
        self, home: Path, directory: Path, unsigned: Unsigned, eventful: Callable[..., SessionStore], tmp_path: Path
    ) -> None:
        away = tmp_path / "away"
        away.mkdir(mode=0o700)
        for id in (OLD, OTHER):
            put(away, unsigned(id), id)
        with open_store(home) as store:
            face = eventful(store, write=lambda: store.adopt(directory=away, consent="other"))
            assert face.adopt(directory=away, consent="me") == AdoptionReport((), ())
            assert [event.fields["consent"] for event in store.audit(events=["adoption"])] == ["other", "other"]
            assert {line.id for line in store.list().sessions} == {OLD, OTHER}

    def test_one_that_changes_meanwhile_is_not_what_was_agreed_to(
        self, home: Path, directory: Path, unsigned: Unsigned, eventful: Callable[..., SessionStore]
    ) -> None:
        with open_store(home) as store:
            put(directory, unsigned(OLD))
            face = eventful(store, write=lambda: put(directory, unsigned(OLD, name="other")))
            with pytest.raises(errors.LegacyModifiedError):
                face.adopt(OLD, consent="me")
            assert store._ground.ledger.inventory() == {}

    def test_a_store_that_refuses_is_told_at_once(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.05)
        with open_store(config=config) as store, open_store(config=config) as other:
            put(directory, unsigned(OLD))
            with other._ground.locked(OLD), pytest.raises(errors.StoreUnavailableError):
                store.adopt(directory=directory, consent="me")
            assert store._ground.ledger.inventory() == {}


class TestRedaction:
    def test_a_dry_run_tells_what_the_redaction_then_does(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD, 7, name="said it"))
        with open_store(home) as store:
            told = store.redact(OLD, patterns=["said"], entries=[2], dry_run=True)
            assert store.load(OLD).rev == 0 and file.read_bytes() == unsigned(OLD, 7, name="said it")
            assert told.purged == (f"sessions/{OLD}.json",)
            done = store.redact(OLD, patterns=["said"], entries=[2], expected_rev=0)
            assert (told.entries, told.found, told.unreached) == (done.entries, done.found, done.unreached)
            assert (told.rev, done.rev, done.entries) == (0, 2, 7)
            assert not file.exists() and list((home / "data" / "retired").glob("[!.]*")) == []
            assert b"said" not in (directory / f"{OLD}.jsonl").read_bytes()

    def test_a_dry_run_refuses_what_the_redaction_refuses(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            with pytest.raises(errors.InvalidValueError):
                store.redact(OLD, entries=[2], dry_run=True)
            with pytest.raises(errors.ConflictError):
                store.redact(OLD, entries=[1], expected_rev=1, dry_run=True)
            assert store.redact(OLD, entries=[1], expected_rev=0, dry_run=True).entries == 1
            assert store.load(OLD).rev == 0


class TestRepair:
    def test_one_that_may_be_opened_needs_none(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        put(directory, unsigned(OTHER, version=2), OTHER)
        with open_store(home) as store:
            for keep_verified in (False, True):
                done = store.repair(OLD, keep_verified=keep_verified)
                assert (done.code, done.action, done.rev) == ("ok", "nothing", 0)
            assert store.repair(OLD).command == f"sessionstore migrate {OLD}"
            done = store.repair(OTHER)
            assert (done.code, done.action) == ("unsupported_version", "left")
            assert store.load(OLD).rev == 0


class TestBesideSealedSessions:
    def test_an_unsigned_file_in_place_of_a_sealed_one_is_a_stripped_signature(self, home: Path) -> None:
        with open_store(home) as store:
            store.create(id=OLD)
            sealed = home / "data" / "sessions" / f"{OLD}.jsonl"
            sealed.unlink()
            sealed.with_suffix(".json").write_text("{}")
            with pytest.raises(errors.SignatureStrippedError):
                store.load(OLD)
            assert shown(store) == [(OLD, "signature_stripped")]
            assert store.stats().unreadable == 1

    def test_a_stray_one_beside_it_is_shown_and_does_not_disturb_it(self, home: Path) -> None:
        with open_store(home) as store:
            store.create(id=OLD, entries=[{"n": 1}])
            (home / "data" / "sessions" / f"{OLD}.json").write_text("{}")
            assert shown(store) == [(OLD, "signature_stripped")]
            assert [line.id for line in store.list().sessions] == [OLD]
            assert store.append(OLD, [{"n": 2}]) == 2
            assert len(store.load(OLD).entries) == 2

    def test_the_id_of_one_that_may_be_opened_is_taken(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            with pytest.raises(errors.AlreadyExistsError):
                store.create(id=OLD)
            assert store.load(OLD).rev == 0

    def test_one_without_a_signature_is_no_way_back_once_its_row_is_gone(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            store.append(OLD, [{"n": 1}])
        with sqlite3.connect(home / "state" / "ledger.db") as ledger:
            ledger.execute("DELETE FROM heads")
        ledger.close()
        (directory / f"{OLD}.jsonl").unlink()
        (home / "data" / "retired" / f"{OLD}.json").rename(file)
        with open_store(home) as store:
            with pytest.raises(errors.SignatureStrippedError):
                store.load(OLD)
            assert (OLD, "signature_stripped") in shown(store)

    def test_nor_if_its_entry_was_put_back_as_it_was_before(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home):
            pass
        with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger:
            (entry,) = ledger.execute("SELECT * FROM inventory").fetchall()
        with open_store(home) as store:
            store.append(OLD, [{"n": 1}])
        with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
            ledger.execute("DELETE FROM heads")
            ledger.execute("REPLACE INTO inventory VALUES (?, ?, ?, ?, ?)", entry)
        (directory / f"{OLD}.jsonl").unlink()
        (home / "data" / "retired" / f"{OLD}.json").rename(file)
        with open_store(home) as store:
            for call in every_call(store):
                with pytest.raises(errors.LedgerCorruptError):
                    call()
            assert store.list().sessions == () and (OLD, "ledger_corrupt") in shown(store)
            assert file.read_bytes() == unsigned(OLD)

    def test_a_list_of_unsigned_files_that_was_changed_is_shown_as_that(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            made = store.create().id
            with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
                ledger.execute("DELETE FROM inventory")
            assert shown(store) == [(OLD, "ledger_corrupt"), ("ledger.db", "ledger_corrupt")]
            assert [line.id for line in store.list().sessions] == [made]
            for call in every_call(store):
                with pytest.raises(errors.LedgerCorruptError):
                    call()

    def test_rows_that_go_while_the_store_is_open_are_missed_too(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        file = put(directory, unsigned(OTHER), OTHER)
        with open_store(home) as store:
            list(store.migrate(OLD))
            assert store.load(OTHER).rev == 0
            with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
                ledger.execute("DELETE FROM heads")
            for _ in range(2):
                with pytest.raises(errors.LedgerCorruptError):
                    store.load(OTHER)
            # Gone together with its row and both files, it is no file that was listed and is missing.
            (directory / f"{OLD}.jsonl").unlink()
            with pytest.raises(errors.LedgerCorruptError):
                store.load(OLD)
            assert file.exists()

    def test_a_session_whose_id_is_listed_too_is_missing_as_what_it_was(self, home: Path) -> None:
        with open_store(home) as store:
            store.create(id=OLD)
            store._ground.ledger.take_inventory([InventoryEntry(f"{OLD}.json", "0" * 64, 1)])
            (home / "data" / "sessions" / f"{OLD}.jsonl").unlink()
            with pytest.raises(errors.MissingError) as caught:
                store.load(OLD)
            assert caught.value.head_rev == 1


class TestDelete:
    def test_it_is_gone_for_good_and_cannot_come_back(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            store.delete(OLD)
            assert not file.exists() and list((home / "data" / "retired").glob("[!.]*")) == []
            put(directory, unsigned(OLD))
            with pytest.raises(errors.SessionNotFoundError):
                store.load(OLD)
            assert shown(store) == [(OLD, "resurrected")]
            for call in every_call(store, but=("nothing",)):
                with pytest.raises(errors.SessionNotFoundError):
                    call()
            with pytest.raises(errors.AlreadyExistsError):
                store.create(id=OLD)

    def test_another_revision_than_0_is_a_conflict(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            with pytest.raises(errors.ConflictError):
                store._lifecycle.delete(OLD, expected_rev=1)
            store._lifecycle.delete(OLD, expected_rev=0)

    def test_one_over_the_cap_of_sessions_can_be_deleted(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        file = put(directory, unsigned(OLD).ljust(65537))
        config = Config(data_dir=home / "data", state_dir=home / "state", max_session_bytes=65536)
        with open_store(config=config) as store:
            store.delete(OLD)
            assert not file.exists() and store.list().sessions == ()

    @pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
    def test_what_stands_under_the_old_name_of_a_migrated_one_keeps_nobody_from_it(
        self, home: Path, directory: Path, unsigned: Unsigned, kind: str
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            list(store.migrate(OLD))
            if kind == "directory":
                file.mkdir()
            elif kind == "fifo":
                os.mkfifo(file)
            else:
                file.symlink_to(home / "data" / "retired" / f"{OLD}.json")
            assert store.append(OLD, [{"n": 1}]) == 2 and list(store.migrate(OLD)) == []
            assert shown(store) == [(OLD, "unsafe_file")]
            store.delete(OLD)
            assert not (directory / f"{OLD}.jsonl").exists() and os.path.lexists(file)
            assert list((home / "data" / "retired").glob("[!.]*")) == []
            head = store._ground.ledger.head(OLD)
            assert head is not None and head.state == "deleted"

    def test_a_deletion_that_cannot_put_the_old_file_away_removes_nothing(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            store.append(OLD, [{"n": 1}])
            put(directory, unsigned(OLD))
            (home / "data" / "retired").rename(home / "away")
            (home / "data" / "retired").touch()
            with pytest.raises(errors.SessionStoreError):
                store.delete(OLD)
            assert len(store.load(OLD).entries) == 3 and file.exists()
            (home / "data" / "retired").unlink()
            (home / "away").rename(home / "data" / "retired")
            store.delete(OLD)
            assert not file.exists() and list((home / "data" / "retired").glob("[!.]*")) == []

    def test_a_deletion_that_cannot_remove_what_was_retired_is_finished_by_the_next_start(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        retired = home / "data" / "retired" / f"{OLD}.json"
        with open_store(home) as store:
            list(store.migrate(OLD))
            content = retired.read_bytes()
            retired.unlink()
            retired.mkdir()
            with pytest.raises(errors.UnsafeFileError):
                store.delete(OLD)
            with pytest.raises(errors.SessionNotFoundError):
                store.load(OLD)
            head = store._ground.ledger.head(OLD)
            assert head is not None and head.state == "deleting" and store.list().sessions == ()
            retired.rmdir()
            retired.write_bytes(content)
        with open_store(home) as store:
            head = store._ground.ledger.head(OLD)
            assert head is not None and head.state == "deleted" and not retired.exists()

    def test_a_migrated_one_goes_with_what_was_retired(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            list(store.migrate(OLD))
            assert (home / "data" / "retired" / f"{OLD}.json").exists()
            store.delete(OLD)
            assert list((home / "data" / "retired").glob("[!.]*")) == []


class TestTheFilesThemselves:
    def test_no_reading_changes_one(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        file = put(directory, unsigned(OLD).replace(b"\n", b"\r\n"))
        file.chmod(0o644)
        before = os.stat(file)
        with open_store(home) as store:
            store.load(OLD)
            store.append(OLD)
            store.compact(OLD)
            assert store.save(store.load(OLD)).rev == 0
            for call in (lambda: store.append(OLD, expected_rev=1), lambda: store.append(OLD, [{"n": float("nan")}])):
                with pytest.raises(errors.SessionStoreError):
                    call()
            store.export(OLD)
            store.list()
            list(store.verify())
            list(store.search("said"))
            store.cleanup(keep_last=0)
            assert store.append(OLD, expected_rev=0) == 0
        after = os.stat(file)
        assert (after.st_ino, after.st_size, after.st_mtime_ns, after.st_ctime_ns, after.st_mode) == (
            before.st_ino,
            before.st_size,
            before.st_mtime_ns,
            before.st_ctime_ns,
            before.st_mode,
        )
        assert set(os.listdir(directory)) - {".gitignore"} == {f"{OLD}.json"}
