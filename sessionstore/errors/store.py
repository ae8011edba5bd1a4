"""What can be wrong with the store as a whole, and what other writers and full stores cause."""

from __future__ import annotations

from typing import Any

from sessionstore.errors.base import SessionStoreError


class StoreError(SessionStoreError):
    """Base of what can be wrong with the store as a whole."""


class LedgerMissingError(StoreError):
    """Signed data or a key is here, the record of what was saved is not."""

    code = "ledger_missing"
    sentence = "the ledger {path} is missing, but this store has been used"
    advice = (
        "restore the state directory from a backup; without one, `sessionstore recover-ledger --dry-run` says what "
        "can be had back"
    )
    path: str


class LedgerCorruptError(StoreError):
    """The ledger is damaged, changed by hand, or from a newer release; `reason` says which."""

    code = "ledger_corrupt"
    sentence = "the ledger {path} cannot be used: {reason}"
    advice = (
        "restore the state directory from a backup; without one, move the ledger away, and "
        "`sessionstore recover-ledger --dry-run` says what can be had back"
    )
    path: str
    reason: str


class StoreMismatchError(StoreError):
    """Data directory and ledger do not belong together: a copy, a restored backup, or a swapped directory."""

    code = "store_mismatch"
    sentence = "the data directory {path} is not the one this ledger knows: {reason}"
    advice = "if you moved or restored it yourself, say so with `sessionstore doctor --claim`"
    path: str
    reason: str


class StoreUnavailableError(StoreError):
    """The file system, the database or a lock refused.

    Attributes:
        reason: What refused, in words.
        outcome: `not_written` (the old state stands) or `unknown` (a sync failed: load before you retry, or retry
            with the same idempotency key).
    """

    code = "store_unavailable"
    sentence = "the store cannot be used: {reason} (outcome: {outcome})"
    advice = "free the cause and try again; what was acknowledged before is still there"
    reason: str
    outcome: str


class DowngradeRefusedError(SessionStoreError):
    """Something asked for a policy below the one in force. Only a command for that lowers it."""

    code = "downgrade_refused"
    sentence = "policy {asked} is below {floor}, which is in force in this store"
    advice = "remove that setting, or lower the policy with `sessionstore policy lower {asked}`"
    asked: str
    floor: str


class ConflictError(SessionStoreError):
    """Another writer was first. Load again, apply the change to what is there now, and retry."""

    code = "conflict"
    sentence = "session {session_id} is at revision {found}, not {expected} as the caller believed"
    advice = "load the session again and repeat the change on top of it"
    session_id: str
    expected: int
    found: int


class AlreadyExistsError(SessionStoreError):
    """An id or external key is taken; `what` says which of the two."""

    code = "already_exists"
    sentence = "a session with this {what} exists or existed here"
    advice = "choose another {what}, or open the session that has it"
    what: str


class TooLargeError(SessionStoreError):
    """A cap was hit; the old state stands.

    Attributes:
        what: `session`, `entry`, `seal`, `key` or `file`.
        setting: The configuration member that raises the cap, or "" where it is fixed.
    """

    code = "too_large"
    sentence = "{what} of {size_bytes} bytes is over the limit of {limit_bytes} bytes"
    advice = "shorten it, or raise {setting}"
    what: str
    size_bytes: int
    limit_bytes: int
    setting: str

    def __init__(self, *, hint: str | None = None, **fields: Any) -> None:
        fixed = hint is None and not fields.get("setting")
        super().__init__(hint="shorten it; this limit is fixed" if fixed else hint, **fields)


class SessionLimitError(SessionStoreError):
    """The store holds as many sessions as it may."""

    code = "session_limit_reached"
    sentence = "this store holds {limit} sessions, as many as it may"
    advice = "remove old ones with `sessionstore cleanup`, or raise max_sessions"
    limit: int
