"""What a store can be asked without changing it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import msgspec

from sessionstore import portable, upkeep
from sessionstore.backward import newest_entries, revision_saved_under
from sessionstore.config import Config
from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.follow import Reading, follow
from sessionstore.format.log import MAX_PROJECT_CHARS
from sessionstore.fs.project import ancestry, stated
from sessionstore.model import (
    AuditRecord,
    AuditReport,
    Inspection,
    SearchHit,
    Session,
    SessionPage,
    SessionSummary,
    StoreStats,
    VerifyResult,
    check_id,
)
from sessionstore.redaction import Redactor
from sessionstore.sessions import Ground, Index, Reader, inspect
from sessionstore.sessions.ground import refuse_lost, summary_of
from sessionstore.sessions.index import Filter

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class StoreView:
    """The questions to a store. Its users have a `SessionStore`, which says what holds for all methods.

    Attributes:
        config: The settings in force.
        notices: What was worth telling when the store was opened.
    """

    def __init__(self, ground: Ground, *, notices: tuple[str, ...] = ()) -> None:
        self.config: Config = ground.config
        self.notices = notices
        self._ground = ground
        self._reader = Reader(ground)
        self._index = Index(ground, self._reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._ground.store_id})"

    @property
    def store_id(self) -> str:
        """Id of this store, bound by every signature in it."""
        return self._ground.store_id

    def close(self) -> None:
        """Release the ledger and the directories. Calling it again does nothing."""
        self._ground.close()

    def load(self, id: str) -> Session:
        """The session, verified to the last byte before any of it is decoded."""
        return self._reader.load(id)

    def entries(self, id: str, start: int = 0, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield entries in order, each verified before it is decoded, in bounded memory.

        Args:
            id: Which session.
            start: Index of the first; negative counts from the end.
            limit: At most so many.

        Raises:
            InvalidSignatureError: When the reading comes to a damaged place; what was yielded before is good.
        """
        return self._reader.entries(id, start, limit)

    def newest(self, id: str) -> Iterator[dict[str, Any]]:
        """Yield entries, the newest first, each verified before it is decoded; the cost is that of those taken.

        What lies in front of them is looked at only where somebody wrote past the store: then everything is verified
        first. So of a session of any length the end costs the same; the whole of it costs less with `load`.

        Raises:
            InvalidSignatureError: When the reading comes to a damaged place; what was yielded before is good.
        """
        return newest_entries(self._reader, id)

    def saved_under(self, id: str, idempotency_key: str) -> int | None:
        """Revision of the newest save with this key, None if there is none: for a retry behind which others have saved.

        `append` knows only the key of the last save. Costs what was saved since then, or all of it if there is none.
        History that was written anew since (rewind, redact, compact) tells of its last save alone.

        Raises:
            InvalidSignatureError: The session is not what was saved.
        """
        return revision_saved_under(self._reader, id, idempotency_key)

    def follow(self, id: str, after: Reading | None = None) -> Reading:
        """What was saved since an earlier look, verified before it is decoded; at first, everything.

        Looking again costs the new bytes, and next to nothing where nothing was saved. What was read before is read
        and verified again only if the log was written anew or touched from outside; the reading is whole then. To find
        any change in a log at any time, `load` it.

        Args:
            id: Which session.
            after: What the last call gave.
        """
        return follow(self._ground, self._reader, id, after)

    def list(
        self,
        *,
        project: Path | None = None,
        tag: str | None = None,
        search: str | None = None,
        running: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        check_projects: bool = False,
    ) -> SessionPage:
        """One page of sessions, newest first, from signed rows. No file makes it fail: broken ones are shown.

        Args:
            project: Only sessions of this directory: the same device and inode, or the same path for sessions whose
                project has no identity.
            tag, search: Only with this tag; only with this text in id, name, key, tags or project.
            running: True: only sessions that a process holds resumed right now. False: only the others.
            limit: How many; None for all.
            cursor: `next_cursor` of the page before.
            check_projects: Look, once each, whether the projects of the sessions listed are still where they were, and
                say it in `project_state`. One that lies on a server that does not answer keeps the list waiting.

        Raises:
            InvalidValueError: The cursor is none of ours, or `limit` is below 1.
            ProjectPathError: `invalid_path`: `project` cannot be a path.
        """
        only = msgspec.structs.replace(self._filter(project, tag, search), running=running)
        return self._index.page(only, limit=limit, cursor=cursor, check_projects=check_projects)

    def summary(self, id: str) -> SessionSummary:
        """The session's line of the list."""
        return self._index.summary(id)

    def find(self, key: str) -> SessionSummary | None:
        """The session with this external key, or None.

        Raises:
            LedgerCorruptError: There is none, and rows were taken away: it could be one of those.
        """
        head = self._index.find(key)
        return None if head is None or head.state != "live" else self._index.summary(head.session_id)

    def recorded(self, *, id: str | None = None, key: str | None = None) -> SessionSummary | None:
        """The signed record of the session with this id or this key, or None. Its file is not looked at.

        For tools that have to name a session whatever became of its file. Costs one look into the ledger.

        Raises:
            InvalidValueError: Not exactly one of the two was given.
            LedgerCorruptError: A key as for `find`.
        """
        if (id is None) == (key is None):
            raise InvalidValueError(what="session", reason="either its id or its key is needed")
        head = self._ground.ledger.head(check_id(id)) if key is None else self._index.find(key)
        return None if head is None or head.state != "live" else summary_of(head)

    def id_of(self, key: str) -> str | None:
        """Id of the session with this external key, or None, from its signed row: its file is not looked at.

        Errors: as `find`.
        """
        head = self._index.find(key)
        return None if head is None or head.state != "live" else head.session_id

    def keys(self, prefix: str = "") -> dict[str, str]:
        """The ids of all sessions whose external key begins with `prefix`, by key, from signed rows.

        No file is looked at, so no file hides a session. Costs all sessions of the store, about 10 microseconds each.

        Raises:
            LedgerCorruptError: Rows were taken away.
        """
        refuse_lost(self._ground)
        heads = self._ground.ledger.heads()
        return {head.key: head.session_id for head in heads if head.key is not None and head.key.startswith(prefix)}

    def inside(self, path: Path) -> str | None:
        """The recorded project directory that `path` is or lies in, the nearest one; None if there is none."""
        return self._index.nearest_project(ancestry(path))

    def search(self, text: str, *, limit: int | None = None) -> Iterator[SearchHit]:
        """Yield the entries that hold `text`, whatever the case, in verified contents, newest session first."""
        return upkeep.search(self._index, self._reader, text, limit=limit)

    def stats(self) -> StoreStats:
        """Counts and sums over the list."""
        return self._index.stats()

    def verify(self, id: str | None = None) -> Iterator[VerifyResult]:
        """Yield what a whole check finds, for one session or for all of them, as it goes. Nothing found is raised."""
        if id is not None:
            return iter((upkeep.verify(self._reader, check_id(id)),))
        return upkeep.verify_all(self._index, self._reader)

    def audit(
        self,
        *,
        events: Collection[str] = (),
        session: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditRecord]:
        """Yield the events of the audit log, the newest last; only lines that verify. `verify_audit` names the others.

        Args:
            events: Only these kinds; empty for all.
            session: Only events of the session with this id; it need not exist any more.
            since, until: From this moment on; before that one. Aware times.
            limit: Only the newest so many.

        Raises:
            InvalidValueError: There is no such kind, a time has no zone, or `limit` is below 1.
        """
        session_id = None if session is None else check_id(session)
        return self._ground.audit.records(events=events, session_id=session_id, since=since, until=until, limit=limit)

    def verify_audit(self) -> AuditReport:
        """Check every line of the audit log, and that none is missing. Nothing found is raised."""
        return self._ground.audit.verify()

    def inspect(self, id: str) -> Inspection:
        """What stands in the session's file, whether it verifies or not, undecoded. Trust none of it."""
        return inspect(self._ground, self._reader, id)

    def export(self, id: str, *, passphrase: str | None = None, redact: bool | None = None) -> bytes:
        """The session as one signed document; with a passphrase, one that another machine can check.

        Args:
            redact: Take out tokens, keys, passwords, and what the setting `redact_patterns` fits. The document says
                that this was done, and its member `redacted` how often, by kind.

        Raises:
            InvalidValueError: The passphrase is shorter than 8 characters, or the extra `redact` is not installed.
        """
        redactor = Redactor(patterns=self.config.redact_patterns) if redact else None
        return portable.export(self._ground, self.load(id), passphrase=passphrase, redactor=redactor)

    def _filter(self, project: Path | None, tag: str | None, search: str | None) -> Filter:
        if project is None:
            return Filter(tag=tag, search=search)
        text = stated(project).display_path[:MAX_PROJECT_CHARS]
        try:
            place = ancestry(project)[0]
        except ProjectPathError:
            place = None  # sessions from elsewhere name directories that are not here
        return Filter(place=place, project=text, tag=tag, search=search)
