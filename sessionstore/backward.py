"""The newest of a session first, at the price of what is taken: its entries, and the keys of its saves.

A file that is as the ledger last saw it (inode, size, both times) is read from its last seal back, each segment
verified before it is decoded. Any other file is verified as a whole first: what was written past the store is refused
here too, wherever it was written.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from sessionstore.format.backward import segments_back
from sessionstore.format.chain import Unchained
from sessionstore.format.log import Content
from sessionstore.format.seal import bound_seal
from sessionstore.model import check_id, check_key
from sessionstore.sessions import Reader, Unsigned
from sessionstore.sessions.ground import stamp_of
from sessionstore.sessions.judge import damaged
from sessionstore.sessions.look import Found


def newest_entries(reader: Reader, session_id: str) -> Generator[dict[str, Any], None, None]:
    """Yield the entries of the session as it is at the first step, the newest first.

    Raises:
        SessionNotFoundError, VerificationError, StoreUnavailableError: As `Reader.load`; those yielded before are good.
    """
    found = reader.seen(session_id)
    if isinstance(found, Unsigned):
        yield from reversed(found.read().entries)
        return
    with closing(found.log):
        for body, line_before in _segments(reader, found):
            content = Content()
            content.add_body(body, is_first=not line_before)
            yield from reversed(content.entries)


def revision_saved_under(reader: Reader, session_id: str, idempotency_key: str) -> int | None:
    """Revision of the newest save with this key, None if the file tells of none. Errors as `newest_entries`."""
    check_key(idempotency_key)
    found = reader.seen(check_id(session_id))
    if isinstance(found, Unsigned):
        return None
    with closing(found.log):
        seal = found.sealed.seal
        for _, line_before in _segments(reader, found):
            if seal.idempotency_key == idempotency_key:
                return seal.rev
            if line_before:
                seal = bound_seal(line_before).seal
    return None


def _segments(reader: Reader, found: Found) -> Iterator[tuple[bytes, bytes]]:
    """Yield the segments of the log as `segments_back` does.

    Raises:
        VerificationError: They are not what was saved.
    """
    if found.stamp != stamp_of(found.head):
        reader.verify(found)
    try:
        yield from segments_back(found.log.read, found.sealed)
    except Unchained:
        reader.verify(found)  # says where, and puts it on record
        raise damaged(found.head.session_id, None) from None
