"""Secrets out of JSON values: one funnel for what is exported, shown, and rewritten in place."""

from __future__ import annotations

from sessionstore.redaction.funnel import BLANK, Redactor

__all__ = ["BLANK", "Redactor"]
