"""Changing the signing key of a store: another one for everything, and away with the old one."""

from __future__ import annotations

from sessionstore.rotation.calls import StoreKeys

__all__ = ["StoreKeys"]
