"""What keeps a session from being resumed although nothing is wrong with it, and a run from being used."""

from __future__ import annotations

from typing import Any

from sessionstore.errors.base import SessionStoreError


class RateLimitError(SessionStoreError):
    """Too many attempts within the window. Nothing of the session was read; this attempt does not count itself.

    Attributes:
        operation: What was attempted, such as `resume`.
        scope: `session`: the limit of this one session. `global`: the limit over all sessions.
        limit: How many attempts the window allows.
        window_s: Length of the window in seconds.
        retry_after_s: Whole seconds, 1 or more, after which one attempt is allowed again if none is made meanwhile.
    """

    code = "rate_limit_exceeded"
    sentence = "too many attempts to {operation}: {limit} in {window_s} s are allowed ({scope} limit)"
    advice = "try again in {retry_after_s} s"
    operation: str
    scope: str
    limit: int
    window_s: int
    retry_after_s: int


class AlreadyRunningError(SessionStoreError):
    """Another process or thread runs the session.

    Attributes:
        session_id: Which session.
        pid: Process id that the holder wrote down, 0 if unknown. A note, not the truth: the lock alone decides.
        started_at: When it says that it started, RFC 3339, "" if unknown.
    """

    code = "already_running"
    sentence = "session {session_id} is running already"
    advice = "end that run first (process {pid}, since {started_at}), or fork the session to go on beside it"
    session_id: str
    pid: int
    started_at: str

    def __init__(self, *, hint: str | None = None, **fields: Any) -> None:
        if hint is None and not fields.get("pid"):
            hint = "end that run first, or fork the session to go on beside it"
        super().__init__(hint=hint, **fields)


class RunStateError(SessionStoreError):
    """A run of a resumed session cannot do that now: it is not committed yet, over, or another process's.

    Attributes:
        session_id: Which session.
        state: `uncommitted`, `committed`, `over` or `other_process`.
        reason: The same in words.
    """

    code = "run_state"
    sentence = "the run of session {session_id} cannot do that: {reason}"
    advice = "call commit() once, inside the block, in the process that resumed; then use the run until the block ends"
    session_id: str
    state: str
    reason: str
