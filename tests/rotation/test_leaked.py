"""A leaked key leaves whatever else is going on: an earlier rotation cut anywhere, or another one at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.fs import Directory, Locks
from sessionstore.keystore import LOCK
from sessionstore.storage.protocol import Holder

GOES_ON = "another process began to change the key meanwhile: `sessionstore keys rotate --finish` goes on"


def config_of(home: Path, **settings: Any) -> Config:
    return Config(data_dir=home / "data", state_dir=home / "state", **settings)


@pytest.fixture
def ours(home: Path) -> Iterator[SessionStore]:
    with open_store(config=config_of(home)) as store:
        yield store


@pytest.fixture
def theirs(ours: SessionStore, home: Path) -> Iterator[SessionStore]:
    with open_store(config=config_of(home)) as store:
        yield store


def sessions(store: SessionStore) -> list[str]:
    made = [store.create().id for _ in range(2)]
    for id in made:
        store.append(id, [{"of": id}])
    return made


def statuses(store: SessionStore) -> list[tuple[str, str]]:
    return [(key.status, key.rows) for key in store.list_keys()]


def ids(store: SessionStore) -> list[str]:
    return [key.id for key in store.list_keys()]


def stop(*args: object, **named: object) -> NoReturn:
    raise KeyboardInterrupt


def cut(store: SessionStore, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a rotation that ends where it is cut."""
    places = {
        "waiting": (store._lifecycle, "finish"),
        "promoted": (store._ground.audit, "renew"),
        "sessions": (store._writer, "reseal"),
        "rows": (store._ground.ledger.renewal, "page"),
    }
    with monkeypatch.context() as patched:
        patched.setattr(*places[where], stop)
        with pytest.raises(KeyboardInterrupt):
            store.rotate_keys()


class TestUnfinishedBefore:
    def test_a_key_that_only_waited_is_destroyed_and_a_fresh_one_is_primary(
        self, ours: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = sessions(ours)
        cut(ours, "waiting", monkeypatch)
        leaked, waited = ids(ours)
        secret = ours._ground.keyring.find(waited).secret.hex()
        report = ours.rotate_keys(leaked=True)
        assert ids(ours)[:2] == [leaked, waited]
        fresh = ids(ours)[2]
        assert (report.primary, report.replaced, report.destroyed) == (fresh, leaked, (waited,))
        assert (report.added, report.sessions, report.finished, report.reason) == (True, 2, True, "")
        assert statuses(ours) == [("verify_only", "closed"), ("destroyed", "closed"), ("primary", "counted")]
        assert secret not in (Path(ours.config.state_dir) / "keyring").read_text()
        assert [ours.load(id).entries for id in made] == [({"of": id},) for id in made]
        events = [(event.event, event.fields) for event in ours.audit()]
        assert events == [
            ("key_added", {"key_id": waited}),
            ("key_retired", {"key_id": waited, "status": "destroyed", "sessions_lost": 0}),
            ("key_added", {"key_id": fresh}),
            ("key_promoted", {"key_id": fresh}),
        ]
        ours.retire_key(leaked, leaked=True, destroy=True)
        assert {result.code for result in ours.verify()} == {"ok"}

    @pytest.mark.parametrize("where", ["promoted", "sessions", "rows"])
    def test_one_that_was_promoted_already_is_replaced_too(
        self, ours: SessionStore, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        made = sessions(ours)
        cut(ours, where, monkeypatch)
        old, leaked = ids(ours)
        report = ours.rotate_keys(leaked=True)
        fresh = ids(ours)[2]
        assert (report.primary, report.replaced, report.destroyed) == (fresh, leaked, ())
        assert (report.added, report.finished, report.left) == (True, True, ())
        assert statuses(ours) == [("verify_only", "closed"), ("verify_only", "closed"), ("primary", "counted")]
        for key_id in (old, leaked):
            ours.retire_key(key_id, leaked=True, destroy=True)
        assert [ours.load(id).entries for id in made] == [({"of": id},) for id in made]
        ours._ground.ledger.check()
        assert ours.verify_audit().ok

    def test_what_nobody_acknowledged_is_not_adopted_for_the_waiting_key(
        self, home: Path, ledger_locked: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with open_store(config=config_of(home, lock_timeout_s=0.05)) as store:
            id = sessions(store)[0]
            cut(store, "waiting", monkeypatch)
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                store.append(id, [{"n": "whose?"}])
            store.rotate_keys(leaked=True)
            assert store.load(id).entries == ({"of": id},)

    def test_a_store_that_was_open_takes_the_fresh_key(
        self, ours: SessionStore, theirs: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id = sessions(theirs)[0]
        cut(theirs, "waiting", monkeypatch)
        report = ours.rotate_keys(leaked=True)
        assert theirs.append(id, [{"n": 1}]) == 4
        assert theirs._ground.keyring.primary.id == report.primary


class TestRefused:
    def test_finishing_makes_no_key_so_it_cannot_be_asked_for_together(self, ours: SessionStore) -> None:
        before = ids(ours)
        with pytest.raises(errors.InvalidValueError, match="a leaked key needs a new one"):
            ours.rotate_keys(finish=True, leaked=True)
        assert ids(ours) == before

    @pytest.mark.parametrize("waits", [False, True])
    def test_a_key_that_cannot_be_replaced_is_an_error(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
    ) -> None:
        with open_store(config=config_of(home, lock_timeout_s=0.05)) as store:
            sessions(store)
            if waits:
                cut(store, "waiting", monkeypatch)
            before = (home / "state" / "keyring").read_bytes()
            with (
                Directory.open(home / "state", strict=True) as state,
                state.sub("locks", strict=True) as place,
                Locks(place).hold(LOCK, timeout_s=0),
                pytest.raises(errors.StoreUnavailableError),
            ):
                store.rotate_keys(leaked=True)
            assert (home / "state" / "keyring").read_bytes() == before


class TestTwoAtOnce:
    def test_who_comes_second_sees_that_all_is_done(
        self, ours: SessionStore, theirs: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sessions(ours)
        renew = ours._ground.audit.renew
        reports = []

        def theirs_first() -> bool:
            monkeypatch.undo()
            reports.append(theirs.rotate_keys())
            return renew()

        monkeypatch.setattr(ours._ground.audit, "renew", theirs_first)
        mine = ours.rotate_keys()
        (other,) = reports
        assert (mine.finished, mine.reason, mine.primary) == (True, "", other.primary)
        assert (other.finished, other.reason, other.added) == (True, "", False)
        assert (mine.sessions + other.sessions, mine.added) == (2, True)

    def test_the_second_may_close_before_the_first_comes_to_it(
        self, ours: SessionStore, theirs: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = ours._ground.ledger.renewal.page

        def theirs_first() -> int:
            done = page()
            if not done:
                monkeypatch.undo()
                theirs.rotate_keys(finish=True)
            return done

        monkeypatch.setattr(ours._ground.ledger.renewal, "page", theirs_first)
        report = ours.rotate_keys()
        assert (report.finished, report.reason) == (True, "")

    @pytest.mark.parametrize("saves", [True, False])
    def test_a_session_that_comes_under_the_key_meanwhile_is_not_left(
        self, ours: SessionStore, theirs: SessionStore, monkeypatch: pytest.MonkeyPatch, saves: bool
    ) -> None:
        first, _ = sessions(ours)
        page = ours._ground.ledger.renewal.page
        todo = [{"n": 1}]

        def save() -> int:
            if saves and todo:
                theirs.append(first, [todo.pop()])
            return page()

        monkeypatch.setattr(ours._ground.ledger.renewal, "page", save)
        with theirs._ground.backend.run(first, Holder(1, "2026-01-31T12:00:00.000000Z")):
            report = ours.rotate_keys()
        left = [(one.name, one.code) for one in report.left]
        assert left == ([] if saves else [(first, "already_running")])
        assert report.finished

    def test_two_processes_end_well(self, ours: SessionStore, home: Path) -> None:
        made = [id for _ in range(5) for id in sessions(ours)]
        script = "import sys; from sessionstore import open_store; print(open_store(sys.argv[1]).rotate_keys().reason)"
        command = [sys.executable, "-W", "error", "-c", script, str(home)]
        children = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        ends = [(child.communicate(timeout=60), child.returncode) for child in children]
        assert [(code, out) for (out, _), code in ends] == [(0, b"\n")] * 2, ends
        assert ours.rotate_keys(finish=True).left == ()
        assert [ours.load(id).entries for id in made] == [({"of": id},) for id in made]
        assert ours.verify_keys().ok

    def test_a_key_that_leaked_meanwhile_is_not_put_back_and_no_row_is_lost(
        self, ours: SessionStore, theirs: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # After the last page of ours another key is primary: closing ours would make every row look forged.
        made = sessions(ours)
        page = ours._ground.ledger.renewal.page

        def leaked_first() -> int:
            done = page()
            if not done:
                monkeypatch.undo()
                monkeypatch.setattr(theirs._ground.audit, "renew", stop)
                with pytest.raises(KeyboardInterrupt):
                    theirs.rotate_keys(leaked=True)
                monkeypatch.undo()
            return done

        monkeypatch.setattr(ours._ground.ledger.renewal, "page", leaked_first)
        report = ours.rotate_keys()
        assert (report.finished, report.reason) == (False, GOES_ON)
        assert report.primary == ids(ours)[2]
        assert statuses(ours)[1:] == [("verify_only", "counted"), ("primary", "counted")]
        ours._ground.ledger.check()
        report = ours.rotate_keys(finish=True)
        assert (report.finished, report.reason, report.sessions) == (True, "", 2)
        assert [ours.load(id).entries for id in made] == [({"of": id},) for id in made]

    def test_a_rotation_that_waits_is_overtaken_by_a_leak(
        self, ours: SessionStore, theirs: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sessions(ours)
        finish = ours._lifecycle.finish
        reports = []

        def leaked_first() -> None:
            monkeypatch.undo()
            reports.append(theirs.rotate_keys(leaked=True))
            finish()

        monkeypatch.setattr(ours._lifecycle, "finish", leaked_first)
        mine = ours.rotate_keys()
        (other,) = reports
        assert len(other.destroyed) == 1
        assert (mine.primary, mine.finished) == (other.primary, True)
        assert [status for status, _ in statuses(ours)] == ["verify_only", "destroyed", "primary"]
