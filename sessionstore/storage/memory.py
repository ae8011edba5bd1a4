"""Logs in the memory of one process: for tests, and for sessions that need not outlive it.

Rules: it behaves as the file backend does, error for error, and `sessionstore.testing` holds both to that. Nothing is
durable, no other process sees it, and a forked child has its own copy.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sessionstore.errors import AlreadyExistsError, AlreadyRunningError, StoreUnavailableError
from sessionstore.fs import PATIENCE_S, check_name
from sessionstore.storage.names import check_log_name, is_beside
from sessionstore.storage.protocol import Holder, Purged, Stamp


class _Bytes:
    """What an inode is to a file: it stays the same when its name goes to another."""

    __slots__ = ("content", "inode", "time_ns")

    def __init__(self, inode: int, content: bytes) -> None:
        self.inode = inode
        self.content = bytearray(content)
        self.time_ns = time.time_ns()

    def touch(self) -> None:
        self.time_ns = max(time.time_ns(), self.time_ns + 1)

    def stamp(self) -> Stamp:
        return Stamp(self.inode, len(self.content), self.time_ns, self.time_ns)


class MemoryLog:
    """One opened log; see `sessionstore.storage.protocol.Log`."""

    __slots__ = ("_backend", "_bytes", "_name", "_writable")

    def __init__(self, backend: MemoryBackend, name: str, held: _Bytes, writable: bool) -> None:
        self._backend = backend
        self._name = name
        self._bytes: _Bytes | None = held
        self._writable = writable

    @property
    def notices(self) -> tuple[str, ...]:
        """Nothing is ever odd about bytes in memory."""
        return ()

    def stamp(self) -> Stamp:
        """The stamp now."""
        return self._opened().stamp()

    def current_stamp(self) -> Stamp | None:
        """The stamp, if the name still leads to this log."""
        held = self._opened()
        return held.stamp() if self._backend._logs.get(self._name) is held else None

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`, fewer only at the end."""
        return bytes(self._opened().content[start : start + size])

    def append(self, offset: int, chunks: Iterable[bytes]) -> Stamp:
        """Write at `offset`, the end; see the protocol."""
        data = b"".join(chunks)
        with self._backend._guard:
            held = self._changeable()
            if offset != len(held.content):
                raise self._unexpected(len(held.content), offset)
            held.content += data
            held.touch()
            return held.stamp()

    def cut(self, offset: int) -> None:
        """Drop every byte from `offset` on."""
        with self._backend._guard:
            held = self._changeable()
            if not 0 <= offset <= len(held.content):
                raise self._unexpected(len(held.content), offset)
            del held.content[offset:]
            held.touch()

    def close(self) -> None:
        """Release the log. Calling it again does nothing."""
        self._bytes = None

    def _opened(self) -> _Bytes:
        if self._bytes is None:
            raise StoreUnavailableError(reason=f"{self._name}: it is closed", outcome="not_written")
        return self._bytes

    def _changeable(self) -> _Bytes:
        held = self._opened()
        if not self._writable:
            raise StoreUnavailableError(reason=f"{self._name}: it is open for reading only", outcome="not_written")
        return held

    def _unexpected(self, size: int, offset: int) -> StoreUnavailableError:
        reason = f"{self._name}: it holds {size} bytes, {offset} were expected"
        return StoreUnavailableError(reason=reason, outcome="not_written")


class MemoryBackend:
    """Logs in memory; see `sessionstore.storage.protocol.Backend`. `kept` and `retired` is what was put aside."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.retired: dict[str, list[bytes]] = {}
        self._logs: dict[str, _Bytes] = {}
        self._inodes = itertools.count(1)
        self._forget()
        _instances.add(self)

    def _forget(self) -> None:
        # Also in a forked child: whoever held a lock in the parent is not here to free it.
        self._guard = threading.RLock()
        self._locks: dict[str, threading.Lock] = {}
        self._changed = threading.Condition()
        self._runs: dict[str, Holder] = {}
        self._resting: Counter[str] = Counter()

    def open(self, name: str, *, writable: bool = False) -> MemoryLog | None:
        """The log of that name, or None."""
        held = self._logs.get(check_log_name(name))
        return None if held is None else MemoryLog(self, name, held, writable)

    def write(self, name: str, chunks: Iterable[bytes], *, replace: bool) -> Stamp:
        """Make or replace the whole log."""
        check_log_name(name)
        data = b"".join(chunks)
        with self._guard:
            if not replace and name in self._logs:
                raise AlreadyExistsError(what="id")
            held = self._logs[name] = _Bytes(next(self._inodes), data)
            return held.stamp()

    def delete(self, name: str) -> None:
        """Remove the name; nothing happens if it is missing."""
        self._logs.pop(check_log_name(name), None)

    def scan(self) -> Iterator[tuple[str, Stamp | None]]:
        """Every name with its stamp, as they are now."""
        with self._guard:
            return iter([(name, held.stamp()) for name, held in self._logs.items()])

    def names_token(self) -> object | None:
        """The names themselves."""
        return frozenset(self._logs)

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of a name; None if it is missing."""
        held = self._logs.get(check_log_name(name))
        return None if held is None else held.stamp()

    @contextmanager
    def lock(self, session_id: str, *, shared: bool = False, timeout_s: float) -> Iterator[None]:
        """Hold the lock for writing among the threads of this process; `shared` ones wait for each other too."""
        with self._guard:
            mutex = self._locks.setdefault(check_name(session_id), threading.Lock())
        if not mutex.acquire(timeout=min(max(0.0, timeout_s), threading.TIMEOUT_MAX)):
            reason = f"{session_id}.write: locked by another thread of this process for more than {timeout_s:g} s"
            raise StoreUnavailableError(reason=reason, outcome="not_written")
        try:
            yield
        finally:
            mutex.release()

    @contextmanager
    def run(self, session_id: str, holder: Holder) -> Iterator[None]:
        """Hold the session as running among the threads of this process."""
        changed, runs, resting = self._changed, self._runs, self._resting
        with changed:
            self._refuse_running(check_name(session_id))
            if not changed.wait_for(lambda: not resting[session_id] or session_id in runs, PATIENCE_S):
                reason = f"{session_id}.run: others keep it from being taken for more than {PATIENCE_S:g} s"
                raise StoreUnavailableError(reason=reason, outcome="not_written")
            self._refuse_running(session_id)
            runs[session_id] = holder
        try:
            yield
        finally:
            if self._runs is runs:  # not so in a forked child, where somebody may have had `changed` at that moment
                with changed:
                    del runs[session_id]

    @contextmanager
    def at_rest(self, session_id: str) -> Iterator[None]:
        """Keep the session from being run meanwhile."""
        changed, runs, resting = self._changed, self._runs, self._resting
        with changed:
            self._refuse_running(check_name(session_id))
            resting[session_id] += 1
        try:
            yield
        finally:
            if self._runs is runs:
                with changed:
                    resting[session_id] -= 1
                    changed.notify_all()

    def running(self) -> dict[str, Holder]:
        """The sessions that are run right now."""
        return dict(self._runs)

    def _refuse_running(self, session_id: str) -> None:
        holder = self._runs.get(session_id)
        if holder is not None:
            raise AlreadyRunningError(session_id=session_id, pid=holder.pid, started_at=holder.started_at)

    def keep(self, name: str, chunks: Iterable[bytes]) -> str:
        """Put bytes aside; return the name under which `kept` has them."""
        with self._guard:
            kept = f"{check_name(name)}.{len(self.kept) + 1}"
            self.kept[kept] = b"".join(chunks)
            return kept

    def purge(self, session_id: str, *, dry_run: bool = False) -> Purged:
        """Forget what was kept of a session, and other logs that begin with its id."""
        with self._guard:
            found: list[str] = []
            held: dict[str, Any]
            for held in (self._logs, self.kept):
                mine = [name for name in held if is_beside(name, session_id)]
                found += mine
                for name in () if dry_run else mine:
                    del held[name]
            return Purged(tuple(sorted(found)))

    def search_kept(self, text: bytes) -> int:
        """How many of the kept bytes hold `text`."""
        return sum(text in data for data in self.kept.values())

    def retire(self, name: str) -> str | None:
        """Move the log to the retired ones."""
        with self._guard:
            held = self._logs.pop(check_log_name(name), None)
            if held is None:
                return None
            self.retired.setdefault(name, []).append(bytes(held.content))
            return name

    def drop_retired(self, name: str) -> None:
        """Forget what was retired under that name."""
        self.retired.pop(check_log_name(name), None)


def _after_fork_in_child() -> None:
    for backend in list(_instances):
        backend._forget()


_instances: weakref.WeakSet[MemoryBackend] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork_in_child)
