"""A session as it was loaded, its line in a list, and what a check of it found."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from sessionstore.errors import InvalidValueError
from sessionstore.model.records import Message, ProjectRecord, Todo
from sessionstore.model.times import format_time

Provenance = Literal["native", "legacy-adopted", "adopted", "imported"]
ProjectState = Literal["unchecked", "here", "gone", "replaced", "unknown"]


class LoadWarning(msgspec.Struct, frozen=True):
    """Something a caller should know about a session that is good all the same.

    Attributes:
        code: `uncommitted_tail`, `several_links`, `loose_mode`, `session_limit_near`, `legacy`; of an imported document
            `redacted`; of a project directory `alias_moved`, `weak_identity`, `device_changed`, `ancestor_writable`.
        text: The same for people.
    """

    code: str
    text: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A verified snapshot of one session. It does not change; the store's methods return new ones.

    The tuple of entries is fixed, the entries themselves are plain dicts: treat them as read-only.

    Attributes:
        id: Lower-case UUID.
        key: The embedder's external key, if it was created with one.
        name: What people call it.
        project: The project directory as it was captured, None for a session without one.
        parent: Id of the session it was forked from or that started it.
        origin: Id it had in the store it was imported from.
        created_at, updated_at, closed_at: Aware UTC; `updated_at` grows with every save.
        rev: Revision of the seal this snapshot was verified against; grows with every save. 0: not signed yet, see
            `store.migrate`.
        entries: The truth: every entry as it was given, in order.
        todos, config, tags: The latest state.
        provenance: How it came to be signed here.
        size_bytes: Size of the committed file, seals included.
        warnings: What is worth telling a person.
    """

    id: str
    key: str | None
    name: str
    project: ProjectRecord | None
    parent: str | None
    origin: str | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    rev: int
    entries: tuple[dict[str, Any], ...]
    todos: tuple[Todo, ...]
    config: dict[str, Any]
    tags: tuple[str, ...]
    provenance: Provenance
    size_bytes: int
    warnings: tuple[LoadWarning, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The entries that are messages, typed; entries of other kinds are left out."""
        found = (Message.from_entry(entry) for entry in self.entries)
        return tuple(message for message in found if message is not None)

    def append(self, *entries: dict[str, Any] | Message) -> Session:
        """A new snapshot with `entries` at the end. Nothing is stored before `store.save`; costs O(entries)."""
        return msgspec.structs.replace(self, entries=self.entries + tuple(as_entry(entry) for entry in entries))


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list.

    Attributes:
        project: Display path of the project directory.
        entries: How many entries there are.
        state: `running` while a process holds the session resumed, else `saved`.
        integrity: `listed`: the signed row of the ledger and the file's identity agree. `verified`: the whole file was
            checked. `legacy`: an unsigned file whose digest is in the inventory; nobody vouches for its times.
        project_state: What stood under the project's name when the list was made. `unchecked`: nobody asked. `here`:
            a directory with the recorded inode number. `gone`: nothing. `replaced`: another directory, or a link or
            file there or on the way to it. `unknown`: there is no project, no identity was recorded, or it cannot be
            told. A hint for people: resuming judges for itself.

    The other attributes are those of `Session`.
    """

    id: str
    key: str | None
    name: str
    project: str | None
    parent: str | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    entries: int
    size_bytes: int
    rev: int
    tags: tuple[str, ...]
    provenance: Provenance
    state: Literal["saved", "running"] = "saved"
    integrity: Literal["listed", "verified", "legacy"] = "listed"
    project_state: ProjectState = "unchecked"


class Unreadable(msgspec.Struct, frozen=True):
    """A file or record that cannot be opened as a session, shown and never hidden.

    Attributes:
        name: The session id, or the file name where that is no id (control characters replaced).
        code: The code of the error that opening it raises; or `migrated` for an unsigned file whose session is sealed.
        text: The same for people.
    """

    name: str
    code: str
    text: str


class SessionPage(msgspec.Struct, frozen=True):
    """One page of a list.

    Attributes:
        sessions: Newest first by `updated_at`, then by id.
        unreadable: What could not be listed as a session, by name: files without a record on the first page, broken
            sessions on the page where they would stand.
        next_cursor: Pass it to get the next page; None at the end.
    """

    sessions: tuple[SessionSummary, ...]
    unreadable: tuple[Unreadable, ...]
    next_cursor: str | None = None


class VerifyResult(msgspec.Struct, frozen=True):
    """What a whole check of one session found.

    Attributes:
        session_id: Which.
        ok: Whether every byte up to the last acknowledged seal is what was saved.
        rev: The verified revision, 0 if none.
        code: `ok`, or the code of the error.
        text: The error for people, or "".
        hint: What can be done, or "".
        warnings: Worth telling although it is ok.
    """

    session_id: str
    ok: bool
    rev: int
    code: str
    text: str = ""
    hint: str = ""
    warnings: tuple[LoadWarning, ...] = ()


class StoreStats(msgspec.Struct, frozen=True):
    """Counts over a store, from the signed list.

    Attributes:
        sessions, entries, size_bytes: Sums over readable sessions.
        unreadable: How many files or records could not be listed.
        max_sessions: The configured limit.
        by_provenance: Sessions by provenance.
        oldest_at, newest_at: Range of `updated_at`, None for an empty store.
    """

    sessions: int
    entries: int
    size_bytes: int
    unreadable: int
    max_sessions: int
    by_provenance: dict[str, int]
    oldest_at: datetime | None
    newest_at: datetime | None


def as_entry(entry: dict[str, Any] | Message) -> dict[str, Any]:
    """`entry` itself, or the entry that a typed message stands for (absent members left out).

    Raises:
        InvalidValueError: Its timestamp has no zone, or lies outside the calendar in UTC.
    """
    if not isinstance(entry, Message):
        return entry
    fields: dict[str, Any] = {"role": entry.role, "content": entry.content}
    if entry.id is not None:
        fields["id"] = entry.id
    if entry.timestamp is not None:
        try:
            fields["timestamp"] = format_time(entry.timestamp)
        except (ValueError, OverflowError, AttributeError):
            raise InvalidValueError(what="message timestamp", reason="a time with a zone is needed") from None
    return fields
