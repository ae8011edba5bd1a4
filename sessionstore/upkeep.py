"""Work over many sessions: verify all, search all, clean up old ones. One walk each, one result a session.

Only signed times decide what is old, and only what was verified is deleted: a file that does not verify may be the one
somebody needs to find out what happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import accumulate

from sessionstore.errors import (
    AlreadyRunningError,
    ConflictError,
    InvalidValueError,
    SessionNotFoundError,
    SessionStoreError,
)
from sessionstore.model import CleanupReport, SearchHit, SessionSummary, Unreadable, VerifyResult
from sessionstore.sessions import Ground, Index, Lifecycle, Reader
from sessionstore.sessions.index import Filter

_AROUND_CHARS = 40


def verify(reader: Reader, session_id: str) -> VerifyResult:
    """Check one session to the last byte; what is wrong is in the result, not raised."""
    try:
        checked = reader.check(session_id)
    except SessionStoreError as error:
        return VerifyResult(session_id, False, 0, error.code, str(error), error.hint)
    return VerifyResult(session_id, True, checked.rev, "ok", warnings=checked.warnings)


def verify_all(index: Index, reader: Reader) -> Iterator[VerifyResult]:
    """Yield a result for every session and every sealed file, as they are checked; none for those deleted meanwhile."""
    for session_id in index.ids():
        result = verify(reader, session_id)
        if result.code != SessionNotFoundError.code:
            yield result


def search(index: Index, reader: Reader, text: str, *, limit: int | None = None) -> Iterator[SearchHit]:
    """Yield the places where `text` stands in verified contents, newest session first, whatever the case.

    A session that does not verify is left out; `verify_all` names it.

    Raises:
        InvalidValueError: `text` is empty, or `limit` is below 1.
    """
    if not text:
        raise InvalidValueError(what="text", reason="nothing to search for")
    if limit is not None and limit < 1:
        raise InvalidValueError(what="limit", reason="at least 1 is needed")
    wanted, hits = text.casefold(), 0
    for line in index.page(Filter()).sessions:
        try:
            for number, entry in enumerate(reader.entries(line.id)):
                for leaf in _texts(entry):
                    at = leaf.casefold().find(wanted)
                    if at >= 0:
                        yield SearchHit(line, number, _snippet(leaf, _unfolded(leaf, at), len(text)))
                        hits += 1
                        break
                if limit is not None and hits >= limit:
                    return
        except SessionStoreError:
            continue  # not verified content; the list and `verify` show it


def clean_up(
    ground: Ground,
    index: Index,
    reader: Reader,
    lifecycle: Lifecycle,
    *,
    older_than: timedelta | None,
    keep_last: int | None,
    dry_run: bool,
) -> CleanupReport:
    """Delete verified sessions that were last saved before `older_than` ago, or are not among the newest `keep_last`.

    Both given: a session must be old and not among the newest. One that is running is skipped, whatever its age.

    Raises:
        InvalidValueError: Neither is given, or one is negative.
    """
    if older_than is None and keep_last is None:
        raise InvalidValueError(what="cleanup", reason="an age or a number to keep is needed")
    if (older_than is not None and older_than < timedelta(0)) or (keep_last is not None and keep_last < 0):
        raise InvalidValueError(what="cleanup", reason="neither age nor number may be negative")
    due = index.page(Filter()).sessions[keep_last or 0 :]
    if older_than is not None:
        before = ground.now() - older_than
        due = tuple(line for line in due if line.updated_at < before)
    removed: list[SessionSummary] = []
    skipped: list[Unreadable] = []
    for line in due:
        try:
            if line.state == "running":
                raise AlreadyRunningError(session_id=line.id, pid=0, started_at="")
            rev = reader.check(line.id).rev
            if rev == 0:
                skipped.append(Unreadable(line.id, "legacy", "not signed yet, so its times prove nothing"))
                continue
            if rev != line.rev:
                # Saved since the list was made, so it is neither old nor behind the newest any more.
                raise ConflictError(session_id=line.id, expected=line.rev, found=rev)
            if not dry_run:
                lifecycle.delete(line.id, expected_rev=rev)
            removed.append(line)
        except SessionNotFoundError:
            continue  # somebody else deleted it
        except SessionStoreError as error:
            skipped.append(Unreadable(line.id, error.code, str(error)))
    return CleanupReport(tuple(removed), tuple(skipped))


def _texts(value: object) -> Iterator[str]:
    """Every string in a JSON value, member names left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _unfolded(text: str, at: int) -> int:
    """Where in `text` the character stands that `text.casefold()` has at `at`: folding makes some of them longer."""
    ends = accumulate(len(char.casefold()) for char in text)
    return next(index for index, end in enumerate(ends) if end > at)


def _snippet(text: str, at: int, length: int) -> str:
    start, end = max(0, at - _AROUND_CHARS), at + length + _AROUND_CHARS
    cut = " ".join(text[start:end].split())
    return f"{'…' if start else ''}{cut}{'…' if end < len(text) else ''}"
