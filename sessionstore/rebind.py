"""Binding a session to another directory, or anew to the same one: the only way past `replaced`, `missing`, `symlink`.

A resume never does this by itself: which directory a tool may work in is a person's decision. The consent stands in the
audit log, in that person's words, before the record is changed. A session that is running keeps its directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sessionstore.edits import StoreEdits
from sessionstore.errors import InvalidValueError, SessionNotFoundError, StoreUnavailableError, VerificationError
from sessionstore.format.lines import StateChange
from sessionstore.fs.project import capture, stated
from sessionstore.fs.resolve import is_inside
from sessionstore.model import ProjectRecord, Rebinding, SessionSummary, check_consent, check_id
from sessionstore.view import Path


def rebind(
    edits: StoreEdits,
    session_id: str,
    path: Path | None,
    *,
    consent: str,
    trust: Iterable[str],
    allowed_roots: Iterable[Path] | None,
    dry_run: bool,
) -> Rebinding:
    """See `SessionStore.rebind`."""
    ground = edits._ground
    check_id(session_id)
    check_consent(consent)
    if ground.read_only:
        raise StoreUnavailableError(reason="the store was opened read-only", outcome="not_written")
    with ground.backend.at_rest(session_id):
        session = edits.load(session_id)
        before = session.project
        if path is None:
            if before is None:
                raise InvalidValueError(what="path", reason="this session has no project: a directory has to be named")
            path = before.path
        if allowed_roots is None:
            allowed_roots = () if before is None else before.allowed_roots
        after = capture(path, allowed_roots=tuple(allowed_roots), trust=tuple(trust))
        rebinding = Rebinding(session_id, before, after)
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
        edits._writer.append(session_id, change=StateChange(project=after), expected_rev=session.rev)
        ground.ledger.sync()
        return rebinding


def bound_below(edits: StoreEdits, directory: Path) -> Iterator[tuple[SessionSummary, ProjectRecord | None]]:
    """See `SessionStore.bound_below`."""
    wanted = stated(directory)
    for summary in edits.list().sessions:
        # The list holds the path as text, perhaps cut; the record decides.
        if summary.project is None or not summary.project.startswith(wanted.display_path[: len(summary.project)]):
            continue
        try:
            record = edits._reader.project(summary.id)
        except SessionNotFoundError:
            continue
        except VerificationError:
            yield summary, None
            continue
        if record is not None and is_inside(record.path, wanted.path):
            yield summary, record
