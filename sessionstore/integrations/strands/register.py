"""A value that is replaced again and again, kept in a log that only grows: sealed, bounded, whole after any crash.

A register is one session of the store. A new value is appended to it in one step, and the value is what was put last.
Where the log has grown long compared with the value, the new one takes the place of all that is there instead, also in
one step. So writing costs the value and a share of a rewrite that is no longer than some of them.

- Every step names the revision it builds on. Two writers never build on the same one: one of them begins again.
- What a dead writer left is the old value or the new one. A session without a value is no register yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import closing
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
"""A log is written anew when it would be longer than this, and than four of the value it is to take."""

Value = list[dict[str, Any]]


class Kept(NamedTuple):
    """A register as it was read.

    Attributes:
        session_id: The session of the store, "" if there is none.
        rev: Its revision, for a step that builds on it.
        size_bytes: Of its file.
        value: The value, None if there is none.
    """

    session_id: str = ""
    rev: int = 0
    size_bytes: int = 0
    value: Value | None = None


class Register:
    """One value. Safe for threads and processes; making one costs nothing.

    Args:
        store: Where it is.
        sdk, parts: What it is called, as `key_of` takes it.
        name: For people, of the store's session.
    """

    def __init__(self, store: SessionStore, sdk: str, *parts: str, name: str | None = None) -> None:
        self._store = store
        self._key = key_of(sdk, *parts)
        self._name = name

    def read(self) -> Value | None:
        """The value, None if there is none.

        Raises:
            VerificationError: It is not what was saved.
        """
        return self._kept().value

    def change(self, make: Callable[[Value | None], Value]) -> None:
        """Put what `make` makes of the value into its place, durably. Other writers' changes are never lost.

        Args:
            make: Is given the value, and called again where another writer was faster. It gives one part or more.

        Raises:
            TooLargeError: The value is longer than a session or an entry may be.
            VerificationError: The old one is not what was saved.
            StoreUnavailableError: See its `outcome`.
        """
        while True:
            try:
                kept = self._kept()
                self._put(kept, make(kept.value))
                return
            except (ConflictError, SessionNotFoundError):
                continue

    def is_there(self) -> bool:
        """Whether there is a value; not all of it is read. Errors as `read`."""
        return self._kept(whole=False).value is not None

    def remove(self) -> bool:
        """Delete the value with those before it, also where it is not what was saved; whether there was one."""
        session_id = self._store.id_of(self._key)
        if session_id is None:
            return False
        try:
            had = self.is_there()
        except VerificationError:
            had = True
        try:
            self._store.delete(session_id)
        except SessionNotFoundError:
            return False  # somebody else was faster
        return had

    def _put(self, kept: Kept, value: Value) -> None:
        entries = [{**part, MARK: {"part": at, "of": len(value)}} for at, part in enumerate(value, 1)]
        size = len(repr(entries).encode(errors="surrogatepass"))  # about; what cannot be kept is refused below
        most = min(max(LONG_BYTES, 4 * size), self._store.config.max_session_bytes // 2)
        if not kept.session_id:
            made = self._store.get_or_create(self._key, name=self._name)
            if made.entries:
                raise ConflictError(session_id=made.id, expected=1, found=made.rev)
            kept = kept._replace(session_id=made.id, rev=made.rev)
        if kept.value is not None and kept.size_bytes + size > most:
            self._store.replace(kept.session_id, entries, expected_rev=kept.rev)
        else:
            append_surely(self._store, kept.session_id, entries, kept.rev)

    def _kept(self, *, whole: bool = True) -> Kept:
        while True:
            session_id = self._store.id_of(self._key)
            if session_id is None:
                return Kept()
            try:
                # The revision first: who builds on one that is older than what was read is refused, and reads again.
                summary = self._store.summary(session_id)
                return Kept(session_id, summary.rev, summary.size_bytes, self._last(session_id, whole=whole))
            except SessionNotFoundError:
                continue

    def _last(self, session_id: str, *, whole: bool) -> Value | None:
        """The value that was put last, or only its last part."""
        parts: Value = []
        with closing(newest(self._store, session_id)) as entries:
            for entry in entries:
                match entry:
                    case {"strands": {"part": int(part), "of": int(count)}} if 0 < part == count - len(parts):
                        parts.append({name: value for name, value in entry.items() if name != MARK})
                        if part == 1 or not whole:
                            return parts[::-1]
                    case _:
                        break
            else:
                if not parts:
                    return None
        raise MalformedError(session_id=session_id, reason="an entry is no part of a value")


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
