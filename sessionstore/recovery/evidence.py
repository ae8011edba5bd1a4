"""What a session file proves by itself, and what ledger and audit log know of the same session.

A file proves only what seals prove that the primary key made, or the one seal that the ledger names: a key that is not
primary any more may be in other hands, and could have sealed anything. What such a seal commits is proven with it,
older keys' seals too, whether those keys can still be used or not. What stands before damage in a part that an older
key sealed is not proven: neither ledger nor audit log recorded its seals. Nothing is decoded here but seals.

The highest known revision is that of the ledger's row or of an event in the audit log, whichever is higher: after a
backup was put back, each of them may be older than the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Literal, NamedTuple

from sessionstore.errors import (
    ForkError,
    InvalidValueError,
    KeyDisabledError,
    MissingError,
    ResurrectedError,
    RollbackError,
    SessionNotFoundError,
    StoreUnavailableError,
    UnanchoredError,
    UnknownKeyError,
)
from sessionstore.format.cut import cut
from sessionstore.format.held import Held, good_part
from sessionstore.format.seal import Broken, Sealed, key_id_in
from sessionstore.ledger import Head
from sessionstore.model import Standing, check_name, parse_time
from sessionstore.model.ids import is_id
from sessionstore.model.recovery import Direction
from sessionstore.sessions import Ground, Reader
from sessionstore.sessions.ground import file_name
from sessionstore.sessions.judge import given_up
from sessionstore.sessions.unsigned import was_saved
from sessionstore.storage import Log

_STEP_BYTES = 1024 * 1024
# Which field of which event says what revision a session had.
_REVISIONS = {
    "resume_committed": ("rev",),
    "restore": ("known_rev", "file_rev"),
    "rebase": ("known_rev", "file_rev"),
    "sealed_adopted": ("file_rev",),
}


class Evidence(NamedTuple):
    """What a file proves.

    Attributes:
        first_rev: Revision of its first seal, 0 if that is not proven.
        last: The last proven seal that ends a save; None if there is none.
        holds_head: Whether the seal that the ledger names is among the proven ones.
        broken: Whether what comes behind it is not what was sealed.
        old_key: Id of the older key that made its first seals, as they say; "" if that is the primary one, or none.
    """

    first_rev: int
    last: Sealed | None
    holds_head: bool
    broken: bool
    old_key: str


class Known(NamedTuple):
    """The highest revision that was written down.

    Attributes:
        rev: Which, 0 for none.
        at: When that was written.
        by: Where.
    """

    rev: int
    at: datetime | None
    by: Literal["ledger", "audit log"]


def examine(ground: Ground, session_id: str, log: Log, head: Head | None) -> Evidence:
    """Walk through the whole file of a session, whatever its head says."""
    primary, size = ground.keyring.primary.id, log.stamp().size
    named = "" if head is None else head.tag

    def proves(held: Held) -> bool:
        # That it has the signature which the ledger names says nothing of a seal whose signature cannot be checked.
        return held.segment.sealed.key_id == primary or (held.checked and held.segment.sealed.signature == named)

    rev = 0 if head is None else head.rev
    good = good_part(ground.sealer(session_id), log.read, end=size, counts=proves, rev=rev)
    return Evidence(
        0 if good.first is None else good.first.seal.rev,
        good.whole,
        good.at is not None and good.at.signature == named,
        good.broken,
        _older_key(ground, log, size),
    )


def heard(ground: Ground, session_id: str | None = None) -> dict[str, Known]:
    """The highest revision of each session, or of one, that the audit log speaks of."""
    found: dict[str, Known] = {}
    for record in ground.audit.records(events=_REVISIONS, session_id=session_id):
        revs = [record.fields.get(name) for name in _REVISIONS[record.event]]
        rev = max((rev for rev in revs if isinstance(rev, int)), default=0)
        if record.session_id is not None and rev > found.get(record.session_id, _NOTHING).rev:
            found[record.session_id] = Known(rev, record.at, "audit log")
    return found


def standing(ground: Ground, reader: Reader, session_id: str, audited: Known | None = None) -> Standing | None:
    """How file and records differ; None if they tell of the same revision. The caller holds the session's lock.

    Raises:
        SessionNotFoundError: There is neither.
        VerificationError, KeyringError, TooLargeError: The file is refused for another reason than its revision.
    """
    head = ground.ledger.head(session_id)
    known = Known(0, None, "ledger") if head is None else Known(head.rev, parse_time(head.updated_at), "ledger")
    if audited is not None and audited.rev > known.rev:
        known = audited
    if head is not None and head.state in ("creating", "deleting"):
        return None  # whoever opens the store next finishes it
    direction: Direction
    try:
        found = reader.find(session_id)
        with closing(found.log):
            rev = found.sealed.seal.rev
            if rev == found.head.rev >= known.rev:
                return None
            reader.verify(found)
        return _standing(session_id, "file_older" if rev < known.rev else "ledger_older", found.sealed, known)
    except RollbackError:
        direction = "file_older"
    except ForkError:
        direction = "two_histories"
    except KeyDisabledError:
        # The key of the seal that the ledger names was given up. A later seal may commit it all the same.
        evidence = evidence_of(ground, session_id, head)
        if evidence.last is None:
            raise
        rev = evidence.last.seal.rev
        direction = "file_older" if rev < known.rev else "ledger_older" if evidence.holds_head else "two_histories"
        return _standing(session_id, direction, evidence.last, known)
    except MissingError:
        return _standing(session_id, "file_gone", None, known)
    except (ResurrectedError, UnanchoredError, UnknownKeyError) as error:
        if isinstance(error, UnknownKeyError) and head is not None:
            raise
        direction = "deleted_here" if isinstance(error, ResurrectedError) else "no_record"
    evidence = evidence_of(ground, session_id, head)
    if direction == "two_histories" and head is not None and _follows(evidence, head, known):
        direction = "ledger_older"
    return _standing(session_id, direction, evidence.last, known)


def evidence_of(ground: Ground, session_id: str, head: Head | None) -> Evidence:
    """`examine` for the file as it is now.

    Raises:
        SessionNotFoundError: It went meanwhile.
    """
    log = ground.backend.open(file_name(session_id))
    if log is None:
        raise SessionNotFoundError
    with closing(log):
        return examine(ground, session_id, log, head)


def no_evidence(ground: Ground, session_id: str, old_key: str) -> KeyDisabledError:
    """The error for a file of which nothing is proven, because an older key sealed it."""
    key = ground.keyring.find(old_key)
    given = key is not None and key.status != "verify_only"
    status = key.status if key is not None and given else "no longer the primary key"
    return given_up(old_key, status, session_id)


def check_consent(consent: str) -> None:
    """Refuse what is no sentence for the audit log.

    Raises:
        InvalidValueError: It is empty, too long, or holds control characters.
    """
    try:
        check_name(consent)
    except InvalidValueError as exc:
        reason = "who agreed, in 1 to 200 characters without control characters"
        raise InvalidValueError(what="consent", reason=reason) from exc


def refuse_read_only(ground: Ground) -> None:
    """Refuse a store that was opened read-only."""
    if ground.read_only:
        raise StoreUnavailableError(reason="the store was opened read-only", outcome="not_written")


def ids_of(ground: Ground) -> list[str]:
    """Every id with a row or a sealed file, in order."""
    suffix = ".jsonl"
    files = (name.removesuffix(suffix) for name, _ in ground.backend.scan() if name.endswith(suffix))
    return sorted({*ground.ledger.ids(), *filter(is_id, files)})


def is_unsigned(ground: Ground, reader: Reader, session_id: str) -> bool:
    """Whether a session is in an unsigned file that may be opened; that was read then. Errors as opening it."""
    head = ground.ledger.head(session_id)
    if was_saved(head) or ground.backend.stamp(file_name(session_id)) is not None:
        return False
    unsigned = reader.unsigned.find(session_id, head)
    if unsigned is not None:
        unsigned.read()
    return unsigned is not None


def pieces(log: Log, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a log from `start` to `end`, a step at a time."""
    while start < end and (piece := log.read(start, min(_STEP_BYTES, end - start))):
        yield piece
        start += len(piece)


def _follows(evidence: Evidence, head: Head, known: Known) -> bool:
    """Whether a file that does not hold the head's seal can only be a later state of the same session.

    It was rewritten after that seal, and is not older than anything known. An abandoned rewrite that somebody kept is
    no such file: its first seal has the revision after a state that was acknowledged, and a later head has that one or
    a higher one.
    """
    if evidence.last is None:
        return False
    return evidence.first_rev > head.rev and evidence.last.seal.rev >= known.rev


def _standing(session_id: str, direction: Direction, last: Sealed | None, known: Known) -> Standing:
    rev = 0 if last is None else last.seal.rev
    return Standing(
        session_id=session_id,
        direction=direction,
        file_rev=rev,
        file_at=None if last is None else parse_time(last.seal.updated_at),
        known_rev=known.rev,
        known_at=known.at,
        known_by=known.by,
        command=_command(session_id, direction, rev, known.rev),
    )


def _command(session_id: str, direction: Direction, rev: int, known_rev: int) -> str:
    if direction == "no_record":
        older = f" --accept-rev {rev}" if rev < known_rev else ""
        return f"sessionstore adopt {session_id} --sealed{older}"
    if direction == "file_gone":
        return f"sessionstore delete {session_id}"
    if direction == "deleted_here":
        return f"sessionstore repair {session_id}"
    if not rev:
        return f"sessionstore inspect {session_id} --unverified"  # nothing of it can be taken
    return f"sessionstore restore {session_id} --accept-rev {rev}"


def _older_key(ground: Ground, log: Log, size: int) -> str:
    try:
        for _, line in cut(log.read, start=0, end=size):
            key = ground.keyring.find(key_id_in(line))
            if key is not None:  # one that is not ours is damage here
                return "" if key is ground.keyring.primary else key.id
    except Broken:
        pass  # no seal that names a key
    return ""


_NOTHING = Known(0, None, "audit log")
