"""Where sealed logs live: the contract of a backend, and the two that ship with the package, memory and files."""

from __future__ import annotations

from sessionstore.storage.file import FileBackend
from sessionstore.storage.memory import MemoryBackend
from sessionstore.storage.protocol import Backend, Holder, Log, Purged, Stamp
from sessionstore.storage.runs import FileRuns

__all__ = ["Backend", "FileBackend", "FileRuns", "Holder", "Log", "MemoryBackend", "Purged", "Stamp"]
