"""Filling a new ledger from the session files, after the old one was lost.

A file is taken in if a seal of the present key ends it and commits every byte before, those too that older keys sealed,
and if nothing knows a higher revision of it: neither the audit log, nor what can still be read of the old ledger.
Everything else is left, and named.

* A file that is older than what is known keeps being refused as `rollback`: its record names the known revision.
* Of the old ledger only rows count whose tag is good. They are taken as they are, tombstones too.
* The policy for unsigned files is what the audit log says of it last, if that is more than the default.
* A session that the audit log speaks of, and that has no file, is named: it was deleted, or its file is lost.

What cannot be got back: which other sessions were deleted, and what the newest state of a session was, beyond what
these two say. So a person has to agree, and this stands in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import msgspec

from sessionstore.errors import (
    AlreadyExistsError,
    KeyringError,
    MissingError,
    RollbackError,
    SessionNotFoundError,
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
from sessionstore.ledger.policy import DEFAULT
from sessionstore.model import POLICIES, Rebuilt, SessionSummary, Unreadable, format_time
from sessionstore.recovery.evidence import Known, examine, heard, ids_of
from sessionstore.sessions import Ground
from sessionstore.sessions.ground import file_name, head_after, new_head, summary_of
from sessionstore.sessions.judge import damaged, refuse_given_up, unknown_here
from sessionstore.sessions.look import Look
from sessionstore.sessions.unsigned import UnsignedFiles
from sessionstore.storage import Log


def rebuild(ground: Ground, old: Mapping[str, Head], consent: str) -> Rebuilt:
    """Fill the empty ledger of `ground`, which nobody else may use yet. Read-only, nothing else is written.

    Args:
        ground: With the new ledger.
        old: What can be read of the lost one.
        consent: Who agreed.
    """
    files = ground.audit.take_over()
    doubts = sum(file.state in ("damaged", "taken") for file in files)
    _keep_policy(ground)
    rebuilt = _filled(ground, old)
    if not ground.read_only:
        ground.audit.record(
            "ledger_rebuilt",
            taken=len(rebuilt.taken),
            left=len(rebuilt.left),
            audit_files=len(files),
            audit_doubts=doubts,
            consent=consent,
        )
    return msgspec.structs.replace(rebuilt, audit_files=len(files), audit_doubts=doubts)


def _keep_policy(ground: Ground) -> None:
    """Record the policy that the audit log names last: losing the ledger is no way to a lower one."""
    last = None
    for record in ground.audit.records(events=("policy_raised", "policy_lowered")):
        last = record.fields.get("after")
    for policy in POLICIES[POLICIES.index(DEFAULT) + 1 :]:  # what is below the default, somebody has to agree to again
        if last == policy:
            ground.ledger.policy.change(policy, old=DEFAULT)


def _filled(ground: Ground, old: Mapping[str, Head]) -> Rebuilt:
    audited = heard(ground)
    evicted = {record.session_id for record in ground.audit.records(events=["eviction"])}
    taken: list[SessionSummary] = []
    left: list[Unreadable] = []
    unproven = 0
    for session_id, head in old.items():
        ground.ledger.commit(_at_least(head, audited.get(session_id)), old=None)
    for session_id in ids_of(ground):
        known = audited.pop(session_id, None)
        try:
            if session_id in old:
                found = _followed(ground, session_id)
            else:
                found = _head(ground, session_id, known)
                ground.ledger.commit(found, old=None)
                unproven += known is None or known.rev < found.rev
        except SessionNotFoundError:
            continue  # deleted, and its file is gone
        except AlreadyExistsError as error:
            left.append(Unreadable(session_id, error.code, "another session has its external key"))
        except (VerificationError, KeyringError, TooLargeError) as error:
            left.append(Unreadable(session_id, error.code, str(error)))
        else:
            taken.append(summary_of(found))
    for session_id, known in sorted(audited.items()):
        if session_id not in evicted:
            text = f"the audit log knows revision {known.rev}, and there is no file: it was deleted, or is lost"
            left.append(Unreadable(session_id, MissingError.code, text))
    return Rebuilt(taken=tuple(taken), left=tuple(left), unproven=unproven)


def _at_least(head: Head, known: Known | None) -> Head:
    """A row of the old ledger, or in its place one that names a higher revision that the audit log knows."""
    if known is None or known.rev <= head.rev or head.state == "deleted":
        return head
    return _floor(head, known)


def _floor(head: Head, known: Known) -> Head:
    """A head that names a revision without its seal: only what is above it, and sealed on its own, fits it."""
    at = head.updated_at if known.at is None else format_time(known.at)
    nothing = {"tag": "", "end": 0, "seal_at": 0, "inode": 0, "size": 0, "mtime_ns": 0, "ctime_ns": 0}
    return msgspec.structs.replace(head, state="live", rev=known.rev, updated_at=at, last_key=None, **nothing)


def _followed(ground: Ground, session_id: str) -> Head:
    """The head that the file of a session has, which a row of the old ledger knows."""
    found = Look(ground, UnsignedFiles(ground), session_id).found()
    with closing(found.log):
        evidence = examine(ground, session_id, found.log, found.head)
        if evidence.last is None or evidence.last.end < found.sealed.end:
            raise damaged(session_id, evidence.last)
        return head_after(found.head, found.sealed, found.stamp)


def _head(ground: Ground, session_id: str, known: Known | None) -> Head:
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
        opened = _opened(ground, session_id, log, evidence.last)
        summary = Summary(**{name: getattr(seal, name) for name in Summary.__struct_fields__})
        head = new_head(session_id, summary, key=opened.key, parent=opened.parent, origin=opened.origin)
        if known is not None and known.rev > seal.rev:
            ground.ledger.commit(_floor(head, known), old=None)
            raise RollbackError(session_id=session_id, rev=seal.rev, head_rev=known.rev)
        return head_after(head, evidence.last, stamp)


def _opened(ground: Ground, session_id: str, log: Log, last: Sealed) -> Open:
    try:
        for segment in walk_anchored(ground.sealer(session_id), log.read, last):
            return decode_open(segment.body.partition(b"\n")[0])
    except Broken:
        pass  # it was changed meanwhile
    raise damaged(session_id, None)
