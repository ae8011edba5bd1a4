"""Reading on: what was saved since the last look, verified, at the price of the new bytes.

A reader that comes back again and again, such as an adapter that holds what it has read in memory, goes on behind the
seal that it verified last. The new bytes are verified as ever: each segment continues that seal's chain. The old bytes
are not read again while the log's stamp is the one that the ledger explains, which is what a writer goes by too.

Everything is read again, and verified from the first byte, where that does not hold: the log was written anew,
something touched it, or its new end does not continue what was read.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import msgspec

from sessionstore.errors import KeyringError
from sessionstore.format.lines import State
from sessionstore.format.log import Content, walk
from sessionstore.format.seal import Broken, Sealed
from sessionstore.model import check_id
from sessionstore.sessions import Ground, Reader
from sessionstore.sessions.ground import file_name, stamp_of
from sessionstore.sessions.look import Found
from sessionstore.storage import Stamp


class Reading(msgspec.Struct, frozen=True):
    """What one look at a session gave. Hand it in at the next look to get only what came since.

    Attributes:
        session_id: Of which session.
        entries: The new entries, in order; all of them if `is_whole`.
        is_whole: Whether `entries` begin with the first: forget what earlier readings gave.
        config: The session's configuration as it is now.
        sealed: The seal that the reading ended with.
        stamp: The log's stamp at that moment.
    """

    session_id: str
    entries: tuple[dict[str, Any], ...]
    is_whole: bool
    config: dict[str, Any]
    sealed: Sealed
    stamp: Stamp

    @property
    def rev(self) -> int:
        """The revision that was read."""
        return self.sealed.seal.rev

    @property
    def size_bytes(self) -> int:
        """Size of the session up to there, seals included."""
        return self.sealed.end


def follow(ground: Ground, reader: Reader, session_id: str, after: Reading | None) -> Reading:
    """See `SessionStore.follow`."""
    check_id(session_id)
    if after is None or after.session_id != session_id:
        found = reader.settled(session_id)
        with closing(found.log):
            return _whole(reader, found)
    head = ground.ledger.head(session_id)
    live = head is not None and head.state == "live" and head.tag == after.sealed.signature
    if live and ground.backend.stamp(file_name(session_id)) == after.stamp:
        return msgspec.structs.replace(after, entries=(), is_whole=False)
    # No writer is half way while the lock is held, so the log ends where the head says.
    with ground.locked(session_id, shared=True):
        found = reader.find(session_id)
    with closing(found.log):
        return _further(ground, found, after) or _whole(reader, found)


def _whole(reader: Reader, found: Found) -> Reading:
    content, sealed = reader.content(found)
    entries = tuple(content.entries)
    return Reading(found.head.session_id, entries, True, content.state.config, sealed, found.stamp)


def _further(ground: Ground, found: Found, after: Reading) -> Reading | None:
    """The reading that continues `after`; None if everything has to be read."""
    before = after.sealed
    if found.stamp != stamp_of(found.head) or found.log.read(before.seal.at, len(before.line)) != before.line:
        return None
    content, last = Content(before.seal.entries), before
    content.state = State(config=after.config)
    try:
        for segment in walk(ground.sealer(after.session_id), found.log.read, previous=before, end=found.sealed.end):
            content.add(segment)
            last = segment.sealed
    except (Broken, KeyringError):
        return None  # reading the whole finds the place, says it, and puts it on record
    if last.signature != found.sealed.signature:
        return None
    return Reading(after.session_id, tuple(content.entries), False, content.state.config, last, found.stamp)
