"""Small files that say something nobody relies on. They are not synced, and what comes back may be anything.

Rules: a note is made and removed by whoever holds the lock that goes with it. Nothing is followed: whatever stands in a
note's place is removed by its name, and a new file made. Readers take no lock and may find a note half written.
"""

from __future__ import annotations

import os

from sessionstore.errors import StoreUnavailableError, TooLargeError, UnsafeFileError
from sessionstore.fs.directory import Directory
from sessionstore.fs.file import write_at
from sessionstore.fs.refusal import check_name, unavailable
from sessionstore.fs.temporary import create_private


class Notes:
    """The notes of one directory, which must outlive them. Used by several threads."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """Every name, in no particular order."""
        return self._directory.names()

    def put(self, name: str, data: bytes) -> None:
        """Make the note, or replace it.

        Raises:
            StoreUnavailableError: The kernel refused, or a directory has the name; `not_written`.
        """
        self.remove(name)
        try:
            fd = create_private(self._directory.fd, name)
        except OSError as exc:
            raise unavailable(exc, name) from exc
        try:
            write_at(fd, 0, data, name)
        except BaseException:
            self.remove(name)
            raise
        finally:
            os.close(fd)

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """What stands in the note; None if nothing that is a note does: missing, too long, no file of ours."""
        try:
            return self._directory.read(name, max_bytes)
        except (StoreUnavailableError, TooLargeError, UnsafeFileError):
            return None

    def remove(self, name: str) -> bool:
        """Remove the note; whether one was removed. What cannot be removed stays, and is as good as any other note."""
        try:
            os.unlink(check_name(name), dir_fd=self._directory.fd)
        except (OSError, StoreUnavailableError):
            return False
        return True
