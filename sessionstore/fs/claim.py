"""Kernel locks that are held for long, each on a descriptor of its own, and a way to ask who has one.

Rules:

* `flock` on files that are made once and never unlinked, as in `sessionstore.fs.lock`. Every claim opens the file for
  itself, so the kernel keeps two threads of one process apart as it does two processes.
* A claim is exclusive or shared. Asking whether somebody has the exclusive one takes a shared one for microseconds.
  Whoever wants the exclusive one is therefore not refused before a shared try was refused too: that tells an owner
  from somebody who only looks. Lookers are waited for, at most `PATIENCE_S`.
* Nobody waits for an owner: the answer is None, at once.
* Descriptors close on exec. In a forked child they are closed without unlocking: the child holds nothing, frees nothing
  and keeps nothing alive. A fork waits for claims that are just being opened or closed, so that none is overlooked.

Not promised: fairness, network file systems (see `sessionstore.fs.mount`), and processes forked behind Python's back,
which keep the parent's claims alive until they end or the parent lets go.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from contextlib import suppress

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs.directory import Directory
from sessionstore.fs.file import File
from sessionstore.fs.lock_file import EXCLUSIVE, FIRST_WAIT_S, LONGEST_WAIT_S, SHARED, open_lock_file
from sessionstore.fs.refusal import unavailable

PATIENCE_S = 2.0


class Claim:
    """A lock that is had, from `Claims.take` until `release`, or until this process dies."""

    __slots__ = ("__weakref__", "_file")

    def __init__(self, file: File | None) -> None:
        self._file = file
        _claims.add(self)

    @property
    def is_ours(self) -> bool:
        """Whether it is still had: not released, and this is not a forked child of the process that took it."""
        return self._file is not None

    def release(self) -> None:
        """Let go. Calling it again, or in a forked child, does nothing."""
        with _no_fork:
            if self._file is not None:
                # Closing alone would leave it with a child that was forked behind Python's back.
                with suppress(OSError):
                    fcntl.flock(self._file.fd, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Claims:
    """The claims on the lock files of one directory, which must outlive them. Used by several threads.

    Args:
        make: Whether missing lock files are made. If not, a shared claim on a missing file is had without one: whoever
            holds an exclusive one has a file.
    """

    def __init__(self, directory: Directory, *, make: bool = True) -> None:
        self._directory = directory
        self._make = make

    def take(self, name: str, *, shared: bool = False) -> Claim | None:
        """The claim `name`, or None if somebody has the exclusive one, be it another thread or this one.

        Raises:
            StoreUnavailableError: `not_written`: others had shared ones for more than `PATIENCE_S` seconds, or the lock
                file cannot be used.
            UnsafeFileError: The lock file is a link, no ordinary file, or another user's.
        """
        deadline, wait_s = time.monotonic() + PATIENCE_S, FIRST_WAIT_S
        while True:
            claim = self._opened(name, shared)
            file = claim._file
            if file is None:
                return claim
            try:
                if self._locked(file, shared):
                    if os.fstat(file.fd).st_nlink:
                        return claim
                    # Removed by hand: whoever has the name now is asked instead.
                    claim.release()
                    continue
                owned = shared or not self._locked(file, shared=True)
            except BaseException:
                claim.release()
                raise
            claim.release()
            if owned:
                return None
            if time.monotonic() >= deadline:
                reason = f"{name}: others keep it from being taken for more than {PATIENCE_S:g} s"
                raise StoreUnavailableError(reason=reason, outcome="not_written")
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _opened(self, name: str, shared: bool) -> Claim:
        with _no_fork:
            return Claim(open_lock_file(self._directory, name, shared=shared, make=self._make))

    @staticmethod
    def _locked(file: File, shared: bool) -> bool:
        try:
            fcntl.flock(file.fd, SHARED if shared else EXCLUSIVE)
        except BlockingIOError:
            return False
        except OSError as exc:
            raise unavailable(exc, file.name) from exc
        return True


def _after_fork_in_child() -> None:
    global _no_fork
    _no_fork = threading.RLock()
    for claim in list(_claims):
        claim._close()


def _before_fork() -> None:
    _no_fork.acquire()


def _after_fork_in_parent() -> None:
    _no_fork.release()


# Held while a descriptor is open that no claim has, and by who forks. Re-entrant: a signal handler may fork.
_no_fork = threading.RLock()
_claims: weakref.WeakSet[Claim] = weakref.WeakSet()
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
