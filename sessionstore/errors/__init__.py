"""Every error this package raises, as one tree.

    SessionStoreError
    ├── SessionNotFoundError            not_found
    ├── VerificationError               (never raised itself: catch it for "do not trust this session")
    │   ├── InvalidSignatureError       invalid_signature
    │   ├── MalformedError              malformed
    │   ├── TooDeepError                too_deep
    │   ├── UnsupportedVersionError     unsupported_version
    │   ├── UnsafeFileError             unsafe_file
    │   ├── WrongSessionError           wrong_session
    │   ├── SignatureStrippedError      signature_stripped
    │   ├── LegacyModifiedError         legacy_modified
    │   ├── UnsignedUnknownError        unsigned_unknown
    │   ├── UnsignedRefusedError        unsigned_refused
    │   ├── RollbackError               rollback
    │   ├── ForkError                   fork
    │   ├── ResurrectedError            resurrected
    │   ├── MissingError                missing
    │   └── UnanchoredError             unanchored
    ├── ProjectPathError                project_path_security_violation
    ├── RateLimitError                  rate_limit_exceeded
    ├── AlreadyRunningError             already_running
    ├── RunStateError                   run_state
    ├── ConflictError                   conflict
    ├── AlreadyExistsError              already_exists
    ├── KeyringError                       (never raised itself)
    │   ├── UnknownKeyError             unknown_key
    │   ├── KeyDisabledError            key_disabled
    │   ├── KeyUnavailableError         key_unavailable
    │   ├── KeyPermissionsError         key_permissions
    │   ├── KeyCorruptError             key_corrupt
    │   └── KeyInUseError               key_in_use
    ├── StoreError                      (never raised itself)
    │   ├── LedgerMissingError          ledger_missing
    │   ├── LedgerCorruptError          ledger_corrupt
    │   ├── StoreMismatchError          store_mismatch
    │   └── StoreUnavailableError       store_unavailable
    ├── DowngradeRefusedError           downgrade_refused
    ├── TooLargeError                   too_large
    ├── SessionLimitError               session_limit_reached
    ├── ConfigError                     config_invalid
    ├── InvalidValueError               invalid_value
    ├── InvalidIdError                  invalid_id
    ├── AmbiguousIdError                ambiguous_id
    └── ImportFormatError               import_failed

Rules of this room:

* A class exists only where a caller acts differently on it. `code` is stable: programs branch on it, never on the text.
* Fields are keyword arguments, named by the class annotations, readable as attributes and through `fields`.
* The sentence and the hint are templates of the class, so that one failure reads the same wherever it is found.
* No field ever holds key material, an expected tag, or content of a session.
* Every error survives `pickle` and `copy`.

Exit codes live in `sessionstore.cli.exits`; this module knows nothing of terminals.
"""

from __future__ import annotations

from sessionstore.errors.base import SessionStoreError
from sessionstore.errors.inputs import (
    AmbiguousIdError,
    ConfigError,
    ImportFormatError,
    InvalidIdError,
    InvalidValueError,
)
from sessionstore.errors.keys import (
    KeyCorruptError,
    KeyDisabledError,
    KeyInUseError,
    KeyPermissionsError,
    KeyringError,
    KeyUnavailableError,
    UnknownKeyError,
)
from sessionstore.errors.resume import AlreadyRunningError, RateLimitError, RunStateError
from sessionstore.errors.store import (
    AlreadyExistsError,
    ConflictError,
    DowngradeRefusedError,
    LedgerCorruptError,
    LedgerMissingError,
    SessionLimitError,
    StoreError,
    StoreMismatchError,
    StoreUnavailableError,
    TooLargeError,
)
from sessionstore.errors.verification import (
    ForkError,
    InvalidSignatureError,
    LegacyModifiedError,
    MalformedError,
    MissingError,
    ProjectPathError,
    ResurrectedError,
    RollbackError,
    SessionNotFoundError,
    SignatureStrippedError,
    TooDeepError,
    UnanchoredError,
    UnsafeFileError,
    UnsignedRefusedError,
    UnsignedUnknownError,
    UnsupportedVersionError,
    VerificationError,
    WrongSessionError,
)

__all__ = [
    "AlreadyExistsError",
    "AlreadyRunningError",
    "AmbiguousIdError",
    "ConfigError",
    "ConflictError",
    "DowngradeRefusedError",
    "ForkError",
    "ImportFormatError",
    "InvalidIdError",
    "InvalidSignatureError",
    "InvalidValueError",
    "KeyCorruptError",
    "KeyDisabledError",
    "KeyInUseError",
    "KeyPermissionsError",
    "KeyUnavailableError",
    "KeyringError",
    "LedgerCorruptError",
    "LedgerMissingError",
    "LegacyModifiedError",
    "MalformedError",
    "MissingError",
    "ProjectPathError",
    "RateLimitError",
    "ResurrectedError",
    "RollbackError",
    "RunStateError",
    "SessionLimitError",
    "SessionNotFoundError",
    "SessionStoreError",
    "SignatureStrippedError",
    "StoreError",
    "StoreMismatchError",
    "StoreUnavailableError",
    "TooDeepError",
    "TooLargeError",
    "UnanchoredError",
    "UnknownKeyError",
    "UnsafeFileError",
    "UnsignedRefusedError",
    "UnsignedUnknownError",
    "UnsupportedVersionError",
    "VerificationError",
    "WrongSessionError",
]
