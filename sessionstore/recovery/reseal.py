"""A session written anew on top of its head, under the present key: how an older state becomes the newest one.

The new file's first seal names the seal that the ledger knows, and its revision is above every revision that was ever
known. So it is accepted after a kill between file and head, it can be taken for no earlier state, and every other copy
of the session is a rollback or a fork from then on.

Nothing is saved by this, so the session keeps the time of its last save, and with it its place in lists and its age for
`cleanup`. Only if the ledger knows a later time, the new one is later still: `updated_at` never goes back.
"""

from __future__ import annotations

from collections.abc import Iterator

from sessionstore.edits import StoreEdits
from sessionstore.format.lines import ENTRY, OPEN, State, read_lines, state_line
from sessionstore.format.log import Batch, summarised
from sessionstore.model import format_time, next_time, parse_time
from sessionstore.sessions import Ground, Reader
from sessionstore.sessions.ground import file_name
from sessionstore.sessions.look import Found


def reseal(edits: StoreEdits, found: Found, rev: int) -> int:
    """Write what `found` holds as a new file from revision `rev` on; the revision it has then.

    The caller holds the session's lock, and has written down why. Everything is verified once more on the way.

    Raises:
        InvalidSignatureError: It is not what its last seal commits; nothing was written.
        TooLargeError: It does not fit under the cap any more.
        StoreUnavailableError: See its `outcome`.
    """
    ground, head, seal = edits._ground, found.head, found.sealed.seal
    state = edits._reader.state(found)
    updated_at, known_at = seal.updated_at, parse_time(head.updated_at)
    if parse_time(updated_at) < known_at:
        updated_at = format_time(next_time(ground.now(), known_at))
    batch = Batch(
        ground.sealer(head.session_id),
        None,
        summarised(seal, None, updated_at),
        max_session_bytes=ground.config.max_session_bytes,
        idempotency_key=seal.idempotency_key,
        first_rev=rev,
        replaces=head.tag or found.sealed.signature,
    )
    edits._writer.logs.forget(head.session_id)
    lines = _lines(ground, edits._reader, found, state)
    stamp = ground.backend.write(file_name(head.session_id), batch.chunks(lines), replace=True)
    anchored, _ = edits._writer.anchor(batch.sealed, stamp, head, durable=True)
    return anchored.rev


def _lines(ground: Ground, reader: Reader, found: Found, state: State) -> Iterator[bytes]:
    """The open line, the whole state as one line, and the entries as they stand."""
    for segment in reader.segments(found):
        for line in read_lines(segment.body):
            if line.startswith(OPEN):
                yield line + b"\n"
                yield state_line(state.as_change(), max_bytes=ground.config.max_session_bytes)
            elif line.startswith(ENTRY):
                yield line + b"\n"
