"""What changes a session that is there: turns, names, tags, and its history."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from sessionstore.errors import ConflictError, InvalidValueError
from sessionstore.format.lines import StateChange
from sessionstore.model import (
    Message,
    Redaction,
    Session,
    Todo,
    check_name,
    check_tags,
    check_todos,
    format_time,
)
from sessionstore.redaction import Redactor
from sessionstore.sessions import Ground, Lifecycle, Rewriter, Writer
from sessionstore.view import StoreView

Entries = Iterable[dict[str, Any] | Message]


class StoreEdits(StoreView):
    """The changes to sessions. Its users have a `SessionStore`, which says what holds for all methods."""

    def __init__(self, ground: Ground, *, notices: tuple[str, ...] = ()) -> None:
        super().__init__(ground, notices=notices)
        self._writer = Writer(ground, self._reader)
        self._lifecycle = Lifecycle(ground, self._reader, self._writer)
        self._rewriter = Rewriter(ground, self._reader, self._writer)
        if not ground.read_only:
            self._lifecycle.finish()

    def close(self) -> None:
        """Release the open logs, the ledger and the directories. Calling it again does nothing."""
        self._writer.close()
        super().close()

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
        return self._rewriter.rewrite(id, keep=to, expected_rev=expected_rev)

    def pop(self, id: str, count: int = 1, *, expected_rev: int | None = None) -> int:
        """Remove the last `count` entries; the new revision. Errors as `rewind`."""
        return self._rewriter.rewrite(id, drop=count, expected_rev=expected_rev)

    def clear(self, id: str, *, expected_rev: int | None = None) -> int:
        """Remove every entry and keep the state; the new revision."""
        return self._rewriter.rewrite(id, keep=0, expected_rev=expected_rev)

    def redact(
        self,
        id: str,
        *,
        entries: Collection[int] = (),
        patterns: Iterable[str] = (),
        secrets: bool = False,
        expected_rev: int | None = None,
        dry_run: bool = False,
    ) -> Redaction:
        """Take secrets out of a session for good, and remove what else here holds the old bytes.

        The session is written anew under the next revision. Files of its id in quarantine and other side places are
        removed, and the ledger's file is made anew. The result says what is out of reach. Doing it again does no harm.

        Args:
            entries: Indexes of entries whose whole content goes, the first is 0; roles, ids and times stay.
            patterns: Regular expressions of what goes; what is allowed is on the reference page "Configuration".
            secrets: Tokens, keys and passwords go, and what the setting `redact_patterns` fits.
            expected_rev: Refuse if the session is at another revision.
            dry_run: Count and name, change nothing.

        Raises:
            InvalidValueError: Nothing is to go, an index or pattern cannot be used, or the extra `redact` is missing.
            AlreadyRunningError: The session is running.
            ConflictError: The session is not at `expected_rev`.
            TooLargeError: What stands for the secrets makes an entry or the session too large.
        """
        given = (*patterns, *(self.config.redact_patterns if secrets else ()))
        if not (entries or given or secrets):
            raise InvalidValueError(what="redaction", reason="entries, patterns or secrets are needed")

        def make() -> Redactor:
            return Redactor(secrets=secrets, patterns=given)

        return self._rewriter.redact(id, make, blank=entries, expected_rev=expected_rev, dry_run=dry_run)

    def compact(self, id: str) -> bool:
        """Rewrite the session if seals are over a third of it and over 1 MiB; whether it was. Errors as `rewind`."""
        return self._rewriter.compact(id)


def _same(given: object, stored: object) -> bool:
    return given == stored and msgspec.json.encode(given) == msgspec.json.encode(stored)  # 1 == True == 1.0 in Python
