"""The Claude Agent SDK's `SessionStore` over a sealed store: `ClaudeSessionStore`. Needs the extra `claude`."""

from __future__ import annotations

from sessionstore.integrations.claude.adapter import ClaudeSessionStore

__all__ = ["ClaudeSessionStore"]
