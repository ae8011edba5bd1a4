"""Which of the known failures a log is: compared with its head, read from the start, nothing decoded but seals.

The judge is asked when the seal that the head names is not where the head says. It walks the whole log once and says
what it found, as an error to raise, or accepts the one good reason: a rewrite whose head did not get written before
the process died.

What older keys sealed counts as far as a seal commits it whose key can still be used. If no such seal is there, the log
cannot be told from a forged one, and that is said: it is neither called damaged nor accepted.
"""

from __future__ import annotations

from sessionstore.errors import (
    ForkError,
    InvalidSignatureError,
    KeyDisabledError,
    KeyringError,
    RollbackError,
    UnanchoredError,
    UnknownKeyError,
    VerificationError,
    WrongSessionError,
)
from sessionstore.format.held import good_part
from sessionstore.format.seal import MAX_SEAL_BYTES, Broken, Sealed, find_seal
from sessionstore.ledger import Head
from sessionstore.sessions.ground import Ground
from sessionstore.storage import Log

_ID_AT = len(b'{"open":{"format":2,"id":"')


def accept_rewritten(ground: Ground, head: Head, log: Log, size: int) -> Sealed:
    """The last seal of a log that was rewritten on top of `head`, or that was created and not yet anchored.

    Raises:
        VerificationError: It is anything else; the class says what.
        KeyDisabledError: Only keys that were given up sealed it.
    """
    session_id = head.session_id
    good = good_part(ground.sealer(session_id), log.read, end=size, counts=lambda held: held.checked, rev=head.rev)
    last, whole = good.last, good.whole
    if head.tag and good.at is not None and good.at.signature != head.tag:
        raise ForkError(session_id=session_id, rev=head.rev)
    if last is None:
        _refuse_other_session(ground, session_id, log, size)
        if good.began is not None and not good.broken:
            refuse_given_up(ground, good.began.key_id, session_id)
    replaces = None if good.first is None else good.first.seal.replaces
    # A head without a seal that names a revision was made with a new ledger: what came before it is not known.
    fits = replaces == (head.tag or None) or (not head.tag and head.rev > 0)
    on_top = whole is not None and fits and whole.seal.rev > head.rev
    if whole is not None and on_top and whole.key_id == ground.keyring.primary.id:
        return whole
    if last is not None and not good.broken and last.end == size:
        if last.seal.rev < head.rev:
            raise RollbackError(session_id=session_id, rev=last.seal.rev, head_rev=head.rev)
        raise ForkError(session_id=session_id, rev=head.rev)
    raise damaged(session_id, last)


def damaged(session_id: str, last: Sealed | None) -> InvalidSignatureError:
    """The error for a log that is good up to `last` and no further."""
    if last is None:
        hint = (
            f"restore the file from a backup, or look at it with `sessionstore inspect {session_id} --unverified`; "
            "nothing of it verifies"
        )
        return InvalidSignatureError(session_id=session_id, line=1, last_good_rev=0, hint=hint)
    return InvalidSignatureError(session_id=session_id, line=last.seal.lines + 2, last_good_rev=last.seal.rev)


def last_good(ground: Ground, session_id: str, log: Log, end: int) -> Sealed | None:
    """The last seal before `end` that the primary key made, None if there is none: up to there the log is good."""
    primary = ground.keyring.primary.id
    sealer = ground.sealer(session_id)
    return good_part(sealer, log.read, end=end, counts=lambda held: held.segment.sealed.key_id == primary).last


def refuse_given_up(ground: Ground, key_id: str, session_id: str) -> None:
    """Return if that key is not one of ours that may not be used any more.

    Raises:
        KeyDisabledError: It is; the hint says what can be done about what it sealed.
    """
    key = ground.keyring.find(key_id)
    if key is not None and key.status in ("disabled", "destroyed"):
        raise given_up(key_id, key.status, session_id)


def given_up(key_id: str, status: str, session_id: str) -> KeyDisabledError:
    """The error for what only an older key vouches for."""
    hint = (
        "what only this key sealed cannot be told from a forged file; restore a file that was saved since, or key, "
        f"ledger and files of the same moment; `sessionstore inspect {session_id} --unverified` shows what is there"
    )
    return KeyDisabledError(key_id=key_id, status=status, hint=hint)


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
    if good_part(ground.sealer(other), log.read, end=size, counts=lambda held: held.checked).last is not None:
        raise WrongSessionError(session_id=session_id)
