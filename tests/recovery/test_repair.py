"""Repairing: what is half done is finished, what is broken goes into quarantine, nothing else is touched."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from sessionstore import errors, open_store
from sessionstore.storage import Holder

TAIL = b'{"entry":{"n":7}}\n{"en'


class TestWhole:
    def test_a_whole_session_is_left_as_it_is(self, place: Any) -> None:
        id = place.session()
        before = place.read(id)
        done = place.store.repair(id)
        assert (done.action, done.code, done.rev, done.head_rev) == ("nothing", "ok", 4, 4)
        assert (place.read(id), place.kept(), place.events("repair")) == (before, [], [])

    def test_a_session_that_never_was_is_not_found(self, place: Any) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            place.store.repair("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")


class TestTail:
    def test_it_is_set_aside_and_cut(self, place: Any) -> None:
        id = place.session()
        good = place.read(id)
        place.put(id, good + TAIL)
        planned = place.store.repair(id, dry_run=True)
        assert (planned.action, planned.set_aside_bytes, place.read(id)) == ("settled", len(TAIL), good + TAIL)
        done = place.store.repair(id)
        assert (done.action, done.set_aside_bytes, place.read(id), place.kept()) == (
            "settled",
            len(TAIL),
            good,
            [TAIL],
        )
        assert place.store.load(id).warnings == ()
        assert place.store.repair(id).action == "nothing"
        assert place.events("repair") == [
            {"code": "ok", "action": "settled", "rev": 4, "bytes": len(TAIL), "fork": None}
        ]

    def test_a_save_that_the_ledger_never_heard_of_is_kept(self, place: Any) -> None:
        id = place.session()
        place.ledger_as_now()
        place.store.append(id, [{"n": 3}])
        store = place.older_ledger()
        done = store.repair(id)
        assert (done.action, done.rev, done.head_rev) == ("settled", 5, 4)
        assert store._ground.ledger.head(id).rev == 5
        assert place.numbers(id) == [0, 1, 2, 3]

    def test_a_second_name_of_the_file_ends(self, place: Any) -> None:
        id = place.session()
        os.link(place.file(id), place.home / "other")
        assert place.store.repair(id).action == "settled"
        assert place.file(id).stat().st_nlink == 1


class TestBroken:
    def test_the_file_goes_into_quarantine_byte_for_byte(self, place: Any) -> None:
        id = place.session()
        broken = place.damaged(id)
        planned = place.store.repair(id, dry_run=True)
        assert (planned.action, planned.rev, planned.head_rev, planned.kept_as) == ("quarantined", 3, 4, None)
        assert planned.command == f"sessionstore repair {id} --keep-verified"
        assert place.read(id) == broken
        done = place.store.repair(id)
        assert (done.action, done.code, done.set_aside_bytes) == ("quarantined", "invalid_signature", len(broken))
        assert done.command == f"sessionstore delete {id}"
        assert place.kept() == [broken]
        with open(done.kept_as, "rb") as kept:
            assert kept.read() == broken
        assert not place.file(id).exists()

    def test_the_session_is_missing_then_and_an_older_file_is_still_refused(self, place: Any) -> None:
        id = place.session(saves=2)
        older = place.read(id)
        place.store.append(id, [{"n": 2}])
        good = place.read(id)
        place.damaged(id)
        place.store.repair(id)
        with pytest.raises(errors.MissingError):
            place.store.load(id)
        place.put(id, older)
        with pytest.raises(errors.RollbackError):
            place.store.load(id)
        place.put(id, good)
        assert place.numbers(id) == [0, 1, 2]

    def test_a_second_repair_says_that_the_file_is_missing(self, place: Any) -> None:
        id = place.session()
        place.damaged(id)
        place.store.repair(id)
        again = place.store.repair(id)
        assert (again.action, again.code, again.command) == ("left", "missing", f"sessionstore delete {id}")
        assert len(place.kept()) == 1

    def test_a_deleted_session_whose_file_is_back_is_gone_again(self, place: Any) -> None:
        id = place.session()
        data = place.read(id)
        place.store.delete(id)
        place.put(id, data)
        assert place.store.repair(id).action == "quarantined"
        assert place.kept() == [data]
        with pytest.raises(errors.SessionNotFoundError):
            place.store.load(id)

    def test_a_half_made_session_of_which_nothing_is_good_gives_its_key_back(self, place: Any) -> None:
        id = place.session(key="k")
        ledger = place.store._ground.ledger
        live = ledger.head(id)
        creating = msgspec.structs.replace(live, state="creating", rev=0, tag="", end=0, seal_at=0)
        ledger.commit(creating, old=live)
        place.put(id, b"nothing of ours\n")
        assert place.store.repair(id).action == "quarantined"
        assert (ledger.head(id).state, place.store.find("k")) == ("deleted", None)


class TestLeft:
    def test_an_older_file_is_a_matter_of_decision(self, place: Any) -> None:
        id = place.session()
        older = place.read(id)
        place.store.append(id, [{"n": 3}])
        place.put(id, older)
        done = place.store.repair(id)
        assert (done.action, done.code) == ("left", "rollback")
        assert done.command == f"sessionstore restore {id} --accept-rev 4"
        assert place.read(id) == older

    def test_a_file_without_a_record_is_left(self, place: Any) -> None:
        id, other = place.session(), "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        place.put(other, place.read(id))
        done = place.store.repair(other)
        assert (done.action, done.code, done.command) == (
            "left",
            "unanchored",
            f"sessionstore adopt {other} --sealed",
        )
        assert place.read(other) == place.read(id)

    def test_another_sessions_file_and_a_link_are_left(self, place: Any) -> None:
        first, second = place.session(), place.session(1)
        place.put(first, place.read(second))
        assert (place.store.repair(first).code, place.read(first)) == ("wrong_session", place.read(second))
        place.file(first).unlink()
        place.file(first).symlink_to(place.file(second))
        done = place.store.repair(first)
        assert (done.action, done.code, place.file(first).is_symlink()) == ("left", "unsafe_file", True)

    def test_a_file_over_the_cap_is_left(self, place: Any) -> None:
        id = place.session(config={"fill": "x" * 70_000})
        assert place.reopen(max_session_bytes=64 * 1024).repair(id).code == "too_large"
        assert place.file(id).exists()


class TestKeepVerified:
    def test_what_is_good_is_a_new_session_and_the_original_stays(self, place: Any) -> None:
        id = place.session(key="k", tags=["t"], config={"model": "m"})
        broken = place.damaged(id)
        planned = place.store.repair(id, keep_verified=True, dry_run=True)
        assert (planned.action, planned.rev, planned.fork) == ("kept_verified", 3, None)
        done = place.store.repair(id, keep_verified=True)
        made = place.store.load(done.fork)
        assert (made.parent, made.entries, made.tags, made.config) == (id, ({"n": 0}, {"n": 1}), ("t",), {"model": "m"})
        assert (made.key, made.provenance, made.name) == (None, "native", "made")
        assert place.read(id) == broken
        assert done.command == f"sessionstore repair {id}"
        assert place.events("repair")[0]["fork"] == made.id

    def test_a_second_call_finds_the_first_ones_session(self, place: Any) -> None:
        id = place.session()
        place.damaged(id)
        first = place.store.repair(id, keep_verified=True)
        assert place.store.repair(id, keep_verified=True) == first
        assert len(place.store.list().sessions) == 2
        place.store.delete(first.fork)
        assert place.store.repair(id, keep_verified=True).fork not in (None, first.fork)

    def test_nothing_good_is_nothing_to_keep(self, place: Any) -> None:
        id = place.session()
        place.put(id, place.read(id).replace(b'"format":2', b'"format":3'))
        with pytest.raises(errors.InvalidSignatureError):
            place.store.repair(id, keep_verified=True)
        assert place.store.repair(id).command == f"sessionstore delete {id}"

    def test_a_save_is_kept_whole_or_not_at_all(self, place: Any) -> None:
        id = place.session()
        place.store.append(id, [{"n": n, "fill": "x" * 500_000} for n in range(10, 15)])
        place.put(id, place.read(id).replace(b'{"n":14', b'{"n":99'))
        made = place.store.repair(id, keep_verified=True)
        assert (made.rev, place.numbers(made.fork)) == (4, [0, 1, 2])

    def test_a_whole_or_older_or_deleted_session_is_not_taken_apart(self, place: Any) -> None:
        id = place.session()
        older = place.read(id)
        assert place.store.repair(id, keep_verified=True).action == "nothing"
        place.store.append(id, [{"n": 3}])
        place.put(id, older)
        kept = place.store.repair(id, keep_verified=True)
        assert (kept.action, kept.code, kept.fork) == ("left", "rollback", None)
        place.store.delete(id)
        place.put(id, older)
        kept = place.store.repair(id, keep_verified=True)
        assert (kept.action, kept.code, kept.fork) == ("left", "resurrected", None)
        assert place.store.list().sessions == ()


class TestUnsignedFileOfADeletedSession:
    ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"

    @pytest.fixture
    def file(self, place: Any, unsigned: Any) -> Any:
        """The unsigned file of a session that was migrated and deleted, back in its place."""
        file = place.file(self.ID).with_suffix(".json")
        file.write_bytes(unsigned(self.ID))
        place.store.adopt(self.ID, consent="me")
        place.store.append(self.ID, [{"n": 1}])
        place.store.delete(self.ID)
        file.write_bytes(unsigned(self.ID))
        return file

    @pytest.mark.parametrize("name", ["Atlas", "another"])
    def test_it_goes_into_quarantine(self, place: Any, file: Any, unsigned: Any, name: str) -> None:
        content = unsigned(self.ID, name=name)
        file.write_bytes(content)
        planned = place.store.repair(self.ID, dry_run=True)
        assert (planned.action, planned.code, planned.set_aside_bytes) == ("quarantined", "resurrected", len(content))
        assert place.store.repair(self.ID, keep_verified=True).action == "left"
        assert file.read_bytes() == content
        done = place.store.repair(self.ID)
        assert (done.action, done.head_rev, place.kept()) == ("quarantined", planned.head_rev, [content])
        assert not file.exists() and place.store.list().unreadable == ()
        with pytest.raises(errors.SessionNotFoundError):
            place.store.repair(self.ID)
        assert [event["code"] for event in place.events("repair")] == ["resurrected"]

    def test_a_sealed_one_that_is_back_too_goes_first(self, place: Any, file: Any) -> None:
        place.put(self.ID, b"whatever")
        assert place.store.repair(self.ID).action == "quarantined"
        assert (place.kept(), file.exists()) == ([b"whatever"], True)
        assert place.store.repair(self.ID).action == "quarantined"
        assert not file.exists()


class TestGuards:
    @pytest.mark.parametrize("keep_verified", [False, True])
    def test_a_running_session_is_not_touched(self, place: Any, keep_verified: bool) -> None:
        id = place.session()
        with place.store._ground.backend.run(id, Holder()):
            broken = place.damaged(id)
            with pytest.raises(errors.AlreadyRunningError):
                place.store.repair(id, keep_verified=keep_verified)
        assert (place.read(id), len(place.store.list().sessions)) == (broken, 1)

    @pytest.mark.parametrize("keep_verified", [False, True])
    def test_what_cannot_be_written_down_is_not_done(self, place: Any, keep_verified: bool) -> None:
        id = place.session()
        broken = place.damaged(id)
        audit = place.home / "state" / "audit"
        audit.write_text("in the way")
        with pytest.raises(errors.StoreUnavailableError):
            place.store.repair(id, keep_verified=keep_verified)
        assert (place.read(id), place.kept(), len(place.store.list().sessions)) == (broken, [], 1)

    def test_a_read_only_store_only_says_what_it_would_do(self, place: Any) -> None:
        id = place.session()
        place.damaged(id)
        with open_store(place.home, environ={}, read_only=True) as store:
            assert store.repair(id, dry_run=True).action == "quarantined"
            with pytest.raises(errors.StoreUnavailableError, match="read-only"):
                store.repair(id)
