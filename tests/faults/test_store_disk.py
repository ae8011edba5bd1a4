"""A store on a disk that is full, too small, or not writable: the acknowledged state stands, and the words say why."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, open_store
from sessionstore.errors import StoreUnavailableError

Child = Callable[..., list[Any]]


def filled(store: SessionStore, session_id: str) -> tuple[list[int], StoreUnavailableError]:
    """Append until the disk refuses; the acknowledged revisions and the refusal."""
    told: list[int] = []
    while True:
        try:
            told.append(
                store.append(session_id, [{"n": len(told), "text": "x" * 20_000}], idempotency_key=f"{len(told)}")
            )
        except StoreUnavailableError as error:
            return told, error


class TestFullDisk:
    def test_what_was_acknowledged_stands_and_saving_goes_on_when_there_is_room(
        self, home: Path, mount: Callable[[str], None]
    ) -> None:
        mount("size=1m,mode=0700")
        (home / "ballast").write_bytes(b"x" * 100_000)
        store = open_store(home / "store", environ={})
        session_id = store.create(name="atlas").id
        told, error = filled(store, session_id)
        assert "disk" in error.reason and len(told) > 3
        session = store.load(session_id)
        # A ledger that could not take the head leaves one save more than was acknowledged, and said "unknown".
        assert len(session.entries) - len(told) == (error.outcome == "unknown")
        assert [entry["n"] for entry in session.entries] == list(range(len(session.entries)))
        with pytest.raises(StoreUnavailableError):
            store.create(entries=[{"text": "x" * 200_000}])
        (home / "ballast").unlink()
        number = len(told)
        store.append(session_id, [{"n": number, "text": "x" * 20_000}], idempotency_key=f"{number}")
        session = store.load(session_id)
        assert [entry["n"] for entry in session.entries] == list(range(number + 1))
        assert store.list().unreadable == () and len(store.list().sessions) == 1
        store.close()
        with open_store(home / "store", environ={}) as again:
            assert again.load(session_id) == session

    def test_a_first_start_that_did_not_fit_can_be_repeated(self, home: Path, mount: Callable[[str], None]) -> None:
        mount("size=1m,mode=0700")
        ballast = home / "ballast"
        for room in range(0, 200_000, 8192):
            ballast.write_bytes(b"")
            status = os.statvfs(home)
            ballast.write_bytes(b"x" * max(0, status.f_bavail * status.f_frsize - room))
            try:
                with open_store(home / "store", environ={}) as store:
                    store.create()
                break
            except StoreUnavailableError:
                continue
        ballast.unlink()
        with open_store(home / "store", environ={}) as store:
            store.create(key="after")
            assert store.list().unreadable == ()


class TestFileSizeLimit:
    def test_a_save_over_the_limit_is_taken_back(self, child: Child) -> None:
        told = child(
            "import resource\n"
            "from sessionstore import open_store\n"
            "root = home + '/store'\n"
            "store = open_store(root, environ={'SESSIONSTORE_SYNC_INTERVAL_S': '60'})\n"
            "id = store.create().id; path = root + '/data/sessions/' + id + '.jsonl'\n"
            "store.append(id, [{'n': 0}]); before = open(path, 'rb').read()\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))\n"
            "tell(refusal(lambda: store.append(id, [{'n': 1, 'x': 'x' * 300_000}]))[:2])\n"
            "tell(open(path, 'rb').read() == before, store.append(id, [{'n': 1}]))\n"
            "tell([entry['n'] for entry in store.load(id).entries], store.list().unreadable == ())\n"
        )
        assert told == [["StoreUnavailableError", "not_written"], True, 3, [0, 1], True]


class TestReadOnlyDisk:
    def test_it_is_read_and_every_change_is_refused(self, home: Path, mount: Callable[[str], None]) -> None:
        mount("mode=0700")
        with open_store(home / "store", environ={}) as store:
            session_id = store.create(name="atlas", entries=[{"n": 1}]).id
        subprocess.run(["mount", "-o", "remount,ro", home], check=True)
        with open_store(home / "store", environ={}, read_only=True) as store:
            assert store.load(session_id).entries == ({"n": 1},)
            assert [line.id for line in store.list().sessions] == [session_id]
            assert [result.ok for result in store.verify()] == [True]
            assert store.export(session_id)
            changes: tuple[Callable[[], object], ...] = (
                lambda: store.append(session_id, [{}]),
                lambda: store.create(),
                lambda: store.delete(session_id),
                lambda: store.rewind(session_id, 0),
            )
            for change in changes:
                with pytest.raises(StoreUnavailableError) as caught:
                    change()
                assert caught.value.outcome == "not_written"
        with pytest.raises(StoreUnavailableError):
            open_store(home / "store", environ={})


READ_ONLY = """
import os, sys
from pathlib import Path
from sessionstore import open_store
from sessionstore.errors import StoreUnavailableError
root = Path(sys.argv[1]) / "store"
# All of it is imported before the change of user, who may not be able to read this Python.
with open_store(root, environ={}) as store:
    id = store.create(entries=[{"n": 1}]).id
    store.append(id, [{"n": 2}])
    store.list()
if os.geteuid() == 0:
    for path in [root, *root.rglob("*")]:
        os.chown(path, 65534, 65534)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

def outcome(call):
    try:
        call()
    except StoreUnavailableError as error:
        return error.outcome

sessions, state = root / "data" / "sessions", root / "state"
sessions.chmod(0o500)
with open_store(root, environ={}) as store:
    print(outcome(store.create), outcome(lambda: store.rewind(id, 0)), outcome(lambda: store.delete(id)))
    print(len(store.load(id).entries), len(store.list().sessions))
sessions.chmod(0o700)
state.chmod(0o500)
with open_store(root, environ={}, read_only=True) as store:
    print(outcome(store.create), store.list().unreadable)
state.chmod(0o700)
"""


class TestReadOnlyDirectory:
    def test_every_change_is_refused_in_words(self, unmeasured: dict[str, str]) -> None:
        with tempfile.TemporaryDirectory(prefix="faults-") as home:
            os.chmod(home, 0o755)  # noqa: S103 - another user has to get through
            command = [sys.executable, "-c", READ_ONLY, home]
            done = subprocess.run(command, capture_output=True, text=True, env=unmeasured)
        if "setgroups" in done.stderr or "chown" in done.stderr:
            pytest.skip("this root cannot become another user")
        assert (done.stdout, done.stderr) == ("not_written not_written not_written\n2 1\nnot_written ()\n", "")
