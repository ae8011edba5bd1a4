"""The awaited store opens the same store."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sessionstore import open_async_store, open_store


class TestOpenAsyncStore:
    def test_it_is_the_same_store(self, home: Path) -> None:
        async def use() -> str:
            async with open_async_store(home) as store:
                session = await store.create(entries=[{"n": 1}])
                assert await store.append(session.id, [{"n": 2}]) == 2
                return session.id

        id = asyncio.run(use())
        with open_store(home) as store:
            assert len(store.load(id).entries) == 2

    def test_all_arguments_reach_it(self, home: Path) -> None:
        async def use() -> None:
            async with open_async_store(backend="memory", environ={"SESSIONSTORE_MAX_SESSIONS": "3"}) as store:
                session = await store.create()
                assert session.rev == 1

        asyncio.run(use())
        assert not home.exists()
