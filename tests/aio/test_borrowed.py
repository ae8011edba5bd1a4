"""One pool a store, for callers of any loop, gone with the store, anew after a fork."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

from sessionstore import open_store
from sessionstore.aio.borrowed import pool_of


class TestPoolOf:
    def test_a_store_has_one_and_two_stores_have_two(self) -> None:
        with open_store(backend="memory", environ={}) as one, open_store(backend="memory", environ={}) as other:
            assert pool_of(one) is pool_of(one) is not pool_of(other)

    def test_loops_one_after_another_use_the_same(self) -> None:
        with open_store(backend="memory", environ={}) as store:

            async def look() -> tuple[str, int]:
                return await pool_of(store).call(
                    lambda: (threading.current_thread().name.partition("_")[0], len(store.list().sessions))
                )

            assert [asyncio.run(look()) for _ in range(3)] == [("sessionstore", 0)] * 3

    def test_it_goes_with_its_store(self) -> None:
        store = open_store(backend="memory", environ={})
        pool = weakref.ref(pool_of(store))
        asyncio.run(pool_of(store).call(store.list))
        store.close()
        del store
        gc.collect()
        assert pool() is None

    def test_a_forked_child_has_threads_of_its_own(self, home: Path, child: Callable[..., str]) -> None:
        script = """
import asyncio, os, sys, warnings
from sessionstore import open_store
from sessionstore.aio.borrowed import pool_of
warnings.simplefilter("ignore", DeprecationWarning)  # that threads do not survive a fork is the point
store = open_store(sys.argv[1])
id = store.create().id
def append(text):
    asyncio.run(pool_of(store).finish(store.append, id, [{"by": text}]))
append("parent")
before = pool_of(store)
child = os.fork()
if child == 0:
    append("child")
    os._exit(0 if pool_of(store) is not before else 1)
assert os.waitpid(child, 0)[1] == 0
append("parent again")
print([entry["by"] for entry in store.load(id).entries])
"""
        assert child(script, home) == "['parent', 'child', 'parent again']"
