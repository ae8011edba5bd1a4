"""Getting sessions back: repairing what is damaged, restoring what was set back. Nothing is trusted in silence."""

from __future__ import annotations

from sessionstore.recovery.facade import StoreRecovery

__all__ = ["StoreRecovery"]
