"""Another key for everything: add -> promote -> seal sessions anew -> sign rows anew -> close. And away with the old.

Rules:

* Each step looks at what is there and does what is missing, so a rotation that was killed anywhere is simply run again.
  While one is unfinished, no other begins.
* Before the new key is promoted, every head is brought up to its file: what stands behind a head under a key that is
  not primary is never adopted. After a leak that is left out, for then it may be anybody's.
* Sealing anew appends one seal under the session's write lock and changes nothing else: neither time, nor content, nor
  idempotency key. The revision grows by one. A session that is running is left alone, since its next save is sealed
  with the new key anyway; so is one that is damaged or locked. The report names each.
* A key is retired when nothing needs it: sessions, rows, lines of the audit log, sealed files without a record,
  quarantine. Counting looks at what a file says of its key, not whether it verifies.

Not promised: that a session which was changed outside the store can be repaired as well as before, once the key that
its older seals name is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Literal

from sessionstore.errors import (
    KeyInUseError,
    SessionNotFoundError,
    SessionStoreError,
    StoreUnavailableError,
    TooLargeError,
    UnknownKeyError,
)
from sessionstore.format.seal import MAX_SEAL_BYTES, key_id_in
from sessionstore.ledger import Head
from sessionstore.model import KeyInfo, KeyNeeds, RotationReport, Unreadable, format_time, parse_time
from sessionstore.sessions import Ground, Lifecycle, Writer
from sessionstore.sessions.ground import file_name, stamp_of
from sessionstore.signing import Key, Keyring, added, closed, promoted, retired, unfinished, waiting, waiting_key

Progress = Callable[[str, int, int], None]
Retired = Literal["disabled", "destroyed"]
_SUFFIX = ".jsonl"


def rotate(
    ground: Ground,
    writer: Writer,
    lifecycle: Lifecycle,
    *,
    finish: bool = False,
    leaked: bool = False,
    progress: Progress = lambda phase, done, total: None,
) -> RotationReport:
    """Make a new primary key and bring everything under it, or go on where a rotation was left.

    Args:
        ground, writer, lifecycle: Of the store.
        finish: Make no new key; seal and sign what is still under older ones.
        leaked: Somebody may have the present key: adopt nothing that the ledger has not acknowledged.
        progress: Told the phase (`settling`, `sessions`, `rows`), how much of it is done and how much there is.

    Raises:
        KeyringError, StoreError: Nothing is lost; run it again.
    """
    _refuse_read_only(ground)
    follow = ground.ledger.generations.follow
    ground.ledger.generations.settle()
    was_added = not finish and ground.keys.change(lambda keyring: _added(ground, keyring), follow)
    if waiting(ground.keyring) is not None:
        if not leaked:
            _settle(ground, writer, lifecycle, progress)
        ground.keys.change(promoted, follow)
    ground.audit.renew()
    resealed, left = _reseal(ground, writer, lifecycle, progress)
    rows = _renew(ground, progress)
    ground.keys.change(closed, follow)
    return RotationReport(
        primary=ground.keyring.primary.id,
        added=was_added,
        sessions=resealed,
        rows=rows,
        left=tuple(left),
        finished=not unfinished(ground.keyring),
    )


def listed(ground: Ground) -> tuple[KeyInfo, ...]:
    """Every key, oldest first, with what needs it."""
    ground.ledger.generations.settle()
    sessions = Counter(_signer(head) for head in _heads(ground))
    strays = Counter(_stray_signers(ground))
    return tuple(_info(ground, key, sessions, strays) for key in ground.keyring.keys)


def retire(
    ground: Ground,
    key_id: str,
    *,
    to: Retired = "disabled",
    leaked: bool = False,
    give_up: bool = False,
    dry_run: bool = False,
) -> KeyNeeds:
    """Take a key out of use; what still needed it.

    Args:
        ground: The store.
        key_id: Which key.
        to: `disabled` keeps its bytes, `destroyed` does not.
        leaked: Sessions that still end under it are refused from now on. Rows must not be left all the same.
        give_up: Go on although files in quarantine, strays, or lines of the audit log can then not be verified.
        dry_run: Only say what needs it.

    Raises:
        UnknownKeyError: There is no such key.
        KeyDisabledError: It is the primary one.
        KeyInUseError: Something needs it.
    """
    known = next((key for key in listed(ground) if key.id == key_id), None)
    if known is None:
        raise UnknownKeyError(key_id=key_id, hint="`sessionstore keys list` shows the keys of this store")
    needs = known.needs
    if retired(ground.keyring, key_id, to) is None or dry_run:
        return needs
    _refuse_read_only(ground)
    if needs.rows or (needs.sessions and not leaked):
        hint = "run `sessionstore keys rotate --finish`; it names each session that is left, with the reason"
        raise KeyInUseError(key_id=key_id, needs=str(needs), hint=hint)
    if needs.any and not (leaked or give_up):
        hint = "none of it can be verified without the key; give it up with --give-up"
        raise KeyInUseError(key_id=key_id, needs=str(needs), hint=hint)

    def step(keyring: Keyring) -> Keyring | None:
        newer = retired(keyring, key_id, to)
        if newer is not None:
            ground.audit.record("key_retired", key_id=key_id, status=to, sessions_lost=needs.sessions)
        return newer

    ground.keys.change(step, ground.ledger.generations.follow)
    return needs


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


def _reseal(ground: Ground, writer: Writer, lifecycle: Lifecycle, progress: Progress) -> tuple[int, list[Unreadable]]:
    todo = [head.session_id for head in _heads(ground) if _signer(head) != ground.keyring.primary.id]
    resealed, left = 0, []
    for done, session_id in enumerate(todo, 1):
        try:
            with ground.backend.at_rest(session_id):
                resealed += _resealed(writer, lifecycle, session_id)
        except SessionNotFoundError:
            pass  # deleted meanwhile
        except SessionStoreError as error:
            if getattr(error, "outcome", "") == "unknown":
                raise
            left.append(Unreadable(session_id, error.code, str(error)))
        progress("sessions", done, len(todo))
    return resealed, left


def _resealed(writer: Writer, lifecycle: Lifecycle, session_id: str) -> bool:
    try:
        return writer.reseal(session_id)
    except TooLargeError:
        # At its cap to the byte. Written anew it has fewer seals, and all of them are the new key's.
        lifecycle.rewrite(session_id)
        return True


def _renew(ground: Ground, progress: Progress) -> int:
    renewal, renewed = ground.ledger.renewal, 0
    total = renewal.left()
    while rows := renewal.page():
        renewed += rows
        progress("rows", min(renewed, total), total)
    return renewed


def _heads(ground: Ground) -> list[Head]:
    """Heads that name a seal which has to stay good."""
    return [head for head in ground.ledger.heads(states=("creating", "live", "deleting")) if head.tag]


def _signer(head: Head) -> str:
    return head.tag[4:20]


def _stray_signers(ground: Ground) -> Iterator[str]:
    """The key of each sealed file that no session stands for."""
    states = ground.ledger.ids()
    for name, stamp in ground.backend.scan():
        if (
            stamp is None
            or not name.endswith(_SUFFIX)
            or states.get(name.removesuffix(_SUFFIX), "deleted") != "deleted"
        ):
            continue
        log = ground.backend.open(name)
        if log is not None:
            with closing(log):
                tail = log.read(max(0, stamp.size - MAX_SEAL_BYTES), MAX_SEAL_BYTES)
            yield key_id_in(tail[: tail.rfind(b"\n") + 1])


def _info(ground: Ground, key: Key, sessions: Counter[str], strays: Counter[str]) -> KeyInfo:
    needs = KeyNeeds(
        sessions=sessions[key.id],
        rows=ground.ledger.renewal.under(key.id),
        audit=ground.audit.under(key.id),
        strays=strays[key.id],
        quarantine=ground.backend.search_kept(b'"ss2.' + key.id.encode() + b"."),
    )
    return KeyInfo(id=key.id, status=key.status, rows=key.rows, created_at=parse_time(key.created_at), needs=needs)


def _refuse_read_only(ground: Ground) -> None:
    if ground.read_only:
        raise StoreUnavailableError(reason="this store was opened read-only", outcome="not_written")
