"""The kinds of value a setting can have: how each is read, what is allowed, how it is shown.

Every kind reads text from the environment and values from TOML by the same rules, and checks values that a caller gives
in code. What it shows, it also reads.

Rules:

* A refusal is a `ValueError` that says what is allowed. It never repeats what was given: that may be a secret in the
  wrong place, or hold terminal escapes.
* Numbers are plain: ASCII digits, no sign, exponent, underscore, leading zero or surrounding space.
* A boolean is not a number, although Python says so.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Protocol

import msgspec

from sessionstore.config.secret import Secret

MAX_SALT_BYTES = 1024
MAX_URI_CHARS = 2048

# Binary only: whether "MB" means 1,000,000 or 1,048,576 is a guess, and a limit is no place for one.
_BYTES_PER_UNIT = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})(?: ?(KiB|MiB|GiB|TiB))?")
_COUNT = re.compile(r"0|[1-9][0-9]{0,18}")
_URI = re.compile(r"([a-z][a-z0-9+]{0,31}://)([!-~]*)")
_SECONDS = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})?")


class Kind(Protocol):
    """How the values of a setting are read, checked and shown."""

    @property
    def unit(self) -> str:
        """The unit in words, or "" where there is none."""
        ...

    @property
    def needed(self) -> str:
        """What is allowed, in words."""
        ...

    def read(self, raw: object) -> object:
        """The checked value for text of the environment or a value of TOML.

        Raises:
            ValueError: It is not allowed.
        """

    def check(self, value: object) -> None:
        """Refuse a value given in code that `read` would not have made.

        Raises:
            ValueError: It is not allowed.
        """

    def show(self, value: object) -> str:
        """The value as text that `read` takes, or words for a value that is not shown."""
        ...


class Size(msgspec.Struct, frozen=True):
    """A number of bytes, plain or with KiB, MiB, GiB or TiB."""

    low: int
    high: int
    unit: str = "bytes"

    @property
    def needed(self) -> str:
        return f"a number of bytes from {self.show(self.low)} to {self.show(self.high)} is needed, like 1048576 or 1MiB"

    def read(self, raw: object) -> int:
        value = raw
        if isinstance(raw, str) and (match := _SIZE.fullmatch(raw)):
            value = int(match[1]) * _BYTES_PER_UNIT.get(match[2], 1)
        return self._checked(value)

    def check(self, value: object) -> None:
        self._checked(value)

    def show(self, value: object) -> str:
        if isinstance(value, int) and value > 0:
            for unit, size in _BYTES_PER_UNIT.items():
                if value % size == 0:
                    return f"{value // size} {unit}"
        return str(value)

    def _checked(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError(self.needed)
        return value


class Count(msgspec.Struct, frozen=True):
    """A whole number; where `optional`, also the word `off`, which is None in code."""

    low: int
    high: int
    unit: str
    optional: bool = False

    @property
    def needed(self) -> str:
        return f"a whole number from {self.low} to {self.high}{' or off' * self.optional} is needed"

    def read(self, raw: object) -> int | None:
        value = raw
        if isinstance(raw, str) and _COUNT.fullmatch(raw):
            value = int(raw)
        elif raw == "off" and self.optional:
            return None
        return self._checked(value)

    def check(self, value: object) -> None:
        self._checked(value)

    def show(self, value: object) -> str:
        return "off" if value is None else str(value)

    def _checked(self, value: object) -> int | None:
        if value is None and self.optional:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError(self.needed)
        return value


class Seconds(msgspec.Struct, frozen=True):
    """A duration in seconds, whole or with a decimal fraction."""

    low: float
    high: float
    unit: str = "seconds"

    @property
    def needed(self) -> str:
        return f"a number of seconds from {self.low:g} to {self.high:g} is needed, like 5 or 2.5"

    def read(self, raw: object) -> float:
        return self._checked(float(raw) if isinstance(raw, str) and _SECONDS.fullmatch(raw) else raw)

    def check(self, value: object) -> None:
        self._checked(value)

    def show(self, value: object) -> str:
        return f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, int | float) else str(value)

    def _checked(self, value: object) -> float:
        # What is not a number (nan) is not between two numbers either.
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError(self.needed)
        return float(value)


class Word(msgspec.Struct, frozen=True):
    """One of a few words, exactly as written."""

    words: tuple[str, ...]
    unit: str = ""

    @property
    def needed(self) -> str:
        return f"one of {', '.join(self.words)} is needed"

    def read(self, raw: object) -> str:
        if not isinstance(raw, str) or raw not in self.words:
            raise ValueError(self.needed)
        return raw

    def check(self, value: object) -> None:
        self.read(value)

    def show(self, value: object) -> str:
        return str(value)


class Place(msgspec.Struct, frozen=True):
    """A directory, named in full: neither the current directory nor `~` has a say in where signed data lies."""

    unit: str = ""
    needed: str = "an absolute path is needed"

    def read(self, raw: object) -> Path:
        if not isinstance(raw, str):
            raise ValueError(self.needed)
        path = Path(raw)
        self.check(path)
        return path

    def check(self, value: object) -> None:
        if not isinstance(value, Path) or not value.is_absolute() or not is_path(str(value)):
            raise ValueError(self.needed)

    def show(self, value: object) -> str:
        # Names need not be UTF-8; what cannot be encoded would break the report that shows it.
        return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Salt(msgspec.Struct, frozen=True):
    """A secret text, never shown."""

    unit: str = ""
    needed: str = f"1 to {MAX_SALT_BYTES} bytes of text without control characters are needed"

    def read(self, raw: object) -> Secret:
        # A line end that a shell or an editor added would make a second identity that looks like the first.
        if not isinstance(raw, str) or any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in raw):
            raise ValueError(self.needed)
        secret = Secret(raw)
        self.check(secret)
        return secret

    def check(self, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, Secret):
            raise ValueError("a Secret is needed")
        if not 1 <= len(value.reveal()) <= MAX_SALT_BYTES:
            raise ValueError(self.needed)

    def show(self, value: object) -> str:
        return "not set" if value is None else "set (hidden)"


class StorageUri(msgspec.Struct, frozen=True):
    """Where attempts are counted: the word `ledger`, which is None in code, or an address that may hold a password."""

    unit: str = ""
    needed: str = "ledger, or an address such as redis://host:6379 without spaces is needed"

    def read(self, raw: object) -> Secret | None:
        if raw == "ledger":
            return None
        if not isinstance(raw, str):
            raise ValueError(self.needed)
        secret = Secret(raw.encode("utf-8", "surrogatepass"))
        self.check(secret)
        return secret

    def check(self, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, Secret):
            raise ValueError("a Secret is needed")
        text = value.reveal().decode("ascii", "replace")
        if len(text) > MAX_URI_CHARS or not _URI.fullmatch(text):
            raise ValueError(self.needed)

    def show(self, value: object) -> str:
        match = _URI.fullmatch(value.reveal().decode("ascii", "replace")) if isinstance(value, Secret) else None
        return "ledger" if match is None else match[1] + "(hidden)" * bool(match[2])


def is_path(text: str) -> bool:
    """Whether the system could take `text` as a path: no NUL, nothing that has no bytes as a file name."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
