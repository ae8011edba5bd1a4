"""Adopting a sealed file: its record or its key was lost, and a person vouches for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, open_store
from sessionstore.audit.events import EVENTS
from sessionstore.format.lines import StateChange
from sessionstore.storage import Holder

WHO = "the test"
OTHER = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


@pytest.fixture
def stranger(place: Any, tmp_path: Path) -> Callable[..., str]:
    """Puts a session of another installation, with another key, into the store; its id."""

    def put(**arguments: Any) -> str:
        with open_store(tmp_path / "elsewhere", environ={}) as other:
            id = other.create(name="far", entries=[{"n": 0}], **arguments).id
            other.append(id, [{"n": 1}], tags=["t"])
        shutil.copy2(tmp_path / "elsewhere/data/sessions" / f"{id}.jsonl", place.file(id))
        return id

    return put


class TestLostRecord:
    def test_a_file_of_the_present_key_is_taken_in_with_its_provenance(self, place: Any) -> None:
        place.ledger_as_now()
        id = place.session(key="k", tags=["t"])
        before = place.read(id)
        store = place.older_ledger()
        with pytest.raises(errors.UnanchoredError) as caught:
            store.load(id)
        assert f"adopt {id} --sealed" in caught.value.hint
        planned = store.adopt_sealed(id, consent=WHO, dry_run=True)
        assert (planned.checked, planned.file_rev, planned.rev, planned.kept_as) == (True, 4, 5, None)
        assert place.read(id) == before
        done = store.adopt_sealed(id, consent=WHO)
        assert (done.rev, done.entries, done.key_id) == (5, 3, store._ground.keyring.primary.id)
        session = store.load(id)
        assert (session.provenance, session.rev, session.key, session.tags) == ("adopted", 5, "k", ("t",))
        assert (place.numbers(id), place.kept()) == ([0, 1, 2], [before])
        assert store.find("k").id == id
        assert store.append(id, [{"n": 3}]) == 6
        assert [event["consent"] for event in place.events("sealed_adopted")] == [WHO]
        assert all(result.ok for result in store.verify())
        store._ground.ledger.check()

    def test_the_original_put_back_is_refused_from_then_on(self, place: Any) -> None:
        place.ledger_as_now()
        id = place.session()
        before = place.read(id)
        store = place.older_ledger()
        store.adopt_sealed(id, consent=WHO)
        place.put(id, before)
        with pytest.raises(errors.RollbackError):
            store.load(id)

    def test_a_changed_file_of_the_present_key_is_never_taken_in(self, place: Any) -> None:
        place.ledger_as_now()
        id = place.session()
        store = place.older_ledger()
        good = place.read(id)
        for data in (place.damaged(id), good.replace(b'"rev":4', b'"rev":5'), b"", b"\n" * 100):
            place.put(id, data)
            with pytest.raises(errors.InvalidSignatureError):
                store.adopt_sealed(id, consent=WHO)
            assert (place.read(id), store.list().sessions) == (data, ())

    def test_what_was_not_saved_whole_is_left_out_and_kept_aside(self, place: Any) -> None:
        place.ledger_as_now()
        id = place.session()
        good = place.read(id)
        store = place.older_ledger()
        place.put(id, good + b'{"entry":{"half')
        assert store.adopt_sealed(id, consent=WHO).file_rev == 4
        assert (place.numbers(id), place.kept()) == ([0, 1, 2], [good + b'{"entry":{"half'])

    def test_an_older_state_is_called_one(self, place: Any) -> None:
        place.ledger_as_now()
        id = place.session()
        older = place.read(id)
        place.store.append(id, [{"n": 3}])
        place.store._ground.audit.record("resume_committed", session_id=id, rev=5)
        place.put(id, older)
        store = place.older_ledger()
        planned = store.adopt_sealed(id, consent=WHO, dry_run=True)
        assert (planned.file_rev, planned.known_rev, planned.rev) == (4, 5, 6)
        assert store.rebase_heads(consent=WHO, dry_run=True).left[0].command.endswith(f"{id} --sealed --accept-rev 4")
        for rev in (None, 3, 5):
            with pytest.raises(errors.RollbackError) as caught:
                store.adopt_sealed(id, consent=WHO, accept_rev=rev)
            assert (caught.value.rev, caught.value.head_rev) == (4, 5) and "--accept-rev 4" in caught.value.hint
        assert (place.read(id), store.list().sessions) == (older, ())
        done = store.adopt_sealed(id, consent=WHO, accept_rev=4)
        assert (done.file_rev, done.known_rev, done.rev) == (4, 5, 6)
        assert store.load(id).rev == 6

    def test_another_sessions_file_is_not_taken_in(self, place: Any) -> None:
        id = place.session()
        place.put(OTHER, place.read(id))
        with pytest.raises(errors.InvalidSignatureError):
            place.store.adopt_sealed(OTHER, consent=WHO)


class TestLostKey:
    def test_a_file_of_a_key_that_is_not_here_is_taken_in(self, place: Any, stranger: Callable[..., str]) -> None:
        id = stranger()
        with pytest.raises(errors.UnknownKeyError):
            place.store.load(id)
        assert place.store.repair(id).command == f"sessionstore adopt {id} --sealed"
        done = place.store.adopt_sealed(id, consent=WHO)
        assert (done.checked, done.name, done.file_rev, done.rev) == (False, "far", 2, 3)
        session = place.store.load(id)
        assert (session.provenance, session.tags, place.numbers(id)) == ("adopted", ("t",), [0, 1])

    def test_its_project_has_to_be_bound_again(self, place: Any, stranger: Callable[..., str], tmp_path: Path) -> None:
        (tmp_path / "project").mkdir()
        id = stranger(project=tmp_path / "project")
        place.store.adopt_sealed(id, consent=WHO)
        project = place.store.load(id).project
        assert (project.path, project.has_identity) == (bytes(tmp_path / "project"), False)
        with pytest.raises(errors.ProjectPathError), place.store.resume(id):
            pass

    def test_a_torn_or_changed_one_is_not(self, place: Any, stranger: Callable[..., str]) -> None:
        id = stranger()
        good = place.read(id)
        for old, new in ((b'{"n":0}', b'{"n":7}'), (b'"rev":2', b'"rev":3'), (b'"chain":"', b'"chain":"0')):
            place.put(id, good.replace(old, new))
            with pytest.raises(errors.InvalidSignatureError):
                place.store.adopt_sealed(id, consent=WHO)
        place.put(OTHER, good)
        with pytest.raises(errors.WrongSessionError):
            place.store.adopt_sealed(OTHER, consent=WHO)

    def test_what_a_forger_seals_is_checked_like_anything_that_is_saved(self, place: Any, tmp_path: Path) -> None:
        with open_store(tmp_path / "forger", environ={}) as forger:
            id = forger.create().id
            forger._writer.append(id, change=StateChange(name="two\nlines"))
        shutil.copy2(tmp_path / "forger/data/sessions" / f"{id}.jsonl", place.file(id))
        with pytest.raises(errors.MalformedError):
            place.store.adopt_sealed(id, consent=WHO)
        assert place.store.list().sessions == ()

    def test_its_external_key_must_be_free(self, place: Any, stranger: Callable[..., str]) -> None:
        place.session(key="k")
        id = stranger(key="k")
        before = place.read(id)
        with pytest.raises(errors.AlreadyExistsError):
            place.store.adopt_sealed(id, consent=WHO)
        assert place.read(id) == before


class TestGuards:
    def test_what_is_known_here_is_not_adopted(self, place: Any) -> None:
        id = place.session()
        with pytest.raises(errors.InvalidValueError, match="needs no adoption"):
            place.store.adopt_sealed(id, consent=WHO)
        older = place.read(id)
        place.store.append(id, [{"n": 3}])
        place.put(id, older)
        with pytest.raises(errors.RollbackError):
            place.store.adopt_sealed(id, consent=WHO)
        place.store.delete(id)
        place.put(id, older)
        with pytest.raises(errors.ResurrectedError):
            place.store.adopt_sealed(id, consent=WHO)
        with pytest.raises(errors.SessionNotFoundError):
            place.store.adopt_sealed(OTHER, consent=WHO)

    def test_limits_hold(self, place: Any, stranger: Callable[..., str]) -> None:
        id = stranger(config={"fill": "x" * 70_000})
        with pytest.raises(errors.TooLargeError):
            place.reopen(max_session_bytes=64 * 1024).adopt_sealed(id, consent=WHO)
        store = place.reopen(max_sessions=1)
        store.create()
        with pytest.raises(errors.SessionLimitError):
            store.adopt_sealed(id, consent=WHO)

    def test_it_is_consented_to_written_down_and_at_rest(self, place: Any, stranger: Callable[..., str]) -> None:
        id = stranger()
        before = place.read(id)
        assert EVENTS["sealed_adopted"].grants
        with pytest.raises(errors.InvalidValueError, match="who agreed"):
            place.store.adopt_sealed(id, consent="")
        with place.store._ground.backend.run(id, Holder()), pytest.raises(errors.AlreadyRunningError):
            place.store.adopt_sealed(id, consent=WHO)
        with open_store(place.home, environ={}, read_only=True) as store:
            assert store.adopt_sealed(id, consent=WHO, dry_run=True).rev == 3
            with pytest.raises(errors.StoreUnavailableError, match="read-only"):
                store.adopt_sealed(id, consent=WHO)
        assert (place.read(id), place.kept()) == (before, [])
