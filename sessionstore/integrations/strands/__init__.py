"""Sessions of Strands Agents, kept in a store. Needs the extra `strands`.

- `SealedSessionRepository`: for `RepositorySessionManager`, which keeps every message by itself.
- `SealedStorage`: for `SnapshotSessionManager` and whatever else that SDK stores as bytes under a key.

The first is what a long conversation wants: a turn costs its own messages. A snapshot is the whole agent, given anew
after every invocation, and costs its size.
"""

from __future__ import annotations

from sessionstore.integrations.strands.repository import SealedSessionRepository
from sessionstore.integrations.strands.storage import SealedStorage

__all__ = ["SealedSessionRepository", "SealedStorage"]
