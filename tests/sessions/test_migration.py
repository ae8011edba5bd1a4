"""The next save of a session in an unsigned file seals it: nothing is lost, and the order of the steps holds."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionstore import Config, SessionStore, Todo, errors, open_store
from sessionstore.format.legacy import read_legacy
from sessionstore.migrations import migrations_dir
from sessionstore.model import format_time
from sessionstore.storage import FileBackend, Stamp

OLD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
OTHER = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
STEP = migrations_dir().joinpath("format", "0001-legacy-v1-to-sealed")
BEFORE = sorted(file.name for file in STEP.iterdir() if file.name.startswith("before."))

Unsigned = Callable[..., bytes]


def put(directory: Path, content: bytes, id: str = OLD) -> Path:
    file = directory / f"{id}.json"
    file.write_bytes(content)
    return file


def retired(home: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (home / "data" / "retired").glob("[!.]*")}


def outcomes(store: SessionStore, *args: Any, **kwargs: Any) -> list[tuple[str, str, str]]:
    return [(result.session_id, result.outcome, result.code) for result in store.migrate(*args, **kwargs)]


SAVES: dict[str, Callable[[SessionStore], object]] = {
    "append": lambda store: store.append(OLD, [{"n": 1}]),
    "append at 0": lambda store: store.append(OLD, [{"n": 1}], expected_rev=0),
    "save": lambda store: store.save(store.load(OLD).append({"n": 1})),
    "rename": lambda store: store.rename(OLD, "other"),
    "tag": lambda store: store.tag(OLD, add=["t"]),
    "todos": lambda store: store.append(OLD, todos=[Todo("x")]),
    "close": lambda store: store.close_session(OLD),
    "rewind": lambda store: store.rewind(OLD, 1, expected_rev=0),
    "clear": lambda store: store.clear(OLD),
}


class TestNextSave:
    @pytest.mark.parametrize("how", SAVES)
    def test_every_way_to_save_seals_it_first(self, home: Path, directory: Path, unsigned: Unsigned, how: str) -> None:
        content = unsigned(OLD)
        file = put(directory, content)
        with open_store(home) as store:
            before = store.load(OLD)
            SAVES[how](store)
            session = store.load(OLD)
            assert (session.rev, session.provenance, session.warnings) == (2, "legacy-adopted", ())
            assert session.created_at == before.created_at and session.updated_at > before.updated_at
            assert session.entries[: len(before.entries)] == before.entries or how in ("rewind", "clear")
            assert not file.exists() and retired(home) == {f"{OLD}.json": content}
            assert [line.integrity for line in store.list().sessions] == ["listed"]
            assert store.list().unreadable == ()
            (event,) = store.audit(events=["migration"])
            assert event.session_id == OLD
            store._ground.ledger.check()
        with open_store(home) as store:
            assert store.load(OLD) == session

    def test_a_save_that_is_refused_may_have_sealed_it_and_lost_nothing(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            before = store.load(OLD)
            with pytest.raises(errors.ConflictError):
                store.append(OLD, [{"n": 1}], expected_rev=7)
            after = store.load(OLD)
            assert (after.rev, after.entries, after.updated_at) == (1, before.entries, before.updated_at)

    def test_the_first_revision_is_0_only_for_the_call_that_seals_it(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            store.append(OLD, [{"n": 1}], expected_rev=0)
            with pytest.raises(errors.ConflictError):
                store.append(OLD, [{"n": 1}], expected_rev=0)

    def test_a_retry_with_the_same_key_saves_once(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            assert [store.append(OLD, [{"n": 1}], idempotency_key="k") for _ in range(2)] == [2, 2]

    def test_the_number_of_sessions_is_no_reason_to_refuse(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(config=Config(data_dir=home / "data", state_dir=home / "state", max_sessions=1)) as store:
            store.create()
            assert store.append(OLD, [{"n": 1}]) == 2

    def test_a_full_store_does_not_evict_what_was_only_migrated(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        for id in (OLD, OTHER):
            put(directory, unsigned(id), id)
        config = Config(data_dir=home / "data", state_dir=home / "state", max_sessions=2, when_full="evict")
        with open_store(config=config) as store:
            list(store.migrate())
            with pytest.raises(errors.SessionLimitError):
                store.create()
            store.close_session(OTHER)
            made = store.create().id
            assert {line.id for line in store.list().sessions} == {OLD, made}

    def test_two_rounds_of_saving_and_loading_keep_order_and_every_field(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD, 7, unknown={"deep": [None, 1.5]}, project_path=""))
        entries = None
        for turn in range(2):
            with open_store(home) as store, store.resume(OLD) as run:
                entries = run.session.entries if entries is None else entries
                assert run.session.entries[:7] == entries[:7]
                run.commit()
                run.append([{"turn": turn}])
        with open_store(home) as store:
            session = store.load(OLD)
            assert [entry.get("id", entry.get("turn")) for entry in session.entries] == [
                *(f"m{number}" for number in range(7)),
                0,
                1,
            ]
            assert session.config["legacy"] == {"unknown": {"deep": [None, 1.5]}}
            assert session.config["extra"] == {"kept": [1, 2.5]}
            assert format_time(session.created_at) == "2025-12-08T09:00:00.000001Z"


class TestFiles:
    @pytest.mark.parametrize("name", BEFORE)
    def test_every_file_of_the_step_keeps_what_it_holds(self, home: Path, directory: Path, name: str) -> None:
        content = STEP.joinpath(name).read_bytes()
        id = json.loads(content)["id"]
        old = read_legacy(content, file_stem=id)
        put(directory, content, id)
        with open_store(home) as store:
            loaded = store.load(id)
            assert outcomes(store) == [(id, "migrated", "ok")]
            session = store.load(id)
            for member in ("name", "project", "created_at", "updated_at", "closed_at", "entries", "todos", "config"):
                assert getattr(session, member) == getattr(loaded, member)
            assert (session.entries, session.config, session.rev) == (old.entries, old.state.config, 1)

    def test_a_file_with_another_digest_is_left_alone(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            file.write_bytes(unsigned(OLD) + b" ")
            assert outcomes(store) == [(OLD, "refused", "legacy_modified")]
            assert store._ground.ledger.head(OLD) is None
        assert file.read_bytes() == unsigned(OLD) + b" "

    def test_what_is_over_a_limit_stays_as_it_is_and_can_still_be_read(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        message = {"id": "m", "role": "user", "content": "x" * 3000, "timestamp": "2025-12-08T09:00:00Z"}
        put(directory, unsigned(OTHER, conversation=[message]), OTHER)
        config = Config(data_dir=home / "data", state_dir=home / "state", max_entry_bytes=2048)
        with open_store(config=config) as store:
            for dry_run in (True, False):
                assert outcomes(store, dry_run=dry_run) == [(OLD, "migrated", "ok"), (OTHER, "refused", "too_large")]
            assert outcomes(store) == [(OTHER, "refused", "too_large")]
            with pytest.raises(errors.TooLargeError):
                store.append(OTHER, [{"n": 1}])
            assert store.load(OTHER).rev == 0 and (directory / f"{OTHER}.json").exists()
            assert [line.id for line in store.list().sessions if line.integrity == "legacy"] == [OTHER]
        with open_store(home) as store:
            assert store.append(OTHER, [{"n": 1}]) == 2

    def test_a_dry_run_knows_the_cap_of_sessions(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        content = json.dumps(json.loads(unsigned(OLD, conversation=[])), separators=(",", ":")).encode()
        messages = ",".join(
            f'{{"id":"m","role":"user","content":"{"x" * 100}","timestamp":"2025-12-08T09:00:00Z"}}' for _ in range(372)
        )
        content = content.replace(b'"conversation":[]', f'"conversation":[{messages}]'.encode())
        content = content.ljust(65000)
        put(directory, content)
        with open_store(
            config=Config(data_dir=home / "data", state_dir=home / "state", max_session_bytes=65536)
        ) as store:
            assert outcomes(store, dry_run=True) == [(OLD, "refused", "too_large")]
            assert outcomes(store) == [(OLD, "refused", "too_large")]
            assert len(store.load(OLD).entries) == 372

    def test_a_stray_file_beside_the_sealed_session_stays_where_it_is(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            assert outcomes(store, OLD) == [(OLD, "migrated", "ok")]
            put(directory, unsigned(OLD, name="forged"))
            assert outcomes(store) == [] and outcomes(store, OLD) == []
            assert store.load(OLD).name == "Atlas"
            assert [line.code for line in store.list().unreadable] == ["signature_stripped"]
            store.delete(OLD)
            put(directory, unsigned(OLD))
            assert outcomes(store) == []
            assert [line.code for line in store.list().unreadable] == ["resurrected"]

    def test_a_file_that_a_migration_did_not_live_to_move_is_moved_by_the_next(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            store.append(OLD, [{"n": 1}])
            put(directory, unsigned(OLD))
            assert [(line.name, line.code) for line in store.list().unreadable] == [(OLD, "migrated")]
            assert store.append(OLD, [{"n": 2}]) == 3
            assert outcomes(store, dry_run=True) == [(OLD, "put_away", "ok")]
            assert (directory / f"{OLD}.json").exists()
            assert outcomes(store) == [(OLD, "put_away", "ok")]
            assert store.list().unreadable == () and outcomes(store) == []
        assert retired(home) == {f"{OLD}.json": unsigned(OLD), f"{OLD}.json.2": unsigned(OLD)}

    def test_nobody_and_somebody_sealed(self, home: Path) -> None:
        with open_store(home) as store:
            assert outcomes(store) == []
            for dry_run in (True, False):
                assert outcomes(store, OLD, dry_run=dry_run) == [(OLD, "refused", "not_found")]
            store.create(id=OLD)
            assert outcomes(store, OLD) == []
            with pytest.raises(errors.InvalidIdError):
                store.migrate("x")


class TestRefusals:
    def test_an_audit_log_that_cannot_be_written_leaves_everything_as_it_is(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            (home / "state" / "audit").rename(home / "state" / "away")
            (home / "state" / "audit").touch()
            with pytest.raises(errors.SessionStoreError):
                store.append(OLD, [{"n": 1}])
            assert store._ground.ledger.head(OLD) is None and file.exists()
            (home / "state" / "audit").unlink()
            (home / "state" / "away").rename(home / "state" / "audit")
            assert store.append(OLD, [{"n": 1}]) == 2

    def test_a_retired_directory_in_the_way_is_told_and_loses_nothing(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            (home / "data" / "retired").write_text("in the way")
            with pytest.raises(errors.SessionStoreError):
                store.append(OLD, [{"n": 1}])
            session = store.load(OLD)
            assert (session.rev, len(session.entries)) == (1, 2)
            (home / "data" / "retired").unlink()
            assert store.append(OLD, [{"n": 1}]) == 2
            assert outcomes(store) == [(OLD, "put_away", "ok")]

    def test_a_sealed_file_without_a_record_is_not_replaced(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            (directory / f"{OLD}.jsonl").write_bytes(b"{}\n")
            with pytest.raises(errors.UnanchoredError):
                store.load(OLD)
            with pytest.raises(errors.UnanchoredError):
                store.append(OLD, [{"n": 1}])
            assert store._ground.ledger.head(OLD) is None
            assert (directory / f"{OLD}.jsonl").read_bytes() == b"{}\n"
            (directory / f"{OLD}.jsonl").unlink()
            assert store.load(OLD).rev == 0
            assert store.append(OLD, [{"n": 1}]) == 2

    def test_a_session_without_a_directory_of_its_own_is_bound_first(
        self, home: Path, directory: Path, unsigned: Unsigned, tmp_path: Path
    ) -> None:
        project = tmp_path / "project"
        project.mkdir()
        put(directory, unsigned(OLD, project_path=str(project)))
        put(directory, unsigned(OTHER, project_path=""), OTHER)
        with open_store(home) as store:
            with pytest.raises(errors.ProjectPathError) as caught, store.resume(OLD):
                pass
            assert caught.value.verdict == "no_identity"
            assert store.load(OLD).rev == 0  # a refused resume changes nothing
            store.rebind(OLD, consent="test")
            assert store.load(OLD).rev == 2
            with store.resume(OLD) as run:
                assert run.project is not None
            with store.resume(OTHER) as run:
                assert run.project is None

    def test_resumes_of_one_are_counted_like_those_of_any_session(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD, project_path=""))
        with open_store(config=Config(data_dir=home / "data", state_dir=home / "state", resume_limit=1)) as store:
            with store.resume(OLD):
                pass
            with pytest.raises(errors.RateLimitError) as caught, store.resume(OLD):
                pass
            assert caught.value.fields["scope"] == "session"


class Interrupted(FileBackend):
    """Files beside which something happens right after a whole one was written."""

    def __init__(self, calm: FileBackend, happen: Callable[[], object]) -> None:
        self.__dict__.update(calm.__dict__)
        self._happen = happen

    def write(self, name: str, chunks: Iterable[bytes], *, replace: bool) -> Stamp:
        stamp = super().write(name, chunks, replace=replace)
        self._happen()
        return stamp


class TestDiedBesideOthers:
    """Its maker died, and a store that was open all the time goes on."""

    @pytest.fixture
    def half(
        self, home: Path, directory: Path, unsigned: Unsigned, face: Callable[..., SessionStore]
    ) -> Iterator[SessionStore]:
        """A store with a session whose sealed file is in place, and whose head is not."""
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            calm = store._ground.backend
            assert isinstance(calm, FileBackend)

            def interrupt() -> None:
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                face(store, backend=Interrupted(calm, interrupt)).append(OLD, [{"n": 1}])
            head = store._ground.ledger.head(OLD)
            assert head is not None and head.state == "creating"
            yield store
            assert store.list().unreadable == ()
            store._ground.ledger.check()

    def test_a_reader_finds_the_session(self, half: SessionStore) -> None:
        assert len(half.load(OLD).entries) == 2

    def test_a_writer_finishes_it_and_saves(self, half: SessionStore, home: Path) -> None:
        assert half.append(OLD, [{"n": 2}], expected_rev=0) == 2
        assert len(half.load(OLD).entries) == 3 and list(retired(home)) == [f"{OLD}.json"]

    def test_a_migration_finishes_it(self, half: SessionStore, home: Path) -> None:
        assert outcomes(half) == [(OLD, "migrated", "ok")]
        assert half.load(OLD).rev == 1 and list(retired(home)) == [f"{OLD}.json"]

    def test_it_is_settled_once(self, half: SessionStore) -> None:
        for _ in range(2):
            half._lifecycle.settle(OLD)
            assert half.load(OLD).rev == 1

    def test_who_deletes_it_deletes_both(self, half: SessionStore, home: Path, directory: Path) -> None:
        half.delete(OLD)
        assert not list(directory.glob(f"{OLD}*")) and retired(home) == {}

    def test_before_its_file_had_a_name_it_is_undone_and_made_again(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            ledger = store._ground.ledger
            row = msgspec.structs.replace(store._reader.unsigned.find(OLD, None).head(), state="creating", end=0)  # type: ignore[union-attr]
            ledger.commit(row, old=None, durable=True)
            assert store.load(OLD).rev == 0 and [line.id for line in store.list().sessions] == [OLD]
            assert store.append(OLD, [{"n": 1}]) == 2
            ledger.check()

    def test_one_that_came_under_its_name_meanwhile_is_nobodys_session(
        self, home: Path, directory: Path, unsigned: Unsigned, face: Callable[..., SessionStore]
    ) -> None:
        put(directory, unsigned(OLD))
        sealed = directory / f"{OLD}.jsonl"

        class Overtaken(FileBackend):
            def write(self, name: str, chunks: Iterable[bytes], *, replace: bool) -> Stamp:
                sealed.write_bytes(b"{}\n")
                return super().write(name, chunks, replace=replace)

        with open_store(home) as store:
            calm = store._ground.backend
            overtaken = Overtaken.__new__(Overtaken)
            overtaken.__dict__.update(calm.__dict__)
            with pytest.raises(errors.AlreadyExistsError):
                face(store, backend=overtaken).append(OLD, [{"n": 1}])
            head = store._ground.ledger.head(OLD)
            assert head is not None and (head.state, head.rev) == ("deleted", 0)
            assert sealed.read_bytes() == b"{}\n"
            sealed.unlink()
            assert store.append(OLD, [{"n": 1}]) == 2


class TestTogether:
    def test_what_came_or_went_since_the_names_were_read_has_no_line(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            beside, stamp = store._index._beside, store._ground.backend.stamp(f"{OLD}.json")
            assert beside._line(OLD, None) is None
            assert beside._line(OTHER, stamp) is None
            file.unlink()
            assert getattr(beside._line(OLD, stamp), "code", "") == "missing"

    def test_one_that_vanishes_while_all_are_migrated_is_told(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        for id in (OLD, OTHER):
            put(directory, unsigned(id), id)
        with open_store(home) as store:
            results = store.migrate()
            assert next(results).session_id == OLD
            (directory / f"{OTHER}.json").unlink()
            assert [result.code for result in results] == ["missing"]

    def test_a_reader_beside_a_migration_finds_the_session(
        self, home: Path, directory: Path, unsigned: Unsigned, eventful: Callable[..., SessionStore]
    ) -> None:
        for id in (OLD, OTHER):
            put(directory, unsigned(id), id)
        with open_store(home) as store:
            # Between the reading of the head and the opening of the log, and between log and unsigned file.
            beside = eventful(store, look=lambda: store.append(OLD, [{"n": 1}]))
            assert beside.load(OLD).rev == 2
            calm = store._ground.backend
            late = eventful(store)
            opened: list[str] = []

            def open(name: str, *, writable: bool = False) -> Any:
                if name == f"{OTHER}.json" and not opened:
                    opened.append(name)
                    store.append(OTHER, [{"n": 1}])
                return calm.open(name, writable=writable)

            late._ground.backend.open = open  # type: ignore[method-assign]
            assert late.load(OTHER).rev == 2 and opened

    def test_of_many_writers_one_migrates(
        self, home: Path, directory: Path, unsigned: Unsigned, child: Callable[..., str]
    ) -> None:
        put(directory, unsigned(OLD))
        script = (
            "import sys, threading\nfrom sessionstore import open_store\n"
            "with open_store(sys.argv[1]) as store:\n"
            " ts = [threading.Thread(target=store.append, args=(sys.argv[2], [{'n': n}])) for n in range(6)]\n"
            " [t.start() for t in ts]; [t.join() for t in ts]\n"
            " print(store.load(sys.argv[2]).rev)"
        )
        with open_store(home):
            pass
        assert child(script, home, OLD) == "7"
        with open_store(home) as store:
            assert len(list(store.audit(events=["migration"]))) == 1
            assert os.listdir(home / "data" / "retired") and len(store.load(OLD).entries) == 8


class TestOneOfMany:
    def test_one_that_somebody_keeps_locked_is_told_and_the_others_are_signed(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        put(directory, unsigned(OTHER), OTHER)
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.05)
        with open_store(config=config) as store, open_store(config=config) as other:
            with other._ground.locked(OLD):
                assert outcomes(store) == [(OLD, "refused", "store_unavailable"), (OTHER, "migrated", "ok")]
            assert outcomes(store) == [(OLD, "migrated", "ok")]

    def test_what_concerns_the_whole_store_is_raised(self, home: Path, directory: Path, unsigned: Unsigned) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            put(directory, unsigned(OTHER), OTHER)
            results = store.migrate()
            assert next(results).outcome == "migrated"
            with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
                (anchor,) = ledger.execute("SELECT * FROM anchor").fetchall()
                ledger.execute("DELETE FROM anchor")
            with pytest.raises(errors.LedgerCorruptError):
                next(results)
            with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
                ledger.execute("INSERT INTO anchor VALUES (?, ?, ?, ?)", anchor)
        with open_store(home, read_only=True) as store:
            for id in (None, OLD):
                with pytest.raises(errors.StoreUnavailableError):
                    store.migrate(id)
            with pytest.raises(errors.StoreUnavailableError):
                store._lifecycle.migrate(OLD)

    def test_a_deleted_one_is_not_found_and_of_no_interest_among_all(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            store.delete(OLD)
            put(directory, unsigned(OLD))
            assert outcomes(store) == []
            for dry_run in (True, False):
                assert outcomes(store, OLD, dry_run=dry_run) == [(OLD, "refused", "not_found")]

    def test_a_time_that_leaves_no_room_for_a_later_one_is_refused(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD, updated_at="9999-01-01T00:00:00Z"))
        put(directory, unsigned(OTHER, updated_at="9998-12-31T23:59:59.999999Z"), OTHER)
        with open_store(home) as store:
            assert outcomes(store) == [(OLD, "refused", "malformed"), (OTHER, "migrated", "ok")]
            assert store.append(OTHER, [{"n": 1}]) == 2
