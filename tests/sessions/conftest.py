"""A store on the disk whose files the tests get at behind its back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store


@dataclass
class Place:
    """An open store, and its files."""

    home: Path
    locked: Callable[[], AbstractContextManager[None]]
    _opened: ExitStack = field(default_factory=ExitStack)
    store: SessionStore = field(init=False)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self, **settings: Any) -> SessionStore:
        """The store, closed and opened again."""
        self.close()
        config = Config(data_dir=self.home / "data", state_dir=self.home / "state", **settings)
        self.store = self._opened.enter_context(open_store(config=config))
        return self.store

    def close(self) -> None:
        self._opened.close()

    def file(self, id: str, suffix: str = ".jsonl") -> Path:
        return self.home / "data" / "sessions" / (id + suffix)

    def read(self, id: str) -> bytes:
        return self.file(id).read_bytes()

    def put(self, id: str, data: bytes) -> None:
        """Replace what stands in the file by hand."""
        self.file(id).write_bytes(data)

    def session(self, saves: int = 3) -> str:
        """A session of so many saves after the first, of one entry each: revision `saves + 1`."""
        id = self.store.create(name="made").id
        for number in range(saves):
            self.store.append(id, [{"n": number}])
        return id

    def half_saved(self, change: Callable[[], object]) -> None:
        """Make a change whose bytes reach the disk and whose head does not, as after a kill in between."""
        with self.locked(), pytest.raises(errors.StoreUnavailableError) as caught:
            change()
        assert caught.value.fields["outcome"] == "unknown"

    def kept(self) -> list[bytes]:
        """What lies in quarantine, oldest first."""
        directory = self.home / "data" / "quarantine"
        found = sorted(directory.glob("[!.]*")) if directory.exists() else []
        return [file.read_bytes() for file in found]

    def refusals(self, id: str) -> set[tuple[str, str]]:
        """What every way to read or change the session says; after all of them the file is as before."""
        store, before, head = self.store, self.bytes_or_none(id), self.store._ground.ledger.head(id)
        calls: dict[str, Callable[[], object]] = {
            "load": lambda: store.load(id),
            "entries": lambda: list(store.entries(id)),
            "append": lambda: store.append(id, [{"new": 1}]),
            "rewind": lambda: store.rewind(id, 0),
            "compact": lambda: store.compact(id),
            "fork": lambda: store.fork(id),
            "export": lambda: store.export(id),
        }
        found = {("verify", result.code) for result in store.verify(id)}
        for name, call in calls.items():
            try:
                call()
                found.add((name, "ok"))
            except errors.SessionStoreError as error:
                found.add((name, error.code))
        assert (self.bytes_or_none(id), store._ground.ledger.head(id)) == (before, head)
        return found

    def bytes_or_none(self, id: str) -> bytes | None:
        return self.read(id) if self.file(id).is_file() else None


def seals_of(data: bytes) -> list[dict[str, Any]]:
    """The seals in a file: their members, `start` and `end` in bytes, and the number of their line."""
    found, at = [], 0
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        if line.startswith(b'{"seal":'):
            seal = json.loads(line)["seal"]
            found.append({**seal, "start": at, "end": at + len(line), "number": number})
        at += len(line)
    return found


@pytest.fixture
def place(home: Path, ledger_locked: Callable[[], AbstractContextManager[None]]) -> Iterator[Place]:
    place = Place(home, ledger_locked)
    place.reopen(lock_timeout_s=0.05)
    yield place
    place.close()


@pytest.fixture
def seals() -> Callable[[bytes], list[dict[str, Any]]]:
    return seals_of
