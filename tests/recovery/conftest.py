"""A store on the disk whose files, ledger and whole directories the tests put back by hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, open_store


class Place:
    """An open store, and its files."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._opened = ExitStack()
        self.store: SessionStore
        self.reopen()

    def reopen(self, **settings: Any) -> SessionStore:
        """The store, closed and opened again."""
        self.close()
        config = Config(data_dir=self.home / "data", state_dir=self.home / "state", **settings)
        self.store = self._opened.enter_context(open_store(config=config))
        return self.store

    def close(self) -> None:
        self._opened.close()

    def file(self, id: str) -> Path:
        return self.home / "data" / "sessions" / f"{id}.jsonl"

    def read(self, id: str) -> bytes:
        return self.file(id).read_bytes()

    def put(self, id: str, data: bytes) -> None:
        self.file(id).write_bytes(data)

    def session(self, saves: int = 3, **arguments: Any) -> str:
        """A session of so many saves after the first, of one entry each: revision `saves + 1`."""
        id = self.store.create(name="made", **arguments).id
        for number in range(saves):
            self.store.append(id, [{"n": number}])
        return id

    def damaged(self, id: str, n: int = 2) -> bytes:
        """Change entry `n` by hand; the bytes that are there now."""
        self.put(id, self.read(id).replace(b'{"n":%d}' % n, b'{"n":9}'))
        return self.read(id)

    def kept(self) -> list[bytes]:
        """What lies in quarantine, oldest first."""
        directory = self.home / "data" / "quarantine"
        found = sorted(directory.glob("[!.]*")) if directory.exists() else []
        return [file.read_bytes() for file in found]

    def ledger_as_now(self) -> None:
        """Remember the ledger as it is; `older_ledger` puts it back."""
        self.close()
        shutil.copy2(self.home / "state" / "ledger.db", self.home / "ledger.copy")
        self.reopen()

    def older_ledger(self) -> SessionStore:
        """Put the remembered ledger back, as a restored backup does."""
        self.close()
        for beside in (self.home / "state").glob("ledger.db-*"):
            beside.unlink()
        shutil.copy2(self.home / "ledger.copy", self.home / "state" / "ledger.db")
        return self.reopen()

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The fields of the events of these kinds."""
        return [dict(record.fields) for record in self.store.audit(events=names)]

    def numbers(self, id: str) -> list[int]:
        return [entry["n"] for entry in self.store.load(id).entries]


@pytest.fixture
def place(home: Path) -> Iterator[Place]:
    place = Place(home)
    yield place
    place.close()
