"""Reading one session: verified before anything of it is decoded, in memory or in bounded steps.

A refusal, or a tail, is confirmed once under the shared write lock, because a writer may have been half way. Nothing is
read again if neither head nor log moved in between. A reader changes nothing. What it refuses for good is an event of
the audit log.

Safe for many threads and processes at once, beside writers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from sessionstore.errors import (
    KeyDisabledError,
    KeyringError,
    MalformedError,
    SessionNotFoundError,
    TooDeepError,
    UnsignedRefusedError,
    UnsupportedVersionError,
    VerificationError,
)
from sessionstore.format.anchored import walk_anchored
from sessionstore.format.chain import Unchained, chained_bodies
from sessionstore.format.lines import STATE, Open, State, decode_state, read_lines
from sessionstore.format.log import Content, Segment
from sessionstore.format.seal import Broken, Sealed, key_id_in
from sessionstore.model import LoadWarning, ProjectRecord, Session, check_id, parse_time
from sessionstore.sessions.ground import Ground
from sessionstore.sessions.judge import damaged, last_good
from sessionstore.sessions.look import Found, Look
from sessionstore.sessions.unsigned import Unsigned, UnsignedFiles

T = TypeVar("T")

# What is confirmed once, and told: an older key's seals in place of newer ones are no less a refusal than damage.
_REFUSALS = (VerificationError, KeyDisabledError)


class Checked(NamedTuple):
    """What is known of a session that verifies.

    Attributes:
        rev: Its revision, 0 in an unsigned file.
        end: Offset behind its last seal, 0 in an unsigned file.
        warnings: What is worth saying.
    """

    rev: int
    end: int
    warnings: tuple[LoadWarning, ...]


class Reader:
    """Verified reads of the sessions of one store. `unsigned` judges the files of those that were never saved here."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.unsigned = UnsignedFiles(ground)

    def load(self, session_id: str) -> Session:
        """The whole session, verified to the last byte. Costs one pass over the file and its size in memory.

        Raises:
            SessionNotFoundError, VerificationError, TooLargeError, StoreUnavailableError: See the classes.
        """
        return self._confirmed(check_id(session_id), self._load)

    def check(self, session_id: str) -> Checked:
        """Verify the whole session without decoding it, in bounded memory.

        Of an unsigned file the digest is compared and everything is decoded.
        """
        return self._confirmed(check_id(session_id), self._check)

    def entries(self, session_id: str, start: int = 0, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield entries, each verified before it is decoded, in bounded memory.

        Args:
            session_id: Which session.
            start: Index of the first entry; negative counts from the end.
            limit: At most so many; None for all.

        Raises:
            InvalidSignatureError: Damage in the middle, when the reading comes to it; entries yielded before are good.
        """
        found = self.seen(session_id)
        if isinstance(found, Unsigned):
            whole = found.read().entries
            first, last = _range(len(whole), start, limit)
            yield from whole[first:last]
            return
        with closing(found.log):
            first, last = _range(found.sealed.seal.entries, start, limit)
            before = 0
            for segment in self.segments(found):
                after = segment.sealed.seal.entries
                if after > first and before < last:
                    content = Content(before)
                    content.add(segment)
                    yield from content.entries[max(0, first - before) : last - before]
                before = after

    def settled(self, session_id: str) -> Found:
        """The open log with its last good seal, confirmed like a load; its body is not verified yet. Close its log."""
        return self._confirmed(check_id(session_id), lambda look: look.found())

    def seen(self, session_id: str) -> Found | Unsigned:
        """The same, or the unsigned file of a session that was never saved here."""
        return self._confirmed(check_id(session_id), lambda look: look.seen())

    def find(self, session_id: str) -> Found:
        """The open log with its last good seal, as it is at this moment; for writers, who hold the lock."""
        try:
            return self._look(session_id).found()
        except _REFUSALS as error:
            self._tell(session_id, error)
            raise

    def verify(self, found: Found) -> None:
        """Check every byte up to the last seal, in bounded memory, nothing decoded but seals.

        Raises:
            InvalidSignatureError: They are not what was saved.
        """
        for _ in self.segments(found):
            pass

    def state(self, found: Found) -> State:
        """The merged state, everything verified, no entry decoded."""
        state = State()
        for segment in self.segments(found):
            for line in read_lines(segment.body):
                if line.startswith(STATE):
                    state = state.merged(decode_state(line))
        return state

    def project(self, session_id: str) -> ProjectRecord | None:
        """The record of the session's project directory, everything verified. Errors as `load`."""
        found = self.seen(session_id)
        if isinstance(found, Unsigned):
            return found.read().state.project
        with closing(found.log):
            return self.state(found).project

    def content(self, found: Found, *, at: int | None = None) -> tuple[Content, Sealed]:
        """Everything up to the last seal, or up to revision `at`, verified and decoded.

        Raises:
            LookupError: No save ended with revision `at`.
        """
        content = Content()
        for segment in self.segments(found):
            content.add(segment)
            if segment.sealed.seal.rev == at and not segment.sealed.seal.more:
                return content, segment.sealed
        if at is not None:
            raise LookupError(at)
        return content, found.sealed

    def segments(self, found: Found) -> Iterator[Segment]:
        """Yield the verified segments up to the last good seal.

        Raises:
            InvalidSignatureError: The next one is not what was saved.
        """
        try:
            yield from self._segments(found)
        except VerificationError as error:
            self._tell(found.head.session_id, error)
            raise

    def _segments(self, found: Found) -> Iterator[Segment]:
        last: Sealed | None = None
        sealer = self._ground.sealer(found.head.session_id)
        try:
            for segment in walk_anchored(sealer, found.log.read, found.sealed):
                last = segment.sealed
                yield segment
        except (Broken, KeyringError):
            # For people, who want to know where the damage begins.
            good = last_good(self._ground, found.head.session_id, found.log, found.sealed.end)
            raise damaged(found.head.session_id, good or last) from None
        if last is None or last.signature != found.sealed.signature:
            raise damaged(found.head.session_id, last)

    def _load(self, look: Look) -> Session:
        found = look.seen()
        if isinstance(found, Unsigned):
            return self.unsigned.session(found)
        with closing(found.log):
            # In one piece: the size was checked against the cap, and a session in memory needs its bytes anyway.
            data = found.log.read(0, found.sealed.end)
            content = Content()
            for start, stop in self._bodies(found, data):
                content.add_body(data, is_first=start == 0, start=start, stop=stop)
            return as_session(found, content)

    def _bodies(self, found: Found, data: bytes) -> list[tuple[int, int]]:
        """Where the segments of a whole file are, all of them verified before any is decoded."""
        try:
            return chained_bodies(data, found.sealed)
        except Unchained as unchained:
            good = unchained.good
        sealer = self._ground.sealer(found.head.session_id)
        try:
            if good and key_id_in(good) != sealer.primary_id:
                raise Broken
            raise damaged(found.head.session_id, sealer.verify_line(good) if good else None)
        except (Broken, KeyringError):
            # Forged to fit, or of a key that vouches for nothing any more: what is good by itself is looked for.
            for _ in self._segments(found):
                pass
            raise damaged(found.head.session_id, None) from None

    def _check(self, look: Look) -> Checked:
        found = look.seen()
        if isinstance(found, Unsigned):
            return Checked(0, 0, self.unsigned.session(found).warnings)
        with closing(found.log):
            for _ in self._segments(found):
                pass
            return Checked(found.sealed.seal.rev, found.sealed.end, found.warnings)

    def _confirmed(self, session_id: str, attempt: Callable[[Look], T]) -> T:
        try:
            return self._tried(session_id, attempt)
        except _REFUSALS as error:
            self._tell(session_id, error)
            raise

    def _tell(self, session_id: str, error: VerificationError | KeyDisabledError) -> None:
        if isinstance(error, KeyDisabledError):
            head = self._ground.ledger.head(session_id)
            if head is None or head.tag[4:20] == error.key_id:
                return  # the session is what was saved; its key was retired before it was sealed anew
        # A listed file of format version 1 that cannot be read is what it was from the start.
        if not isinstance(error, MalformedError | TooDeepError | UnsignedRefusedError | UnsupportedVersionError):
            line = getattr(error, "line", None)
            self._ground.audit.record("tampering_found", session_id=session_id, code=error.code, line=line)

    def _tried(self, session_id: str, attempt: Callable[[Look], T]) -> T:
        look = self._look(session_id)
        try:
            result = attempt(look)
            if not look.has_tail:
                return result
        except SessionNotFoundError:
            # Its unsigned file was put away between the two looks of one, for it is sealed by now.
            if look.is_unchanged():
                raise
            return attempt(self._look(session_id))
        except _REFUSALS:
            with self._ground.locked(session_id, shared=True):
                if look.is_unchanged():
                    raise
                return attempt(self._look(session_id))
        with self._ground.locked(session_id, shared=True):
            if look.is_unchanged():
                return result
            if isinstance(result, Found):
                result.log.close()
            return attempt(self._look(session_id))

    def _look(self, session_id: str) -> Look:
        return Look(self._ground, self.unsigned, session_id)


def _range(total: int, start: int, limit: int | None) -> tuple[int, int]:
    """The first entry that is wanted, and the one after the last."""
    first = max(0, total + start) if start < 0 else start
    return first, total if limit is None else min(total, first + limit)


def as_session(found: Found, content: Content) -> Session:
    """The snapshot that verified content stands for."""
    opened = content.opened or Open(id="", store="", created_at="")
    seal, state = found.sealed.seal, content.state
    return Session(
        id=found.head.session_id,
        key=opened.key,
        name=state.name,
        project=state.project,
        parent=opened.parent,
        origin=opened.origin,
        created_at=parse_time(seal.created_at),
        updated_at=parse_time(seal.updated_at),
        closed_at=None if state.closed_at is None else parse_time(state.closed_at),
        rev=seal.rev,
        entries=tuple(content.entries),
        todos=state.todos,
        config=state.config,
        tags=state.tags,
        provenance=seal.provenance,
        size_bytes=found.sealed.end,
        warnings=found.warnings,
    )
