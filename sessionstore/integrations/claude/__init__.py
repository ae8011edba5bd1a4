"""The Claude Agent SDK's `SessionStore` over a sealed store: `SealedSessionStore`. Needs the extra `claude`."""

from __future__ import annotations

from sessionstore.integrations.claude.adapter import SealedSessionStore

__all__ = ["SealedSessionStore"]
