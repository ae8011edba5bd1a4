"""Moving a head to a seal, and what is done if keys were changed between the two.

A head only ever moves to a seal of the key that is primary at that moment; the ledger refuses any other. A writer whose
keyring was replaced while it wrote puts a seal of the new key behind its own: the lock is still its, and the chain goes
on from what it sealed itself, not from what stands in the file.
"""

from __future__ import annotations

from sessionstore.errors import KeyDisabledError, MissingError, StoreError, StoreUnavailableError
from sessionstore.format.log import Batch
from sessionstore.format.seal import Sealed
from sessionstore.ledger import Head
from sessionstore.sessions.ground import Ground, file_name, head_after
from sessionstore.storage import Log, Stamp


def anchor(
    ground: Ground,
    sealed: Sealed,
    stamp: Stamp,
    old: Head,
    *,
    log: Log | None = None,
    durable: bool = False,
    migrates: str | None = None,
) -> tuple[Head, Sealed]:
    """Move the head from `old` to a seal that is durable; the head, and the seal that it names.

    Args:
        ground: The store.
        sealed: The last seal of the log.
        stamp: The log's stamp after it.
        old: What stands in the ledger.
        log: The log, open to be written, if it is at hand.
        durable: Sync the ledger too.
        migrates: File name of the unsigned file that this ends: its entry is given up in the same transaction.

    Raises:
        StoreUnavailableError: `unknown`: the bytes are there, the head is behind.
    """
    while True:
        head = head_after(old, sealed, stamp)
        try:
            ground.ledger.commit(head, old=old, durable=durable, migrates=migrates)
            return head, sealed
        except StoreError as error:
            # Whoever comes next adopts the bytes. Cutting them back here could turn a commit that did reach the disk
            # into a false rollback alarm.
            raise StoreUnavailableError(reason=str(error), outcome="unknown") from error
        except KeyDisabledError:
            sealed, stamp = seal_anew(ground, log, old.session_id, sealed)


def seal_anew(ground: Ground, log: Log | None, session_id: str, sealed: Sealed) -> tuple[Sealed, Stamp]:
    """Put one seal of the primary key behind `sealed`, the end of the log; it says what `sealed` says.

    Raises:
        TooLargeError: It would bring the session over its cap.
        MissingError: The log is gone.
    """
    batch = Batch(
        ground.sealer(session_id),
        sealed,
        sealed.seal,
        max_session_bytes=ground.config.max_session_bytes,
        idempotency_key=sealed.seal.idempotency_key,
    )
    opened = log or ground.backend.open(file_name(session_id), writable=True)
    if opened is None:
        raise MissingError(session_id=session_id, head_rev=sealed.seal.rev)
    try:
        stamp = opened.append(sealed.end, batch.chunks(()))
    finally:
        if log is None:
            opened.close()
    return batch.sealed, stamp
