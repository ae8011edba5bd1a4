"""What an adapter holds of the sessions used last, bounded in bytes and in number.

A session that was let go is read and verified whole when it is used again. A process that was forked begins with
nothing: a lock that a thread of its parent held is never freed in it.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

from sessionstore.integrations.followed import Followed
from sessionstore.model import SessionPage
from sessionstore.model.ids import is_id
from sessionstore.store import SessionStore

MAX_HELD_BYTES = 64 * 1024 * 1024
MAX_HELD = 256

K = TypeVar("K", bound=Hashable)
F = TypeVar("F", bound=Followed)


class Held(Generic[K, F]):
    """Sessions by an adapter's own names, for any number of threads and tasks.

    Args:
        make: Makes what stands for a name, without reading anything.
        max_bytes: About how much is held in memory.
    """

    def __init__(self, make: Callable[[K], F], max_bytes: int) -> None:
        self._make = make
        self._max_bytes = max_bytes
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[K, F] = OrderedDict()
        self._process = os.getpid()  # last: another thread of a new process must not go on with the old lock

    def __len__(self) -> int:
        return len(self._held)

    def use(self, name: K) -> AbstractContextManager[F]:
        """A block that has the session of this name to itself, as far as this process goes."""
        return self._using(name)

    @contextmanager
    def _using(self, name: K) -> Iterator[F]:
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if name not in self._held:
                self._held[name] = self._make(name)
            self._held.move_to_end(name)
            followed = self._held[name]
        try:
            with followed.lock:
                yield followed
        finally:
            with self._lock:
                self._let_go()

    def _let_go(self) -> None:
        size = sum(followed.size_bytes for followed in self._held.values())
        while len(self._held) > 1 and (size > self._max_bytes or len(self._held) > MAX_HELD):
            size -= self._held.popitem(last=False)[1].size_bytes


def refuse_unreadable(store: SessionStore, page: SessionPage, is_wanted: Callable[[str], object]) -> None:
    """Return if every session that is wanted could be listed.

    Args:
        store: Where they are.
        page: The list.
        is_wanted: Says it of a session's key, which the signed record tells whatever became of the file.

    Raises:
        VerificationError: One is damaged.
    """
    for line in page.unreadable:
        recorded = store.recorded(id=line.name) if is_id(line.name) else None
        if recorded is not None and recorded.key is not None and is_wanted(recorded.key):
            store.load(line.name)
