"""What the store refuses, in the words of the protocol.

A client gets a JSON-RPC error whose `data` holds our stable `code` and the hint; our own error is its `__cause__`. All
that stands for "not what was saved" is one error for the client: it must not learn from the wording what to try next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from acp.exceptions import RequestError  # pyright: ignore[reportMissingImports]

from sessionstore.errors import (
    InvalidIdError,
    InvalidValueError,
    KeyringError,
    ProjectPathError,
    RateLimitError,
    SessionNotFoundError,
    SessionStoreError,
    VerificationError,
)

INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_FOUND = -32002


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what the block raises of ours as an error of the protocol."""
    try:
        yield
    except SessionStoreError as error:
        raise request_error(error) from error


def request_error(error: SessionStoreError) -> RequestError:
    """The error of the protocol for one of ours."""
    if isinstance(error, VerificationError | KeyringError):
        text = "the session is not what was saved, or cannot be checked"
        return RequestError(INTERNAL_ERROR, text, {"code": "verification_failed"})
    data: dict[str, Any] = {"code": error.code, "hint": error.hint}
    if isinstance(error, RateLimitError):
        data["retryAfterS"] = error.retry_after_s
    if isinstance(error, ProjectPathError):
        data["verdict"] = error.verdict
    if isinstance(error, SessionNotFoundError | InvalidIdError):
        return RequestError(NOT_FOUND, str(error), data)
    return RequestError(INVALID_PARAMS if isinstance(error, InvalidValueError) else INTERNAL_ERROR, str(error), data)
