"""Finding and removing what else of a session's bytes lies in a data directory.

Looked through are the directory of the logs and every directory beside it, whatever put something there: quarantine,
copies of a recovery, migrated files. What counts is the name: a file that begins with the session's id. Temporary files
of dead writers go too, whosever they were: they do not say. Nothing is opened or read, and no link is followed.

Not promised: files under other names, and what was removed before. Those bytes may be on the disk as long as nobody
writes over them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

from sessionstore.errors import StoreUnavailableError, UnsafeFileError
from sessionstore.fs import Directory
from sessionstore.storage.names import is_beside
from sessionstore.storage.protocol import Purged

TEMPORARY = "(temporary)"


def purge(session_id: str, logs: Directory, data: Directory | None, *, dry_run: bool) -> Purged:
    """See `sessionstore.storage.protocol.Backend.purge`.

    Args:
        session_id: Whose.
        logs: The directory of the logs.
        data: The directory above, None if there is nothing beside the logs.
        dry_run: Remove nothing.

    Raises:
        StoreUnavailableError: A directory cannot be listed.
    """
    removed: list[str] = []
    left: list[str] = []
    with ExitStack() as opened:
        for directory in (logs, *_beside(logs, data, opened, left)):
            where = os.path.basename(directory.path)
            for name in sorted(name for name in directory.names() if is_beside(name, session_id)):
                if dry_run or _remove(directory, name):
                    removed.append(f"{where}/{name}")
                else:
                    left.append(f"{where}/{name}")
            if not dry_run:
                removed += [f"{where}/{TEMPORARY}"] * directory.sweep()
    return Purged(tuple(removed), tuple(left))


def _beside(logs: Directory, data: Directory | None, opened: ExitStack, left: list[str]) -> Iterator[Directory]:
    """The other directories of the data directory; one that is not safe to open is named in `left`."""
    if data is None:
        return
    for name in sorted(entry.name for entry in data.entries() if entry.is_dir(follow_symlinks=False)):
        try:
            directory = opened.enter_context(data.sub(name))
        except (UnsafeFileError, StoreUnavailableError):
            left.append(f"{name}/")
            continue
        if directory.identity != logs.identity:
            yield directory


def _remove(directory: Directory, name: str) -> bool:
    try:
        directory.unlink(name)
    except (UnsafeFileError, StoreUnavailableError):
        return False
    return True
