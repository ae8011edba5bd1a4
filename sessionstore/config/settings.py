"""Every setting there is: its names, what is allowed, its default in words, and what it does.

One row a setting. The environment, the file, the checks of `Config`, `config show` and the reference page all go by
this table. A setting stands here only if something in this release uses it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

from sessionstore.config.patterns import Patterns
from sessionstore.config.values import Count, Kind, Place, Salt, Seconds, Size, StorageUri, Word

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
# Every attempt within the window is a number in one row that is read and written again.
MAX_ATTEMPTS = 10_000

# Names that mean something beside the settings.
HOME_NAME = "SESSIONSTORE_HOME"
# The key itself, for CI. No setting: it is never in a file, and nothing that holds settings holds it.
KEY_NAME = "SESSIONSTORE_KEY"
ENVIRONMENT_PREFIX = "SESSIONSTORE_"
# What others pass in the environment: `resume` to the command it starts, tests to themselves.
PASSED_NAMES = ("SESSIONSTORE_SESSION_FD", "SESSIONSTORE_SESSION_ID")
PASSED_PREFIXES = ("SESSIONSTORE_TEST_",)


class Setting(msgspec.Struct, frozen=True):
    """One row of the table.

    Attributes:
        name: The member of `Config`, and the key in the file.
        kind: How its values are read, checked and shown.
        default_text: The default, as `config show` and the reference page give it.
        what: What it does, in one line.
    """

    name: str
    kind: Kind
    default_text: str
    what: str

    @property
    def environment_name(self) -> str:
        """The name of the environment variable."""
        return ENVIRONMENT_PREFIX + self.name.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "data_dir",
        Place(),
        "user data directory",
        "where session files lie",
    ),
    Setting(
        "state_dir",
        Place(),
        "user state directory",
        "where key, ledger, audit log and locks lie; not on a network file system",
    ),
    Setting(
        "max_session_bytes",
        Size(64 * KIB, TIB),
        "10 MiB",
        "the largest session file, seals included; the same at save and at load",
    ),
    Setting(
        "max_entry_bytes",
        Size(KIB, GIB),
        "8 MiB, or max_session_bytes if that is less",
        "the largest single entry; an entry is held in memory while it is checked",
    ),
    Setting(
        "max_sessions",
        Count(1, 10_000_000, "sessions"),
        "10000",
        "how many sessions the store may hold",
    ),
    Setting(
        "when_full",
        Word(("refuse", "evict")),
        "refuse",
        "what a new session meets in a full store: a refusal, or the room of the oldest closed one, which is deleted",
    ),
    Setting(
        "cleanup_days",
        Count(1, 36_500, "days", optional=True),
        "off",
        "how old a session must be for a cleanup that is not told an age",
    ),
    Setting(
        "lock_timeout_s",
        Seconds(0, 3600),
        "10",
        "how long to wait for another process to release a session; 0 tries once",
    ),
    Setting(
        "sync_interval_s",
        Seconds(0, 60),
        "5",
        "how old the last synced head may become while turns are appended; 0 syncs it every time",
    ),
    Setting(
        "audit_max_file_bytes",
        Size(16 * KIB, GIB),
        "1 MiB",
        "from which size on the audit log goes on in a new file",
    ),
    Setting(
        "audit_retention_days",
        Count(1, 36_500, "days", optional=True),
        "365",
        "how old a closed file of the audit log must be to be removed",
    ),
    Setting(
        "legacy",
        Word(("adopt", "ask", "refuse")),
        "adopt",
        "what happens to unsigned files that are present when a store is first opened",
    ),
    Setting(
        "policy",
        Word(("floor", "accept", "warn", "require", "strict")),
        "floor",
        "how unsigned files are treated; it raises what is recorded in the store, and never lowers it",
    ),
    Setting(
        "resume_limit",
        Count(0, MAX_ATTEMPTS, "attempts"),
        "5",
        "how often one session may be resumed within the window; 0 switches this limit off",
    ),
    Setting(
        "resume_global_limit",
        Count(0, MAX_ATTEMPTS, "attempts"),
        "60",
        "how often all sessions together may be resumed within the window; 0 switches this limit off",
    ),
    Setting(
        "resume_window_seconds",
        Count(1, 86_400, "seconds"),
        "60",
        "how long an attempt to resume counts",
    ),
    Setting(
        "resume_storage_uri",
        StorageUri(),
        "ledger",
        "where attempts to resume are counted; of an address only the scheme is shown",
    ),
    Setting(
        "redact_patterns",
        Patterns(),
        "[]",
        "what else a redaction takes out, beside tokens and keys that it knows",
    ),
    Setting(
        "key_provider",
        Word(("file", "descriptor", "environment", "keyring")),
        "file",
        "where the signing key lies: state directory, inherited descriptor, environment (CI), keyring of the system",
    ),
    Setting(
        "key_fd",
        Count(3, 1_048_575, "", optional=True),
        "off",
        "the inherited descriptor that the key is read from, with `key_provider` descriptor",
    ),
    Setting(
        "signing_salt",
        Salt(),
        "not set",
        "extra context for the signing keys; a process without the same salt cannot use the store",
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
BY_ENVIRONMENT_NAME = {setting.environment_name: setting for setting in SETTINGS}


def is_passed(environment_name: str) -> bool:
    """Whether other parts use this name of the environment, so that it is no misspelt setting."""
    return environment_name in PASSED_NAMES or environment_name.startswith(PASSED_PREFIXES)


def unknown_name_reason(name: str, known: Iterable[str]) -> str:
    """Why an unknown name is refused, with the known name that is nearest to it, if one is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return "there is no such setting" + (f"; did you mean {near[0]}?" if near else "")
