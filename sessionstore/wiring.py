"""Settings to objects: the only room that knows every constructor.

Opening, in this order, each step refusing what does not fit the one before: directories (owner, mode, no network file
system under the state), key, ledger, binding of ledger and data directory, unsigned inventory.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from sessionstore.audit import AuditLog
from sessionstore.config import Config, load_config
from sessionstore.errors import InvalidValueError, StoreMismatchError, StoreUnavailableError
from sessionstore.fs import Directory, Locks
from sessionstore.fs.mount import file_system_kind
from sessionstore.keystore import LOCK, FileKeyStore, KeyChanges, provider_of
from sessionstore.ledger import Ledger, salvage
from sessionstore.ledger.files import clear_traces
from sessionstore.model import Rebuilt, utc_now
from sessionstore.recovery import check_consent, rebuild
from sessionstore.sessions import Ground
from sessionstore.sessions.policy import settle
from sessionstore.start import RETIRED, Start
from sessionstore.storage import Backend, FileBackend, FileRuns, MemoryBackend
from sessionstore.store import SessionStore

if TYPE_CHECKING:
    from sessionstore.aio import AsyncSessionStore

QUARANTINE = "quarantine"


def open_store(
    root: str | os.PathLike[str] | None = None,
    *,
    app: str = "sessionstore",
    backend: Literal["file", "memory"] | None = None,
    config: Config | None = None,
    environ: Mapping[str, str] | None = None,
    read_only: bool = False,
) -> SessionStore:
    """Open a store, making it if it is not there.

    Args:
        root: Directory that holds everything, as `root/data` and `root/state`; None for the user's own places of `app`.
        app: Names those places; a tool that embeds this library gives its own name.
        backend: `file` (the default), or `memory` for sessions that end with the store.
        config: Taken as it is; None reads the environment and `config.toml`.
        environ: In place of the process environment.
        read_only: Make, change and repair nothing; list, show, verify and export work.

    Raises:
        InvalidValueError: There is no such backend.
        ConfigError: A setting cannot be used.
        KeyringError: The key is missing, unsafe or damaged.
        LedgerMissingError, LedgerCorruptError: The record of what was saved is.
        StoreMismatchError: The data directory is not the one that the ledger knows.
        DowngradeRefusedError: The setting `policy` is below what is recorded in the store.
        StoreUnavailableError, UnsafeFileError: The file system refused, or a directory is not safe.
    """
    if sys.platform == "win32":
        raise StoreUnavailableError(reason="Windows is not supported yet", outcome="not_written")
    if backend not in (None, "file", "memory"):
        raise InvalidValueError(what="backend", reason="file or memory is needed")
    if config is None:
        environ = os.environ if environ is None else environ
        config = load_config(root=root, app=app, environ=environ).config
    with ExitStack() as opened:
        if backend == "memory":
            config = _in_memory(config, opened)
        memory = backend == "memory"
        ground, notices = _open(config, opened, memory=memory, read_only=read_only, environ=environ)
        store = SessionStore(ground, notices=notices)
        opened.pop_all()  # the store closes everything from now on
        return store


def open_async_store(
    root: str | os.PathLike[str] | None = None,
    *,
    app: str = "sessionstore",
    backend: Literal["file", "memory"] | None = None,
    config: Config | None = None,
    environ: Mapping[str, str] | None = None,
    read_only: bool = False,
) -> AsyncSessionStore:
    """The same store with awaited calls; use it with `async with`, which opens it off the event loop.

    Args and errors: as `open_store`.
    """
    from sessionstore.aio import AsyncSessionStore

    return AsyncSessionStore(
        lambda: open_store(root, app=app, backend=backend, config=config, environ=environ, read_only=read_only)
    )


def claim_store(config: Config) -> str:
    """Bind the ledger to the data directory that is there now, because a person said that they moved or restored it.

    Returns:
        The store id. Sessions stay as they are: a file that is older than its head is still a rollback.

    Raises:
        StoreMismatchError: The directory carries no store id that this ledger knows.
        KeyringError, LedgerMissingError, LedgerCorruptError, StoreUnavailableError: As `open_store`.
    """
    with ExitStack() as opened:
        places = _places(config, opened, memory=False, make=False)
        with places.locks.hold(LOCK, timeout_s=config.lock_timeout_s):
            keyring, store_id, _ = places.start.run(read_only=True)
            with Ledger.open(places.state, keyring, store_id, timeout_s=config.lock_timeout_s) as ledger:
                if ledger.binding(store_id) is None:
                    raise StoreMismatchError(path=places.data.path, reason="this ledger does not know its store id")
                with closing(AuditLog(places.state, keyring, store_id, ledger, places.locks, config)) as audit:
                    audit.record("store_claimed", path=places.data.path)
                    ledger.bind(store_id, *places.data.identity)
        return store_id


def recover_ledger(
    config: Config, *, consent: str, old: str | os.PathLike[str] | None = None, dry_run: bool = False
) -> Rebuilt:
    """Make a new ledger from the session files, because the old one is gone for good and a person agrees.

    Sessions that verify under the present key are recorded anew, and the data directory is bound. The audit log is kept
    whole: its files are anchored as they are, and what it knows of sessions still counts. Not to be had back:
    deletions, older keys' files, the inventory of unsigned files, and newer states than the files, the audit log and
    `old` tell of.

    Args:
        config: The settings.
        consent: Who agreed, in words (1 to 200 characters): it goes into the audit log.
        old: The old ledger, damaged and moved away: rows of it that are good count as they are.
        dry_run: Only say what would be recorded; nothing is made.

    Raises:
        InvalidValueError: No consent is given.
        StoreUnavailableError: There is a ledger, `old` cannot be read, or as `open_store`.
        LedgerCorruptError: Nothing in `old` can be read.
        KeyringError, StoreMismatchError: As `open_store`.
    """
    check_consent(consent)
    with ExitStack() as opened:
        places = _places(config, opened, memory=False, make=False)
        opened.enter_context(places.locks.hold(LOCK, timeout_s=config.lock_timeout_s))
        keyring, store_id = places.start.without_ledger()
        known = {} if old is None else salvage(Path(old), keyring, store_id)
        state = places.state
        if dry_run:
            elsewhere = opened.enter_context(tempfile.TemporaryDirectory(prefix="sessionstore-"))
            state = opened.enter_context(Directory.open(Path(elsewhere).resolve(), strict=True))
        else:
            clear_traces(state)
        with Ledger.create(state, keyring, store_id) as ledger:
            ledger.bind(store_id, *places.data.identity)
            ledger.take_inventory(())
            audit = AuditLog(places.state, keyring, store_id, ledger, places.locks, config, read_only=dry_run)
            with closing(audit):
                ground = Ground(
                    store_id=store_id,
                    keyring=keyring,
                    ledger=ledger,
                    backend=places.backend,
                    config=config,
                    audit=audit,
                    keys=KeyChanges(places.keys, places.locks, config.lock_timeout_s),
                    now=utc_now,
                    read_only=dry_run,
                )
                rebuilt = rebuild(ground, known, consent)
        if not dry_run:
            Ledger.place(state)
        return rebuilt


def _open(
    config: Config, opened: ExitStack, *, memory: bool, read_only: bool, environ: Mapping[str, str] | None
) -> tuple[Ground, tuple[str, ...]]:
    places = _places(config, opened, memory=memory, make=not read_only, environ=environ)
    with places.locks.hold(LOCK, shared=read_only, timeout_s=config.lock_timeout_s):
        keyring, store_id, notices = places.start.run(read_only=read_only)
        keyring.loaded_by(places.keys.found)
        if not read_only:
            for directory in (places.state, places.data, places.sessions):
                directory.sweep()
    ledger = Ledger.open(
        places.state,
        keyring,
        store_id,
        read_only=read_only,
        timeout_s=config.lock_timeout_s,
        sync_interval_s=config.sync_interval_s,
    )
    opened.callback(ledger.close)
    _check_binding(ledger, store_id, places.data)
    audit = AuditLog(places.state, keyring, store_id, ledger, places.locks, config, read_only=read_only)
    opened.callback(audit.close)
    _tell_inventory(audit, ledger, store_id)
    settle(ledger, config, audit, read_only=read_only)
    parts = opened.pop_all()
    opened.callback(parts.close)
    ground = Ground(
        store_id=store_id,
        keyring=keyring,
        ledger=ledger,
        backend=places.backend,
        config=config,
        audit=audit,
        keys=KeyChanges(places.keys, places.locks, config.lock_timeout_s),
        now=utc_now,
        read_only=read_only,
        close=parts.close,
    )
    return ground, notices + places.keys.warnings()


def _tell_inventory(audit: AuditLog, ledger: Ledger, store_id: str) -> None:
    """Write down, as the log's first line, that unsigned files were taken as genuine; again after a kill before it."""
    binding = ledger.binding(store_id)
    inventory = None if binding is None else binding.inventory
    if inventory is not None and inventory.entries and ledger.audit.head() is None:
        audit.record("inventory_taken", count=inventory.entries)


@dataclass(frozen=True)
class _Places:
    """The opened directories of a store, and what lives in them."""

    state: Directory
    data: Directory
    sessions: Directory
    locks: Locks
    backend: Backend
    keys: FileKeyStore
    start: Start


def _places(
    config: Config, opened: ExitStack, *, memory: bool, make: bool, environ: Mapping[str, str] | None = None
) -> _Places:
    state = opened.enter_context(Directory.open(config.state_dir, create=make, strict=True))
    kind = file_system_kind(state.fd)
    if kind.network:
        raise StoreUnavailableError(
            reason=f"the state directory lies on a network file system ({kind.name})",
            outcome="not_written",
            hint="set state_dir to a local directory; the data directory may stay where it is",
        )
    data = opened.enter_context(Directory.open(config.data_dir, create=make))
    sessions = opened.enter_context(data.sub("sessions", create=make))
    lock_files = opened.enter_context(state.sub("locks", create=make, strict=True))
    locks = Locks(lock_files, make=make)
    opened.callback(locks.close)
    runs = FileRuns(lock_files, opened.enter_context(state.sub("runs", create=make, strict=True)), read_only=not make)
    files = FileBackend(
        sessions,
        lambda: data.sub(QUARANTINE, create=True),
        locks,
        runs,
        retired=lambda: data.sub(RETIRED, create=True),
        data=data,
        has_quarantine=lambda: data.stat(QUARANTINE) is not None,
    )
    backend: Backend = MemoryBackend() if memory else files
    salt = b"" if config.signing_salt is None else config.signing_salt.reveal()
    keys = FileKeyStore(state, salt, provider_of(config, os.environ if environ is None else environ))
    start = Start(config, state, data, backend, keys)
    return _Places(state, data, sessions, locks, backend, keys, start)


def _in_memory(config: Config, opened: ExitStack) -> Config:
    """The same settings with a private state directory, and key, that are removed with the store."""
    home = Path(tempfile.mkdtemp(prefix="sessionstore-")).resolve()
    opened.callback(shutil.rmtree, home)
    places = {"data_dir": home / "data", "state_dir": home / "state"}
    return msgspec.structs.replace(config, **places, key_provider="file", key_fd=None)


def _check_binding(ledger: Ledger, store_id: str, data: Directory) -> None:
    """Refuse a data directory that the ledger knows under another id, or an id that belongs to another directory."""
    path = data.path
    _, inode = data.identity
    binding = ledger.binding(store_id)
    if binding is None:
        raise StoreMismatchError(path=path, reason="this ledger does not know its store id")
    # Not the device: its number changes when a volume is mounted again, and a copy has another inode on any of them.
    if binding.inode != inode:
        raise StoreMismatchError(path=path, reason="it is not the directory that was bound: a copy, or moved")
