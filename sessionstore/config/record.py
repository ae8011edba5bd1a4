"""`Config`: every limit and policy of a store, checked when it is made, fixed afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from sessionstore.config.secret import Secret
from sessionstore.config.settings import MIB, SETTINGS
from sessionstore.config.values import Place
from sessionstore.errors import ConfigError

Legacy = Literal["adopt", "ask", "refuse"]
KeyProviderName = Literal["file", "descriptor", "environment", "keyring"]
WhenFull = Literal["refuse", "evict"]
PolicySetting = Literal["floor", "accept", "warn", "require", "strict"]

DEFAULT_MAX_ENTRY_BYTES = 8 * MIB


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one store. `load_config` makes one from file and environment; a caller may make it directly.

    Ranges are on the reference page "Configuration" too. Values are not converted, only checked. To change one, make a
    new one: `msgspec.structs.replace` of older msgspec releases checks nothing.

    Attributes:
        data_dir: Absolute path of the directory with the session files.
        state_dir: Absolute path of the directory with key, ledger, audit log and locks; apart from `data_dir`.
        config_file: The file that was read, None if there was none.
        max_session_bytes: Largest session file in bytes, seals included (64 KiB to 1 TiB).
        max_entry_bytes: Largest entry in bytes (1 KiB to 1 GiB, at most `max_session_bytes`). Given as 0, it becomes
            8 MiB, or `max_session_bytes` if that is less; once made, it is never 0.
        max_sessions: How many sessions the store may hold (1 to 10,000,000).
        when_full: Whether a new session is refused in a full store, or the oldest closed session is deleted for it.
        cleanup_days: Age in days for a cleanup that is not told one (1 to 36,500); None: it has to be told.
        lock_timeout_s: Seconds to wait for a lock of another process or thread (0 to 3,600; 0 tries once).
        sync_interval_s: Seconds after which an append also syncs the ledger (0 to 60; 0 every time).
        audit_max_file_bytes: Size in bytes from which on the audit log goes on in a new file (16 KiB to 1 GiB).
        audit_retention_days: Age in days from which on closed files of the audit log are removed (1 to 36,500); None:
            they are kept.
        legacy: What happens to unsigned files found when a store is first opened.
        policy: How unsigned files are treated. It raises the policy that is recorded in the store; below that one the
            store is not opened. `floor`: what is recorded.
        resume_limit: How often one session may be resumed within the window (0 to 10,000; 0: no such limit).
        resume_global_limit: The same for all sessions together.
        resume_window_seconds: How long an attempt counts, in seconds (1 to 86,400).
        resume_storage_uri: Address of a storage of the library `limits` that counts attempts in place of the ledger, or
            None. Hidden in every text form of this object.
        redact_patterns: Regular expressions of what a redaction takes out beside what it knows (at most 64, each of 1
            to 500 characters).
        key_provider: Where the signing key lies: in the keyring `file`; on an inherited `descriptor`; in the
            `environment` variable `SESSIONSTORE_KEY`, for CI; in the `keyring` of the operating system.
        key_fd: The inherited descriptor (3 to 1,048,575), None without one.
        signing_salt: Extra context for key derivation, or None. Hidden in every text form of this object.

    Raises:
        ConfigError: A value is of the wrong type or out of range, or two values contradict each other. Its `source` is
            `argument`.
    """

    data_dir: Path
    state_dir: Path
    config_file: Path | None = None
    max_session_bytes: int = 10 * MIB
    max_entry_bytes: int = 0
    max_sessions: int = 10_000
    when_full: WhenFull = "refuse"
    cleanup_days: int | None = None
    lock_timeout_s: float = 10.0
    sync_interval_s: float = 5.0
    audit_max_file_bytes: int = MIB
    audit_retention_days: int | None = 365
    legacy: Legacy = "adopt"
    policy: PolicySetting = "floor"
    resume_limit: int = 5
    resume_global_limit: int = 60
    resume_window_seconds: int = 60
    resume_storage_uri: Secret | None = None
    redact_patterns: tuple[str, ...] = ()
    key_provider: KeyProviderName = "file"
    key_fd: int | None = None
    signing_salt: Secret | None = None

    def __post_init__(self) -> None:
        # A default of 8 MiB would make lowering max_session_bytes alone an error that the user did not make.
        if type(self.max_entry_bytes) is int and self.max_entry_bytes == 0 and type(self.max_session_bytes) is int:
            msgspec.structs.force_setattr(self, "max_entry_bytes", min(DEFAULT_MAX_ENTRY_BYTES, self.max_session_bytes))
        for setting in SETTINGS:
            try:
                setting.kind.check(getattr(self, setting.name))
            except ValueError as exc:
                raise ConfigError(setting=setting.name, source="argument", reason=str(exc)) from exc
        if self.config_file is not None:
            _check_file(self.config_file)
        self._check_together()

    def _check_together(self) -> None:
        if self.max_entry_bytes > self.max_session_bytes:
            raise ConfigError(
                setting="max_entry_bytes",
                source="argument",
                reason=f"{self.max_entry_bytes} is more than max_session_bytes, which is {self.max_session_bytes}",
            )
        if (self.key_provider == "descriptor") != (self.key_fd is not None):
            raise ConfigError(
                setting="key_fd",
                source="argument",
                reason="a descriptor is needed with key_provider descriptor, and with no other",
            )
        # The key lies in one and the data in the other: a copy of the data must not carry the key along.
        if self.data_dir.is_relative_to(self.state_dir) or self.state_dir.is_relative_to(self.data_dir):
            raise ConfigError(
                setting="state_dir", source="argument", reason="it must be apart from data_dir, not the same or inside"
            )


def _check_file(path: object) -> None:
    try:
        Place().check(path)
    except ValueError as exc:
        raise ConfigError(setting="config_file", source="argument", reason=str(exc)) from exc
