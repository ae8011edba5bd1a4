"""Putting other entries in the place of all that a session has, in one step: for who keeps a log and compacts it.

It is a rewrite like `rewind`: a whole new file that names the seal it takes the place of, atomic replace, then the
head. The revision goes on counting; the open line, the provenance and the state stay. The old bytes are verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from sessionstore.errors import ConflictError
from sessionstore.format.lines import State, read_lines, state_line
from sessionstore.format.log import Batch
from sessionstore.model import check_id
from sessionstore.sessions import Ground, Reader, Writer
from sessionstore.sessions.ground import file_name, head_after
from sessionstore.sessions.look import Found


def replace(
    ground: Ground, reader: Reader, writer: Writer, session_id: str, lines: list[bytes], *, expected_rev: int | None
) -> int:
    """Write the session anew with `lines` as its entries; the new revision. See `SessionStore.replace`."""
    check_id(session_id)
    with ground.locked(session_id), closing(writer.ready(session_id)) as ready:
        if expected_rev is not None and expected_rev != ready.head.rev:
            raise ConflictError(session_id=session_id, expected=expected_rev, found=ready.head.rev)
        found = reader.find(session_id)
        with closing(found.log):
            state = reader.state(found)
            batch = Batch(
                ground.sealer(session_id),
                None,
                writer.summary(ready),
                max_session_bytes=ground.config.max_session_bytes,
                idempotency_key=ready.head.last_key,
                first_rev=ready.head.rev + 1,
                replaces=ready.head.tag,
            )
            head_lines = _head_lines(reader, found, state, max_bytes=ground.config.max_session_bytes)
            chunks = batch.chunks((*head_lines, *lines))
            stamp = ground.backend.write(file_name(session_id), chunks, replace=True)
        head = head_after(ready.head, batch.sealed, stamp)
        writer.commit(head, ready.head, durable=True)
        return head.rev


def _head_lines(reader: Reader, found: Found, state: State, *, max_bytes: int) -> Iterator[bytes]:
    """The open line as it stands, and the whole state as one line."""
    first = next(iter(reader.segments(found)))
    opened = next(read_lines(first.body))
    yield opened + b"\n"
    yield state_line(state.as_change(), max_bytes=max_bytes)
