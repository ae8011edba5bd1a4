"""The directory of the audit log: names of its files, and how they are opened and judged.

Rules: files are `000001.jsonl` and on, in the order of their numbers; what was set aside is in `000001-<offset>.tail`.
All are judged like keys: ordinary, our own, one link, closed to others. The directory is made when the first line is
written, which is after the key was.
"""

from __future__ import annotations

import re

from sessionstore.errors import AlreadyExistsError, StoreUnavailableError
from sessionstore.fs import Directory, File

# In the state directory.
DIRECTORY = "audit"
LOCK = "audit"
MAX_ASIDE_BYTES = 64 * 1024
# How much behind a row's end is looked at; what a dead writer leaves there is a line or a few.
MAX_BEHIND_BYTES = 1024 * 1024
MAX_READ_BYTES = 1 << 30

_FILE = re.compile(r"([0-9]{6,18})\.jsonl")
_TAIL = re.compile(r"([0-9]{6,18})-[0-9]+(?:-[0-9]+)?\.tail")


def file_name(number: int) -> str:
    """Name of the file with that number."""
    return f"{number:06d}.jsonl"


def number_of(name: str) -> int | None:
    """The number of the log file that has that name, None if no log file has it."""
    match = _FILE.fullmatch(name)
    return int(match[1]) if match and file_name(int(match[1])) == name else None


class Shelf:
    """Opens the files of one state directory's log. Safe to use from several threads.

    Args:
        state: The state directory; it must stay open as long as this.
        make: Whether a missing directory may be made.
    """

    def __init__(self, state: Directory, *, make: bool) -> None:
        self._state = state
        self._make = make
        self._directory: Directory | None = None
        self._left: list[Directory] = []

    def directory(self, *, make: bool = False) -> Directory | None:
        """The directory, None if it is missing.

        Raises:
            UnsafeFileError: It is a link, another user's, or open to others.
            StoreUnavailableError: The kernel refused.
        """
        known, status = self._directory, self._state.stat(DIRECTORY)
        if known is not None and status is not None and known.identity == (status.st_dev, status.st_ino):
            return known
        if known is not None:
            # Moved away, or removed and made again. Another thread may be reading in it: it is closed at the end.
            self._left.append(known)
            self._directory = None
        if status is None and not (make and self._make):
            return None
        self._directory = self._state.sub(DIRECTORY, create=make and self._make, strict=True)
        return self._directory

    def made(self) -> Directory:
        """The directory, made if it is missing. Errors as `directory`."""
        directory = self.directory(make=True)
        if directory is None:
            raise StoreUnavailableError(reason=f"{DIRECTORY}: no such directory", outcome="not_written")
        return directory

    def open(self, number: int, *, writable: bool = False) -> File | None:
        """The file of that number, None if it is missing.

        Raises:
            UnsafeFileError: It is no ordinary file, linked, another user's, or open to others.
        """
        directory = self.directory()
        return None if directory is None else directory.open_file(file_name(number), writable=writable, strict=True)

    def read(self, number: int, max_bytes: int) -> bytes | None:
        """The file's first `max_bytes`, None if it is missing. Errors as `open`."""
        opened = self.open(number)
        if opened is None:
            return None
        with opened:
            return opened.read(0, max_bytes)

    def has(self, number: int) -> bool:
        """Whether something has the name of that file."""
        directory = self.directory()
        return directory is not None and directory.stat(file_name(number)) is not None

    def numbers(self) -> list[int]:
        """The numbers of the files that are there, in order."""
        directory = self.directory()
        found = [] if directory is None else [number_of(name) for name in directory.names()]
        return sorted(number for number in found if number is not None)

    def set_aside(self, number: int, offset: int, data: bytes) -> str:
        """Keep the first 64 KiB of what stood behind the end of a file; the name it is kept under."""
        name, again = f"{number:06d}-{offset}.tail", 1
        while True:
            try:
                self.made().create(name, data[:MAX_ASIDE_BYTES])
                return name
            except AlreadyExistsError:
                again += 1
                name = f"{number:06d}-{offset}-{again}.tail"

    def remove(self, number: int) -> None:
        """Remove a file and what was set aside from it."""
        directory = self.made()
        for name in directory.names():
            tail = _TAIL.fullmatch(name)
            if name == file_name(number) or (tail and int(tail[1]) == number):
                directory.unlink(name)

    def close(self) -> None:
        """Release the directory. Calling it again does nothing."""
        for directory in (self._directory, *self._left):
            if directory is not None:
                directory.close()
