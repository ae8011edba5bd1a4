"""Unsigned files of format version 1: which of them were here when the store began, and what each one is now.

The inventory is taken once, when a data directory is first opened: name and SHA-256 digest of every unsigned file,
MACed in the ledger. It is what makes a downgrade fail: a file that was not in it cannot have been here before signing.
This release lists such files and does not read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from sessionstore.errors import (
    LegacyModifiedError,
    SignatureStrippedError,
    UnsafeFileError,
    UnsignedUnknownError,
    UnsupportedVersionError,
    VerificationError,
)
from sessionstore.ledger import Head, InventoryEntry
from sessionstore.model.ids import is_id
from sessionstore.sessions.ground import Ground
from sessionstore.storage import Backend

SUFFIX = ".json"
MAX_LEGACY_BYTES = 10 * 1024 * 1024
_STEP_BYTES = 1024 * 1024


def take_inventory(backend: Backend) -> Iterator[InventoryEntry]:
    """Yield an item for every unsigned file of a data directory: what is here now is taken as genuine."""
    for name, stamp in backend.scan():
        if stamp is None or not name.endswith(SUFFIX) or not is_id(name.removesuffix(SUFFIX)):
            continue
        digest = _digest(backend, name)
        if digest is not None:
            yield InventoryEntry(name=name, digest=digest, size=stamp.size, state="listed")


def unsigned_error(ground: Ground, session_id: str, head: Head | None) -> VerificationError | None:
    """The error for the unsigned file of this id, or None if there is none."""
    name = session_id + SUFFIX
    try:
        digest = _digest(ground.backend, name)
    except UnsafeFileError as error:
        return error
    if digest is None:
        return None
    if head is not None:
        return SignatureStrippedError(session_id=session_id)
    item = ground.ledger.inventory().get(name)
    if item is None:
        return UnsignedUnknownError(session_id=session_id)
    if item.digest != digest:
        return LegacyModifiedError(session_id=session_id)
    return UnsupportedVersionError(
        session_id=session_id,
        version=1,
        hint="the file is listed with its digest and left alone; open it with the tool that wrote it",
    )


def _digest(backend: Backend, name: str) -> str | None:
    """SHA-256 of a file in hex; None if it is missing, or longer than any file of version 1 may be."""
    log = backend.open(name)
    if log is None:
        return None
    try:
        digest, at = sha256(), 0
        if log.stamp().size > MAX_LEGACY_BYTES:
            return None
        while step := log.read(at, _STEP_BYTES):
            digest.update(step)
            at += len(step)
        return digest.hexdigest()
    finally:
        log.close()
