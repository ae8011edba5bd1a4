"""The OpenAI Agents SDK: a session that keeps each conversation as one sealed session. Needs the extra `openai`."""

from __future__ import annotations

from sessionstore.integrations.openai.session import SealedSession

__all__ = ["SealedSession"]
