"""A value that is replaced again and again, kept in logs that only grow: sealed, bounded, whole after any crash.

A register is one or two sessions of the store, its slots. Each holds versions of the value; the value is the highest
version that is there as a whole. A new version is an append to the slot with the highest. When that slot has grown long
compared with the value, it is closed for good with a mark, the other slot is emptied, and the version goes there. So
writing costs the value and a share of a rewrite that is no longer than some versions of it.

- Every step names the revision it builds on. Two writers never build on the same one: one of them begins again.
- Until the new version is there the slot with the old one stays as it is. What a dead writer left half done, the next
  writer finishes.
- Removing is a version too, then both slots are deleted, the one with the highest version last.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any, NamedTuple, cast
from uuid import uuid4

from sessionstore.errors import (
    ConflictError,
    MalformedError,
    SessionNotFoundError,
    StoreUnavailableError,
    VerificationError,
)
from sessionstore.integrations.foreign import key_of
from sessionstore.store import SessionStore

MARK = "strands"
LONG_BYTES = 1024 * 1024
"""A slot is closed when it would be longer than this, and than four of the value it is to take."""

Value = list[dict[str, Any]]


class Slot(NamedTuple):
    """One slot as it was read.

    Attributes:
        session_id: The session of the store, "" if there is none.
        rev: Its revision, for a step that builds on it.
        size_bytes: Of its file.
        version: Highest version in it, 0 if there is none.
        is_closed: Whether a mark says that the next version goes into the other slot.
        value: That version; None if the version says that there is no value.
    """

    session_id: str = ""
    rev: int = 0
    size_bytes: int = 0
    version: int = 0
    is_closed: bool = False
    value: Value | None = None


class Register:
    """One value. Safe for threads and processes; making one costs nothing.

    Args:
        store: Where the slots are.
        sdk, parts: What it is called, as `key_of` takes it.
        name: For people, of the store's sessions.
    """

    def __init__(self, store: SessionStore, sdk: str, *parts: str, name: str | None = None) -> None:
        self._store = store
        self._keys = (key_of(sdk, *parts), key_of(sdk, *parts, "other slot"))
        self._name = name

    def read(self) -> Value | None:
        """The value, None if there is none.

        Raises:
            VerificationError: A slot is not what was saved.
        """
        return max(self._slots(), key=lambda slot: slot.version).value

    def change(self, make: Callable[[Value | None], Value | None]) -> None:
        """Put what `make` makes of the value into its place, durably. Other writers' changes are never lost.

        Args:
            make: Is given the value, and called again where another writer was faster. None is no value.

        Raises:
            TooLargeError: The value is longer than a session or an entry may be.
            VerificationError: A slot is not what was saved.
        """
        while True:
            try:
                slots = self._slots()
                self._put(slots, make(max(slots, key=lambda slot: slot.version).value))
                return
            except (ConflictError, SessionNotFoundError):
                continue

    def is_there(self) -> bool:
        """Whether there is a value; it is not read. Errors as `read`."""
        return max(self._slots(whole=False), key=lambda slot: slot.version).value is not None

    def remove(self) -> bool:
        """Delete the value and all its versions, also where they are not what was saved; whether there was one."""
        had = [False]

        def gone(value: Value | None) -> Value | None:
            had.append(value is not None)
            return None

        if all(self._store.id_of(key) is None for key in self._keys):
            return False
        try:
            self.change(gone)
        except VerificationError:
            had.append(True)
        # What stays if this is interrupted says that the value is gone, or is refused.
        for key in sorted(self._keys, key=self._version):
            session_id = self._store.id_of(key)
            if session_id is not None:
                with suppress(SessionNotFoundError):  # somebody else removes it too
                    self._store.delete(session_id)
        return had[-1]

    def _version(self, key: str) -> float:
        try:
            return self._slot(key, whole=False).version
        except VerificationError:
            return math.inf

    def _put(self, slots: list[Slot], value: Value | None) -> None:
        at = max((0, 1), key=lambda number: slots[number].version)
        slot, version = slots[at], slots[at].version + 1
        entries = versioned(version, value)
        size = len(repr(entries).encode(errors="surrogatepass"))  # about; what cannot be kept is refused below
        most = min(max(LONG_BYTES, 4 * size), self._store.config.max_session_bytes // 2)
        is_full = slot.size_bytes + size > most
        if slot.version and (slot.is_closed or is_full):
            if not slot.is_closed:
                append_surely(self._store, slot.session_id, [{MARK: {"closed": slot.version}}], slot.rev)
            at = 1 - at
            slot = slots[at]
            if slot.version:
                slot = slot._replace(rev=self._store.clear(slot.session_id, expected_rev=slot.rev))
        if not slot.session_id:
            made = self._store.get_or_create(self._keys[at], name=self._name)
            if made.entries:
                raise ConflictError(session_id=made.id, expected=1, found=made.rev)
            slot = slot._replace(session_id=made.id, rev=made.rev)
        append_surely(self._store, slot.session_id, entries, slot.rev)

    def _slots(self, *, whole: bool = True) -> list[Slot]:
        return [self._slot(key, whole=whole) for key in self._keys]

    def _slot(self, key: str, *, whole: bool) -> Slot:
        while True:
            session_id = self._store.id_of(key)
            if session_id is None:
                return Slot()
            try:
                # The revision first: who builds on one that is older than what was read is refused, and reads again.
                summary = self._store.summary(session_id)
                return Slot(session_id, summary.rev, summary.size_bytes, *self._highest(session_id, whole=whole))
            except SessionNotFoundError:
                continue

    def _highest(self, session_id: str, *, whole: bool) -> tuple[int, bool, Value | None]:
        """The highest version, whether the slot is closed, and the value, or an empty one if it is not wanted."""
        is_closed = False
        parts: Value = []
        with closing(newest(self._store, session_id)) as entries:
            for entry in entries:
                match entry:
                    case {"strands": {"closed": int()}} if not parts:
                        is_closed = True
                    case {"strands": {"version": int(version), "part": int(part), "of": int(count)}} if (
                        part == count - len(parts)
                    ):
                        if count == 0:
                            return version, is_closed, None
                        if not whole:
                            return version, is_closed, []
                        parts.append({name: value for name, value in entry.items() if name != MARK})
                        if part == 1:
                            return version, is_closed, parts[::-1]
                    case _:
                        raise MalformedError(session_id=session_id, reason="an entry is no version of a value")
        return 0, is_closed, None


def versioned(version: int, value: Value | None) -> Value:
    """The entries of one version. They are saved in one step, so they are there together or not at all."""
    parts = value or []
    if not parts:
        return [{MARK: {"version": version, "part": 0, "of": 0}}]
    return [{**part, MARK: {"version": version, "part": at, "of": len(parts)}} for at, part in enumerate(parts, 1)]


def plain(value: Any) -> Any:
    """The value as Python's own encoder writes it: enumerations and tuples too, as in the SDK's own repositories.

    What that refuses comes back as it is: the store names the place.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return value


def newest(store: SessionStore, session_id: str) -> Generator[dict[str, Any], None, None]:
    """The entries, the newest first; to be closed."""
    return cast("Generator[dict[str, Any], None, None]", store.newest(session_id))


def append_surely(store: SessionStore, session_id: str, entries: Value, expected_rev: int) -> None:
    """Append once, at this revision; tried again where the first attempt's outcome is unknown.

    Raises:
        ConflictError: The session is at another revision.
        StoreUnavailableError: See its `outcome`.
    """
    key = uuid4().hex
    try:
        store.append(session_id, entries, expected_rev=expected_rev, idempotency_key=key)
    except StoreUnavailableError as error:
        if error.outcome != "unknown":
            raise
        store.append(session_id, entries, expected_rev=expected_rev, idempotency_key=key)
