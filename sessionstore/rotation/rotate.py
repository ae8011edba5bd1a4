"""Another key for everything: add -> promote -> seal sessions anew -> sign rows anew -> close.

Rules:

* Each step looks at what is there and does what is missing, so a rotation that was killed anywhere is simply run again.
  While one is unfinished, no other begins.
* A leaked key never waits: what an earlier rotation left does not keep its successor from being made and promoted, in
  one step. A key that was only waiting stood in the same keyring, so it is destroyed and never promoted.
* Rows under old keys are closed only under the lock of the keyring, and only if none is left then: another process may
  have changed the key meanwhile.
* Before the new key is promoted, every head is brought up to its file: what stands behind a head under a key that is
  not primary is never adopted. After a leak that is left out, for then it may be anybody's.
* Sealing anew appends one seal under the session's write lock and changes nothing else: neither time, nor content, nor
  idempotency key. The revision grows by one. A session that is running is left alone, since its next save is sealed
  with the new key anyway; so is one that is damaged or locked. The report names each.
"""

from __future__ import annotations

from collections.abc import Callable

from sessionstore.errors import (
    InvalidValueError,
    SessionNotFoundError,
    SessionStoreError,
    StoreUnavailableError,
    TooLargeError,
)
from sessionstore.model import RotationReport, Unreadable, format_time
from sessionstore.rotation.needs import refuse_read_only, sealed_heads, signer
from sessionstore.sessions import Ground, Lifecycle, Rewriter, Writer
from sessionstore.sessions.ground import file_name, stamp_of
from sessionstore.signing import Keyring, added, closed, promoted, replaced, unfinished, waiting, waiting_key

Progress = Callable[[str, int, int], None]

_GIVEN = "the key is given from outside (key_provider), and no other can be put there from here"
_GIVEN_HINT = (
    "give the new key to a new store, and take the sessions over: `sessionstore keys export` here, `keys import` there"
)
_OVERTAKEN = "another process began to change the key meanwhile: `sessionstore keys rotate --finish` goes on"


def rotate(
    ground: Ground,
    writer: Writer,
    lifecycle: Lifecycle,
    rewriter: Rewriter,
    *,
    finish: bool = False,
    leaked: bool = False,
    progress: Progress = lambda phase, done, total: None,
) -> RotationReport:
    """Make a new primary key and bring everything under it, or go on where a rotation was left.

    Args:
        ground, writer, lifecycle, rewriter: Of the store.
        finish: Make no new key; seal and sign what is still under older ones.
        leaked: Somebody may have the present key: promote another one at once, whatever is unfinished, and adopt
            nothing that the ledger has not acknowledged.
        progress: Told the phase (`settling`, `sessions`, `rows`), how much of it is done and how much there is.

    Raises:
        InvalidValueError: `finish` and `leaked`: without a new key a leaked one would stay primary.
        KeyringError, StoreError: Nothing is lost; run it again. `not_written` at once: the key is given from outside,
            and another one cannot be put there.
    """
    if finish and leaked:
        raise InvalidValueError(what="leaked", reason="a leaked key needs a new one, and finishing makes none")
    refuse_read_only(ground)
    if not finish and not ground.keys.takes:
        raise StoreUnavailableError(reason=_GIVEN, outcome="not_written", hint=_GIVEN_HINT)
    follow = ground.ledger.generations.follow
    ground.ledger.generations.settle()
    before = ground.keyring.primary.id
    destroyed: list[str] = []
    if leaked:
        was_added = ground.keys.change(lambda keyring: _replaced(ground, keyring, destroyed), follow)
    else:
        was_added = not finish and ground.keys.change(lambda keyring: _added(ground, keyring), follow)
        if waiting(ground.keyring) is not None:
            _settle(ground, writer, lifecycle, progress)
            ground.keys.change(promoted, follow)
    ground.audit.renew()
    resealed, left = _reseal(ground, writer, rewriter, progress)
    rows = _renew(ground, progress)
    ground.keys.change(lambda keyring: _closed(ground, keyring), follow)
    finished = not unfinished(ground.keyring)
    return RotationReport(
        primary=ground.keyring.primary.id,
        added=was_added,
        sessions=resealed,
        rows=rows,
        left=tuple(_still_left(ground, left)),
        finished=finished,
        reason="" if finished else _OVERTAKEN,
        replaced=before if before != ground.keyring.primary.id else "",
        destroyed=tuple(destroyed),
    )


def _replaced(ground: Ground, keyring: Keyring, destroyed: list[str]) -> Keyring:
    dropped = waiting(keyring)
    if dropped is not None:
        ground.audit.record("key_retired", key_id=dropped.id, status="destroyed", sessions_lost=0)
        destroyed.append(dropped.id)
    key = waiting_key(format_time(ground.now()))
    ground.audit.record("key_added", key_id=key.id)
    return replaced(keyring, key)


def _closed(ground: Ground, keyring: Keyring) -> Keyring | None:
    # A row under a closed key counts as forged: closing what another process has just made old would lose every row.
    if keyring.primary.id != ground.keyring.primary.id or ground.ledger.renewal.left():
        return None
    return closed(keyring)


def _added(ground: Ground, keyring: Keyring) -> Keyring | None:
    if unfinished(keyring):
        return None
    key = waiting_key(format_time(ground.now()))
    ground.audit.record("key_added", key_id=key.id)
    return added(keyring, key)


def _settle(ground: Ground, writer: Writer, lifecycle: Lifecycle, progress: Progress) -> None:
    """Bring heads up to files that are ahead of them, while the key of those is primary."""
    lifecycle.finish()
    heads = ground.ledger.heads(states=("live",))
    for done, head in enumerate(heads, 1):
        if ground.backend.stamp(file_name(head.session_id)) != stamp_of(head):
            try:
                with ground.backend.at_rest(head.session_id):
                    writer.settle(head.session_id)
            except SessionStoreError:
                pass  # running, gone, damaged, busy: `_reseal` says so
        progress("settling", done, len(heads))


def _reseal(ground: Ground, writer: Writer, rewriter: Rewriter, progress: Progress) -> tuple[int, list[Unreadable]]:
    todo = [head.session_id for head in sealed_heads(ground) if signer(head) != ground.keyring.primary.id]
    resealed, left = 0, []
    for done, session_id in enumerate(todo, 1):
        try:
            with ground.backend.at_rest(session_id):
                resealed += _resealed(writer, rewriter, session_id)
        except SessionNotFoundError:
            pass  # deleted meanwhile
        except SessionStoreError as error:
            if getattr(error, "outcome", "") == "unknown":
                raise
            left.append(Unreadable(session_id, error.code, str(error)))
        progress("sessions", done, len(todo))
    return resealed, left


def _resealed(writer: Writer, rewriter: Rewriter, session_id: str) -> bool:
    try:
        return writer.reseal(session_id)
    except TooLargeError:
        # At its cap to the byte. Written anew it has fewer seals, and all of them are the new key's.
        rewriter.reseal(session_id)
        return True


def _still_left(ground: Ground, left: list[Unreadable]) -> list[Unreadable]:
    """Without those that came under the key meanwhile: running ones with a save, or by another rotation."""
    if not left:
        return left
    primary = ground.keyring.primary.id
    done = {head.session_id for head in sealed_heads(ground) if signer(head) == primary}
    return [one for one in left if one.name not in done]


def _renew(ground: Ground, progress: Progress) -> int:
    renewal, renewed = ground.ledger.renewal, 0
    total = renewal.left()
    while rows := renewal.page():
        renewed += rows
        progress("rows", min(renewed, total), total)
    return renewed
