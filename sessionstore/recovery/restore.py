"""After a backup was put back: files that are older than what is known, and a ledger that is older than the files.

Two ways, and neither makes a rollback look like nothing:

* `restore` takes one session whose file is older, or holds another history, and only if the caller names the revision
  that the file has. Whoever rolls a file back cannot know what the person will type, and the person sees both
  revisions.
* `rebase` moves the ledger up to files that hold everything it knows and more, or were rewritten after the last state
  it knows. It takes nothing that lacks a known revision; those are listed with the command for each.

Either is written to the audit log before it is done, and ends in a new file one revision above everything known.
"""

from __future__ import annotations

from contextlib import ExitStack, closing

from sessionstore.edits import StoreEdits
from sessionstore.errors import (
    AlreadyRunningError,
    ConflictError,
    ForkError,
    InvalidValueError,
    KeyDisabledError,
    KeyringError,
    RollbackError,
    SessionNotFoundError,
    TooLargeError,
    VerificationError,
)
from sessionstore.model import Rebase, Restored, Standing, check_id
from sessionstore.recovery.evidence import (
    Known,
    check_consent,
    examine,
    heard,
    ids_of,
    is_unsigned,
    no_evidence,
    pieces,
    refuse_read_only,
    standing,
)
from sessionstore.recovery.reseal import reseal
from sessionstore.sessions.ground import file_name
from sessionstore.sessions.judge import damaged
from sessionstore.sessions.look import Found

_TAKEN_BY_NAME = ("file_older", "two_histories", "ledger_older")


def restore(edits: StoreEdits, session_id: str, accept_rev: int | None, *, consent: str, dry_run: bool) -> Restored:
    """See `SessionStore.restore`."""
    check_id(session_id)
    check_consent(consent)
    if not dry_run:
        refuse_read_only(edits._ground)
    audited = heard(edits._ground, session_id).get(session_id)
    with ExitStack() as held:
        _hold(edits, held, session_id, dry_run=dry_run)
        if is_unsigned(edits._ground, edits._reader, session_id):
            reason = "the session is in an unsigned file, which has no revisions; there is nothing to restore"
            raise InvalidValueError(what="restore", reason=reason)
        stands = standing(edits._ground, edits._reader, session_id, audited)
        if stands is None:
            _refuse_damaged(edits, session_id)
            reason = "the file of this session is not older than what is known; there is nothing to restore"
            raise InvalidValueError(what="restore", reason=reason)
        if stands.direction not in _TAKEN_BY_NAME:
            edits._reader.find(session_id).log.close()  # raises the error that says what is wrong, and what to do
        if accept_rev is None and not dry_run:
            raise InvalidValueError(what="revision", reason="what is taken has to be named")
        if accept_rev not in (None, stands.file_rev) and stands.file_rev:
            raise ConflictError(
                session_id=session_id,
                expected=accept_rev,
                found=stands.file_rev,
                hint=f"`sessionstore restore {session_id} --dry-run` shows what there is to be taken",
            )
        return _take(edits, held, stands, consent, by_name=True, dry_run=dry_run)


def rebase(edits: StoreEdits, *, consent: str, dry_run: bool) -> Rebase:
    """See `SessionStore.rebase_heads`."""
    check_consent(consent)
    if not dry_run:
        refuse_read_only(edits._ground)
    audited = heard(edits._ground)
    taken: list[Restored] = []
    left: list[Standing] = []
    failed: list[tuple[str, str]] = []
    for session_id in ids_of(edits._ground):
        try:
            done = _rebased(edits, session_id, audited.get(session_id), consent, dry_run=dry_run)
        except SessionNotFoundError:
            continue  # deleted long ago, or meanwhile
        except (AlreadyRunningError, VerificationError, KeyringError, TooLargeError) as error:
            failed.append((session_id, error.code))
            continue
        if isinstance(done, Restored):
            taken.append(done)
        elif done is not None:
            left.append(done)
    return Rebase(taken=tuple(taken), left=tuple(left), failed=tuple(failed))


def _rebased(
    edits: StoreEdits, session_id: str, audited: Known | None, consent: str, *, dry_run: bool
) -> Restored | Standing | None:
    ground = edits._ground
    with ground.locked(session_id, shared=True):
        stands = standing(ground, edits._reader, session_id, audited)
    if stands is None or stands.direction != "ledger_older":
        return stands
    with ExitStack() as held:
        _hold(edits, held, session_id, dry_run=dry_run)
        stands = standing(ground, edits._reader, session_id, audited)  # nobody held the lock in between
        if stands is None or stands.direction != "ledger_older":
            return stands
        return _take(edits, held, stands, consent, by_name=False, dry_run=dry_run)


def _take(
    edits: StoreEdits, held: ExitStack, stands: Standing, consent: str, *, by_name: bool, dry_run: bool
) -> Restored:
    """Write the session anew from what its file proves, above everything that is known."""
    ground, session_id = edits._ground, stands.session_id
    rev = max(stands.file_rev, stands.known_rev) + 1
    found = _opened(edits, session_id)
    held.enter_context(closing(found.log))
    if dry_run:
        return Restored(before=stands, rev=rev, done=False)
    fields: dict[str, str | int | None] = {
        "file_rev": stands.file_rev,
        "known_rev": stands.known_rev,
        "consent": consent,
    }
    if by_name:
        ground.audit.record("restore", session_id=session_id, **fields)
    else:
        ground.audit.record("rebase", session_id=session_id, **fields)
    if found.tail_bytes:
        ground.backend.keep(f"{session_id}.tail", pieces(found.log, found.sealed.end, found.stamp.size))
    return Restored(before=stands, rev=reseal(edits, found, rev), done=True)


def _opened(edits: StoreEdits, session_id: str) -> Found:
    """The file of a session with the last seal that it proves, whatever revision the ledger knows. Close its log.

    Raises:
        InvalidSignatureError: It is damaged.
        KeyDisabledError: Only an older key vouches for what is left of it.
    """
    ground = edits._ground
    try:
        return edits._reader.find(session_id)
    except (RollbackError, ForkError, KeyDisabledError):
        pass  # that is what the caller wants to get past
    head, log = ground.ledger.head(session_id), ground.backend.open(file_name(session_id))
    if head is None or log is None:
        raise SessionNotFoundError
    try:
        evidence = examine(ground, session_id, log, head)
        if evidence.last is None and evidence.old_key:
            raise no_evidence(ground, session_id, evidence.old_key)
        if evidence.broken or evidence.last is None:
            raise damaged(session_id, evidence.last)
        stamp = log.stamp()
        return Found(head, log, stamp, evidence.last, stamp.size - evidence.last.end)
    except BaseException:
        log.close()
        raise


def _refuse_damaged(edits: StoreEdits, session_id: str) -> None:
    """Return if the file is whole: one that was damaged at the known revision is not older either.

    Raises:
        InvalidSignatureError: It is damaged; its hint says what to do instead.
    """
    found = edits._reader.find(session_id)
    with closing(found.log):
        edits._reader.verify(found)


def _hold(edits: StoreEdits, held: ExitStack, session_id: str, *, dry_run: bool) -> None:
    """Nobody runs the session and nobody writes it; a dry run only keeps it from being written."""
    if not dry_run:
        held.enter_context(edits._ground.backend.at_rest(session_id))
    held.enter_context(edits._ground.locked(session_id, shared=dry_run))
