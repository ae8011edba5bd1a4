"""The store as its users see it: one method an operation, each a line or two over the rooms below."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sessionstore import portable, upkeep
from sessionstore.errors import AlreadyExistsError, ConflictError
from sessionstore.format.lines import State, StateChange
from sessionstore.fs.project import capture
from sessionstore.model import (
    CleanupReport,
    Message,
    ProjectRecord,
    Provenance,
    Session,
    SessionSummary,
    Todo,
    check_id,
    check_key,
    check_name,
    check_tags,
    check_todos,
    format_time,
)
from sessionstore.sessions import Ground, Lifecycle, Writer
from sessionstore.view import Path, StoreView

Entries = Iterable[dict[str, Any] | Message]


class SessionStore(StoreView):
    """Saves sessions sealed and gives them back only as they were saved. Made by `open_store`.

    Every method may be called from any thread, and many processes may use one store at once; writers of one session
    wait for each other (at most `lock_timeout_s`), readers do not wait. After `fork` both processes may go on.

    All methods raise `StoreUnavailableError` where the file system, the ledger or a lock refuses, and the errors of
    the key and the ledger (`KeyringError`, `StoreError`). Methods that take an id raise `InvalidIdError` for anything
    but a lower-case UUID, `SessionNotFoundError` for one that is not here, and a `VerificationError` for a session that
    is not what was saved. What else a method raises stands with it.
    """

    def __init__(self, ground: Ground, *, notices: tuple[str, ...] = ()) -> None:
        super().__init__(ground, notices=notices)
        self._writer = Writer(ground, self._reader)
        self._lifecycle = Lifecycle(ground, self._reader, self._writer)
        if not ground.read_only:
            self._lifecycle.finish()

    def close(self) -> None:
        """Release the open logs, the ledger and the directories. Calling it again does nothing."""
        self._writer.close()
        super().close()

    def create(
        self,
        *,
        name: str | None = None,
        project: Path | ProjectRecord | None = None,
        allowed_roots: Iterable[Path] = (),
        trust: Iterable[str] = (),
        key: str | None = None,
        parent: str | None = None,
        config: dict[str, Any] | None = None,
        todos: Iterable[Todo] = (),
        tags: Iterable[str] = (),
        id: str | None = None,
        origin: str | None = None,
        entries: Entries = (),
        provenance: Provenance = "native",
    ) -> Session:
        """Make a session, durable at once, and return it.

        Args:
            name: 1 to 200 characters; made from the time if left out.
            project: The project directory. It is opened now, and what the kernel says of it is signed. A record is
                stored as it is.
            allowed_roots: Directories the project must lie in, now and at resume; empty means only itself.
            trust: `foreign_owner` or `world_writable`: what the caller vouches for about the project.
            key: The embedder's own key: any text up to 512 bytes, unique in the store.
            parent: Id of the session this one belongs to.
            config, todos, tags: The first state.
            id: A lower-case UUID; a random one if left out.
            origin: Id it had elsewhere: any text up to 512 bytes.
            entries: The first entries; any number, taken one by one.
            provenance: How it came here; leave it, unless you import.

        Raises:
            ProjectPathError: The project directory is refused; its `verdict` says why.
            AlreadyExistsError: The id or key is taken.
            SessionLimitError: The store is full.
            InvalidValueError, MalformedError, TooDeepError, TooLargeError: Something given cannot be kept.
        """
        if project is not None and not isinstance(project, ProjectRecord):
            project = capture(project, allowed_roots=tuple(allowed_roots), trust=tuple(trust))
        state = State(
            name=check_name(name) if name is not None else f"Session of {format_time(self._ground.now())[:19]}Z",
            tags=check_tags(tags),
            config=config if config is not None else {},
            todos=check_todos(todos),
            project=project,
        )
        session_id = self._lifecycle.create(
            state,
            entries=entries,
            session_id=id,
            key=None if key is None else check_key(key),
            parent=None if parent is None else check_id(parent),
            origin=None if origin is None else check_key(origin),
            provenance=provenance,
        )
        session = self.load(session_id)
        return msgspec.structs.replace(session, warnings=session.warnings + self._index.room_left())

    def take_in(
        self,
        name: str,
        entries: Entries,
        *,
        project: ProjectRecord | None = None,
        origin: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> SessionSummary:
        """Make a session of another tool's transcript, whole or not at all, in bounded memory; provenance `imported`.

        Args and errors: as `create`, which also loads what it made.
        """
        state = State(name=check_name(name), config=config if config is not None else {}, project=project)
        origin = None if origin is None else check_key(origin)
        return self.summary(self._lifecycle.create(state, entries=entries, origin=origin, provenance="imported"))

    def get_or_create(self, key: str, **create_args: Any) -> Session:
        """The session with this key, made with `create_args` if there is none. Callers at the same moment get the same.

        Errors: as `create` and `load`.
        """
        while True:
            head = self._index.find(key)
            if head is None:
                try:
                    return self.create(key=key, **create_args)
                except AlreadyExistsError as error:
                    if error.what != "key":
                        raise
            elif head.state == "live":
                return self.load(head.session_id)
            else:
                self._lifecycle.settle(head.session_id)

    def fork(self, id: str, at: int | None = None) -> Session:
        """A new session with what this one held at revision `at` (None: now); its `parent` is this one.

        Raises:
            InvalidValueError: No save ended with that revision.
        """
        return self.load(portable.copy_at(self._reader, self._lifecycle, id, at))

    def append(
        self,
        id: str,
        entries: Entries = (),
        *,
        todos: Iterable[Todo] | UnsetType = UNSET,
        config: dict[str, Any] | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        tags: Iterable[str] | UnsetType = UNSET,
        expected_rev: int | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Save entries and new state in one step and return the new revision. This is the hot path: one seal, one sync.

        The cost is that of the new bytes, at any length of the session. Nothing to save is no save. Entries are taken
        one by one and sealed every 1 MiB, but the step is whole: it is all there or, after any failure, none of it.

        Args:
            entries: JSON objects, or `Message`s.
            todos, config, name, tags: New values; what is left out stays.
            expected_rev: Refuse if the session is at another revision.
            idempotency_key: Text up to 512 bytes. If the last save had the same key, nothing is saved and its revision
                is returned: a retry after `outcome="unknown"` is safe.

        Raises:
            ConflictError: The session is not at `expected_rev`.
            MalformedError, TooDeepError, TooLargeError, InvalidValueError: Something given cannot be kept.
        """
        change = StateChange(
            name=name if name is UNSET else check_name(name),
            tags=tags if tags is UNSET else check_tags(tags),
            config=config,
            todos=todos if todos is UNSET else check_todos(todos),
        )
        return self._writer.append(id, entries, change, expected_rev=expected_rev, idempotency_key=idempotency_key)

    def save(self, session: Session) -> Session:
        """Save what a snapshot has more than the store; the session as it is now. Costs O(entries), unlike `append`.

        Raises:
            ConflictError: The store has moved on since the snapshot was loaded, or its earlier entries were changed.
        """
        stored = self.load(session.id)
        count = len(stored.entries)
        if session.rev != stored.rev or not _same(session.entries[:count], stored.entries):
            raise ConflictError(session_id=session.id, expected=session.rev, found=stored.rev)
        change = StateChange(
            name=UNSET if session.name == stored.name else check_name(session.name),
            tags=UNSET if session.tags == stored.tags else check_tags(session.tags),
            config=UNSET if _same(session.config, stored.config) else session.config,
            todos=UNSET if session.todos == stored.todos else check_todos(session.todos),
        )
        rev = self._writer.append(session.id, session.entries[count:], change, expected_rev=stored.rev)
        return stored if rev == stored.rev else self.load(session.id)

    def rename(self, id: str, name: str) -> int:
        """Give the session another name; the new revision."""
        return self.append(id, name=name)

    def tag(self, id: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
        """Add and remove tags; the tags it has now. Repeats where another writer was faster."""
        new, gone = check_tags(add), check_tags(remove)
        while True:
            summary = self.summary(id)
            tags = check_tags(tag for tag in (*summary.tags, *new) if tag not in gone)
            if tags == summary.tags:
                return tags
            try:
                self.append(id, tags=tags, expected_rev=summary.rev)
            except ConflictError:
                continue
            return tags

    def close_session(self, id: str) -> int:
        """Mark the session as closed, durably; the new revision. Closing again sets a new time."""
        return self._writer.append(id, change=StateChange(closed_at=format_time(self._ground.now())))

    def rewind(self, id: str, to: int, *, expected_rev: int | None = None) -> int:
        """Keep the first `to` entries, rewrite without the others; the new revision. The idempotency key stays.

        Raises:
            InvalidValueError: It has fewer entries.
            ConflictError: The session is not at `expected_rev`.
        """
        return self._lifecycle.rewrite(id, keep=to, expected_rev=expected_rev)

    def clear(self, id: str, *, expected_rev: int | None = None) -> int:
        """Remove every entry and keep the state; the new revision."""
        return self._lifecycle.rewrite(id, keep=0, expected_rev=expected_rev)

    def compact(self, id: str) -> bool:
        """Rewrite the session if seals are over a third of it and over 1 MiB; whether it was. Errors as `rewind`."""
        return self._lifecycle.compact(id)

    def delete(self, id: str) -> None:
        """Delete the session for good. Its id stays taken, so that its file coming back is noticed."""
        self._lifecycle.delete(id)

    def import_document(
        self, data: bytes, *, trust: Collection[str] = (), passphrase: str | None = None, keep_id: bool = False
    ) -> Session:
        """Make a new session out of an exported document.

        Args:
            trust: `unknown_key` takes a document that cannot be checked here; you vouch for it.
            passphrase: For a document that was sealed with one.
            keep_id: Use the document's own id; refused if it was ever used here.

        Raises:
            UnknownKeyError: Another machine's key signed it, or it needs a passphrase.
            InvalidSignatureError: It was changed, or the passphrase is wrong.
            MalformedError: It is no such document.
        """
        session_id = portable.import_document(
            self._ground, self._lifecycle, data, trust=trust, passphrase=passphrase, keep_id=keep_id
        )
        return self.load(session_id)

    def cleanup(
        self, *, older_than: timedelta | None = None, keep_last: int | None = None, dry_run: bool = False
    ) -> CleanupReport:
        """Delete old sessions: by the signed time of their last save, and only if they verify.

        Args:
            older_than: Age of the last save.
            keep_last: How many of the newest stay whatever their age.
            dry_run: Say what would go.

        Raises:
            InvalidValueError: Neither is given, or one is negative.
        """
        parts = (self._ground, self._index, self._reader, self._lifecycle)
        return upkeep.clean_up(*parts, older_than=older_than, keep_last=keep_last, dry_run=dry_run)


def _same(given: object, stored: object) -> bool:
    return given == stored and msgspec.json.encode(given) == msgspec.json.encode(stored)  # 1 == True == 1.0 in Python
