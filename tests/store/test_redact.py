"""Redacting in place: what goes, what stays, what is refused, what is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import SessionStore, Todo, errors, open_store
from sessionstore.storage import Holder

AWS = "AK" + "IA" + "ABCDEFGH12345678"
NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
STARTED = "2026-01-31T12:00:00.000000Z"
Stored = Callable[[SessionStore, str], bytes]
Make = Callable[..., SessionStore]


@pytest.fixture
def id(store: SessionStore) -> str:
    """A session of three entries; the second one, the name, a tag, a todo and the configuration hold a secret."""
    id = store.create(name=f"of {AWS}", key="k", entries=[{"role": "user", "id": "m0", "content": "hello"}]).id
    store.append(id, [{"role": "user", "id": "m1", "content": f"it is {AWS}"}], idempotency_key="turn 2")
    store.append(id, [{"n": 2}], tags=[AWS, "a"], todos=[Todo(AWS)], config={"password": "x"})
    return id


class TestWhatGoes:
    def test_secrets_go_out_of_entries_and_state_and_the_rest_stays(self, store: SessionStore, id: str) -> None:
        before = store.load(id)
        done = store.redact(id, secrets=True)
        session = store.load(id)
        assert session.entries == (
            before.entries[0],
            {"role": "user", "id": "m1", "content": "it is [redacted:aws]"},
            {"n": 2},
        )
        assert (session.name, session.tags) == ("of [redacted:aws]", ("[redacted:aws]", "a"))
        assert (session.todos, session.config) == ((Todo("[redacted:aws]"),), {"password": "[redacted:named_value]"})
        assert (session.key, session.created_at, session.provenance) == ("k", before.created_at, before.provenance)
        assert (session.rev, done.rev) == (before.rev + 1, before.rev + 1)
        assert (done.session_id, done.entries, done.found) == (id, 1, {"aws": 4, "named_value": 1})
        assert store.summary(id).name == "of [redacted:aws]"
        assert [result.code for result in store.verify(id)] == ["ok"]

    def test_no_byte_of_it_is_left_in_the_log(self, store: SessionStore, id: str, stored: Stored) -> None:
        assert AWS.encode() in stored(store, id)
        store.redact(id, secrets=True)
        assert AWS.encode() not in stored(store, id)

    def test_earlier_names_go_too_although_nothing_of_them_is_shown_any_more(
        self, store: SessionStore, id: str, stored: Stored
    ) -> None:
        store.rename(id, "harmless")
        store.redact(id, patterns=["hello"])
        assert f"of {AWS}".encode() not in stored(store, id)

    def test_by_index_the_whole_content_of_an_entry_goes(self, store: SessionStore, id: str) -> None:
        done = store.redact(id, entries=[0, 2])
        assert store.load(id).entries == (
            {"role": "user", "id": "m0", "content": "[redacted:entry]"},
            {"role": "user", "id": "m1", "content": f"it is {AWS}"},
            {"n": "[redacted:entry]"},
        )
        assert (done.entries, done.found) == (2, {"entry": 2})

    def test_by_pattern_only_what_fits_goes(self, store: SessionStore, id: str) -> None:
        done = store.redact(id, patterns=["hel+o", "m1"])
        assert store.load(id).entries[0]["content"] == "[redacted:pattern]"
        assert store.load(id).entries[1] == {"role": "user", "id": "m1", "content": f"it is {AWS}"}
        assert done.found == {"pattern": 1}
        assert "1 ids, roles, types or times that a pattern fits, which stay" in done.unreached

    def test_configured_patterns_count_with_secrets_only(self, make_store: Make) -> None:
        store = make_store(redact_patterns=("hello",))
        id = store.create(entries=[{"content": "hello"}]).id
        assert store.redact(id, patterns=["zzz"]).found == {}
        assert store.redact(id, secrets=True).found == {"pattern": 1}

    def test_saving_goes_on_behind_it_and_a_retry_is_known(self, store: SessionStore, id: str) -> None:
        store.append(id, [{"n": 3}], idempotency_key="turn 4")
        rev = store.redact(id, secrets=True).rev
        assert store.append(id, [{"n": 3}], idempotency_key="turn 4") == rev
        assert store.append(id, [{"n": 4}]) == rev + 1

    def test_an_idempotency_key_that_fits_is_forgotten(self, store: SessionStore, id: str, stored: Stored) -> None:
        store.append(id, [{"n": 3}], idempotency_key=f"turn {AWS}")
        rev = store.redact(id, secrets=True).rev
        assert AWS.encode() not in stored(store, id)
        assert store.append(id, [{"n": 3}], idempotency_key=f"turn {AWS}") == rev + 1

    def test_again_it_finds_nothing_and_does_no_harm(self, store: SessionStore, id: str) -> None:
        first = store.redact(id, secrets=True)
        again = store.redact(id, secrets=True)
        assert (again.found, again.entries, again.rev) == ({}, 0, first.rev + 1)

    def test_a_session_of_many_segments_goes_through_it_whole(self, make_store: Make) -> None:
        store = make_store()
        filler = "x" * 300_000
        id = store.create(entries=[{"n": n, "t": filler, "s": AWS} for n in range(12)]).id
        assert store.redact(id, patterns=[AWS]).found == {"pattern": 12}
        assert [entry["n"] for entry in store.entries(id)] == list(range(12))


class TestRefusals:
    @pytest.mark.parametrize("what", [{}, {"entries": []}, {"patterns": []}])
    def test_with_nothing_to_do_it_is_a_mistake(self, store: SessionStore, id: str, what: dict[str, list[str]]) -> None:
        with pytest.raises(errors.InvalidValueError, match="are needed"):
            store.redact(id, **what)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("what", "error"),
        [
            ({"entries": [3]}, errors.InvalidValueError),
            ({"entries": [0, -1]}, errors.InvalidValueError),
            ({"patterns": ["(a+)+"]}, errors.InvalidValueError),
            ({"secrets": True, "expected_rev": 2}, errors.ConflictError),
        ],
    )
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_what_cannot_be_done_leaves_the_session_as_it_is(
        self, store: SessionStore, id: str, stored: Stored, what: dict[str, object], error: type, dry_run: bool
    ) -> None:
        before = stored(store, id)
        with pytest.raises(error):
            store.redact(id, dry_run=dry_run, **what)  # type: ignore[arg-type]
        assert stored(store, id) == before
        assert not [event for event in store.audit() if event.event == "redaction"]

    def test_a_session_that_runs_is_left_alone(self, store: SessionStore, id: str, stored: Stored) -> None:
        before = stored(store, id)
        with store._ground.backend.run(id, Holder(1, STARTED)), pytest.raises(errors.AlreadyRunningError):
            store.redact(id, secrets=True)
        assert stored(store, id) == before

    def test_there_is_no_session(self, store: SessionStore) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            store.redact(NOBODY, secrets=True)

    def test_a_session_that_was_changed_is_not_rewritten(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"content": AWS}]).id
            file = home / "data" / "sessions" / f"{id}.jsonl"
            file.write_bytes(file.read_bytes().replace(b"AKIA", b"AKIB"))
            with pytest.raises(errors.InvalidSignatureError):
                store.redact(id, secrets=True)

    def test_entries_that_become_too_large_are_refused(self, make_store: Make, stored: Stored) -> None:
        store = make_store(max_entry_bytes=4096)
        id = store.create(entries=[{"t": "ab" * 1500}]).id
        before = stored(store, id)
        with pytest.raises(errors.TooLargeError):
            store.redact(id, patterns=["a"])
        assert stored(store, id) == before

    def test_without_an_audit_log_nothing_is_done(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"content": AWS}]).id
            (home / "state" / "audit").write_bytes(b"in the way")
            with pytest.raises(errors.SessionStoreError):
                store.redact(id, secrets=True)
            assert store.load(id).entries == ({"content": AWS},)

    def test_read_only_only_a_dry_run_is_possible(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"content": AWS}]).id
        with open_store(home, read_only=True) as store:
            assert store.redact(id, secrets=True, dry_run=True).found == {"aws": 1}
            with pytest.raises(errors.StoreUnavailableError):
                store.redact(id, secrets=True)


class TestDryRun:
    def test_it_counts_and_names_and_changes_nothing(self, store: SessionStore, id: str, stored: Stored) -> None:
        kept = store._ground.backend.keep(f"{id}.tail", [AWS.encode()])
        before = stored(store, id)
        said = store.redact(id, secrets=True, dry_run=True)
        assert stored(store, id) == before
        assert (said.rev, said.entries, said.found) == (3, 1, {"aws": 4, "named_value": 1})
        assert len(said.purged) == 1
        assert not [event for event in store.audit() if event.event == "redaction"]
        done = store.redact(id, secrets=True)
        assert (done.found, done.purged, done.unreached) == (said.found, said.purged, said.unreached)
        assert not os.path.exists(kept)


class TestWhatIsSaid:
    def test_what_is_out_of_reach_is_always_named(self, store: SessionStore, id: str) -> None:
        said = " ".join(store.redact(id, secrets=True).unreached)
        for word in ("backups", "blocks of the disk", "exported", "memory"):
            assert word in said

    def test_sessions_that_were_made_from_it_are_named(self, store: SessionStore, id: str) -> None:
        fork = store.fork(id).id
        assert any(fork in line for line in store.redact(id, secrets=True).unreached)
        assert AWS in store.load(fork).name

    def test_every_session_that_a_fork_leads_to_is_named_from_every_other(self, store: SessionStore, id: str) -> None:
        child, sibling = store.fork(id).id, store.fork(id).id
        grandchild = store.fork(child).id
        stranger = store.create(entries=[{"content": AWS}]).id
        family = {id, child, sibling, grandchild}
        for one in sorted(family):
            said = " ".join(store.redact(one, secrets=True, dry_run=True).unreached)
            assert {other for other in (*family, stranger) if other in said} == family - {one}

    def test_a_fork_of_a_deleted_fork_is_named_and_the_deleted_one_is_not(self, store: SessionStore, id: str) -> None:
        child = store.fork(id).id
        grandchild = store.fork(child).id
        store.delete(child)
        said = " ".join(store.redact(id, secrets=True).unreached)
        assert grandchild in said
        assert child not in said

    def test_sessions_of_the_same_origin_are_named_and_their_forks(self, store: SessionStore) -> None:
        first, second = (store.take_in("taken", [{"content": AWS}], origin="elsewhere").id for _ in range(2))
        fork = store.fork(second).id
        others = [store.take_in("taken", [{"content": AWS}], origin=origin).id for origin in (None, None, "another")]
        said = " ".join(store.redact(first, secrets=True).unreached)
        assert second in said
        assert fork in said
        assert not any(other in said for other in others)

    def test_what_was_exported_and_imported_again_is_named(self, store: SessionStore, id: str) -> None:
        copy = store.import_document(store.export(id)).id
        assert any(copy in line for line in store.redact(id, secrets=True).unreached)
        assert any(id in line for line in store.redact(copy, secrets=True).unreached)

    def test_a_key_that_fits_is_named_and_stays(self, store: SessionStore) -> None:
        id = store.create(key=f"of {AWS}").id
        assert any("its key" in line for line in store.redact(id, secrets=True).unreached)
        assert not any("its key" in line for line in store.redact(id, patterns=["zzz"]).unreached)
        assert store.load(id).key == f"of {AWS}"

    def test_a_hard_link_to_the_old_file_is_named(self, home: Path, tmp_path: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"content": AWS}]).id
            os.link(home / "data" / "sessions" / f"{id}.jsonl", home / "linked")
            assert any("hard link" in line for line in store.redact(id, secrets=True).unreached)

    def test_the_audit_log_has_counts_and_no_content(self, store: SessionStore, id: str) -> None:
        store.redact(id, secrets=True, patterns=["hello"])
        (event,) = (event for event in store.audit() if event.event == "redaction")
        assert (event.session_id, event.fields) == (id, {"entries": 2, "found": 6})


class TestPop:
    def test_the_last_entries_go(self, store: SessionStore, id: str) -> None:
        assert store.pop(id) == 4
        assert len(store.load(id).entries) == 2
        assert store.pop(id, 2, expected_rev=4) == 5
        assert store.load(id).entries == ()

    @pytest.mark.parametrize("count", [4, -1])
    def test_more_than_there_are_is_refused(self, store: SessionStore, id: str, count: int) -> None:
        with pytest.raises(errors.InvalidValueError):
            store.pop(id, count)
        with pytest.raises(errors.ConflictError):
            store.pop(id, 1, expected_rev=1)
        assert len(store.load(id).entries) == 3
