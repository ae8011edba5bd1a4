"""Filling a new ledger from the session files, after the old one was lost.

A file is taken in if a seal of the present key ends it and commits every byte before, those too that older keys sealed,
and if the audit log knows no higher revision of it.
Everything else is left without a record, and named: it can be adopted, one by one.

What cannot be got back: which sessions were deleted, and what the newest state of a session was, beyond what the audit
log says. So a person has to agree, and this stands in the log.
"""

from __future__ import annotations

from contextlib import closing

from sessionstore.errors import (
    AlreadyExistsError,
    KeyringError,
    RollbackError,
    TooLargeError,
    UnanchoredError,
    UnsafeFileError,
    VerificationError,
)
from sessionstore.format.anchored import walk_anchored
from sessionstore.format.lines import Open, decode_open
from sessionstore.format.log import Summary
from sessionstore.format.seal import Broken, Sealed
from sessionstore.ledger import Head
from sessionstore.model import Rebuilt, SessionSummary, Unreadable
from sessionstore.recovery.evidence import Known, examine, heard, ids_of
from sessionstore.sessions import Ground
from sessionstore.sessions.ground import file_name, head_after, new_head, summary_of
from sessionstore.sessions.judge import damaged, refuse_given_up, unknown_here
from sessionstore.storage import Log


def rebuild(ground: Ground) -> Rebuilt:
    """Begin a record in the empty ledger of `ground` for every session that verifies. Nobody else may use it yet."""
    audited = heard(ground)
    taken: list[SessionSummary] = []
    left: list[Unreadable] = []
    for session_id in ids_of(ground):
        try:
            head = _head(ground, session_id, audited.get(session_id))
            ground.ledger.commit(head, old=None)
        except AlreadyExistsError as error:
            left.append(Unreadable(session_id, error.code, "another session has its external key"))
        except (VerificationError, KeyringError, TooLargeError) as error:
            left.append(Unreadable(session_id, error.code, str(error)))
        else:
            taken.append(summary_of(head))
    return Rebuilt(taken=tuple(taken), left=tuple(left))


def _head(ground: Ground, session_id: str, audited: Known | None) -> Head:
    """The record for a file, which is verified from the first byte to the last complete save."""
    log = ground.backend.open(file_name(session_id))
    if log is None:
        raise UnsafeFileError(session_id=session_id, name=file_name(session_id), reason="it went meanwhile")
    with closing(log):
        stamp, limit = log.stamp(), ground.config.max_session_bytes
        if stamp.size > limit:
            raise TooLargeError(what="session", size_bytes=stamp.size, limit_bytes=limit, setting="max_session_bytes")
        evidence = examine(ground, session_id, log, None)
        if evidence.last is None:
            refuse_given_up(ground, evidence.old_key, session_id)
            raise unknown_here(ground, session_id, log)
        if evidence.broken:
            raise damaged(session_id, evidence.last)
        if evidence.last.key_id != ground.keyring.primary.id:
            # Good, because of what follows and was not saved whole; but no record begins under an older key.
            raise UnanchoredError(session_id=session_id)
        seal = evidence.last.seal
        if audited is not None and audited.rev > seal.rev:
            raise RollbackError(session_id=session_id, rev=seal.rev, head_rev=audited.rev)
        opened = _opened(ground, session_id, log, evidence.last)
        summary = Summary(**{name: getattr(seal, name) for name in Summary.__struct_fields__})
        head = new_head(session_id, summary, key=opened.key, parent=opened.parent, origin=opened.origin)
        return head_after(head, evidence.last, stamp)


def _opened(ground: Ground, session_id: str, log: Log, last: Sealed) -> Open:
    try:
        for segment in walk_anchored(ground.sealer(session_id), log.read, last):
            return decode_open(segment.body.partition(b"\n")[0])
    except Broken:
        pass  # it was changed meanwhile
    raise damaged(session_id, None)
