"""Names that an SDK gives, as keys of the store: different names never meet.

The key is a JSON array of the SDK's name and the parts, in ASCII. JSON quotes what separates the parts, so no part can
pretend to be two; nothing is folded, trimmed or normalised, so look-alikes and case twins stay apart, and an empty part
is not the same as none. A key has 512 bytes: what is longer is named by its SHA-256. Such a key begins with another
character than an array, so that it cannot meet a short one.

What this does not promise: that a key can be read back. An adapter that has to list names keeps them in its sessions.
"""

from __future__ import annotations

import hashlib
import json

from sessionstore.errors import InvalidValueError
from sessionstore.model.ids import MAX_KEY_BYTES


def key_of(sdk: str, *parts: str) -> str:
    """The key of what an SDK calls `parts`, such as an app, a user and a session.

    Args:
        sdk: Name of the adapter. It is written into every key already made: it never changes.
        parts: Any texts, also empty, of any length.

    Raises:
        InvalidValueError: A part is no text, or holds half a surrogate pair: JSON writes two halves as it writes the
            character they make.
    """
    for part in parts:
        if not isinstance(part, str) or any("\ud800" <= char <= "\udfff" for char in part):
            raise InvalidValueError(what="name", reason="every part of a session's name has to be text")
    key = json.dumps([sdk, *parts], separators=(",", ":"))
    if len(key) <= MAX_KEY_BYTES:
        return key
    return f"{sdk}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"
