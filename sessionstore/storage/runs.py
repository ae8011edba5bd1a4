"""Who runs which session: a kernel lock a session, and beside it a note for people.

Rules:

* The lock alone decides. It is the file `<session id>.run` among the locks; see `sessionstore.fs.claim`.
* Whoever has it writes the note `<session id>.json` into a directory of its own and removes it before letting go. So a
  list of what runs looks at a directory that is nearly always empty, and asks for the locks of these few names only.
* A note without an owner was left by a killed process. Whoever comes upon it removes it, holding the lock shared, so
  that no new owner can be writing its own.
* What a note says is taken if it is exactly what a holder writes, else it says nothing; a lie in it misleads a person
  at most.

Not promised: that a session whose note somebody removed by hand is listed as running; that it is not run twice after
somebody of the same user renamed or removed its lock file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from sessionstore.errors import AlreadyRunningError, UnsafeFileError
from sessionstore.fs import Claims, Directory, Notes
from sessionstore.model import format_time, parse_time
from sessionstore.model.ids import is_id
from sessionstore.storage.protocol import Holder

_MAX_NOTE_BYTES = 256
_MAX_PID = 2**31 - 1
_SUFFIX = ".json"
_NOBODY = Holder()


class FileRuns:
    """The runs of one store, between threads and processes.

    Args:
        locks: The directory of the lock files.
        notes: The directory of the notes, which holds nothing else.
        read_only: Make and remove nothing, for looking only.

    The directories stay the caller's to close.
    """

    def __init__(self, locks: Directory, notes: Directory, *, read_only: bool = False) -> None:
        self._claims = Claims(locks, make=not read_only)
        self._notes = Notes(notes)
        self._read_only = read_only

    @contextmanager
    def run(self, session_id: str, holder: Holder) -> Iterator[None]:
        """Hold the session as running; see the protocol.

        In a forked child the block goes on without holding anything, and leaving it does nothing.

        Raises:
            AlreadyRunningError: Somebody runs it.
            StoreUnavailableError: The lock cannot be had for another reason, or the note cannot be written.
            UnsafeFileError: What has the lock file's name is no file of ours.
        """
        claim = self._claims.take(f"{session_id}.run")
        if claim is None:
            raise self._refusal(session_id)
        try:
            self._notes.put(session_id + _SUFFIX, msgspec.json.encode(holder))
            yield
        finally:
            if claim.is_ours:
                self._notes.remove(session_id + _SUFFIX)
                claim.release()

    @contextmanager
    def at_rest(self, session_id: str) -> Iterator[None]:
        """Keep the session from being run meanwhile; see the protocol. Errors as `run`."""
        claim = self._claims.take(f"{session_id}.run", shared=True)
        if claim is None:
            raise self._refusal(session_id)
        try:
            yield
        finally:
            claim.release()

    def running(self) -> dict[str, Holder]:
        """The sessions that are run right now; see the protocol.

        Raises:
            StoreUnavailableError: The kernel refused.
        """
        found = {}
        for name in self._notes.names():
            session_id = name.removesuffix(_SUFFIX)
            if session_id == name or not is_id(session_id):
                continue
            try:
                claim = self._claims.take(f"{session_id}.run", shared=True)
            except UnsafeFileError:
                continue  # nobody can have a lock on it, and one odd file must not keep the others from being listed
            if claim is None:
                found[session_id] = self._holder(session_id)
                continue
            try:
                if not self._read_only:
                    self._notes.remove(name)
            finally:
                claim.release()
        return found

    def _refusal(self, session_id: str) -> AlreadyRunningError:
        holder = self._holder(session_id)
        return AlreadyRunningError(session_id=session_id, pid=holder.pid, started_at=holder.started_at)

    def _holder(self, session_id: str) -> Holder:
        data = self._notes.read(session_id + _SUFFIX, _MAX_NOTE_BYTES)
        return _NOBODY if data is None else read_note(data)


def read_note(data: bytes) -> Holder:
    """What a note says, if it is byte for byte what `run` writes for a possible holder; else a holder unknown."""
    try:
        holder = msgspec.json.decode(data, type=Holder)
        is_time = format_time(parse_time(holder.started_at)) == holder.started_at
    except (msgspec.MsgspecError, ValueError):
        return _NOBODY
    return holder if is_time and 0 < holder.pid <= _MAX_PID and msgspec.json.encode(holder) == data else _NOBODY
