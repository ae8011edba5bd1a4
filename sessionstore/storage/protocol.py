"""What a storage backend promises: append-only byte logs with compare-and-append, and locks beside them.

A backend moves bytes. It knows no seals, no keys and no JSON, and nothing it says is trusted: names, sizes and times
are hints, and every byte it returns is verified above it.

The contract:

* A name is a session id with a suffix, checked by the caller; two names are equal only if their bytes are.
* `append` writes at exactly the offset given and nowhere else, and what it returned for is durable.
* `write` is atomic: a reader sees the old bytes or the new ones, also after a crash, never a part.
* A missing name is None (`open`) or nothing (`delete`), never an error.
* `scan` gives names in no particular order.
* Two locks belong to a session: one for writing, and one that is held while the session runs. Both are freed when the
  process that has them dies, however it dies; a forked child has neither. Who needs both takes the run's first.
* Every failure leaves as `StoreUnavailableError`, `UnsafeFileError` or `AlreadyExistsError`; a name that can be none as
  `InvalidValueError`.

All objects here may be used from several threads; the locks order them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import msgspec


class Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody who runs a session wrote down: for people. Nothing may depend on it, the lock alone decides.

    Attributes:
        pid: Process id, 0 if unknown. Containers and reboots use the same numbers again.
        started_at: When the run began, RFC 3339 text of 27 characters, "" if unknown.
    """

    pid: int = 0
    started_at: str = ""


class Stamp(NamedTuple):
    """Which bytes a log holds, as far as the backend can tell without reading them.

    Two equal stamps mean that nobody wrote through the ordinary ways in between. It saves work, it proves nothing.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Purged(NamedTuple):
    """What a purge came upon, by names for people.

    Attributes:
        removed: What was removed, or would be in a dry run.
        left: What could not be removed.
    """

    removed: tuple[str, ...]
    left: tuple[str, ...] = ()


class Log(Protocol):
    """One opened byte log. It stays the same log when its name is given to another."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What was odd about it when it was opened: `several_links`, `loose_mode`."""
        ...

    def stamp(self) -> Stamp:
        """The stamp now, from the opened log."""
        ...

    def current_stamp(self) -> Stamp | None:
        """`stamp`, if the name it was opened under still leads to this log and is its only one; None otherwise."""
        ...

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`, fewer only at the end."""
        ...

    def append(self, offset: int, chunks: Iterable[bytes]) -> Stamp:
        """Write `chunks` at `offset`, which must be the end of the log, sync once, return the stamp after it.

        Raises:
            StoreUnavailableError: `not_written`: the log is as it was (cut back to `offset`). `unknown`: the sync or
                the cutting back failed; the log must be closed and not used again.

        Whatever iterating `chunks` raises passes through, after the log was cut back.
        """
        ...

    def cut(self, offset: int) -> None:
        """Drop every byte from `offset` on, durably.

        Raises:
            StoreUnavailableError: `not_written`: nothing was dropped. `unknown`: the sync failed, as in `append`.
        """
        ...

    def close(self) -> None:
        """Release the log. Calling it again does nothing."""
        ...


class Backend(Protocol):
    """Where logs live. See the module for the contract."""

    def open(self, name: str, *, writable: bool = False) -> Log | None:
        """The log of that name, or None."""
        ...

    def write(self, name: str, chunks: Iterable[bytes], *, replace: bool) -> Stamp:
        """Make or replace the whole log atomically and durably; with `replace=False` an existing name is refused.

        Raises:
            AlreadyExistsError: `replace` is false and the name is taken.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove the name durably."""
        ...

    def scan(self) -> Iterator[tuple[str, Stamp | None]]:
        """Every name with its stamp, None for what is not an ordinary file of ours (shown, never opened)."""
        ...

    def names_token(self) -> object | None:
        """Something that changes whenever a name comes or goes; None while the last change is too recent to tell."""
        ...

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of a name without opening it; None if it is missing or no ordinary file of ours."""
        ...

    def lock(self, session_id: str, *, shared: bool = False, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the lock for writing a session.

        Raises:
            StoreUnavailableError: `not_written`: not had within `timeout_s` seconds.
        """
        ...

    def run(self, session_id: str, holder: Holder) -> AbstractContextManager[None]:
        """Hold the session as running; `holder` is what others are told. It may be left in another thread.

        Raises:
            AlreadyRunningError: Somebody runs it: another process, another thread or this one. Nobody is waited for.
            StoreUnavailableError: `not_written`: others kept it `at_rest` for more than two seconds, or the store
                refused.
        """
        ...

    def at_rest(self, session_id: str) -> AbstractContextManager[None]:
        """Keep the session from being run meanwhile. Several may do so at once.

        Raises:
            AlreadyRunningError: Somebody runs it, as with `run`.
        """
        ...

    def running(self) -> dict[str, Holder]:
        """The sessions that are run right now, by id, each with what its holder wrote down. Costs next to nothing."""
        ...

    def keep(self, name: str, chunks: Iterable[bytes]) -> str:
        """Put bytes that are no session into quarantine under a name derived from `name`; return where, for people."""
        ...

    def purge(self, session_id: str, *, dry_run: bool = False) -> Purged:
        """Remove what else holds bytes of a session: all files of its id but the log, and what dead writers left.

        Whoever calls it holds the session's lock for writing. In a dry run nothing is removed, only named.
        """
        ...

    def search_kept(self, text: bytes) -> int:
        """How many of the files in quarantine hold `text`. Makes nothing."""
        ...

    def retire(self, name: str) -> str | None:
        """Move a log out of the way to the retired ones, atomically and durably; return where, for people.

        It replaces nothing there: of a name that was retired before, both stay. None if the name is missing.
        """
        ...

    def drop_retired(self, name: str) -> None:
        """Remove, durably, everything that was retired under that name."""
        ...
