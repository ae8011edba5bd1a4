"""A store on the disk whose files the tests get at behind its back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.storage import FileBackend, Stamp
from sessionstore.storage.file import FileLog


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


class Eventful(FileBackend):
    """Files beside which something happens at a moment that a test chooses, once.

    Args:
        calm: The backend whose directory and locks it uses.
        scan: Happens right after the names were read.
        lock: Happens while a reader waits for the lock, to look again at what it found.
        write: Happens right before a writer takes the lock.
        open: Happens right before a log is opened to write.
        look: Happens right before a log is opened to read.
        read: Happens right after a log was read from its beginning.
    """

    def __init__(self, calm: FileBackend, **events: Callable[[], object]) -> None:
        self.__dict__.update(calm.__dict__)
        self._events = events

    def _happen(self, event: str) -> None:
        self._events.pop(event, lambda: None)()

    def scan(self) -> Iterator[tuple[str, Stamp | None]]:
        yield from list(super().scan())
        self._happen("scan")

    def lock(self, session_id: str, *, shared: bool = False, timeout_s: float) -> AbstractContextManager[None]:
        self._happen("lock" if shared else "write")
        return super().lock(session_id, shared=shared, timeout_s=timeout_s)

    def open(self, name: str, *, writable: bool = False) -> FileLog | None:
        self._happen("open" if writable else "look")
        log = super().open(name, writable=writable)
        return None if log is None else EventfulLog(log, self._happen)


class EventfulLog(FileLog):
    """A log of `Eventful`."""

    __slots__ = ("_happen",)

    def __init__(self, calm: FileLog, happen: Callable[[str], None]) -> None:
        super().__init__(calm._directory, calm._name, calm._file)
        self._happen = happen

    def read(self, start: int, size: int) -> bytes:
        data = super().read(start, size)
        if start == 0:
            self._happen("read")
        return data


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
def face() -> Iterator[Callable[..., SessionStore]]:
    """Makes a second face of an open store, with some parts of its ground exchanged."""
    made: list[SessionStore] = []

    def make(store: SessionStore, **parts: Any) -> SessionStore:
        made.append(SessionStore(replace(store._ground, close=lambda: None, **parts)))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def eventful(face: Callable[..., SessionStore]) -> Callable[..., SessionStore]:
    """Makes a face of an open store beside which something happens; see `Eventful`."""

    def make(store: SessionStore, **events: Callable[[], object]) -> SessionStore:
        calm = store._ground.backend
        assert isinstance(calm, FileBackend)
        return face(store, backend=Eventful(calm, **events))

    return make


@pytest.fixture
def place(home: Path, ledger_locked: Callable[[], AbstractContextManager[None]]) -> Iterator[Place]:
    place = Place(home, ledger_locked)
    place.reopen(lock_timeout_s=0.05)
    yield place
    place.close()


@pytest.fixture
def seals() -> Callable[[bytes], list[dict[str, Any]]]:
    return seals_of
