"""What a caller handed in that cannot be used."""

from __future__ import annotations

from sessionstore.errors.base import SessionStoreError


class ConfigError(SessionStoreError):
    """A setting is unknown, of the wrong kind, out of range, or contradicts another."""

    code = "config_invalid"
    sentence = "setting {setting} from {source}: {reason}"
    advice = "correct or remove that setting; the reference page Configuration lists every one with its range"
    setting: str
    source: str
    reason: str


class InvalidValueError(SessionStoreError):
    """An argument is out of its range; `reason` says what is allowed."""

    code = "invalid_value"
    sentence = "{what}: {reason}"
    what: str
    reason: str


class InvalidIdError(SessionStoreError):
    """Not a session id. The text is not repeated, it may be hostile."""

    code = "invalid_id"
    sentence = "that is not a session id"
    advice = "ids are lower-case UUIDs; `sessionstore list --all` shows them"


class AmbiguousIdError(SessionStoreError):
    """A prefix or name fits more than one session."""

    code = "ambiguous_id"
    sentence = "that fits {matches} sessions"
    advice = "give more of the id"
    matches: int


class ImportFormatError(SessionStoreError):
    """A transcript is not of the format it was said to be.

    Attributes:
        format: The importer that refused.
        line: 1-based line of the file, 0 if it is not about one line.
    """

    code = "import_failed"
    sentence = "not a {format} transcript (line {line}): {reason}"
    advice = "name the right one with --format"
    format: str
    line: int
    reason: str
