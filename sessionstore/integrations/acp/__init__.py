"""Agents of the Agent Client Protocol whose sessions are sealed: `StoredSessions`. Needs the extra `acp`."""

from __future__ import annotations

from sessionstore.integrations.acp.agent import StoredSessions
from sessionstore.integrations.acp.turns import Turn

__all__ = ["StoredSessions", "Turn"]
