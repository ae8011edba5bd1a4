"""Binding a session to another directory, or anew to the same one: the only way past `replaced`, `missing`, `symlink`.

A resume never does this by itself: which directory a tool may work in is a person's decision. The consent stands in the
audit log, in that person's words, before the record is changed. A session that is running keeps its directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sessionstore.errors import (
    InvalidValueError,
    KeyringError,
    SessionNotFoundError,
    TooLargeError,
    VerificationError,
)
from sessionstore.format.lines import StateChange
from sessionstore.fs.project import capture, stated
from sessionstore.fs.resolve import is_inside
from sessionstore.fs.verdicts import AnyPath, refused
from sessionstore.model import ProjectRecord, Rebinding, SessionSummary, check_consent, check_id
from sessionstore.sessions import Ground, Index, Reader, Writer
from sessionstore.sessions.index import Filter


def rebind(
    ground: Ground,
    reader: Reader,
    writer: Writer,
    session_id: str,
    path: AnyPath | None,
    *,
    consent: str,
    trust: Iterable[str],
    allowed_roots: Iterable[AnyPath] | None,
    expected: Rebinding | None,
    dry_run: bool,
) -> Rebinding:
    """See `SessionStore.rebind`."""
    check_id(session_id)
    check_consent(consent)
    ground.refuse_read_only()
    with ground.backend.at_rest(session_id):
        session = reader.load(session_id)
        before = session.project
        if path is None:
            if before is None:
                raise InvalidValueError(what="path", reason="this session has no project: a directory has to be named")
            path = before.path
        if allowed_roots is None:
            allowed_roots = () if before is None else before.allowed_roots
        after = capture(path, allowed_roots=tuple(allowed_roots), trust=tuple(trust))
        rebinding = Rebinding(session_id, before, after)
        if expected is not None and rebinding != expected:
            hint = "look at the directory again, then repeat the call"
            raise refused(after.path, "replaced", "it is not what was agreed to", hint)
        if dry_run or not rebinding.changed:
            return rebinding
        shown = None if before is None else before.display_path
        ground.audit.record(
            "rebind",
            session_id=session_id,
            before=shown,
            after=after.display_path,
            consent=consent,
            trust=" ".join(after.trust) or None,
        )
        writer.append(session_id, change=StateChange(project=after), expected_rev=session.rev)
        ground.ledger.sync()
        return rebinding


def bound_below(
    index: Index, reader: Reader, directory: AnyPath
) -> Iterator[tuple[SessionSummary, ProjectRecord | None]]:
    """See `SessionStore.bound_below`."""
    wanted = stated(directory)
    for summary in index.page(Filter()).sessions:
        # The list holds the path as text, perhaps cut; the record decides.
        if summary.project is None or not summary.project.startswith(wanted.display_path[: len(summary.project)]):
            continue
        try:
            record = reader.project(summary.id)
        except SessionNotFoundError:
            continue
        except (VerificationError, TooLargeError, KeyringError):
            yield summary, None
            continue
        if record is not None and is_inside(record.path, wanted.path):
            yield summary, record
