"""Session ids, names, external keys and tags: what is allowed, checked in one place.

An id becomes a file name, so it is matched whole and never repaired: no case folding, no stripping. The refusal is the
same for every wrong id and does not repeat the text, which may hold terminal escapes or somebody's path.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterable

from sessionstore.errors import InvalidIdError, InvalidValueError, TooLargeError

MAX_NAME_CHARS = 200
MAX_KEY_BYTES = 512
MAX_TAG_CHARS = 64
MAX_TAGS = 64

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    """A fresh random session id (UUID version 4, RFC 9562, lower case)."""
    return str(uuid.uuid4())


def is_id(text: object) -> bool:
    """Whether `text` is a session id, exactly as written."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def check_id(text: object) -> str:
    """The id itself, if it is one.

    Raises:
        InvalidIdError: Anything but a lower-case UUID in its 36-character form.
    """
    if not is_id(text):
        raise InvalidIdError
    return str(text)


def check_name(name: str) -> str:
    """The session name itself: 1 to 200 characters, none of them a control character or half a surrogate pair.

    Raises:
        InvalidValueError: The name is empty, too long, not text, or holds a character that is not allowed.
    """
    return _check_text("name", name, MAX_NAME_CHARS)


def check_consent(consent: str) -> str:
    """The words for who agreed to something: 1 to 200 characters, as for a name.

    Raises:
        InvalidValueError: They are empty, too long, not text, or hold a character that is not allowed.
    """
    try:
        return check_name(consent)
    except InvalidValueError as exc:
        reason = "who agreed, in 1 to 200 characters without control characters"
        raise InvalidValueError(what="consent", reason=reason) from exc


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags, each once, in the order given: up to 64 of 1 to 64 characters without control characters.

    Raises:
        InvalidValueError: A tag is not allowed, there are too many, or one string was given for the collection.
    """
    if isinstance(tags, str):
        raise InvalidValueError(what="tags", reason="a collection of strings is needed, not one string")
    checked = tuple(dict.fromkeys(_check_text("tag", tag, MAX_TAG_CHARS) for tag in tags))
    if len(checked) > MAX_TAGS:
        raise InvalidValueError(what="tags", reason=f"at most {MAX_TAGS} tags are allowed, not {len(checked)}")
    return checked


def check_key(key: str) -> str:
    """The external key itself: any text of 1 to 512 bytes in UTF-8. Keys are compared byte by byte, never folded.

    Raises:
        InvalidValueError: The key is empty, not text, or holds half a surrogate pair.
        TooLargeError: The key is longer than 512 bytes.
    """
    if not isinstance(key, str) or not key:
        raise InvalidValueError(what="key", reason="1 to 512 bytes of text are needed")
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidValueError(what="key", reason="half a surrogate pair is not text") from None
    if size_bytes > MAX_KEY_BYTES:
        raise TooLargeError(what="key", size_bytes=size_bytes, limit_bytes=MAX_KEY_BYTES, setting="")
    return key


def _check_text(what: str, text: str, max_chars: int) -> str:
    if not isinstance(text, str):
        raise InvalidValueError(what=what, reason=f"text is needed, not {type(text).__name__}")
    if not 1 <= len(text) <= max_chars:
        raise InvalidValueError(what=what, reason=f"1 to {max_chars} characters are allowed, not {len(text)}")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        raise InvalidValueError(what=what, reason="control characters and line separators are not allowed")
    return text
