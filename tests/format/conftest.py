"""A workshop that makes session files with a known key, and takes them apart again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from sessionstore.errors import KeyringError
from sessionstore.format.lines import Open, StateChange, entry_line, open_line, state_line
from sessionstore.format.log import Batch, Segment, Summary, walk
from sessionstore.format.seal import CONTEXT, SEAL, Broken, Seal, Sealed, Sealer
from sessionstore.signing import Key, Keyring, KeyStatus

CREATED = "2026-01-31T12:00:00.000000Z"
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Workshop:
    """Makes lines, saves and whole files of one session."""

    store_id: str = "5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e5f"
    session_id: str = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
    secret: bytes = bytes(range(32))
    other_secret: bytes = bytes(range(32, 64))
    summary: Summary = field(
        default_factory=lambda: Summary(
            name="Atlas",
            tags=("demo",),
            project="/srv/demo/atlas",
            place=(2049, 77),
            provenance="native",
            created_at=CREATED,
            updated_at=CREATED,
            closed_at=None,
        )
    )

    def keyring(self, first: KeyStatus = "primary", other: KeyStatus | None = None) -> Keyring:
        """A keyring with the workshop's key, and perhaps another one."""
        keys = [Key(self.secret, first, CREATED)]
        if other is not None:
            keys.append(Key(self.other_secret, other, CREATED))
        return Keyring(keys, generation=1)

    def other_keyring(self) -> Keyring:
        """A keyring that has never seen the workshop's key."""
        return Keyring([Key(self.other_secret, "primary", CREATED)], generation=1)

    def sealer(self, keyring: Keyring | None = None, *, store: str | None = None, session: str | None = None) -> Sealer:
        """A sealer of the workshop's session, or of another one."""
        return Sealer(keyring or self.keyring(), store or self.store_id, session or self.session_id)

    def opening(self, **members: Any) -> bytes:
        """The open line of the session."""
        return open_line(Open(**{"id": self.session_id, "store": self.store_id, "created_at": CREATED, **members}))

    @staticmethod
    def entry(text: str = "hello", **members: Any) -> bytes:
        """An entry line."""
        return entry_line({"role": "user", "content": text, **members}, max_bytes=64 * MEBIBYTE)

    @staticmethod
    def state(**members: Any) -> bytes:
        """A state line."""
        return state_line(StateChange(**members), max_bytes=MEBIBYTE)

    def save(
        self, previous: Sealed | None, *lines: bytes, sealer: Sealer | None = None, **options: Any
    ) -> tuple[bytes, Sealed]:
        """The bytes of one save behind `previous`, and its last seal."""
        options = {"max_session_bytes": 1 << 40, **options}
        batch = Batch(sealer or self.sealer(), previous, self.summary, **options)
        return b"".join(batch.chunks(lines)), batch.sealed

    def file(self, *saves: tuple[bytes, ...], sealer: Sealer | None = None) -> bytes:
        """A file of several saves; without arguments four small ones."""
        saves = saves or (
            (self.opening(), self.state(name="Atlas", tags=("demo",))),
            (self.entry("eins"), self.entry("zwei"), self.entry("drei")),
            (self.state(closed_at=CREATED),),
            (self.entry("vier"), self.entry("zwei")),
        )
        data, sealed = b"", None
        for lines in saves:
            more, sealed = self.save(sealed, *lines, sealer=sealer)
            data += more
        return data

    def segments(self, data: bytes, sealer: Sealer | None = None, **options: Any) -> list[Segment]:
        """What `walk` hands out of `data`, which is all good."""
        return list(walk(sealer or self.sealer(), reader(data), **{"end": len(data), **options}))

    def handed_out(self, data: bytes, sealer: Sealer | None = None, **options: Any) -> tuple[list[Segment], str]:
        """What `walk` hands out of `data` before it ends, and the name of the error that ended it."""
        found: list[Segment] = []
        try:
            for segment in walk(sealer or self.sealer(), reader(data), **{"end": len(data), **options}):
                found.append(segment)
        except (Broken, KeyringError) as error:
            return found, type(error).__name__
        return found, ""

    def forge(self, content: bytes, keyring: Keyring | None = None) -> bytes:
        """A seal line around any content, with a good tag: what a faulty writer of ours could make."""
        key = (keyring or self.keyring()).mac_key("session")
        tag = key.tag(CONTEXT, self.store_id.encode(), self.session_id.encode(), key.key_id.encode(), content)
        return content + f',"signature":"ss2.{key.key_id}.{tag.hex()}"}}\n'.encode()

    def forge_seal(self, sealed: Sealed, **changes: Any) -> bytes:
        """The seal line of `sealed` with other members and a good tag."""
        seal: Seal = msgspec.structs.replace(sealed.seal, **changes)
        return self.forge(SEAL + msgspec.json.encode(seal))


def reader(data: bytes) -> Callable[[int, int], bytes]:
    """How `walk` reads bytes that are in memory."""
    return lambda start, size: data[start : start + size]


@pytest.fixture(scope="session")
def shop() -> Workshop:
    """The workshop."""
    return Workshop()


@pytest.fixture(scope="session")
def long_file(shop: Workshop) -> bytes:
    """One save of some 3 MiB, sealed in four segments, and a small save behind it."""
    lines: Iterator[bytes] = (shop.entry(f"{number} " + "x" * 90_000) for number in range(40))
    return shop.file((shop.opening(), *lines), (shop.entry("last"),))


@pytest.fixture(scope="session")
def said() -> Callable[..., dict[str, Any]]:
    """Makes a message of a file of format version 1."""

    def message(content: str, timestamp: str, *, role: str = "user", **members: Any) -> dict[str, Any]:
        return {"id": "m", "role": role, "content": content, "timestamp": timestamp, **members}

    return message


@pytest.fixture(scope="session")
def old_file() -> Callable[..., dict[str, Any]]:
    """Makes the object of a file of format version 1, with other or more members than the plain one has."""

    def value(**members: Any) -> dict[str, Any]:
        plain = {
            "version": 1,
            "id": Workshop.session_id,
            "name": "Atlas",
            "project_path": "/srv/demo/atlas",
            "config": {"provider": "anthropic", "model": "m-1", "temperature": 0.7, "max_tokens": 4096},
            "created_at": "2025-12-08T09:00:00.000001Z",
            "updated_at": "2025-12-08T09:30:00.000000Z",
            "closed_at": "2025-12-08T10:00:00.123456Z",
            "conversation": [
                {"id": "m2", "role": "assistant", "content": "Hi", "timestamp": "2025-12-08T09:02:00.000000Z"},
                {"id": "m1", "role": "user", "content": "Hello", "timestamp": "2025-12-08T09:01:00.000000Z"},
            ],
            "todos": [{"content": "Read", "status": "in_progress", "active_form": "Reading"}],
        }
        return plain | members

    return value
