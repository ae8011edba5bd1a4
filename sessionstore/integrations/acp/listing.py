"""A page of `session/list`: the sessions that have a project, the broken ones among them.

None is left out in silence: whoever does not find his session begins a new one. A session whose file is broken is named
by its signed record. One whose record was taken away has no name any more, so the list is refused.
"""

from __future__ import annotations

import asyncio
import os

from acp.schema import ListSessionsResponse, SessionInfo  # pyright: ignore[reportMissingImports]

from sessionstore.aio import AsyncSessionStore
from sessionstore.errors import LedgerCorruptError
from sessionstore.integrations.acp.working_directory import check_absolute
from sessionstore.model import SessionSummary, format_time
from sessionstore.model.ids import is_id

PAGE = 50


async def page_of(store: AsyncSessionStore, cwd: str | None, cursor: str | None) -> ListSessionsResponse:
    """The page behind `cursor`, newest first; with `cwd` only sessions of that directory, whatever its spelling.

    Raises:
        InvalidValueError: `cwd` is not absolute, or the cursor none of ours.
        LedgerCorruptError: Records of sessions were taken away.
    """
    spellings: tuple[str, ...] = ()
    if cwd is not None:
        check_absolute(cwd)
        spellings = (cwd, await asyncio.to_thread(os.path.realpath, cwd))
    page = await store.list(project=cwd, limit=PAGE, cursor=cursor)
    if any(broken.code == LedgerCorruptError.code for broken in page.unreadable):
        await store.keys()  # raises it
    found = [_info(line) for line in page.sessions]
    listed = {line.id for line in page.sessions}
    for name, code in {line.name: line.code for line in page.unreadable if is_id(line.name)}.items():
        record = await store.recorded(id=name)
        if record is not None and name not in listed and (cwd is None or record.project in spellings):
            found.append(_info(record, code=code))
    return ListSessionsResponse(sessions=[info for info in found if info is not None], next_cursor=page.next_cursor)


def _info(line: SessionSummary, code: str | None = None) -> SessionInfo | None:
    """What the protocol's list says of a session, None for one without a project."""
    if line.project is None:
        return None
    meta = None if code is None else {"sessionstore": {"code": code}}
    return SessionInfo(
        session_id=line.id,
        cwd=line.project,
        title=line.name,
        updated_at=format_time(line.updated_at),
        field_meta=meta,
    )
