"""Threads for a blocking store that code of an event loop uses: one pool a store, whoever asks for it.

For callers that are given an open `SessionStore` and must not block a loop, such as the adapters of agent SDKs. They
may come from several loops, one after another or at once: a store outlives the loops that a synchronous caller starts
for every run.

The pool goes when its store goes. A forked child has no threads of its parent, so it gets pools of its own; a call that
was under way in the parent is not under way in the child.
"""

from __future__ import annotations

import os
import threading
from weakref import WeakKeyDictionary

from sessionstore.aio.pool import Pool
from sessionstore.aio.store import DEFAULT_WORKERS
from sessionstore.store import SessionStore


class _Pools:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.of: WeakKeyDictionary[SessionStore, Pool] = WeakKeyDictionary()


_pools = _Pools()


def pool_of(store: SessionStore) -> Pool:
    """The pool for calls of `store`. Ask for it anew for each call: it is another one after a fork."""
    with _pools.lock:
        pool = _pools.of.get(store)
        if pool is None:
            pool = _pools.of[store] = Pool(DEFAULT_WORKERS)
        return pool


# In place: a lock that another thread held during the fork is never freed in the child.
os.register_at_fork(after_in_child=_pools.__init__)  # type: ignore[misc]
