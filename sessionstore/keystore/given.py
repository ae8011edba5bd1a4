"""A key that whoever starts the process gives it: on an inherited descriptor, or in the environment for CI.

Rules:

* It is read once in a process and kept in memory for every later opening: a descriptor is closed then, a variable is
  gone. So neither is inherited by a child.
* A descriptor is read only if it was inherited. Everything this process opened itself is closed at an `exec`, and is
  left alone, whatever number somebody wrote into a setting.
* 32 bytes exactly, and then the end. A terminal is refused: what is typed is no key.

Not promised: that other processes of the same user do not see it. The environment a process was started with stays in
`/proc/PID/environ`, whatever is removed from it later.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import re
import select
import stat
import time
from collections.abc import Callable, Mapping, MutableMapping
from threading import Lock

from sessionstore.config import KEY_NAME
from sessionstore.keystore.provider import Withheld
from sessionstore.signing import KEY_BYTES, key_id

READ_TIMEOUT_S = 10.0

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_WARNING = (
    f"the signing key came from {KEY_NAME}, which is meant for CI: other processes of this user can read the "
    "environment that a process was started with"
)

# By the way it came; whatever was read once is not there to be read again.
_held: dict[str, bytes] = {}
_untold: set[str] = set()
_lock = Lock()


class GivenKey:
    """The one key that was given to this process.

    Args:
        name: The word of the setting.
        where: The place in words; two with the same place are the same key.
        read: Reads it there; None if it is not there (any more).
        hint: How to give it.
        warning: What is told once after it was read, or "".
    """

    takes = False

    def __init__(self, name: str, where: str, read: Callable[[], bytes | None], hint: str, warning: str = "") -> None:
        self.name = name
        self._where = where
        self._read = read
        self._hint = hint
        self._warning = warning

    def __repr__(self) -> str:
        return f"GivenKey({self.name})"

    def first(self) -> bytes:
        """The key. Errors as `KeyProvider.first`."""
        with _lock:
            if (secret := self._read()) is not None:
                _untold.add(self._where)
                _held[self._where] = secret
            if self._where in _held:
                return _held[self._where]
        raise Withheld("missing", self._where, self._hint)

    def get(self, key_id: str) -> bytes:
        """The key, if it is the one of that id. Errors as `KeyProvider.get`."""
        if not self._is(key_id):
            raise Withheld("other", self._where, f"give the key {key_id}, which this store was made with")
        return self.first()

    def put(self, key_id: str, secret: bytes) -> None:
        """Only the key itself can be kept, and it is."""
        del secret
        self.get(key_id)

    def drop(self, key_id: str) -> None:
        """Nothing: it is not ours to remove."""

    def warnings(self) -> tuple[str, ...]:
        """The warning, once after the key was read by whoever in this process."""
        with _lock:
            was_read = self._where in _untold
            _untold.discard(self._where)
        return (self._warning,) if was_read and self._warning else ()

    def _is(self, wanted: str) -> bool:
        return key_id(self.first()) == wanted


def from_descriptor(fd: int) -> GivenKey:
    """The key on an inherited descriptor.

    Args:
        fd: Its number, 3 or more: 32 bytes and then the end within 10 seconds, from a pipe, a socket or a file. It is
            closed when they were read, and also if they are refused.
    """
    where = f"descriptor {fd}"
    hint = f"start with 32 bytes on descriptor {fd}, such as `{fd}<FILE`, and close the writing end"
    return GivenKey("descriptor", where, lambda: _from_descriptor(fd, where, hint), hint)


def from_environment(environ: Mapping[str, str]) -> GivenKey:
    """The key in the variable `SESSIONSTORE_KEY`, as 64 hex digits or base64; the variable is removed when it is read.

    Args:
        environ: Where it is looked for. It is removed from the environment of this process too.
    """
    where = f"environment {KEY_NAME}"
    hint = f"set {KEY_NAME} to the key: 32 bytes as 64 hex digits or in base64"
    return GivenKey("environment", where, lambda: _from_environment(environ, where, hint), hint, _WARNING)


def _from_environment(environ: Mapping[str, str], where: str, hint: str) -> bytes | None:
    # Both: children inherit the environment of the process, also where a copy of it was handed to us.
    text = os.environ.pop(KEY_NAME, None)
    take = environ.pop if isinstance(environ, MutableMapping) else environ.get
    text = take(KEY_NAME, text)
    if text is None:
        return None
    secret = _decoded(text)
    del text
    if secret is None:
        raise Withheld("other", where, hint)
    return secret


def _decoded(text: str) -> bytes | None:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        secret = base64.b64decode(text.encode("ascii", "replace"), validate=True)
    except binascii.Error:
        return None
    return secret if len(secret) == KEY_BYTES else None


def _from_descriptor(fd: int, where: str, hint: str) -> bytes | None:
    if where in _held:
        return None
    try:
        if fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            raise Withheld("missing", where, f"{hint}; this one was opened by the process itself and is left alone")
        os.set_inheritable(fd, False)
        kind = os.fstat(fd).st_mode
    except OSError:
        return None  # it is not open
    try:
        if os.isatty(fd):
            raise Withheld("unreadable", where, f"{hint}; a terminal is no place for a key")
        if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or stat.S_ISREG(kind)):
            raise Withheld("unreadable", where, f"{hint}; a pipe, a socket or a file is needed")
        parts: list[bytes] = []
        end = time.monotonic() + READ_TIMEOUT_S
        refused = _read_to_end(fd, parts, end)
    finally:
        os.close(fd)
    if refused or sum(map(len, parts)) != KEY_BYTES:
        parts.clear()
        raise Withheld("unreadable" if refused else "other", where, f"{hint}; {refused}" if refused else hint)
    return b"".join(parts)


def _read_to_end(fd: int, parts: list[bytes], end: float) -> str:
    """Read until the end, or until there is more than a key; why that was not possible, or ""."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while sum(map(len, parts)) <= KEY_BYTES:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            return "the end did not come in time"
        try:
            part = os.read(fd, KEY_BYTES + 1)
        except OSError as exc:
            return exc.strerror or "it cannot be read"
        if not part:
            break
        parts.append(part)
    return ""
