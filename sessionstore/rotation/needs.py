"""What can be verified with a key only: counted, and asked before the key is taken out of use.

Rules:

* A key is retired when nothing needs it: sessions, rows, lines of the audit log, sealed files without a record,
  quarantine. Counting looks at what a file says of its key, not whether it verifies.
* Who retires a leaked key may give up sessions, but never rows: those of sessions that are kept are among them.

Not promised: that a session which was changed outside the store can be repaired as well as before, once the key that
its older seals name is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Literal

from sessionstore.errors import KeyInUseError, StoreUnavailableError, UnknownKeyError
from sessionstore.format.seal import MAX_SEAL_BYTES, key_id_in
from sessionstore.ledger import Head
from sessionstore.model import KeyInfo, KeyNeeds, KeysReport, parse_time
from sessionstore.sessions import Ground
from sessionstore.signing import Key, Keyring, retired, unfinished

Retired = Literal["disabled", "destroyed"]

_SUFFIX = ".jsonl"


def listed(ground: Ground) -> tuple[KeyInfo, ...]:
    """Every key, oldest first, with what needs it."""
    ground.ledger.generations.settle()
    sessions = Counter(signer(head) for head in sealed_heads(ground))
    strays = Counter(_stray_signers(ground))
    return tuple(_info(ground, key, sessions, strays) for key in ground.keyring.keys)


def examine(ground: Ground) -> KeysReport:
    """Check keyring, ledger and every row, and say what a change of keys has left to do.

    Raises:
        KeyringError, LedgerCorruptError: The keyring, or a row of the ledger, is not what was written.
    """
    keys = listed(ground)
    ground.ledger.check()
    findings, notes = [], []
    if unfinished(ground.keyring):
        findings.append("a change of keys is not finished: `sessionstore keys rotate` goes on with it")
    for key in keys:
        held = f"key {key.id} ({key.status})"
        if key.status == "primary":
            continue
        if key.status == "verify_only" and key.rows == "closed" and not key.needs.any:
            notes.append(f"{held} is not needed any more: `sessionstore keys retire {key.id}`")
        elif key.status == "verify_only" and key.needs.sessions:
            notes.append(f"{held} is needed for {key.needs}: `sessionstore keys rotate --finish`")
        elif key.needs.sessions:
            findings.append(f"{held} cannot verify the {key.needs.sessions:,} sessions that end under it")
    return KeysReport(keys=keys, findings=tuple(findings), notes=tuple(notes))


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
    is_done = retired(ground.keyring, key_id, to) is None
    if dry_run or (is_done and to != "destroyed"):
        return needs
    refuse_read_only(ground)
    if not is_done:
        _refuse_needed(key_id, needs, leaked=leaked, give_up=give_up)

    def step(keyring: Keyring) -> Keyring | None:
        nonlocal needs
        newer = retired(keyring, key_id, to)
        if newer is not None:
            # Counted once more, where nobody can change keys: meanwhile it may have been promoted, have signed every
            # row, and have been replaced. Rows under a key that is gone would be lost, and the store with them.
            needs = next(key for key in listed(ground) if key.id == key_id).needs
            _refuse_needed(key_id, needs, leaked=leaked, give_up=give_up)
            ground.audit.record("key_retired", key_id=key_id, status=to, sessions_lost=needs.sessions)
        return newer

    changed = not is_done and ground.keys.change(step, ground.ledger.generations.follow)
    if to == "destroyed" and not changed:
        # Whoever destroyed it may have died before its bytes were gone from where they are kept.
        ground.keys.drop_destroyed()
    return needs


def _refuse_needed(key_id: str, needs: KeyNeeds, *, leaked: bool, give_up: bool) -> None:
    if needs.rows or (needs.sessions and not leaked):
        hint = "run `sessionstore keys rotate --finish`; it names each session that is left, with the reason"
        raise KeyInUseError(key_id=key_id, needs=str(needs), hint=hint)
    if needs.any and not (leaked or give_up):
        hint = "none of it can be verified without the key; give it up with --give-up"
        raise KeyInUseError(key_id=key_id, needs=str(needs), hint=hint)


def sealed_heads(ground: Ground) -> list[Head]:
    """Heads that name a seal which has to stay good."""
    return [head for head in ground.ledger.heads(states=("creating", "live", "deleting")) if head.tag]


def signer(head: Head) -> str:
    """Id of the key of the seal that a head names."""
    return head.tag[4:20]


def refuse_read_only(ground: Ground) -> None:
    """Return if the store may be changed.

    Raises:
        StoreUnavailableError: It was opened read-only.
    """
    if ground.read_only:
        raise StoreUnavailableError(reason="this store was opened read-only", outcome="not_written")


def _stray_signers(ground: Ground) -> Iterator[str]:
    """The key of each sealed file that no session stands for."""
    # A head that names a revision without a seal does not stand for its file.
    heads = ground.ledger.heads(states=("creating", "live", "deleting"))
    known = {head.session_id for head in heads if head.tag or head.state != "live"}
    for name, stamp in ground.backend.scan():
        if stamp is None or not name.endswith(_SUFFIX) or name.removesuffix(_SUFFIX) in known:
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
