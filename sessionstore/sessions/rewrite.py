"""Writing a session anew: shorter, compacted, or without its secrets.

A rewrite is a whole new file that names the seal it replaces -> atomic replace -> head. The revision goes on counting;
open line and provenance stay. Lines that stay are taken over as they stand, verified on the way, and the state becomes
one line: what it was before is in the old file only.

A redaction also removes what else holds the old bytes here, and says what it does not reach. It is written into the
audit log first, and not done while the session runs. Doing it again is safe, also after a crash half way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing

from msgspec import UNSET
from msgspec.structs import replace

from sessionstore.errors import ConflictError, InvalidValueError, StoreError
from sessionstore.format.lines import (
    ENTRY,
    OPEN,
    State,
    StateChange,
    entry_line,
    read_lines,
    state_line,
)
from sessionstore.format.log import Batch
from sessionstore.ledger import Head, HeadState, scrub
from sessionstore.model import Redaction, check_id
from sessionstore.redaction import Redactor
from sessionstore.sessions.edit import Edit, refuse_beyond
from sessionstore.sessions.ground import Ground, file_name
from sessionstore.sessions.look import Found
from sessionstore.sessions.opened import Ready
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import Unsigned
from sessionstore.sessions.write import Writer
from sessionstore.storage import Purged

COMPACT_BYTES = 1024 * 1024

_THERE: tuple[HeadState, ...] = ("creating", "live", "deleting")
_EVER: tuple[HeadState, ...] = (*_THERE, "deleted")

UNREACHED = (
    "backups, snapshots and copies of this store",
    "blocks of the disk that were freed and not written over",
    "documents that were exported, and whatever has read the session",
    "the memory of other processes",
)


class Rewriter:
    """Rewrites the sessions of one store. Safe for many threads and processes."""

    def __init__(self, ground: Ground, reader: Reader, writer: Writer) -> None:
        self._ground = ground
        self._reader = reader
        self._writer = writer

    def rewrite(
        self, session_id: str, *, keep: int | None = None, drop: int = 0, expected_rev: int | None = None
    ) -> int:
        """Write the session anew with its first `keep` entries (None: all) but the last `drop`, in few seals.

        Returns:
            The new revision; it grows by one for every MiB.

        Raises:
            ConflictError: The session is not at `expected_rev`.
            InvalidValueError: It has fewer than `keep` or `drop` entries.
        """
        check_id(session_id)
        with self._ground.locked(session_id), closing(self._writer.logs.ready(session_id)) as ready:
            ready.expect(expected_rev)
            first = (ready.head.entries if keep is None else keep) - drop
            if drop < 0 or not 0 <= first <= ready.head.entries:
                what = "entries to remove" if drop else "entries to keep"
                raise InvalidValueError(what=what, reason=f"0 to {ready.head.entries} are possible")
            return self._write(ready, Edit(first))

    def reseal(self, session_id: str) -> None:
        """Write the session anew as it is, under the primary key. Its time stays what it was: nothing was saved."""
        with self._ground.locked(session_id), closing(self._writer.logs.ready(session_id)) as ready:
            self._write(ready, Edit(ready.head.entries), saves=False)

    def compact(self, session_id: str) -> bool:
        """Rewrite the session if its seals are over a third of it and over 1 MiB; whether that was done.

        Raises:
            ConflictError: It was saved meanwhile; there is no harm in trying again.
        """
        found = self._reader.seen(session_id)
        if isinstance(found, Unsigned):
            return False
        with closing(found.log):
            seals = sum(len(segment.sealed.line) for segment in self._reader.segments(found))
        if seals <= max(COMPACT_BYTES, found.sealed.end // 3):
            return False
        self.rewrite(session_id, expected_rev=found.sealed.seal.rev)
        return True

    def redact(
        self,
        session_id: str,
        make: Callable[[], Redactor],
        *,
        blank: Collection[int] = (),
        expected_rev: int | None = None,
        dry_run: bool = False,
    ) -> Redaction:
        """Take secrets out of a session for good.

        Args:
            session_id: Which.
            make: Makes the funnel that entries and state go through.
            blank: Indexes of entries whose whole content goes.
            expected_rev: Refuse if the session is at another revision.
            dry_run: Count and name, change nothing.

        Raises:
            AlreadyRunningError: Somebody runs it.
            ConflictError: It is not at `expected_rev`.
            InvalidValueError: There is no entry with such an index.
            TooLargeError: What stands for the secrets makes an entry or the session too large.
        """
        ground, backend = self._ground, self._ground.backend
        check_id(session_id)
        if dry_run:
            found = self._reader.seen(session_id)
            if isinstance(found, Unsigned):
                return self._rehearsed(found, make(), blank, expected_rev)
            with closing(found.log):
                if expected_rev not in (None, found.sealed.seal.rev):
                    raise ConflictError(session_id=session_id, expected=expected_rev, found=found.sealed.seal.rev)
                counted = self._counted(found, make(), blank)
                purged = backend.purge(session_id, dry_run=True)
                return self._report(found.head, counted, purged, found.sealed.seal.rev, found.log.notices)
        with backend.at_rest(session_id), ground.locked(session_id):
            notices = self._notices(session_id)
            with closing(self._writer.logs.ready(session_id)) as ready:
                ready.expect(expected_rev)
                found = self._reader.find(session_id)
                with closing(found.log):
                    counted = self._counted(found, make(), blank)
                # Before anything is lost: what cannot be written down is not done.
                ground.audit.record(
                    "redaction", session_id=session_id, entries=counted.entries, found=sum(counted.found.values())
                )
                rev = self._write(ready, Edit(ready.head.entries, make(), blank))
            report = self._report(found.head, counted, backend.purge(session_id), rev, notices)
        try:
            scrub(ground.ledger)
        except StoreError as error:
            unfinished = (*report.unfinished, f"free pages of the ledger: {error}")
            return replace(report, unfinished=unfinished)
        return report

    def _rehearsed(
        self, unsigned: Unsigned, redactor: Redactor, blank: Collection[int], expected_rev: int | None
    ) -> Redaction:
        """What redacting a session that is not signed yet would take out: that signs it first."""
        session_id, backend = unsigned.session_id, self._ground.backend
        if expected_rev not in (None, 0):
            raise ConflictError(session_id=session_id, expected=expected_rev, found=0)
        old = unsigned.read()
        refuse_beyond(blank, len(old.entries))
        edit = Edit(len(old.entries), redactor, blank)
        edit.state(old.state)
        for index, entry in enumerate(old.entries):
            edit.entry(index, entry_line(entry, max_bytes=self._ground.config.max_entry_bytes)[:-1])
        purged = backend.purge(session_id, dry_run=True)
        return self._report(unsigned.head(), edit, purged, 0, ())

    def _counted(self, found: Found, redactor: Redactor, blank: Collection[int]) -> Edit:
        """The edit after it went through everything once, for its counts."""
        seal = found.sealed.seal
        refuse_beyond(blank, seal.entries)
        edit = Edit(seal.entries, redactor, blank)
        for _ in self._lines(found, edit, edit.state(self._reader.state(found))):
            pass
        return edit

    def _notices(self, session_id: str) -> Collection[str]:
        """What is to be said of the file as it is: whoever opens it to write mends it."""
        with ExitStack() as opened:
            log = self._ground.backend.open(file_name(session_id))
            return () if log is None else opened.enter_context(closing(log)).notices

    def _report(self, head: Head, edit: Edit, purged: Purged, rev: int, notices: Collection[str]) -> Redaction:
        taken = edit.found
        unreached = [
            f"session {other}, which comes from the same conversation by fork or import, and has entries of its own"
            for other in _relatives(head.session_id, self._ground.ledger.heads(states=_EVER))
        ]
        if edit.fits(head.key, head.origin, head.project):
            unreached.append("its key, its origin or the path of its project, which fit and cannot be changed")
        if edit.kept:
            unreached.append(f"{edit.kept} ids, roles, types or times that a pattern fits, which stay")
        if "several_links" in notices:
            unreached.append("another name (hard link) of the old file, wherever it is")
        return Redaction(
            session_id=head.session_id,
            rev=rev,
            entries=edit.entries,
            found=taken,
            purged=purged.removed,
            unfinished=purged.left,
            unreached=(*unreached, *UNREACHED),
        )

    def _write(self, ready: Ready, edit: Edit, *, saves: bool = True) -> int:
        """Put the edited session in the place of the old one. The caller holds the write lock."""
        ground, session_id = self._ground, ready.head.session_id
        found = self._reader.find(session_id)
        with closing(found.log):
            state = self._reader.state(found)
            edited = edit.state(state)
            change = StateChange(
                name=UNSET if edited.name == state.name else edited.name,
                tags=UNSET if edited.tags == state.tags else edited.tags,
            )
            batch = Batch(
                ground.sealer(session_id),
                None,
                self._writer.summary(ready, change) if saves else ready.sealed.seal,
                max_session_bytes=ground.config.max_session_bytes,
                idempotency_key=edit.clean(ready.head.last_key),
                first_rev=ready.head.rev + 1,
                replaces=ready.head.tag,
            )
            chunks = batch.chunks(self._lines(found, edit, edited))
            stamp = ground.backend.write(file_name(session_id), chunks, replace=True)
        head, _ = self._writer.anchor(batch.sealed, stamp, ready.head, durable=True)
        return head.rev

    def _lines(self, found: Found, edit: Edit, state: State) -> Iterator[bytes]:
        """The open line, the whole state as one line, and the entries that stay, verified on the way."""
        config = self._ground.config
        index = 0
        for segment in self._reader.segments(found):
            for line in read_lines(segment.body):
                if line.startswith(OPEN):
                    yield line + b"\n"
                    yield state_line(state.as_change(), max_bytes=config.max_session_bytes)
                elif line.startswith(ENTRY):
                    if index < edit.keep:
                        new = edit.entry(index, line)
                        yield line + b"\n" if new is None else entry_line(new, max_bytes=config.max_entry_bytes)
                    index += 1


def _relatives(session_id: str, heads: Collection[Head]) -> list[str]:
    """The sessions that are there and connected with this one by parents and origins, however far, in order of `heads`.

    Deleted ones connect too: what they passed on is still there. An origin may be the id of a session here.
    """
    connected: dict[str, set[str]] = {}
    for head in heads:
        for other in (head.parent, head.origin):
            if other is not None:
                connected.setdefault(head.session_id, set()).add(other)
                connected.setdefault(other, set()).add(head.session_id)
    seen, ahead = {session_id}, [session_id]
    while ahead:
        new = connected.get(ahead.pop(), set()) - seen
        seen |= new
        ahead += new
    seen.remove(session_id)
    return [head.session_id for head in heads if head.state in _THERE and head.session_id in seen]
