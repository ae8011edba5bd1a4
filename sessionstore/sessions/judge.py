"""Which of the known failures a log is: compared with its head, read from the start, nothing decoded but seals.

The judge is asked when the seal that the head names is not where the head says. It walks the whole log once and says
what it found, as an error to raise, or accepts the one good reason: a rewrite whose head did not get written before
the process died.
"""

from __future__ import annotations

from sessionstore.errors import (
    ForkError,
    InvalidSignatureError,
    KeyringError,
    RollbackError,
    UnanchoredError,
    UnknownKeyError,
    VerificationError,
    WrongSessionError,
)
from sessionstore.format.anchored import walk_bound
from sessionstore.format.log import walk
from sessionstore.format.seal import MAX_SEAL_BYTES, Broken, Sealed, find_seal
from sessionstore.ledger import Head
from sessionstore.sessions.ground import Ground
from sessionstore.storage import Log

_ID_AT = len(b'{"open":{"format":2,"id":"')


def accept_rewritten(ground: Ground, head: Head, log: Log, size: int) -> Sealed:
    """The last seal of a log that was rewritten on top of `head`, or that was created and not yet anchored.

    Raises:
        VerificationError: It is anything else; the class says what.
    """
    session_id = head.session_id
    last: Sealed | None = None  # the last good seal
    whole: Sealed | None = None  # the last good seal that ends a save
    replaces: str | None = None
    broken = False
    try:
        for segment in walk_bound(ground.sealer(session_id), log.read, end=size):
            last = segment.sealed
            if segment.is_first:
                replaces = last.seal.replaces
            if head.tag and last.seal.rev == head.rev and last.signature != head.tag:
                raise ForkError(session_id=session_id, rev=head.rev)
            if not last.seal.more:
                whole = last
    except (Broken, KeyringError):
        broken = True
    if last is None:
        _refuse_other_session(ground, session_id, log, size)
    # A head without a seal that names a revision was made with a new ledger: what came before it is not known.
    fits = replaces == (head.tag or None) or (not head.tag and head.rev > 0)
    on_top = whole is not None and fits and whole.seal.rev > head.rev
    if whole is not None and on_top and whole.key_id == ground.keyring.primary.id:
        return whole
    if last is not None and not broken and last.end == size:
        if last.seal.rev < head.rev:
            raise RollbackError(session_id=session_id, rev=last.seal.rev, head_rev=head.rev)
        raise ForkError(session_id=session_id, rev=head.rev)
    raise damaged(session_id, last)


def damaged(session_id: str, last: Sealed | None) -> InvalidSignatureError:
    """The error for a log that is good up to `last` and no further."""
    if last is None:
        return InvalidSignatureError(session_id=session_id, line=1, last_good_rev=0)
    return InvalidSignatureError(session_id=session_id, line=last.seal.lines + 2, last_good_rev=last.seal.rev)


def unknown_here(ground: Ground, session_id: str, log: Log) -> VerificationError | UnknownKeyError:
    """The error for a sealed log without a head: signed by a key we do not have, or out of nowhere."""
    size = log.stamp().size
    tail = log.read(max(0, size - MAX_SEAL_BYTES), MAX_SEAL_BYTES)
    line = tail[tail.rfind(b"\n", 0, max(0, len(tail) - 1)) + 1 :]
    try:
        ground.sealer(session_id).verify_line(line)
    except UnknownKeyError as error:
        return error
    except (Broken, KeyringError):
        pass  # whatever it is, it is not anchored here
    return UnanchoredError(session_id=session_id)


def _refuse_other_session(ground: Ground, session_id: str, log: Log, size: int) -> None:
    # The id stands at a fixed place of the open line. It is only used to ask whether the first seal is good under it.
    data = log.read(0, min(size, 64 * 1024))
    other = data[_ID_AT : _ID_AT + 36].decode("ascii", "replace")
    if other == session_id or find_seal(data, 0) is None:
        return
    try:
        next(walk(ground.sealer(other), log.read, end=size), None)
    except (Broken, KeyringError):
        return
    raise WrongSessionError(session_id=session_id)
