"""The list of all sessions, authenticated without reading them.

Every live row of the ledger is MACed and carries the stamp its file had when it was written. A file whose stamp is
unchanged is taken from its row; a changed one is judged by the seal at its end; the body is vouched for by a load or a
verify only. Unsigned files that may be opened are listed among the others, see `sessionstore.sessions.beside`. Nothing
makes the list fail: what cannot be opened is shown with the code that opening it would raise.
"""

from __future__ import annotations

import base64
import heapq
from collections.abc import Container, Iterator
from contextlib import closing

import msgspec

from sessionstore.errors import (
    InvalidIdError,
    InvalidValueError,
    SessionNotFoundError,
    SessionStoreError,
)
from sessionstore.ledger import Head
from sessionstore.model import (
    LoadWarning,
    SessionPage,
    SessionSummary,
    StoreStats,
    Unreadable,
    check_id,
    check_key,
    format_time,
    parse_time,
)
from sessionstore.model.ids import is_id
from sessionstore.sessions.beside import LOG_SUFFIX, Beside
from sessionstore.sessions.ground import Ground, file_name, head_after, refuse_lost, stamp_of
from sessionstore.sessions.marks import Marks
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import SUFFIX, Unsigned
from sessionstore.storage import Stamp

_BATCH = 256


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions to list; None and empty members do not narrow.

    Attributes:
        place: Device and inode of a project directory.
        project: Its path as text, for sessions whose project has no identity.
        tag: A tag they must have.
        search: Text in id, name, key, tags or project, whatever the case.
        running: Whether they are run right now.
    """

    place: tuple[int, int] | None = None
    project: str | None = None
    tag: str | None = None
    search: str | None = None
    running: bool | None = None

    def fits(self, head: Head, running: Container[str]) -> bool:
        """Whether the session of `head` is to be listed; `running`: the ids of those that are run."""
        if self.running is not None and self.running is not (head.session_id in running):
            return False
        if self.project is not None or self.place is not None:
            same = head.place == self.place if head.place is not None else head.project == self.project
            if not same:
                return False
        if self.tag is not None and self.tag not in head.tags:
            return False
        if self.search:
            texts = (head.session_id, head.name, head.key or "", head.project or "", *head.tags)
            return any(self.search.casefold() in text.casefold() for text in texts)
        return True


class Index:
    """Lists the sessions of one store. Safe for many threads and processes."""

    def __init__(self, ground: Ground, reader: Reader) -> None:
        self._ground = ground
        self._reader = reader
        self._beside = Beside(ground, reader)

    def page(
        self, only: Filter, *, limit: int | None = None, cursor: str | None = None, check_projects: bool = False
    ) -> SessionPage:
        """One page, newest first.

        Args:
            only: Which sessions.
            limit: How many at most; None for all.
            cursor: `next_cursor` of the page before.
            check_projects: Look, once each, whether the projects are still there.

        Raises:
            InvalidValueError: The cursor is none of ours, or `limit` is below 1.
        """
        if limit is not None and limit < 1:
            raise InvalidValueError(what="limit", reason="at least 1 is needed")
        after = None if cursor is None else _read_cursor(cursor)
        stamps = dict(self._ground.backend.scan()) if limit is None else None
        marks = Marks(self._ground.backend.running(), check_projects=check_projects)
        sessions: list[SessionSummary] = []
        strangers, old = self._beside.lines(stamps)
        # Strangers belong to no project and no tag: they are shown on every first page.
        unreadable = [] if cursor is not None else list(strangers)
        old = [head for head in old if after is None or _place(head) < after]
        signed: set[str] = set()
        for head in heapq.merge(self._heads(after, limit), old, key=_place, reverse=True):
            if limit is not None and len(sessions) == limit:
                return SessionPage(tuple(sessions), _by_name(unreadable), _cursor(sessions[-1]))
            # One that was migrated since the unsigned files were looked at is there twice, as it is now first.
            if head.rev:
                signed.add(head.session_id)
            elif head.session_id in signed:
                continue
            if only.fits(head, marks.running):
                found = self._found(head, stamps)
                if isinstance(found, Head):
                    sessions.append(marks.line(found))
                elif found is not None:
                    unreadable.append(found)
        return SessionPage(tuple(sessions), _by_name(unreadable))

    def summary(self, session_id: str) -> SessionSummary:
        """The line of one session.

        Raises:
            SessionNotFoundError, VerificationError: As loading it would.
        """
        head = self._ground.ledger.head(check_id(session_id))
        if head is not None and head.state == "live":
            head = self._checked(head, self._ground.backend.stamp(file_name(session_id)))
        else:
            seen = self._reader.seen(session_id)
            if not isinstance(seen, Unsigned):
                seen.log.close()
                raise SessionNotFoundError
            head = seen.head()
        return Marks(self._ground.backend.running()).line(head)

    def find(self, key: str) -> Head | None:
        """The head of the session with this external key, whatever its state.

        Raises:
            LedgerCorruptError: There is none, and rows were taken away: it could be one of those.
        """
        head = self._ground.ledger.find_key(check_key(key))
        if head is None:
            refuse_lost(self._ground)
        return head

    def ids(self) -> list[str]:
        """Every id worth verifying: live rows, newest first, then files and listed names that no live row knows."""
        states = self._ground.ledger.ids()
        known = [head.session_id for head in self._ground.ledger.heads(states=("live",))]
        names = (name for name, _ in self._ground.backend.scan())
        stems = {name.rpartition(".")[0] for name in names if name.endswith((LOG_SUFFIX, SUFFIX))}
        stems |= set(self._beside.unsigned_ids())
        return known + sorted(stem for stem in stems if is_id(stem) and states.get(stem, "deleted") == "deleted")

    def unsigned_ids(self) -> list[str]:
        """The ids of unsigned files in the data directory, and of those that were listed and are gone."""
        return self._beside.unsigned_ids()

    def room_left(self) -> tuple[LoadWarning, ...]:
        """A warning from four fifths of the allowed number of sessions on."""
        held, limit = self._ground.ledger.count(("creating", "live")), self._ground.config.max_sessions
        if held * 5 < limit * 4:
            return ()
        return (LoadWarning("session_limit_near", f"this store holds {held} of the {limit} sessions that it may"),)

    def nearest_project(self, places: tuple[tuple[int, int], ...]) -> str | None:
        """The display path of the first of `places` (nearest first) that is the project of a live session."""
        known = {head.place: head.project for head in self._ground.ledger.heads(states=("live",))}
        return next((known[place] for place in places if place in known), None)

    def stats(self) -> StoreStats:
        """Counts and sums over the list."""
        page = self.page(Filter())
        by_provenance: dict[str, int] = {}
        for line in page.sessions:
            by_provenance[line.provenance] = by_provenance.get(line.provenance, 0) + 1
        times = [line.updated_at for line in page.sessions]
        return StoreStats(
            sessions=len(page.sessions),
            entries=sum(line.entries for line in page.sessions),
            size_bytes=sum(line.size_bytes for line in page.sessions),
            unreadable=len(page.unreadable),
            max_sessions=self._ground.config.max_sessions,
            by_provenance=by_provenance,
            oldest_at=min(times, default=None),
            newest_at=max(times, default=None),
        )

    def _heads(self, after: tuple[str, str] | None, limit: int | None) -> Iterator[Head]:
        batch = None if limit is None else limit + 1
        while True:
            heads = list(self._ground.ledger.heads(states=("live",), after=after, limit=batch))
            yield from heads
            if batch is None or len(heads) < batch:
                return
            after, batch = (heads[-1].updated_at, heads[-1].session_id), max(batch, _BATCH)

    def _found(self, head: Head, stamps: dict[str, Stamp | None] | None) -> Head | Unreadable | None:
        """What stands for a row in the list; None if its session was deleted since the rows were read."""
        if head.rev == 0:
            return head  # the whole file was read for it
        name = file_name(head.session_id)
        stamp = self._ground.backend.stamp(name) if stamps is None else stamps.get(name)
        try:
            return self._checked(head, stamp)
        except SessionNotFoundError:
            return None
        except SessionStoreError as error:
            return Unreadable(head.session_id, error.code, str(error))

    def _checked(self, head: Head, stamp: Stamp | None) -> Head:
        """The head itself if its file is unchanged, else the head that the file would have."""
        if stamp == stamp_of(head):
            return head
        found = self._reader.settled(head.session_id)
        with closing(found.log):
            return head_after(found.head, found.sealed, found.stamp)


def _place(head: Head) -> tuple[str, str]:
    return head.updated_at, head.session_id


def _by_name(lines: list[Unreadable]) -> tuple[Unreadable, ...]:
    # An unsigned file in place of a sealed one is found twice: by its own name, and by the row it does not fit.
    return tuple(sorted(set(lines), key=lambda line: (line.name, line.code)))


def _cursor(last: SessionSummary) -> str:
    return base64.urlsafe_b64encode(f"{format_time(last.updated_at)} {last.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        moment, _, session_id = base64.b64decode(cursor, b"-_", validate=True).decode("ascii").partition(" ")
        parse_time(moment)
        return moment, check_id(session_id)
    except (ValueError, InvalidIdError):
        raise InvalidValueError(what="cursor", reason="it is not one that a list gave") from None
