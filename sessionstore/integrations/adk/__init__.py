"""Google ADK: a session service that keeps each session as one signed session. Extra `adk`."""

from __future__ import annotations

from sessionstore.integrations.adk.sessions import SealedSessionService

__all__ = ["SealedSessionService"]
