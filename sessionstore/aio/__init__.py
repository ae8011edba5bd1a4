"""The store for asyncio programs."""

from __future__ import annotations

from sessionstore.aio.store import AsyncSessionStore

__all__ = ["AsyncSessionStore"]
