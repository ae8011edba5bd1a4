"""The one table from an error to an exit code. The numbers are a public promise: scripts branch on them."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
NOT_TRUSTED = 4
PROJECT = 5
RATE_LIMITED = 6
CONFLICT = 7
STORE = 8
TOO_LARGE = 9
NOT_STARTED = 126
NO_COMMAND = 127
INTERRUPTED = 130

MEANINGS: dict[int, str] = {
    OK: "done",
    FAILED: "failed",
    USAGE: "wrong usage, value, id or setting",
    NOT_FOUND: "no such session",
    NOT_TRUSTED: "refused: not what was saved, or not valid session data",
    PROJECT: "the project directory is refused",
    RATE_LIMITED: "too many attempts; the hint says when to try again",
    CONFLICT: "somebody else was first, it exists already, or it is running",
    STORE: "the key, the ledger or the store cannot be used",
    TOO_LARGE: "over a limit",
    NOT_STARTED: "`resume`: the command could not be started",
    NO_COMMAND: "`resume`: there is no such command",
    INTERRUPTED: "interrupted",
}

_BY_CODE: dict[str, int] = {
    "usage": USAGE,
    "config_invalid": USAGE,
    "invalid_value": USAGE,
    "invalid_id": USAGE,
    "ambiguous_id": USAGE,
    "not_found": NOT_FOUND,
    "invalid_signature": NOT_TRUSTED,
    "malformed": NOT_TRUSTED,
    "too_deep": NOT_TRUSTED,
    "unsupported_version": NOT_TRUSTED,
    "unsafe_file": NOT_TRUSTED,
    "wrong_session": NOT_TRUSTED,
    "signature_stripped": NOT_TRUSTED,
    "legacy_modified": NOT_TRUSTED,
    "unsigned_unknown": NOT_TRUSTED,
    "unsigned_refused": NOT_TRUSTED,
    "rollback": NOT_TRUSTED,
    "fork": NOT_TRUSTED,
    "resurrected": NOT_TRUSTED,
    "missing": NOT_TRUSTED,
    "unanchored": NOT_TRUSTED,
    "project_path_security_violation": PROJECT,
    "rate_limit_exceeded": RATE_LIMITED,
    "conflict": CONFLICT,
    "already_exists": CONFLICT,
    "already_running": CONFLICT,
    "unknown_key": STORE,
    "key_disabled": STORE,
    "key_unavailable": STORE,
    "key_permissions": STORE,
    "key_corrupt": STORE,
    "key_in_use": STORE,
    "ledger_missing": STORE,
    "ledger_corrupt": STORE,
    "store_mismatch": STORE,
    "store_unavailable": STORE,
    "too_large": TOO_LARGE,
    "session_limit_reached": TOO_LARGE,
    "downgrade_refused": FAILED,
    "import_failed": FAILED,
    "run_state": FAILED,
    "command_not_started": NOT_STARTED,
    "command_not_found": NO_COMMAND,
    "interrupted": INTERRUPTED,
}


def exit_code(code: str) -> int:
    """The exit code for an error code; 1 for a code that has no number of its own."""
    return _BY_CODE.get(code, FAILED)
