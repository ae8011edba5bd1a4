"""Taking a file out of one directory into another, under a name that is free there.

Rules: one atomic step, never over something; both directories are synced, the one that gained the name first, so that a
power cut leaves the file under one of its names. What moves is the entry itself: a symbolic link is not followed.

Not promised: that both directories lie on one file system; if they do not, the move is refused and nothing happened.
"""

from __future__ import annotations

from sessionstore.errors import AlreadyExistsError
from sessionstore.fs.directory import Directory
from sessionstore.fs.refusal import check_name, unavailable
from sessionstore.fs.rename import rename_new


def move(source: Directory, name: str, target: Directory, new_name: str) -> bool:
    """Give the file `name` of `source` the name `new_name` in `target`, durably; False if it is not there.

    Raises:
        AlreadyExistsError: Something has that name.
        StoreUnavailableError: `not_written`: the system refused. `unknown`: moved, but a directory was not synced.
    """
    try:
        rename_new(source.fd, check_name(name), check_name(new_name), to_fd=target.fd)
    except FileNotFoundError:
        return False
    except FileExistsError as exc:
        raise AlreadyExistsError(what="id") from exc
    except OSError as exc:
        raise unavailable(exc, name) from exc
    target.sync(outcome_of=name)
    source.sync(outcome_of=name)
    return True
