"""Where the install key lives: a file in the state directory, which is the record of every key, and for the bytes of
keys another provider, if one is set."""

from __future__ import annotations

from sessionstore.keystore.changes import LOCK, KeyChanges
from sessionstore.keystore.choice import provider_of
from sessionstore.keystore.file import FileKeyStore
from sessionstore.keystore.first_start import Surroundings, obtain
from sessionstore.keystore.provider import KeyProvider

__all__ = ["LOCK", "FileKeyStore", "KeyChanges", "KeyProvider", "Surroundings", "obtain", "provider_of"]
