"""Repairing one session: bringing to an end what a dead writer left, and moving what is broken out of the way.

Rules:

* Nothing that cannot be read is rewritten, and no byte is dropped: a tail and a broken file go into quarantine first.
* The ledger's head stays when a broken file goes. The session is `missing` then, never quietly an older one, and the
  right file put back is the session again.
* What is a matter of decision and not of damage is left alone, and the command for it is named: an older file, two
  histories, a file without a record.
* `keep_verified` takes what the last good seal commits into a new session. The damaged one stays as it is. A second
  call finds the first one's session. If only an older key vouches for what is before the damage, nothing is taken, and
  the file stays where it is: whoever has that key could have made it.

Killed at any moment, a repair can be repeated: what was set aside may then lie in quarantine twice.
"""

from __future__ import annotations

from contextlib import ExitStack, closing

import msgspec

from sessionstore.edits import StoreEdits
from sessionstore.errors import (
    InvalidSignatureError,
    MissingError,
    ResurrectedError,
    SessionNotFoundError,
    SessionStoreError,
    UnanchoredError,
    UnknownKeyError,
)
from sessionstore.ledger import Head
from sessionstore.model import Repair, check_id, new_id
from sessionstore.recovery.evidence import (
    Evidence,
    evidence_of,
    examine,
    is_unsigned,
    no_evidence,
    pieces,
    refuse_read_only,
    standing,
)
from sessionstore.sessions.ground import file_name
from sessionstore.sessions.judge import damaged
from sessionstore.sessions.look import Found
from sessionstore.sessions.unsigned import SUFFIX

_BROKEN = (InvalidSignatureError, ResurrectedError)


def repair(edits: StoreEdits, session_id: str, *, dry_run: bool) -> Repair:
    """See `SessionStore.repair`."""
    check_id(session_id)
    if not dry_run:
        refuse_read_only(edits._ground)
    with ExitStack() as held:
        _hold(edits, held, session_id, dry_run=dry_run)
        plan = _plan(edits, session_id)
        if dry_run or plan.action in ("nothing", "left"):
            return plan
        _record(edits, plan)
        done = _settle(edits, plan) if plan.action == "settled" else _quarantine(edits, plan)
    # What was half created has no file any more: it is brought to its end, which needs the lock once more.
    edits._lifecycle.settle(session_id)
    return done


def keep_verified(edits: StoreEdits, session_id: str, *, dry_run: bool) -> Repair:
    """See `SessionStore.repair`, with `keep_verified`."""
    check_id(session_id)
    ground = edits._ground
    if not dry_run:
        refuse_read_only(ground)
    with ExitStack() as held:
        # Writers are kept out too: what is taken is what was found.
        _hold(edits, held, session_id, dry_run=dry_run)
        plan = _plan(edits, session_id)
        head = ground.ledger.head(session_id)
        if plan.code != InvalidSignatureError.code or head is None:
            return _without_keeping(plan)
        evidence = evidence_of(ground, session_id, head)
        if evidence.last is None and evidence.old_key:
            raise no_evidence(ground, session_id, evidence.old_key)
        if evidence.last is None:
            edits._reader.find(session_id).log.close()
            raise damaged(session_id, None)
        origin = f"{session_id} revision {evidence.last.seal.rev} {evidence.last.signature}"
        made = _made_before(edits, session_id, origin)
        text = f"revision {evidence.last.seal.rev} of {head.rev} is the last that verifies"
        kept = msgspec.structs.replace(plan, action="kept_verified", rev=evidence.last.seal.rev, set_aside_bytes=0)
        kept = msgspec.structs.replace(kept, text=text, fork=made, command=f"sessionstore repair {session_id}")
        if dry_run or made is not None:
            return kept
        kept = msgspec.structs.replace(kept, fork=new_id())
        _record(edits, kept)
        _fork(edits, head, evidence, origin, kept.fork)
        return kept


def _plan(edits: StoreEdits, session_id: str) -> Repair:
    """What a repair would do. The caller holds the session's lock.

    Raises:
        SessionNotFoundError: There is no such session, and no file of one.
    """
    head = edits._ground.ledger.head(session_id)
    try:
        if is_unsigned(edits._ground, edits._reader, session_id):
            text, command = "it is whole, and not signed yet", f"sessionstore migrate {session_id}"
            return Repair(session_id=session_id, code="ok", action="nothing", text=text, command=command)
        found = edits._reader.find(session_id)
        with closing(found.log):
            edits._reader.verify(found)
            return _whole(found)
    except SessionNotFoundError:
        return _put_away(edits, session_id, head)
    except SessionStoreError as error:
        rev = None if head is None else head.rev
        plan = Repair(session_id=session_id, code=error.code, action="left", text=str(error), head_rev=rev)
        if not isinstance(error, _BROKEN):
            return msgspec.structs.replace(plan, **_left(edits, session_id, error))
        evidence = evidence_of(edits._ground, session_id, head)
        if isinstance(error, InvalidSignatureError) and evidence.last is None and evidence.old_key:
            text = f"nothing of it can be vouched for: it was sealed with key {evidence.old_key}, which is not primary"
            command = f"sessionstore inspect {session_id} --unverified"
            return msgspec.structs.replace(plan, text=f"{text} any more; it stays as it is", command=command)
        good = evidence.last.seal.rev if evidence.last is not None and head is not None else 0
        stamp = edits._ground.backend.stamp(file_name(session_id))
        text, command = "its file goes into quarantine; the deletion stands", ""
        if isinstance(error, InvalidSignatureError):
            text = f"it is good up to revision {good} of {rev}" if good else "nothing of it is good"
            text = f"its file goes into quarantine; {text}"
            command = (
                f"sessionstore repair {session_id} --keep-verified" if good else f"sessionstore delete {session_id}"
            )
        return msgspec.structs.replace(
            plan,
            action="quarantined",
            text=text,
            rev=good,
            set_aside_bytes=0 if stamp is None else stamp.size,
            command=command,
        )


def _put_away(edits: StoreEdits, session_id: str, head: Head | None) -> Repair:
    """The plan for the unsigned file of a session that was deleted.

    Raises:
        SessionNotFoundError: There is no such file, or no such session was deleted.
    """
    stamp = edits._ground.backend.stamp(session_id + SUFFIX)
    if stamp is None or head is None or head.state != "deleted":
        raise SessionNotFoundError
    return Repair(
        session_id=session_id,
        code=ResurrectedError.code,
        action="quarantined",
        text="its unsigned file goes into quarantine; the deletion stands",
        head_rev=head.rev,
        set_aside_bytes=stamp.size,
    )


def _whole(found: Found) -> Repair:
    rev, head = found.sealed.seal.rev, found.head
    plan = Repair(
        session_id=head.session_id, code="ok", action="nothing", text="it is whole", rev=rev, head_rev=head.rev
    )
    done = []
    if found.tail_bytes:
        done.append(f"{found.tail_bytes} bytes that belong to no complete save go into quarantine")
    if rev > head.rev:
        done.append(f"the ledger goes on from revision {head.rev} to {rev}, which is saved whole")
    if "several_links" in found.log.notices:
        done.append("the file has a second name, and becomes a new one")
    if not done:
        return plan
    return msgspec.structs.replace(plan, action="settled", text="; ".join(done), set_aside_bytes=found.tail_bytes)


def _left(edits: StoreEdits, session_id: str, error: SessionStoreError) -> dict[str, str]:
    """Why it is not for a repair, and what to do."""
    if isinstance(error, MissingError):
        text = f"{error}; put the file back, from a backup or out of quarantine"
        return {"text": text, "command": f"sessionstore delete {session_id}"}
    if isinstance(error, (UnanchoredError, UnknownKeyError)):
        return {"command": f"sessionstore adopt {session_id} --sealed"}
    try:
        stands = standing(edits._ground, edits._reader, session_id)
    except SessionStoreError:
        stands = None
    if stands is None:
        return {"text": f"{error}; {error.hint}"}
    if stands.direction == "ledger_older":
        return {"command": "sessionstore rebase-heads --dry-run"}
    return {"command": stands.command}


def _settle(edits: StoreEdits, plan: Repair) -> Repair:
    """Let a writer do what the next save would do; it sets the tail aside before it cuts it."""
    head = edits._ground.ledger.head(plan.session_id)
    if head is not None and head.state == "live":
        edits._writer.logs.ready(plan.session_id).close()
    return plan


def _quarantine(edits: StoreEdits, plan: Repair) -> Repair:
    """Move the file into quarantine: copied first, then removed."""
    backend, name = edits._ground.backend, file_name(plan.session_id)
    if plan.code == ResurrectedError.code and backend.stamp(name) is None:
        name = plan.session_id + SUFFIX
    log = backend.open(name)
    if log is None:
        return plan
    edits._writer.logs.forget(plan.session_id)
    with closing(log):
        old_key = examine(edits._ground, plan.session_id, log, None).old_key
        kept_as = backend.keep(f"{plan.session_id}.broken", pieces(log, 0, log.stamp().size))
    backend.delete(name)
    # What is good of it cannot be taken out any more, unless the file is put back. Nobody is sent to give up a session
    # whose older part may yet be needed to find out what happened.
    command = f"sessionstore delete {plan.session_id}" if plan.command and not old_key else ""
    return msgspec.structs.replace(plan, kept_as=kept_as, command=command)


def _fork(edits: StoreEdits, head: Head, evidence: Evidence, origin: str, session_id: str | None) -> None:
    ground = edits._ground
    log = ground.backend.open(file_name(head.session_id))
    if log is None or evidence.last is None:
        raise SessionNotFoundError
    with closing(log):
        found = Found(head, log, log.stamp(), evidence.last, log.stamp().size - evidence.last.end)
        content, sealed = edits._reader.content(found)
        edits._lifecycle.create(
            msgspec.structs.replace(content.state, closed_at=None),
            entries=content.entries,
            session_id=session_id,
            parent=head.session_id,
            origin=origin,
            provenance=sealed.seal.provenance,
        )


def _made_before(edits: StoreEdits, session_id: str, origin: str) -> str | None:
    """The session that an earlier call made of the same seal, if it is still there."""
    heads = edits._ground.ledger.heads()
    return next((head.session_id for head in heads if (head.parent, head.origin) == (session_id, origin)), None)


def _without_keeping(plan: Repair) -> Repair:
    if plan.action in ("nothing", "settled"):
        text = "it verifies as a whole; `sessionstore fork` makes a copy"
        return msgspec.structs.replace(plan, action="nothing", text=text, set_aside_bytes=0)
    if plan.action == "left":
        return plan
    command = f"sessionstore repair {plan.session_id}"
    return msgspec.structs.replace(plan, action="left", text="it was deleted here", set_aside_bytes=0, command=command)


def _record(edits: StoreEdits, plan: Repair) -> None:
    edits._ground.audit.record(
        "repair",
        session_id=plan.session_id,
        code=plan.code,
        action=plan.action,
        rev=plan.rev,
        bytes=plan.set_aside_bytes,
        fork=plan.fork,
    )


def _hold(edits: StoreEdits, held: ExitStack, session_id: str, *, dry_run: bool) -> None:
    """Nobody runs the session and nobody writes it; a dry run only keeps it from being written."""
    if not dry_run:
        held.enter_context(edits._ground.backend.at_rest(session_id))
    held.enter_context(edits._ground.locked(session_id, shared=dry_run))
