"""Kernel locks on lock files: one owner at a time among all processes, freed when the owner dies, however it dies.

Rules:

* `flock` on files that are made once and never unlinked: removing one would let two owners hold "the" lock on two
  files. If somebody removes one by hand all the same, the next owner notices and takes the file that has the name.
* A mutex beside each name orders the threads of this process, so `shared` shares among processes only.
* Waiting is bounded: `LOCK_NB` again and again, from 50 microseconds apart up to 5 milliseconds.
* Descriptors stay open between uses, up to a bound; one in use is never closed.
* In a forked child the descriptors are closed without unlocking: parent and child share the lock, and an unlock in the
  child would free the parent's. A block that the fork happened in goes on in the child without holding anything.
* In a directory that cannot be written, a shared lock whose file is missing is granted: nobody can be writing there.

Not promised: re-entrancy (a thread that takes a name twice waits for itself until the timeout), fairness, and network
file systems (see `sessionstore.fs.mount`). Processes forked behind Python's back keep the parent's locks alive.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections import OrderedDict

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs.directory import Directory
from sessionstore.fs.file import File
from sessionstore.fs.lock_file import EXCLUSIVE, FIRST_WAIT_S, LONGEST_WAIT_S, SHARED, open_lock_file
from sessionstore.fs.refusal import unavailable


class _Slot:
    """One name: the mutex, and the open lock file once there is one. Whoever has the mutex may change the rest."""

    __slots__ = ("dropped", "file", "mutex", "used")

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self.file: File | None = None
        self.used = True
        self.dropped = False

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def drop_if_idle(self) -> bool:
        if not self.mutex.acquire(False):
            return False
        self.dropped = True
        self.close()
        self.mutex.release()
        return True


class Locks:
    """The locks of one directory, which must outlive them. Used by several threads.

    Args:
        keep_open: How many lock files stay open between uses; more are open only while they are all in use.
        make: Whether missing lock files are made. If not, a shared lock whose file is missing is had without one:
            whoever writes holds a file.
    """

    def __init__(self, directory: Directory, *, keep_open: int = 128, make: bool = True) -> None:
        self._directory = directory
        self._keep_open = keep_open
        self._make = make
        self._closed = False
        self._guard = threading.Lock()
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        _instances.add(self)

    def hold(self, name: str, *, shared: bool = False, timeout_s: float) -> Hold:
        """A context manager that holds the lock `name`; it is used once. 0 seconds means one try.

        It may be left in another thread than it was entered in.

        Raises (on entering):
            StoreUnavailableError: `not_written`: not had within `timeout_s` seconds, or the lock file cannot be used.
            UnsafeFileError: The lock file is a link, no ordinary file, or another user's.
        """
        return Hold(self, name, shared, timeout_s)

    def close(self) -> None:
        """Take no more locks; those that are held stay so until their blocks end. Calling it again does nothing."""
        self._closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        with self._guard:
            for name, slot in list(self._slots.items()):
                if slot.drop_if_idle():
                    del self._slots[name]

    def _forget(self) -> None:
        """In a forked child: drop everything, the guard too (who held it during the fork is not here to free it)."""
        self._guard = threading.Lock()
        for slot in self._slots.values():
            slot.close()
        self._slots = OrderedDict()

    def _slot(self, name: str) -> _Slot:
        with self._guard:
            slot = self._slots.get(name)
            if slot is None:
                if self._closed:
                    raise StoreUnavailableError(reason=f"{name}: the locks are closed", outcome="not_written")
                self._make_room()
                slot = self._slots[name] = _Slot()
            return slot

    def _make_room(self) -> None:
        # Oldest first; what was used since the last visit gets another round, what is in use always does.
        for name, slot in list(self._slots.items()) * 2:
            if len(self._slots) < self._keep_open:
                return
            if name not in self._slots:
                continue
            if slot.used or not slot.drop_if_idle():
                slot.used = False
                self._slots.move_to_end(name)
            else:
                del self._slots[name]

    def _lock(self, slot: _Slot, name: str, operation: int, deadline: float, timeout_s: float) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            file = slot.file
            if file is None:
                shared = operation == SHARED
                file = slot.file = open_lock_file(self._directory, name, shared=shared, make=self._make)
                if file is None:
                    return
            try:
                fcntl.flock(file.fd, operation)
            except BlockingIOError:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise _busy(name, "process", timeout_s) from None
                time.sleep(min(wait_s, left_s))
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
                continue
            except OSError as exc:
                raise unavailable(exc, name) from exc
            if os.fstat(file.fd).st_nlink:
                return
            slot.close()


class Hold:
    """One taking of one lock, made by `Locks.hold`."""

    __slots__ = ("_locks", "_name", "_operation", "_slot", "_timeout_s")

    _slot: _Slot

    def __init__(self, locks: Locks, name: str, shared: bool, timeout_s: float) -> None:
        self._locks = locks
        self._name = name
        self._operation = SHARED if shared else EXCLUSIVE
        self._timeout_s = timeout_s

    def __enter__(self) -> None:
        locks, name, timeout_s = self._locks, self._name, self._timeout_s
        deadline = time.monotonic() + timeout_s
        while True:
            slot = locks._slots.get(name) or locks._slot(name)
            if not slot.mutex.acquire(False):
                left_s = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
                if not slot.mutex.acquire(timeout=left_s):
                    raise _busy(name, "thread of this process", timeout_s)
            if not slot.dropped:
                break
            # Dropped between the look and the mutex: the next look finds none, or a new one.
            slot.mutex.release()
        try:
            locks._lock(slot, name, self._operation, deadline, timeout_s)
        except BaseException:
            slot.mutex.release()
            raise
        slot.used = True
        self._slot = slot

    def __exit__(self, *exc_info: object) -> None:
        slot = self._slot
        file = slot.file
        if file is not None:
            try:
                fcntl.flock(file.fd, fcntl.LOCK_UN)
            except OSError:
                # Closing frees it as well.
                slot.close()
        slot.mutex.release()
        if self._locks._closed:
            self._locks._drop_idle()


def _busy(name: str, who: str, timeout_s: float) -> StoreUnavailableError:
    return StoreUnavailableError(
        reason=f"{name}: locked by another {who} for more than {timeout_s:g} s", outcome="not_written"
    )


def _after_fork_in_child() -> None:
    for locks in list(_instances):
        locks._forget()


_instances: weakref.WeakSet[Locks] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork_in_child)
