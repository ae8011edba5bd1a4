"""What this machine acknowledged, in one SQLite file of the state directory."""

from __future__ import annotations

from sessionstore.ledger.attempts import Attempts
from sessionstore.ledger.audit import AuditRows
from sessionstore.ledger.ledger import Ledger
from sessionstore.ledger.rows import (
    AttemptClock,
    AuditFile,
    AuditFileState,
    AuditHead,
    Binding,
    Head,
    HeadState,
    InventoryEntry,
    InventoryState,
    InventorySummary,
)
from sessionstore.ledger.salvage import salvage
from sessionstore.ledger.scrub import scrub

__all__ = [
    "AttemptClock",
    "Attempts",
    "AuditFile",
    "AuditFileState",
    "AuditHead",
    "AuditRows",
    "Binding",
    "Head",
    "HeadState",
    "InventoryEntry",
    "InventoryState",
    "InventorySummary",
    "Ledger",
    "salvage",
    "scrub",
]
