"""The store as its users see it: one method an operation, each a line or two over the rooms below."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import msgspec

from sessionstore import portable, upkeep
from sessionstore.edits import Entries
from sessionstore.errors import AlreadyExistsError
from sessionstore.format.lines import State
from sessionstore.fs.project import capture
from sessionstore.legacy import StoreLegacy
from sessionstore.model import (
    CleanupReport,
    ProjectRecord,
    Provenance,
    Rebinding,
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
from sessionstore.rebind import bound_below, rebind
from sessionstore.recovery import StoreRecovery
from sessionstore.resume import Resumer, Run
from sessionstore.rotation import StoreKeys
from sessionstore.sessions import Ground
from sessionstore.view import Path


class SessionStore(StoreKeys, StoreLegacy, StoreRecovery):
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
        self._resumer = Resumer(ground, self)

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

    def resume(self, id: str) -> AbstractContextManager[Run]:
        """A block in which the session runs: `with store.resume(id) as run`. It is entered once.

        Start the tool in `run.project`, then call `run.commit()`; leaving the block before that rolls back, leaving it
        after that is the normal end. Entering it counts as an attempt. Servers call `load`.

        Raises (on entering):
            RateLimitError: Too many attempts; `retry_after_s` says when the next one is allowed.
            AlreadyRunningError: Another process or thread runs it.
            ProjectPathError: The project directory is not the one that was saved, or is not safe any more.
        """
        return self._resumer.resume(id)

    def refuse_resume(self, code: str) -> None:
        """Count an attempt to resume what is no session here, such as a mistyped name, and put it on record.

        Args:
            code: Of the error that the caller is about to raise.

        Raises:
            RateLimitError: There were too many over all sessions.
        """
        self._resumer.refuse(code)

    def rebind(
        self,
        id: str,
        path: Path | None = None,
        *,
        consent: str,
        trust: Iterable[str] = (),
        allowed_roots: Iterable[Path] | None = None,
        expected: Rebinding | None = None,
        dry_run: bool = False,
    ) -> Rebinding:
        """Bind the session to another directory, or anew to what stands under its recorded name now.

        Nothing is changed if the directory is the recorded one in every respect, or in a dry run.

        Args:
            path: The directory; None for the recorded name.
            consent: Who agreed, in words (1 to 200 characters): it goes into the audit log.
            trust: As `create`; nothing is kept of what was vouched for before.
            allowed_roots: As `create`; None keeps those of the record.
            expected: What a dry run gave and somebody agreed to: anything else is refused.
            dry_run: Open the directory and say what would change.

        Raises:
            InvalidValueError: No consent is given, or no path for a session without a project.
            AlreadyRunningError: The session is running.
            ProjectPathError: The directory cannot be taken; see `create`. `replaced`: it is not the expected one.
            ConflictError: Somebody saved the session meanwhile.
        """
        parts = (self._ground, self._reader, self._writer)
        return rebind(
            *parts,
            id,
            path,
            consent=consent,
            trust=trust,
            allowed_roots=allowed_roots,
            expected=expected,
            dry_run=dry_run,
        )

    def bound_below(self, directory: Path) -> Iterator[tuple[SessionSummary, ProjectRecord | None]]:
        """Yield the sessions whose recorded project is `directory` or lies below it, with the verified record.

        The directory need not exist. The record is None for a session that cannot be verified, whose listed path fits.

        Raises:
            InvalidValueError: `directory` is not an absolute path in canonical form.
        """
        return bound_below(self._index, self._reader, directory)

    def delete(self, id: str) -> None:
        """Delete the session for good. Its id stays taken, so that its file coming back is noticed.

        Raises:
            AlreadyRunningError: It is running, in whatever process or thread; also in this one.
        """
        self._lifecycle.delete(id)

    def import_document(
        self, data: bytes, *, trust: Collection[str] = (), passphrase: str | None = None, keep_id: bool = False
    ) -> Session:
        """Make a new session out of an exported document. One of its warnings is `redacted` if the document was.

        Args:
            trust: `unknown_key` takes a document that cannot be checked here; you vouch for it.
            passphrase: For a document that was sealed with one.
            keep_id: Use the document's own id; refused if it was ever used here.

        Raises:
            UnknownKeyError: Another machine's key signed it, or it needs a passphrase.
            InvalidSignatureError: It was changed, or the passphrase is wrong.
            MalformedError: It is no such document.
        """
        session_id, warnings = portable.import_document(
            self._ground, self._lifecycle, data, trust=trust, passphrase=passphrase, keep_id=keep_id
        )
        session = self.load(session_id)
        return msgspec.structs.replace(session, warnings=session.warnings + warnings)

    def cleanup(
        self, *, older_than: timedelta | None = None, keep_last: int | None = None, dry_run: bool = False
    ) -> CleanupReport:
        """Delete old sessions: by the signed time of their last save, and only if they verify and are not running.

        Args:
            older_than: Age of the last save.
            keep_last: How many of the newest stay whatever their age.
            dry_run: Say what would go.

        Raises:
            InvalidValueError: Neither is given, or one is negative.
        """
        parts = (self._ground, self._index, self._reader, self._lifecycle)
        return upkeep.clean_up(*parts, older_than=older_than, keep_last=keep_last, dry_run=dry_run)
