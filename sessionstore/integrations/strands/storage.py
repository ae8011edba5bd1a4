"""The byte `Storage` of Strands Agents, kept in a store: for `SnapshotSessionManager`, and as storage of an agent.

A key is a register of its own: writing replaces the value, whole or not at all, and old versions do not pile up. Keys
are taken as they are, to the byte: nothing is folded, no slash is special, none is refused. Bytes that are UTF-8 are
kept as text, so that a snapshot can be read with the store's tools; other bytes as base64.

- Writing costs the value's size, as with every storage of that SDK: it hands over the whole of it.
- Blocking work runs in threads of the store's own. Any loop will do: the SDK starts one for every call from outside.
- A cancelled write or delete is over before the cancellation goes on. Doing it again does no harm.
- What the store refuses is raised as it is, and not as the SDK's `StorageError`.
"""

from __future__ import annotations

import base64
import builtins
import json
from contextlib import closing

from strands.storage import Storage  # pyright: ignore[reportMissingImports]

from sessionstore.aio.borrowed import pool_of
from sessionstore.errors import InvalidValueError, SessionNotFoundError, VerificationError
from sessionstore.integrations.strands.register import Register, Value, newest
from sessionstore.model import check_name
from sessionstore.store import SessionStore

SDK = "strands-storage"
PART_CHARS = 256 * 1024
"""So long is a part of a value: an entry each, of at most 1 MiB."""


class SealedStorage(Storage):  # pyright: ignore[reportGeneralTypeIssues]
    """Bytes under keys, sealed: `SnapshotSessionManager(id, storage=SealedStorage(store))`.

    All methods raise `VerificationError` for a value that is not what was saved, and `StoreUnavailableError` where the
    store refuses.

    Args:
        store: An open store. It stays open.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def write(self, key: str, data: bytes) -> None:
        """Put `data` in the place of what was under `key`, durably.

        Raises:
            InvalidValueError: The key is no text.
            TooLargeError: The data is longer than a session may be.
        """
        data = bytes(data)  # the caller may change a bytearray meanwhile
        await pool_of(self._store).finish(self._write, key, data)

    async def read(self, key: str) -> bytes | None:
        """The bytes under `key`, None if there are none."""
        return await pool_of(self._store).call(self._read, key)

    async def delete(self, key: str) -> None:
        """Delete what is under `key`, for good; nothing if there is nothing."""
        await pool_of(self._store).finish(self._register(key).remove)

    async def list(self, query: str = "") -> builtins.list[str]:
        """The keys that begin with `query`, in order. Costs all sessions of the store."""
        return await pool_of(self._store).call(self._list, query)

    def _write(self, key: str, data: bytes) -> None:
        try:
            kind, text = "text", data.decode()
        except UnicodeDecodeError:
            kind, text = "base64", base64.b64encode(data).decode()
        parts = [text[at : at + PART_CHARS] for at in range(0, len(text), PART_CHARS)] or [""]
        value: Value = [{"key": key, kind: part} for part in parts]
        self._register(key).change(lambda before: value)

    def _read(self, key: str) -> bytes | None:
        value = self._register(key).read()
        if value is None:
            return None
        if "text" in value[0]:
            return "".join(part["text"] for part in value).encode()
        return base64.b64decode("".join(part["base64"] for part in value))

    def _list(self, query: str) -> builtins.list[str]:
        keys = {json.loads(key)[1] for key in self._store.keys(f'["{SDK}",')}
        # A name that is too long to be read from the store's key stands in what is kept under it.
        keys |= {self._long_key(session_id) for session_id in self._store.keys(f"{SDK}:").values()}
        return sorted(key for key in keys if key is not None and key.startswith(query) and self._is_there(key))

    def _long_key(self, session_id: str) -> str | None:
        with closing(newest(self._store, session_id)) as entries:
            try:
                return next((entry["key"] for entry in entries if "key" in entry), None)
            except SessionNotFoundError:
                return None  # deleted since

    def _is_there(self, key: str) -> bool:
        try:
            return self._register(key).is_there()
        except VerificationError:
            return True  # reading it says what is wrong

    def _register(self, key: str) -> Register:
        try:
            name = check_name(key)
        except InvalidValueError:
            name = None
        return Register(self._store, SDK, key, name=name)
