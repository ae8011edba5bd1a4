"""Where the install key lives. This release: one file in the state directory."""

from __future__ import annotations

from sessionstore.keystore.changes import LOCK, KeyChanges
from sessionstore.keystore.file import FileKeyStore
from sessionstore.keystore.first_start import Surroundings, obtain

__all__ = ["LOCK", "FileKeyStore", "KeyChanges", "Surroundings", "obtain"]
