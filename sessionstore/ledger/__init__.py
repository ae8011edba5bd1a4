"""What this machine acknowledged, in one SQLite file of the state directory."""

from __future__ import annotations

from sessionstore.ledger.attempts import Attempts
from sessionstore.ledger.ledger import Ledger
from sessionstore.ledger.rows import (
    AttemptClock,
    Binding,
    Head,
    HeadState,
    InventoryEntry,
    InventoryState,
    InventorySummary,
)

__all__ = [
    "AttemptClock",
    "Attempts",
    "Binding",
    "Head",
    "HeadState",
    "InventoryEntry",
    "InventoryState",
    "InventorySummary",
    "Ledger",
]
