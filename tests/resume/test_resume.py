"""A session is given back to be run only as it was saved, in the directory that was saved, once at a time."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, open_store
from sessionstore.errors import (
    AlreadyRunningError,
    InvalidIdError,
    InvalidSignatureError,
    InvalidValueError,
    ProjectPathError,
    RateLimitError,
    RunStateError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from sessionstore.model import new_id

ENTRIES = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]

Stored = Callable[[SessionStore, str], bytes]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir(mode=0o755)
    (made / "file").write_text("the saved one")
    return made


@pytest.fixture
def saved(store: SessionStore, project: Path) -> str:
    return store.create(project=project, entries=ENTRIES).id


@pytest.fixture
def fds() -> Callable[[], set[str]]:
    def opened() -> set[str]:
        links = (os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
        return {os.readlink(link) for link in links if os.path.lexists(link)}

    return opened


def exchange(project: Path) -> Path:
    """Another directory, with the same contents, under the name of the project."""
    project.rename(project.with_name("aside"))
    project.mkdir(mode=0o755)
    (project / "file").write_text("the other one")
    return project


class TestResume:
    def test_it_gives_the_session_as_it_was_saved_and_its_directory(
        self, store: SessionStore, saved: str, project: Path
    ) -> None:
        with store.resume(saved) as run:
            assert run.session == store.load(saved)
            assert run.project is not None
            assert run.project.display_path == str(project)
            assert os.path.samestat(os.stat(run.project.dir_fd), project.stat())
            assert run.project.run(["cat", "file"], capture_output=True).stdout == b"the saved one"
            assert run.state == "uncommitted"
            run.commit()
            assert run.state == "committed"
        assert run.state == "over"

    def test_a_session_without_a_project_runs_without_one(self, store: SessionStore) -> None:
        session = store.create(entries=ENTRIES)
        with store.resume(session.id) as run:
            assert run.project is None
            run.commit()
        assert run.session == session

    def test_turns_are_saved_while_it_runs(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            run.commit()
            rev = run.append([{"role": "user", "content": "more"}], tags=["ran"], expected_rev=run.session.rev)
            assert store.append(saved, name="by the store") == rev + 1
        loaded = store.load(saved)
        assert [entry["content"] for entry in loaded.entries] == ["hello", "hi", "more"]
        assert (loaded.tags, loaded.name, loaded.rev) == (("ran",), "by the store", rev + 1)

    def test_every_way_of_append_is_there(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            run.commit()
            first = run.append(config={"model": "m"}, name="other", idempotency_key="turn")
            assert run.append(config={"model": "m"}, name="other", idempotency_key="turn") == first
        assert store.load(saved).config == {"model": "m"}

    def test_it_can_be_resumed_again_after_the_end(self, store: SessionStore, saved: str) -> None:
        for _ in range(2):
            with store.resume(saved) as run:
                run.commit()

    def test_the_warnings_of_session_and_directory_are_both_told(
        self, store: SessionStore, saved: str, project: Path
    ) -> None:
        project.parent.chmod(0o777)
        with store.resume(saved) as run:
            assert run.project is not None
            assert run.warnings == run.session.warnings + run.project.warnings

    def test_its_text_names_the_session_and_nothing_of_its_content(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            assert repr(run) == f"Run({saved}, uncommitted)"


class TestBeforeTheCommit:
    """Whatever ends the block, the session is byte for byte what it was and can be resumed again."""

    @pytest.fixture
    def untouched(
        self, store: SessionStore, saved: str, stored: Stored, fds: Callable[[], set[str]], project: Path
    ) -> Iterator[None]:
        before, rev = stored(store, saved), store.load(saved).rev
        yield
        assert stored(store, saved) == before
        assert store.load(saved).rev == rev
        assert str(project) not in fds()
        with store.resume(saved) as run:
            run.commit()

    def test_leaving_rolls_back(self, store: SessionStore, saved: str, untouched: None) -> None:
        with store.resume(saved) as run:
            pass
        assert run.state == "over"

    def test_an_exception_rolls_back_and_comes_out_as_it_is(
        self, store: SessionStore, saved: str, untouched: None
    ) -> None:
        ours = ValueError("of the tool")
        with pytest.raises(ValueError, match="of the tool") as caught, store.resume(saved):
            raise ours
        assert caught.value is ours

    def test_nothing_can_be_saved_through_the_run(self, store: SessionStore, saved: str, untouched: None) -> None:
        with store.resume(saved) as run, pytest.raises(RunStateError) as caught:
            run.append([{"role": "user", "content": "too early"}])
        assert caught.value.state == "uncommitted"

    def test_hooks_run_at_the_end_the_latest_first(self, store: SessionStore, saved: str, untouched: None) -> None:
        calls: list[str] = []
        with store.resume(saved) as run:
            run.on_rollback(lambda: calls.append("first"))
            run.on_rollback(lambda: calls.append(f"second, directory open: {os.path.isdir(run.project.cwd)}"))  # type: ignore[union-attr]
        assert calls == ["second, directory open: True", "first"]

    def test_a_failing_hook_keeps_no_other_from_running_and_is_not_lost(
        self, store: SessionStore, saved: str, untouched: None
    ) -> None:
        calls: list[str] = []

        def failing() -> None:
            raise OSError("the hook failed")

        with pytest.raises(OSError, match="the hook failed"), store.resume(saved) as run:
            run.on_rollback(lambda: calls.append("ran"))
            run.on_rollback(failing)
        assert calls == ["ran"]

    def test_hooks_run_also_if_a_handler_of_the_log_fails(
        self, store: SessionStore, saved: str, untouched: None
    ) -> None:
        class Failing(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if getattr(record, "event", "") == "resume_rolled_back":
                    raise RuntimeError("no room in the log")

        calls: list[str] = []
        handler, logger = Failing(logging.INFO), logging.getLogger("sessionstore")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            with pytest.raises(RuntimeError, match="no room"), store.resume(saved) as run:
                run.on_rollback(lambda: calls.append("ran"))
        finally:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
        assert calls == ["ran"]

    def test_a_refused_commit_rolls_back_at_once(
        self, store: SessionStore, saved: str, stored: Stored, project: Path
    ) -> None:
        before = stored(store, saved)
        calls: list[str] = []
        with store.resume(saved) as run:
            run.on_rollback(lambda: calls.append("rolled back"))
            exchange(project)
            with pytest.raises(ProjectPathError) as caught:
                run.commit()
            assert caught.value.verdict == "replaced"
            assert calls == ["rolled back"]
            assert run.state == "over"
            with pytest.raises(RunStateError):
                run.commit()
            with pytest.raises(RunStateError):
                run.append([{"role": "user", "content": "all the same"}])
        assert calls == ["rolled back"], "leaving the block rolls nothing back a second time"
        assert stored(store, saved) == before

    def test_a_hook_runs_before_anything_that_may_wait(
        self, make_store: Callable[..., SessionStore], home: Path
    ) -> None:
        """Somebody keeps the audit log locked: what stops the tool does not wait for it."""
        store = make_store(lock_timeout_s=0.2)
        session = store.create()
        seen: list[tuple[str, ...]] = []
        with store.resume(session.id) as run:
            run.on_rollback(lambda: seen.append(tuple(line.event for line in store.audit(session=session.id))))
        assert seen == [("resume_attempt",)]
        assert [line.event for line in store.audit(session=session.id)] == ["resume_attempt", "resume_rolled_back"]

    def test_a_failing_hook_does_not_hide_the_refusal(self, store: SessionStore, saved: str, project: Path) -> None:
        def failing() -> None:
            raise OSError("the hook failed")

        with store.resume(saved) as run:
            run.on_rollback(failing)
            exchange(project)
            with pytest.raises(ProjectPathError) as caught:
                run.commit()
        assert "the hook failed" in caught.value.__notes__[0]


class TestThreads:
    def test_of_many_commits_at_once_one_is_taken(self, store: SessionStore, saved: str) -> None:
        outcomes: list[str] = []
        with store.resume(saved) as run:
            begin = threading.Barrier(8)

            def commit() -> None:
                begin.wait()
                try:
                    run.commit()
                    outcomes.append("committed")
                except RunStateError:
                    outcomes.append("refused")

            threads = [threading.Thread(target=commit) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(outcomes) == ["committed"] + ["refused"] * 7
        assert [event for event, _ in events(store)].count("resume_committed") == 1

    def test_the_block_does_not_end_before_a_commit_that_is_under_way(
        self, home: Path, ledger_locked: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """The commit waits for the ledger, which somebody holds; the block is left meanwhile, in another thread."""
        rolled_back: list[bool] = []
        with open_store(home) as store:
            session = store.create()
            block = store.resume(session.id)
            run = block.__enter__()
            run.on_rollback(lambda: rolled_back.append(True))
            committing = threading.Thread(target=run.commit)
            leaving = threading.Thread(target=block.__exit__, args=(None, None, None))
            with ledger_locked():
                committing.start()
                while run._turn.acquire(blocking=False):
                    run._turn.release()
                leaving.start()
                leaving.join(0.3)  # without the mutex it would roll back in this moment
                assert rolled_back == []
            committing.join()
            leaving.join()
            assert (run.state, rolled_back) == ("over", [])
            assert [event for event, _ in events(store)][-3:] == ["resume_attempt", "resume_committed", "resume_ended"]


class TestAfterTheCommit:
    def test_hooks_do_not_run(self, store: SessionStore, saved: str) -> None:
        calls: list[str] = []
        with pytest.raises(ValueError, match="late"), store.resume(saved) as run:
            run.on_rollback(lambda: calls.append("rolled back"))
            run.commit()
            raise ValueError("late")
        assert calls == []

    def test_it_is_committed_once(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            run.commit()
            with pytest.raises(RunStateError) as caught:
                run.commit()
            assert caught.value.state == "committed"
            with pytest.raises(RunStateError):
                run.on_rollback(print)
            assert run.append([{"role": "user", "content": "still running"}]) == run.session.rev + 1

    def test_the_tool_goes_on_in_the_saved_directory_when_that_moves(
        self, store: SessionStore, saved: str, project: Path
    ) -> None:
        with store.resume(saved) as run:
            run.commit()
            exchange(project)
            assert run.project is not None
            assert run.project.run(["cat", "file"], capture_output=True).stdout == b"the saved one"

    @pytest.mark.parametrize(("given", "kept"), [(0, 0), (3, 3), (-15, 143), (None, None)])
    def test_what_the_tool_ended_with_goes_on_record(
        self, store: SessionStore, saved: str, given: int | None, kept: int | None
    ) -> None:
        with store.resume(saved) as run:
            run.commit()
            run.exit_status = given
            assert run.exit_status == kept
        (ended,) = store.audit(events=["resume_ended"])
        assert ended.fields == {"status": kept}

    def test_a_status_that_no_tool_ends_with_is_refused_at_once(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            for status in (-128, 256, "0"):
                with pytest.raises(InvalidValueError, match="exit status"):
                    run.exit_status = status  # type: ignore[assignment]
            run.commit()

    def test_after_the_block_the_run_can_do_nothing(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            run.commit()
        for call in (run.commit, run.append, lambda: run.on_rollback(print)):
            with pytest.raises(RunStateError) as caught:
                call()
            assert caught.value.state == "over"


class TestRefused:
    def change(self, store: SessionStore, project: Path, how: str) -> None:
        if how == "missing":
            project.rename(project.with_name("aside"))
        elif how == "symlink":
            project.rename(project.with_name("aside"))
            project.symlink_to(project.with_name("aside"))
        elif how == "replaced":
            exchange(project)
        elif how == "permissions_widened":
            project.chmod(0o775)
        elif how == "world_writable":
            project.chmod(0o757)
        elif how == "not_a_directory":
            project.rename(project.with_name("aside"))
            project.write_text("")

    @pytest.mark.parametrize(
        "how", ["missing", "symlink", "replaced", "permissions_widened", "world_writable", "not_a_directory"]
    )
    @pytest.mark.parametrize("when", ["before", "between"])
    def test_a_directory_that_is_not_as_it_was(
        self, store: SessionStore, saved: str, stored: Stored, project: Path, how: str, when: str
    ) -> None:
        before = stored(store, saved)
        if when == "before":
            self.change(store, project, how)
            with pytest.raises(ProjectPathError) as caught, store.resume(saved):
                pytest.fail("the block must not be entered")
        else:
            with store.resume(saved) as run:
                self.change(store, project, how)
                with pytest.raises(ProjectPathError) as caught:
                    run.commit()
        assert caught.value.verdict in {how, "permissions_widened"}
        assert stored(store, saved) == before

    def test_a_directory_that_was_deleted_between(self, store: SessionStore, saved: str, project: Path) -> None:
        with store.resume(saved) as run:
            (project / "file").unlink()
            project.rmdir()
            with pytest.raises(ProjectPathError) as caught:
                run.commit()
        assert caught.value.verdict == "missing"

    def test_a_session_that_was_tampered_with(self, store: SessionStore, saved: str, home: Path) -> None:
        file = home / "data" / "sessions" / f"{saved}.jsonl"
        if not file.exists():
            pytest.skip("a session in memory cannot be edited by hand")
        file.write_bytes(file.read_bytes().replace(b"hello", b"hullo"))
        with pytest.raises(InvalidSignatureError), store.resume(saved):
            pytest.fail("the block must not be entered")
        with pytest.raises(InvalidSignatureError), store.resume(saved):
            pytest.fail("the first refusal must have given the run lock back")

    def test_a_session_whose_directory_was_never_opened(self, store: SessionStore, saved: str) -> None:
        copy = store.import_document(store.export(saved))
        with pytest.raises(ProjectPathError) as caught, store.resume(copy.id):
            pytest.fail("the block must not be entered")
        assert caught.value.verdict == "no_identity"
        assert "rebind" in caught.value.hint

    def test_a_second_run_beside_the_first(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            with pytest.raises(AlreadyRunningError) as caught, store.resume(saved):
                pytest.fail("the block must not be entered")
            assert (caught.value.session_id, caught.value.pid) == (saved, os.getpid())
            run.commit()

    def test_a_second_run_in_another_thread(self, store: SessionStore, saved: str) -> None:
        caught: list[BaseException] = []

        def second() -> None:
            try:
                with store.resume(saved):
                    pass
            except AlreadyRunningError as error:
                caught.append(error)

        with store.resume(saved):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
        assert len(caught) == 1

    def test_another_session_may_run_beside_it(self, store: SessionStore, saved: str) -> None:
        other = store.create()
        with store.resume(saved) as one, store.resume(other.id) as two:
            one.commit()
            two.commit()

    def test_a_store_that_was_opened_to_read(self, make_store: Callable[..., SessionStore], home: Path) -> None:
        with open_store(home) as store:
            session = store.create()
        with (
            open_store(home, read_only=True) as store,
            pytest.raises(StoreUnavailableError, match="read-only"),
            store.resume(session.id),
        ):
            pytest.fail("the block must not be entered")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_the_run_in_a_process_forked_from_the_one_that_resumed(self, store: SessionStore, saved: str) -> None:
        with store.resume(saved) as run:
            run.commit()
            child = os.fork()
            if child == 0:
                try:
                    run.append([{"role": "user", "content": "from the child"}])
                except RunStateError as error:
                    os._exit(7 if error.state == "other_process" else 8)
                os._exit(9)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert run.state == "committed"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_a_forked_process_that_leaves_the_block_ends_nothing_of_its_parents(
        self, store: SessionStore, saved: str
    ) -> None:
        left, states = 1, []
        with store.resume(saved) as run:
            run.commit()
            child = os.fork()
            if child:
                left = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                states.append(run.state)
                with pytest.raises(AlreadyRunningError), store.resume(saved):
                    pass
        if child == 0:
            os._exit(0 if run.state == "other_process" else 9)
        assert (left, states) == (0, ["committed"])
        assert [event for event, _ in events(store)].count("resume_ended") == 1


class TestAttempts:
    def test_the_sixth_within_a_minute_is_refused_whatever_came_of_the_others(
        self, store: SessionStore, saved: str, project: Path
    ) -> None:
        project.rename(project.with_name("aside"))
        for _ in range(3):
            with pytest.raises(ProjectPathError), store.resume(saved):
                pass
        project.with_name("aside").rename(project)
        for _ in range(2):
            with store.resume(saved) as run:
                run.commit()
        with pytest.raises(RateLimitError) as caught, store.resume(saved):
            pytest.fail("the block must not be entered")
        error = caught.value
        assert (error.operation, error.scope, error.limit, error.window_s) == ("resume", "session", 5, 60)
        assert 1 <= error.retry_after_s <= 60
        with store.resume(store.create().id) as run:
            run.commit()

    def test_what_is_no_session_goes_on_record_too(self, store: SessionStore) -> None:
        unknown = new_id()
        with pytest.raises(SessionNotFoundError), store.resume(unknown):
            pass
        with pytest.raises(InvalidIdError), store.resume("../x"):
            pass
        store.refuse_resume("ambiguous_id")
        lines = [(line.event, line.session_id, line.fields.get("code")) for line in store.audit()]
        assert lines[-4:] == [
            ("resume_attempt", unknown, None),
            ("resume_refused", unknown, "not_found"),
            ("resume_refused", None, "invalid_id"),
            ("resume_refused", None, "ambiguous_id"),
        ]

    def test_an_id_that_nobody_knows_leaves_no_lock_file(self, home: Path) -> None:
        with open_store(home) as store:
            with pytest.raises(SessionNotFoundError), store.resume(unknown := new_id()):
                pass
            assert not (home / "state" / "locks" / f"{unknown}.run").exists()

    def test_what_is_no_session_counts_over_all_only(self, make_store: Callable[..., SessionStore]) -> None:
        store = make_store(resume_limit=1, resume_global_limit=4)
        unknown = new_id()
        for _ in range(2):
            with pytest.raises(SessionNotFoundError), store.resume(unknown):
                pass
        with pytest.raises(InvalidIdError), store.resume("../x"):
            pass
        store.refuse_resume("not_found")
        for attempt in (unknown, "../x", store.create().id):
            with pytest.raises(RateLimitError) as caught, store.resume(attempt):
                pass
            assert caught.value.scope == "global"
        with pytest.raises(RateLimitError):
            store.refuse_resume("not_found")

    def test_nothing_of_the_session_is_read_before_the_attempt_counts(
        self, make_store: Callable[..., SessionStore], home: Path
    ) -> None:
        store = make_store(resume_limit=1)
        session = store.create()
        with store.resume(session.id):
            pass
        file = home / "data" / "sessions" / f"{session.id}.jsonl"
        if not file.exists():
            pytest.skip("a session in memory cannot be taken away")
        file.unlink()
        with pytest.raises(RateLimitError), store.resume(session.id):
            pass

    def test_a_limit_that_is_switched_off_goes_on_record_once(self, make_store: Callable[..., SessionStore]) -> None:
        store = make_store(resume_limit=0)
        session = store.create()
        for _ in range(7):
            with store.resume(session.id):
                pass
        (off,) = store.audit(events=["limits_off"])
        assert off.fields == {"setting": "resume_limit"}


def events(store: SessionStore) -> list[tuple[str, Any]]:
    """The audit log of a store as (event, code) pairs."""
    return [(line.event, line.fields.get("code")) for line in store.audit()]


class TestOnRecord:
    def test_every_outcome_stands_in_the_audit_log(self, store: SessionStore, saved: str, project: Path) -> None:
        with store.resume(saved) as run:
            run.commit()
        with store.resume(saved):
            pass
        with pytest.raises(ValueError, match="x"), store.resume(saved):
            raise ValueError("x")
        exchange(project)
        with pytest.raises(ProjectPathError), store.resume(saved):
            pass
        project.rename(project.with_name("other"))
        project.with_name("aside").rename(project)
        with store.resume(saved) as run:
            exchange(project.with_name("other").rename(project.with_name("unused")).with_name("project"))
            with pytest.raises(ProjectPathError):
                run.commit()
        with pytest.raises(RateLimitError), store.resume(saved):
            pass
        code = ProjectPathError.code
        assert [event for event in events(store) if event[0] != "inventory_taken"] == [
            ("resume_attempt", None),
            ("resume_committed", None),
            ("resume_ended", None),
            ("resume_attempt", None),
            ("resume_rolled_back", "left"),
            ("resume_attempt", None),
            ("resume_rolled_back", "exception"),
            ("resume_attempt", None),
            ("resume_refused", code),
            ("resume_attempt", None),
            ("resume_rolled_back", code),
            ("rate_limited", None),
        ]


class TestRebind:
    def test_a_moved_project_is_resumed_in_its_new_place(self, store: SessionStore, saved: str, project: Path) -> None:
        moved = project.rename(project.with_name("moved"))
        done = store.rebind(saved, moved, consent="the tester")
        assert done.before is not None
        assert (done.before.display_path, done.after.display_path) == (str(project), str(moved))
        assert done.after.inode == done.before.inode
        with store.resume(saved) as run:
            assert run.project is not None
            assert run.project.run(["cat", "file"], capture_output=True).stdout == b"the saved one"
            run.commit()
        assert run.session.entries == tuple(ENTRIES)

    def test_without_a_path_it_is_what_has_the_name_now(self, store: SessionStore, saved: str, project: Path) -> None:
        exchange(project)
        done = store.rebind(saved, consent="the tester")
        assert "inode" in done.changed
        with store.resume(saved) as run:
            run.commit()

    def test_a_dry_run_changes_nothing(self, store: SessionStore, saved: str, project: Path, stored: Stored) -> None:
        exchange(project)
        before = stored(store, saved)
        assert "inode" in store.rebind(saved, consent="the tester", dry_run=True).changed
        assert stored(store, saved) == before
        with pytest.raises(ProjectPathError), store.resume(saved):
            pass

    def test_the_same_directory_again_is_no_change(self, store: SessionStore, saved: str, stored: Stored) -> None:
        before = stored(store, saved)
        assert store.rebind(saved, consent="the tester").changed == ()
        assert stored(store, saved) == before

    def test_a_session_without_a_project_gets_one(self, store: SessionStore, project: Path) -> None:
        session = store.create()
        with pytest.raises(InvalidValueError, match="path"):
            store.rebind(session.id, consent="the tester")
        done = store.rebind(session.id, project, consent="the tester")
        assert done.before is None
        assert "path" in done.changed
        with store.resume(session.id) as run:
            assert run.project is not None
            run.commit()

    def test_an_imported_session_can_run_after_it(self, store: SessionStore, saved: str) -> None:
        copy = store.import_document(store.export(saved))
        store.rebind(copy.id, consent="the tester")
        with store.resume(copy.id) as run:
            run.commit()

    @pytest.mark.parametrize("consent", ["", "two\nlines", "x" * 201])
    def test_consent_is_needed_in_words(self, store: SessionStore, saved: str, stored: Stored, consent: str) -> None:
        before = stored(store, saved)
        with pytest.raises(InvalidValueError, match="consent"):
            store.rebind(saved, consent=consent)
        assert stored(store, saved) == before

    def test_a_directory_that_a_create_would_refuse_is_refused(
        self, store: SessionStore, saved: str, project: Path, stored: Stored
    ) -> None:
        before = stored(store, saved)
        project.chmod(0o777)
        with pytest.raises(ProjectPathError) as caught:
            store.rebind(saved, consent="the tester")
        assert caught.value.verdict == "world_writable"
        assert stored(store, saved) == before
        assert store.rebind(saved, consent="the tester", trust=["world_writable"]).after.trust == ("world_writable",)

    def test_the_allowed_roots_stay_unless_others_are_given(self, store: SessionStore, tmp_path: Path) -> None:
        inside, outside = tmp_path / "root" / "project", tmp_path / "elsewhere"
        inside.mkdir(parents=True)
        outside.mkdir()
        session = store.create(project=inside, allowed_roots=[tmp_path / "root"])
        with pytest.raises(ProjectPathError) as caught:
            store.rebind(session.id, outside, consent="the tester")
        assert caught.value.verdict == "outside_allowed_roots"
        assert store.rebind(session.id, outside, consent="the tester", allowed_roots=[]).after.allowed_roots == ()

    def test_only_the_directory_that_was_shown_is_bound(
        self, store: SessionStore, saved: str, project: Path, stored: Stored
    ) -> None:
        exchange(project)
        before, shown = stored(store, saved), store.rebind(saved, consent="a look", dry_run=True)
        project.rename(project.with_name("second"))
        project.mkdir(mode=0o755)
        with pytest.raises(ProjectPathError, match="agreed") as caught:
            store.rebind(saved, consent="the tester", expected=shown)
        assert caught.value.verdict == "replaced"
        assert stored(store, saved) == before
        project.rmdir()
        project.with_name("second").rename(project)
        assert store.rebind(saved, consent="the tester", expected=shown) == shown

    def test_only_the_session_that_was_shown_is_bound(self, store: SessionStore, saved: str, tmp_path: Path) -> None:
        """Somebody else bound it between the look and the consent: what he decided is not overruled."""
        shown = store.rebind(saved, tmp_path, consent="a look", dry_run=True)
        other = tmp_path / "other"
        other.mkdir()
        store.rebind(saved, other, consent="somebody else")
        with pytest.raises(ProjectPathError, match="agreed"):
            store.rebind(saved, tmp_path, consent="the tester", expected=shown)
        assert store.load(saved).project == store.rebind(saved, other, consent="a look", dry_run=True).after

    def test_a_running_session_keeps_its_directory(self, store: SessionStore, saved: str, tmp_path: Path) -> None:
        with store.resume(saved) as run:
            with pytest.raises(AlreadyRunningError):
                store.rebind(saved, tmp_path, consent="the tester")
            run.commit()

    def test_it_stands_in_the_audit_log_with_both_places(self, store: SessionStore, saved: str, project: Path) -> None:
        moved = project.rename(project.with_name("moved"))
        store.rebind(saved, moved, consent="the tester")
        (line,) = [line for line in store.audit() if line.event == "rebind"]
        assert line.session_id == saved
        assert dict(line.fields) == {
            "before": str(project),
            "after": str(moved),
            "consent": "the tester",
            "trust": None,
        }

    def test_a_store_that_was_opened_to_read(self, home: Path, project: Path) -> None:
        with open_store(home) as store:
            session = store.create(project=project)
        with open_store(home, read_only=True) as store, pytest.raises(StoreUnavailableError, match="read-only"):
            store.rebind(session.id, consent="the tester")


class TestBoundBelow:
    def test_it_gives_the_sessions_of_a_directory_and_of_those_below_it(
        self, store: SessionStore, tmp_path: Path
    ) -> None:
        for name in ("old", "old/a", "old/a/b", "older", "new"):
            (tmp_path / name).mkdir()
        made = {name: store.create(project=tmp_path / name).id for name in ("old", "old/a", "old/a/b", "older", "new")}
        store.create()
        found = {summary.id: record for summary, record in store.bound_below(tmp_path / "old")}
        assert found == {made[name]: store.load(made[name]).project for name in ("old", "old/a", "old/a/b")}

    def test_one_over_the_size_cap_is_named_without_a_record(
        self, make_store: Callable[..., SessionStore], project: Path
    ) -> None:
        big = make_store().create(project=project, entries=[{"text": "x" * 100_000}])
        if not (make_store().config.data_dir / "sessions" / f"{big.id}.jsonl").exists():
            pytest.skip("a session in memory ends with its store")
        small = make_store(max_session_bytes=65536)
        assert [(summary.id, record) for summary, record in small.bound_below(project)] == [(big.id, None)]

    def test_one_that_is_deleted_meanwhile_is_left_out(self, store: SessionStore, project: Path) -> None:
        older, newer = (store.create(project=project).id for _ in range(2))
        found = store.bound_below(project)
        assert next(found)[0].id == newer
        store.delete(older)
        assert list(found) == []

    def test_one_that_does_not_verify_is_named_without_a_record(
        self, store: SessionStore, project: Path, home: Path
    ) -> None:
        session = store.create(project=project, entries=ENTRIES)
        store.append(session.id, name="again")
        file = home / "data" / "sessions" / f"{session.id}.jsonl"
        if not file.exists():
            pytest.skip("a session in memory cannot be edited by hand")
        stat = file.stat()
        file.write_bytes(file.read_bytes().replace(b"hello", b"hullo"))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert [(summary.id, record) for summary, record in store.bound_below(project)] == [(session.id, None)]
