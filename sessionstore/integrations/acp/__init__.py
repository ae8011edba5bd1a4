"""Agents of the Agent Client Protocol whose sessions are sealed: `SealedSessions`. Needs the extra `acp`."""

from __future__ import annotations

from sessionstore.integrations.acp.agent import SealedSessions
from sessionstore.integrations.acp.turns import Turn

__all__ = ["SealedSessions", "Turn"]
