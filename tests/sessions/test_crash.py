"""A process that dies between two steps of a save, a create, a rewrite or a delete: whoever comes next finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from sessionstore import errors, open_store

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
ALL = {"load", "entries", "append", "rewind", "compact", "fork", "export", "verify"}

# Saves through entries that kill their own process, after so many bytes of them were taken.
KILLED = """
import os, signal, sys
from sessionstore import open_store
home, call, id, size = sys.argv[1:]
store = open_store(home)

def dying():
    for number in range(int(size) // 1000):
        yield {"n": number, "fill": "x" * 1000}
    os.kill(os.getpid(), signal.SIGKILL)

store.create(id=id, key="k", entries=dying()) if call == "create" else store.append(id, dying())
"""


def killed(place: Any, call: str, id: str, size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, place.home, call, id, str(size)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def half_created(place: Any, **arguments: Any) -> None:
    """Create a session whose file gets its name, and whose head is refused the step to `live`."""
    with ExitStack() as lock:

        def entries() -> Iterator[dict[str, int]]:
            yield {"n": 1}
            lock.enter_context(place.locked())

        with pytest.raises(errors.StoreUnavailableError) as caught:
            place.store.create(entries=entries(), **arguments)
        assert caught.value.fields["outcome"] == "unknown"


def state(place: Any, id: str) -> str:
    head = place.store._ground.ledger.head(id)
    assert head is not None
    return str(head.state)


def shown(place: Any) -> tuple[list[str], dict[str, str]]:
    page = place.store.list()
    return [line.id for line in page.sessions], {line.name: line.code for line in page.unreadable}


class TestSave:
    @pytest.mark.parametrize("size", [0, 1_000_000, 3_000_000])
    def test_killed_in_the_middle_nothing_of_it_counts(self, place: Any, size: int) -> None:
        id = place.session()
        good = place.read(id)
        killed(place, "append", id, size)
        torn = place.read(id)[len(good) :]
        assert bool(torn) == (size == 3_000_000)
        session = place.store.load(id)
        assert (session.rev, len(session.entries)) == (4, 3)
        assert [warning.code for warning in session.warnings] == ["uncommitted_tail"] * bool(torn)
        assert place.store.append(id, [{"n": 3}]) == 5
        assert place.kept() == [torn] * bool(torn)


class TestCreate:
    def test_killed_before_its_file_had_a_name_it_never_was(self, place: Any) -> None:
        killed(place, "create", ID, 3_000_000)
        assert state(place, ID) == "creating"
        assert (shown(place), place.store.find("k")) == (([], {}), None)
        for call in (place.store.load, place.store.summary, place.store.inspect, place.store.clear):
            with pytest.raises(errors.SessionNotFoundError):
                call(ID)
        place.reopen()
        assert state(place, ID) == "deleted"
        directory = place.home / "data" / "sessions"
        assert os.listdir(directory) == [".gitignore"]
        assert place.store.create(id=ID, key="k").rev == 1

    def test_its_key_can_be_had_without_opening_the_store_again(self, place: Any) -> None:
        killed(place, "create", ID, 0)
        session = place.store.get_or_create("k", entries=[{"mine": 1}])
        assert session.id != ID
        assert session.entries == ({"mine": 1},)
        assert state(place, ID) == "deleted"

    def test_with_its_file_in_place_it_is_finished_at_the_next_opening(self, place: Any) -> None:
        half_created(place, id=ID, key="k", name="n")
        assert state(place, ID) == "creating"
        assert (shown(place), place.store.find("k")) == (([], {}), None)
        for call in (place.store.append, place.store.summary, place.store.rewind):
            with pytest.raises(errors.SessionNotFoundError):
                call(ID, 0) if call == place.store.rewind else call(ID)
        place.reopen()
        assert state(place, ID) == "live"
        session = place.store.load(ID)
        assert (session.rev, session.name, session.key, session.entries) == (1, "n", "k", ({"n": 1},))
        assert place.store.find("k") == place.store.summary(ID)
        assert place.store.append(ID, [{"n": 2}]) == 2

    def test_who_asks_for_its_key_gets_it_finished(self, place: Any) -> None:
        half_created(place, id=ID, key="k")
        session = place.store.get_or_create("k", entries=[{"mine": 1}])
        assert (session.id, session.entries) == (ID, ({"n": 1},))
        assert state(place, ID) == "live"

    def test_a_file_that_is_not_what_its_maker_wrote_is_shown_and_keeps_nobody_out(self, place: Any) -> None:
        half_created(place, id=ID, key="k")
        place.put(ID, place.read(ID).replace(b'"n":1', b'"n":2'))
        other = place.session()
        place.reopen()
        assert state(place, ID) == "creating"
        assert shown(place) == ([other], {ID: "invalid_signature"})
        with pytest.raises(errors.InvalidSignatureError):
            place.store.get_or_create("k")
        with pytest.raises(errors.AlreadyExistsError):
            place.store.create(key="k")
        place.store.delete(ID)
        assert (shown(place), place.store.get_or_create("k").rev) == (([other], {}), 1)

    def test_over_a_cap_that_was_lowered_since_it_waits(self, place: Any) -> None:
        half_created(place, id=ID, config={"fill": "x" * 70_000})
        assert state(place, ID) == "creating"
        store = place.reopen(max_session_bytes=64 * 1024)
        assert store.list().sessions == ()
        assert {line.name: line.code for line in store.list().unreadable} == {ID: "too_large"}
        assert place.reopen().load(ID).entries == ({"n": 1},)

    def test_a_create_that_is_under_way_is_left_to_its_maker(self, place: Any) -> None:
        reached, go_on = threading.Event(), threading.Event()

        def entries() -> Iterator[dict[str, int]]:
            yield {"n": 1}
            reached.set()
            assert go_on.wait(60)

        store = place.store
        maker = threading.Thread(target=lambda: store.create(id=ID, key="k", entries=entries()))
        maker.start()
        assert reached.wait(60)
        with open_store(place.home) as other:
            assert other._ground.ledger.head(ID).state == "creating"  # type: ignore[union-attr]
            asker = threading.Thread(target=lambda: got.append(other.get_or_create("k").id))
            got: list[str] = []
            asker.start()
            go_on.set()
            maker.join()
            asker.join()
        assert got == [ID]
        assert store.load(ID).entries == ({"n": 1},)


class TestRewrite:
    def test_a_rewrite_whose_head_was_not_moved_is_there_for_everybody(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.rewind(id, 1))
        session = place.store.load(id)
        assert (session.rev, session.entries, session.warnings) == (5, ({"n": 0},), ())
        assert (place.store.summary(id).rev, shown(place)) == (5, ([id], {}))
        assert [result.rev for result in place.store.verify(id)] == [5]
        assert place.store.append(id, [{"n": "on"}]) == 6
        assert place.reopen().load(id).entries == ({"n": 0}, {"n": "on"})

    def test_a_rewrite_of_many_segments_is_there_as_a_whole_or_not(self, place: Any, seals: Any) -> None:
        id = place.session()
        place.store.append(id, [{"fill": "x" * 700_000}] * 4)
        rev = place.store.load(id).rev
        original = place.read(id)
        place.half_saved(lambda: place.store.rewind(id, 6))
        rewritten = place.read(id)
        ends = [seal["end"] for seal in seals(rewritten)]
        assert len(ends) >= 2
        session = place.store.load(id)
        assert (session.rev, len(session.entries), session.warnings) == (rev + len(ends), 6, ())
        place.put(id, rewritten[: ends[0]])
        assert place.refusals(id) == {(call, "fork") for call in ALL}
        place.put(id, original)
        assert place.store.load(id).rev == rev

    def test_a_second_rewrite_can_follow(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.rewind(id, 2))
        assert place.store.rewind(id, 1) == 6
        assert place.store.load(id).entries == ({"n": 0},)

    def test_a_torn_part_of_it_is_refused(self, place: Any) -> None:
        id = place.session()
        original = place.read(id)
        place.half_saved(lambda: place.store.rewind(id, 1))
        rewritten = place.read(id)
        for cut in (1, len(rewritten) - 1):
            place.put(id, rewritten[:cut])
            assert place.refusals(id) == {(call, "invalid_signature") for call in ALL}
        place.put(id, original)
        assert place.store.load(id).rev == 4

    def test_what_follows_it_and_was_never_saved_is_a_tail(self, place: Any) -> None:
        id = place.session()
        place.half_saved(lambda: place.store.rewind(id, 1))
        good = place.read(id)
        place.put(id, good + b'{"entry":{"n":9}}\n{"seal":{"rev":6}}\n')
        session = place.store.load(id)
        assert (session.rev, [warning.code for warning in session.warnings]) == (5, ["uncommitted_tail"])
        assert place.store.append(id, [{"n": "on"}]) == 6
        assert place.read(id).startswith(good)


class TestDelete:
    def half_deleted(self, place: Any) -> tuple[str, bytes]:
        """What a delete leaves that was killed behind its first step: the row says so, the file is still there."""
        id = place.session()
        ledger = place.store._ground.ledger
        head = ledger.head(id)
        ledger.commit(msgspec.structs.replace(head, state="deleting"), old=head, durable=True)
        assert state(place, id) == "deleting"
        return id, place.read(id)

    def test_before_the_file_went_it_is_gone_for_everybody_and_finished_at_the_next_opening(self, place: Any) -> None:
        id, _ = self.half_deleted(place)
        with pytest.raises(errors.SessionNotFoundError):
            place.store.load(id)
        with pytest.raises(errors.SessionNotFoundError):
            place.store.append(id, [{"n": 9}])
        assert shown(place) == ([], {})
        place.reopen()
        assert (state(place, id), place.file(id).exists()) == ("deleted", False)

    def test_after_the_file_went_only_the_row_is_finished(self, place: Any) -> None:
        id, _ = self.half_deleted(place)
        place.file(id).unlink()
        place.reopen()
        assert state(place, id) == "deleted"

    def test_deleting_it_again_finishes_it_too(self, place: Any) -> None:
        id, _ = self.half_deleted(place)
        place.store.delete(id)
        assert (state(place, id), place.file(id).exists()) == ("deleted", False)
