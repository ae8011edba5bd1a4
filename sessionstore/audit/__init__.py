"""The audit log: security events as chained, signed lines that nobody can change or take away unnoticed."""

from __future__ import annotations

from sessionstore.audit.events import EVENTS, Event
from sessionstore.audit.log import AuditLog
from sessionstore.audit.shelf import DIRECTORY

__all__ = ["DIRECTORY", "EVENTS", "AuditLog", "Event"]
