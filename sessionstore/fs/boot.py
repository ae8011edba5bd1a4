"""Which start of the machine this is: tells bytes that a power cut may have taken from bytes that somebody took.

Not promised: an answer. Where the system has none, callers must reckon with a restart at any time.
"""

from __future__ import annotations

from functools import cache

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_MAX_BYTES = 64


@cache
def boot_id() -> str:
    """A text that is another one after every start of the machine, "" if the system does not say."""
    try:
        with open(_BOOT_ID, "rb", buffering=0) as file:
            return file.read(_MAX_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""
