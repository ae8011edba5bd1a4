"""The file system, as far as this package trusts it: directories held open, checked files, kernel locks.

The only room that takes paths. What it hands out are descriptors with rules around them; see each module.
"""

from __future__ import annotations

from sessionstore.fs.claim import PATIENCE_S, Claim, Claims
from sessionstore.fs.directory import GITIGNORE, Directory, is_hidden
from sessionstore.fs.file import File, Refuse
from sessionstore.fs.lock import Locks
from sessionstore.fs.notes import Notes
from sessionstore.fs.refusal import MAX_NAME_BYTES, check_name

__all__ = [
    "GITIGNORE",
    "MAX_NAME_BYTES",
    "PATIENCE_S",
    "Claim",
    "Claims",
    "Directory",
    "File",
    "Locks",
    "Notes",
    "Refuse",
    "check_name",
    "is_hidden",
]
