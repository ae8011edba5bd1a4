"""What this machine acknowledged, in one SQLite file of the state directory."""

from __future__ import annotations

from sessionstore.ledger.ledger import Ledger
from sessionstore.ledger.rows import Binding, Head, HeadState, InventoryEntry, InventoryState, InventorySummary

__all__ = ["Binding", "Head", "HeadState", "InventoryEntry", "InventoryState", "InventorySummary", "Ledger"]
