"""The configuration file: opened once, judged on the descriptor, read up to a cap, parsed.

The file decides about limits and about what happens to unsigned sessions, so whoever can write it can weaken the store.

Rules:

* Only the path that the caller names is read; nothing is looked for in the current directory or in a project.
* A link is followed (dotfiles are often linked); what stands behind it is judged.
* It must be a regular file of this user or of root that nobody else may write to.
* No error repeats anything from inside the file: the salt is in there.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from sessionstore.errors import ConfigError

MAX_FILE_BYTES = 64 * 1024

_PLACE = re.compile(r"\(at line ([0-9]+), column ([0-9]+)\)")


def read_file(path: Path, *, source: str) -> dict[str, Any] | None:
    """The top-level table of the file, None if there is no file.

    Args:
        path: Where it is looked for.
        source: How errors name it.

    Raises:
        ConfigError: It cannot be read, is not safe to trust, is larger than 64 KiB, or is not TOML in UTF-8.
    """
    # O_NONBLOCK: opening a FIFO would wait for a writer for ever. O_NOCTTY: nor shall a terminal become ours.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as exc:
        # A link to nowhere is a file that got lost (an unmounted home), not a user without settings.
        if any(part.is_symlink() and not part.exists() for part in (path, *path.parents)):
            raise _refusal(source, "a link on the way to it leads nowhere") from exc
        return None
    except OSError as exc:
        raise _refusal(source, exc.strerror or "it cannot be opened") from exc
    try:
        _judge(os.fstat(descriptor), source)
        content = _read_capped(descriptor, source)
    except OSError as exc:
        raise _refusal(source, exc.strerror or "it cannot be read") from exc
    finally:
        os.close(descriptor)
    return _parse(content, source)


def _judge(status: os.stat_result, source: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(source, "it is not a regular file")
    if status.st_uid not in (os.geteuid(), 0):
        raise _refusal(source, "it belongs to another user, who could weaken this store with it")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refusal(source, f"others may write to it (mode {stat.S_IMODE(status.st_mode):04o})")


def _read_capped(descriptor: int, source: str) -> bytes:
    content = bytearray()
    while len(content) <= MAX_FILE_BYTES:
        chunk = os.read(descriptor, MAX_FILE_BYTES + 1 - len(content))
        if not chunk:
            return bytes(content)
        content += chunk
    raise _refusal(source, f"it is larger than {MAX_FILE_BYTES} bytes")


def _parse(content: bytes, source: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        where = "it is nested too deeply"
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        where = f"it is not UTF-8 (line {line})"
    except ValueError as exc:
        place = _PLACE.search(str(exc))
        where = f"it is not valid TOML (line {place[1]}, column {place[2]})" if place else "it is not valid TOML"
    # Outside the handlers: the parser's error holds the text of the file, the salt with it, and would come along as
    # the context of ours.
    raise _refusal(source, where)


def _refusal(source: str, reason: str) -> ConfigError:
    return ConfigError(
        setting="config_file",
        source=source,
        reason=reason,
        hint="make the file your own and writable by you alone (chmod go-w), correct it, or move it away",
    )
