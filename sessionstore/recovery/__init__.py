"""Getting sessions back: repairing what is damaged, restoring what was set back. Nothing is trusted in silence."""

from __future__ import annotations

from sessionstore.recovery.evidence import check_consent
from sessionstore.recovery.facade import StoreRecovery
from sessionstore.recovery.rebuild import rebuild

__all__ = ["StoreRecovery", "check_consent", "rebuild"]
