"""Attacks on runs: notes that lie, odd files among them, and taking a session away from who runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, open_store
from sessionstore.storage import Holder

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
STARTED = "2026-01-31T12:00:00.000000Z"


def note(pid: int) -> bytes:
    return json.dumps({"pid": pid, "started_at": STARTED}, separators=(",", ":")).encode()


class TestNotes:
    def test_one_that_names_a_living_process_runs_nothing(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            store.create(id=ID)
            (tmp_path / "store" / "state" / "runs" / f"{ID}.json").write_bytes(note(os.getpid()))
            assert store.list(running=True).sessions == ()
            store.delete(ID)

    def test_one_that_was_taken_away_lets_nobody_in(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            store.create(id=ID)
            with store._ground.backend.run(ID, Holder(1, STARTED)):
                (tmp_path / "store" / "state" / "runs" / f"{ID}.json").unlink()
                for call in (store.delete, lambda id: store._ground.backend.run(id, Holder()).__enter__()):
                    with pytest.raises(errors.AlreadyRunningError):
                        call(ID)

    @pytest.mark.parametrize(
        "make",
        [
            lambda path: path.write_bytes(b"x" * 1_000_000),
            lambda path: path.write_bytes(note(1).replace(b"2026", b"\x1b[2J")),
            lambda path: path.symlink_to("/etc/passwd"),
            os.mkfifo,
            Path.mkdir,
        ],
        ids=["endless", "escapes", "link", "fifo", "directory"],
    )
    def test_an_odd_one_breaks_no_list_and_says_nothing(self, tmp_path: Path, make: Callable[[Path], Any]) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            store.create(id=ID)
            path = tmp_path / "store" / "state" / "runs" / f"{ID}.json"
            with store._ground.backend.run(ID, Holder(1, STARTED)):
                path.unlink()
                make(path)
                assert store._ground.backend.running() == {ID: Holder(0, "")}
                with pytest.raises(errors.AlreadyRunningError) as caught:
                    store.delete(ID)
                assert (caught.value.pid, caught.value.started_at) == (0, "")
            assert [line.state for line in store.list().sessions] == ["saved"]


class TestRunning:
    def test_what_runs_is_neither_deleted_nor_cleaned_up_nor_run_again(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "store", environ={}) as store, open_store(tmp_path / "store", environ={}) as other:
            store.create(id=ID, entries=[{"n": 1}])
            with store._ground.backend.run(ID, Holder(1, STARTED)):
                for each in (store, other):
                    with pytest.raises(errors.AlreadyRunningError):
                        each.delete(ID)
                    with pytest.raises(errors.AlreadyRunningError):
                        each._ground.backend.run(ID, Holder()).__enter__()
                    assert each.cleanup(keep_last=0).removed == ()
                assert store.append(ID, [{"n": 2}]) == 2
            assert len(other.load(ID).entries) == 2
