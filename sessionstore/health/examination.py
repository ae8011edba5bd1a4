"""The examination behind `sessionstore doctor`: places, permissions, key, ledger, files, and what the system offers.

Rules:

* Nothing is created, changed or repaired: each finding says what would mend it, and a person decides.
* One sick part does not end the examination. What is missing because no store was made yet is no finding.
* Every judgement is that of the room whose business it is: the same code refuses here and at work.

Not promised: that contents are whole. Only `verify` reads them.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, nullcontext

from sessionstore.audit import DIRECTORY as AUDIT
from sessionstore.config import Config, LoadedConfig
from sessionstore.errors import KeyUnavailableError, SessionStoreError
from sessionstore.fs import Directory
from sessionstore.fs.mount import file_system_kind, why_unwritable
from sessionstore.fs.project import pinning_report
from sessionstore.health.findings import (
    PRIVATE_BITS,
    Finding,
    Level,
    counted,
    judge_limits,
    judge_pinning,
    judge_place,
    mend_sessions,
)
from sessionstore.keystore import FileKeyStore, provider_of
from sessionstore.ledger import Ledger
from sessionstore.sessions.beside import LEFT
from sessionstore.signing import unfinished
from sessionstore.store import SessionStore

# From how full on a store is worth a word.
WARN_FROM = 0.8
# How many files a finding names; it counts the others.
MAX_NAMED = 3

_AUDIT_MEND = "`sessionstore audit verify` names every place; new events go on in a file that says so"
# A store that was opened once has left at least one of these in its state directory.
_TRACES = ("keyring", "ledger.db", AUDIT)


def diagnose(loaded: LoadedConfig, open_read_only: Callable[[], SessionStore]) -> tuple[Finding, ...]:
    """Examine a store.

    Args:
        loaded: Its settings.
        open_read_only: Opens the store of these settings without making or changing anything; called once, and only if
            there is a store.

    Returns:
        At least one finding for each part that could be looked at, in a fixed order.
    """
    examination = _Examination(loaded.config)
    with ExitStack() as opened:
        examination.settings(loaded)
        examination.found.append(judge_limits(loaded.config))
        data = examination.place(opened, "data directory", loaded.config.data_dir, strict=False)
        state = examination.place(opened, "state directory", loaded.config.state_dir, strict=True)
        if state is not None:
            examination.key(state)
        if state is not None and examination.was_used(state):
            examination.store(state, open_read_only)
        else:
            examination.unused(data)
        if data is not None:
            examination.files(opened, data)
        examination.pinning()
    return tuple(examination.found)


class _Examination:
    """Collects findings, one part after the other."""

    def __init__(self, config: Config) -> None:
        self.found: list[Finding] = []
        self._config = config

    def settings(self, loaded: LoadedConfig) -> None:
        """Which file and how many settings are in force."""
        file = self._config.config_file
        changed = sum(source != "default" for source in loaded.sources.values())
        text = "no configuration file" if file is None else f"from {file}"
        self._add("settings", "ok", f"{text}; {changed} of {len(loaded.sources)} values are not the default")

    def place(self, opened: ExitStack, check: str, path: os.PathLike[str], *, strict: bool) -> Directory | None:
        """A directory of the store: there, ours, closed to others, on what kind of file system."""
        try:
            directory = Directory.find(path, strict=strict)
            if directory is None:
                self._add(check, "ok", f"{os.fspath(path)}: not made yet")
                return None
            opened.enter_context(directory)
            kind = file_system_kind(directory.fd)
            mode = stat.S_IMODE(os.fstat(directory.fd).st_mode)
        except SessionStoreError as error:
            self._add_error(check, error)
            return None
        self.found.append(judge_place(check, directory.path, kind, mode, strict=strict))
        return directory

    def key(self, state: Directory) -> None:
        """The key file: there, ours alone, whole."""
        keys = self._keys(state)
        try:
            keyring = keys.load()
        except SessionStoreError as error:
            self._add_error("key", error)
            return
        if keyring is None:
            if not self.was_used(state):  # else it is missing, and opening the store says so
                self._add("key", "ok", "not made yet")
        else:
            self._add("key", "ok", f"{keys.path}: primary key {keyring.primary.id}, kept by: {keys.provider}")
            if unfinished(keyring):
                mend = "`sessionstore keys rotate` goes on with it"
                self._add(
                    "key", "problem", "a change of keys is not finished: rows under the old one still count", mend
                )

    def was_used(self, state: Directory) -> bool:
        """Whether a store, or a trace of one, is there to be opened."""
        return any(state.stat(name) is not None for name in _TRACES)

    def unused(self, data: Directory | None) -> None:
        """There is no key and no ledger: either nothing was saved yet, or they are lost."""
        code = KeyUnavailableError.code
        if data is None or data.stat("store.json") is None:
            self._add("store", "ok", "not made yet; the first command that needs it makes it")
        elif code not in {finding.code for finding in self.found}:
            text = f"{data.path} was used, but the key and the ledger that belong to it are gone"
            mend = "restore the state directory from a backup; without the key, files can only be adopted, one by one"
            self.found.append(Finding("store", "problem", code, text, mend))

    def store(self, state: Directory, open_read_only: Callable[[], SessionStore]) -> None:
        """The store as a whole, and what its list and its ledger say."""
        try:
            with open_read_only() as store:
                self._add("store", "ok", f"id {store.store_id}, bound to this data directory")
                self._ledger(state, store.store_id)
                self._audit(state, store)
                self._copies(store)
                self._sessions(store)
        except SessionStoreError as error:
            if error.code not in {finding.code for finding in self.found}:
                self._add_error("store", error)

    def files(self, opened: ExitStack, data: Directory) -> None:
        """The session files: closed to others, each under one name only."""
        try:
            if data.stat("sessions") is None:
                return
            sessions = opened.enter_context(data.sub("sessions"))
            loose: list[str] = []
            linked: list[str] = []
            for name in sorted(sessions.names()):
                status = sessions.stat(name)
                if status is None or not stat.S_ISREG(status.st_mode):
                    continue  # gone meanwhile, or shown by the list as `unsafe_file`
                if stat.S_IMODE(status.st_mode) & PRIVATE_BITS:
                    loose.append(name)
                if status.st_nlink > 1:
                    linked.append(name)
        except SessionStoreError as error:
            self._add_error("session files", error)
            return
        where = shlex.quote(sessions.path)
        if loose:
            self._add("session files", "problem", f"others may read {_named(loose)}", f"chmod 600 {where}/*.json*")
        if linked:
            text = f"{_named(linked)} have a second name (hard link); the next save ends that"
            self._add("session files", "note", text)
        if not loose and not linked:
            self._add("session files", "ok", "none is open to others or has a second name")

    def pinning(self) -> None:
        """What this system offers for holding on to a project directory."""
        try:
            report = pinning_report()
        except SessionStoreError as error:
            self._add("project pinning", "note", f"cannot be told from here: {error}")
            return
        self.found.append(judge_pinning(report))

    def _keys(self, state: Directory) -> FileKeyStore:
        salt = self._config.signing_salt
        provider = provider_of(self._config, os.environ)
        return FileKeyStore(state, b"" if salt is None else salt.reveal(), provider)

    def _ledger(self, state: Directory, store_id: str) -> None:
        keyring = self._keys(state).load()
        if keyring is None:
            return
        try:
            with Ledger.open(state, keyring, store_id, read_only=True) as ledger:
                ledger.check()
                self._add("ledger", "ok", f"whole; {counted(ledger.count(), 'session')} recorded")
        except SessionStoreError as error:
            self._add_error("ledger", error)

    def _audit(self, state: Directory, store: SessionStore) -> None:
        """The audit log: every line verifies, none is missing, and more can be written."""
        try:
            report = store.verify_audit()
            with state.sub(AUDIT, strict=True) if state.stat(AUDIT) else nullcontext(state) as place:
                refused = why_unwritable(place.fd)
        except SessionStoreError as error:
            self._add_error("audit log", error)
            return
        for finding in report.findings[:MAX_NAMED]:
            self._add("audit log", "problem", f"{finding.file}: {finding.text}", _AUDIT_MEND)
        for note in report.notes[:MAX_NAMED]:
            self._add("audit log", "note", note)
        if refused is not None:
            mend = "free the cause: until then nothing is resumed, rebound or claimed"
            self._add("audit log", "problem", f"cannot be written: {refused}", mend)
        elif report.ok:
            self._add("audit log", "ok", f"whole; {counted(report.lines, 'event')} in {counted(report.files, 'file')}")

    def _copies(self, store: SessionStore) -> None:
        """Whether the key that signs now was ever exported: with it and the only disk, every session is lost."""
        try:
            primary = next(key.id for key in store.list_keys() if key.status == "primary")
            events = store.audit(events=["key_exported"])
            if any(event.fields.get("key_id") == primary for event in events):
                return
        except SessionStoreError:
            return  # the ledger or the audit log cannot be read, which is a finding of its own
        mend = "`sessionstore keys export FILE`, and keep FILE and passphrase apart from this machine"
        self._add("key", "note", f"key {primary} was never exported, as far back as the audit log goes", mend)

    def _sessions(self, store: SessionStore) -> None:
        counts = store.stats()
        text = f"{counts.sessions:,} of at most {counts.max_sessions:,}, {counted(counts.size_bytes, 'byte')}"
        if counts.sessions >= WARN_FROM * counts.max_sessions:
            self._add(
                "sessions", "note", text, "`sessionstore cleanup --dry-run` shows old ones; or raise max_sessions"
            )
        else:
            self._add("sessions", "ok", text)
        page = store.list(limit=None)
        policy = store.policy()
        if policy.policy == "accept":
            mend = "`sessionstore policy raise warn` says it again of each"
            self._add("unsigned files", "note", "opened without a word, if they are listed: policy accept", mend)
        else:
            self._add("unsigned files", "ok", f"policy {policy.policy}")
        unsigned = sum(line.integrity == "legacy" for line in page.sessions)
        if unsigned:
            self._add("sessions", "note", f"{unsigned:,} not signed yet", "`sessionstore migrate` signs them")
        codes = Counter(broken.code for broken in page.unreadable)
        for code, count in sorted(codes.items()):
            level: Level = "note" if code == LEFT else "problem"
            mend = "`sessionstore migrate` puts them away" if code == LEFT else mend_sessions(code)
            self.found.append(Finding("sessions", level, code, f"{count:,} that cannot be opened: {code}", mend))

    def _add(self, check: str, level: Level, text: str, mend: str = "") -> None:
        self.found.append(Finding(check, level, "", text, mend))

    def _add_error(self, check: str, error: SessionStoreError) -> None:
        self.found.append(Finding(check, "problem", error.code, str(error), error.hint))


def _named(names: list[str]) -> str:
    rest = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
