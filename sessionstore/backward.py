"""The newest entries of a session first, at the price of what is taken.

A file that is as the ledger last saw it (inode, size, both times) is read from its last seal back, each segment
verified before it is decoded. Any other file is verified as a whole first: what was written past the store is refused
here too, wherever it was written.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

from sessionstore.format.backward import segments_back
from sessionstore.format.chain import Unchained
from sessionstore.format.log import Content
from sessionstore.sessions import Reader, Unsigned
from sessionstore.sessions.ground import stamp_of
from sessionstore.sessions.judge import damaged


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
        if found.stamp != stamp_of(found.head):
            reader.verify(found)
        try:
            for body, is_first in segments_back(found.log.read, found.sealed):
                content = Content()
                content.add_body(body, is_first=is_first)
                yield from reversed(content.entries)
        except Unchained:
            reader.verify(found)  # says where, and puts it on record
            raise damaged(session_id, None) from None
