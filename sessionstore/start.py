"""The start of a store: the key and the store id of one that was opened before, or of a new one.

Runs under a lock of the state directory, so that of any number of processes one makes the key and the others take it.

What is missing from a store that was used is an error with a name; nothing is made anew in its place.
"""

from __future__ import annotations

import msgspec

from sessionstore.audit import DIRECTORY as AUDIT
from sessionstore.config import Config
from sessionstore.errors import (
    KeyUnavailableError,
    LedgerCorruptError,
    LedgerMissingError,
    StoreMismatchError,
    StoreUnavailableError,
    UnknownKeyError,
)
from sessionstore.fs import Directory
from sessionstore.keystore import FileKeyStore, obtain
from sessionstore.ledger import InventoryEntry, Ledger
from sessionstore.ledger.files import is_there
from sessionstore.model import format_time, new_id, utc_now
from sessionstore.model.ids import is_id
from sessionstore.sessions.unsigned import take_inventory
from sessionstore.signing import Keyring
from sessionstore.storage import Backend

STORE_FILE = "store.json"
RETIRED = "retired"
_MAX_STORE_FILE_BYTES = 4096


class _StoreFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What marks a data directory: the random id that its ledger and every signature bind."""

    store: str


class Start:
    """Finds or makes what a store stands on; see `sessionstore.keystore.first_start` for the order.

    Args:
        config: The settings.
        state, data: The opened directories.
        backend: Holds the session files.
        keys: The key file.
    """

    def __init__(self, config: Config, state: Directory, data: Directory, backend: Backend, keys: FileKeyStore) -> None:
        self._config = config
        self._state = state
        self._data = data
        self._backend = backend
        self._keys = keys
        self._listed: list[InventoryEntry] = []
        self._asked = 0

    def run(self, *, read_only: bool) -> tuple[Keyring, str, tuple[str, ...]]:
        """The keyring, the store id, and what is worth telling. The caller holds the init lock.

        Raises:
            KeyringError, LedgerMissingError, StoreMismatchError: A part of a used store is missing or damaged.
        """
        if read_only:
            keyring = self._keys.load()
            if keyring is None:
                raise KeyUnavailableError(reason="missing", path=self._keys.path)
        else:
            keyring = obtain(self._keys, self, format_time(utc_now()))
        if not Ledger.exists(self._state):
            raise LedgerMissingError(path=str(self._config.state_dir / "ledger.db"))
        return keyring, self._store_id(), self._notices()

    def without_ledger(self) -> tuple[Keyring, str]:
        """Keyring and store id of a used store whose ledger is gone. The caller holds the init lock.

        Raises:
            StoreUnavailableError: There is a ledger.
            KeyringError, StoreMismatchError: A part that is needed is missing or damaged too.
        """
        keyring = self._keys.load()
        if keyring is None:
            raise KeyUnavailableError(reason="missing", path=self._keys.path)
        if is_there(self._state):
            hint = "`sessionstore doctor` says whether it is whole; a broken one has to be moved away first"
            raise StoreUnavailableError(reason="there is a ledger", outcome="not_written", hint=hint)
        return keyring, self._store_id()

    def has_ledger(self) -> bool:
        """Whether state holds a ledger, or a trace of one."""
        return Ledger.exists(self._state)

    def has_signed(self) -> bool:
        """Whether there is an audit log, or in the data directory a sealed file, or one that was sealed and retired."""
        if self._state.stat(AUDIT) is not None or self._data.stat(RETIRED) is not None:
            return True
        return any(name.endswith(".jsonl") for name, _ in self._backend.scan())

    def fits(self, keyring: Keyring) -> bool:
        """Whether the ledger is signed with `keyring`."""
        try:
            Ledger.open(self._state, keyring, self._store_id()).close()
        except (LedgerCorruptError, UnknownKeyError):
            return False
        return True

    def build(self, keyring: Keyring) -> None:
        """Build the ledger under another name, with the binding of the data directory and the unsigned inventory."""
        store_id = self._new_store_id()
        found = [] if self._config.legacy == "refuse" else list(take_inventory(self._backend))
        if self._config.legacy == "ask":
            self._asked, found = len(found), []
        self._listed = found
        with Ledger.create(self._state, keyring, store_id) as ledger:
            ledger.bind(store_id, *self._data.identity)
            ledger.take_inventory(self._listed)

    def place(self) -> None:
        """Give the ledger its name, durably."""
        Ledger.place(self._state)

    def _store_id(self) -> str:
        """The id that the data directory carries.

        Raises:
            StoreMismatchError: It carries none, or something that is none.
        """
        data = self._data.read(STORE_FILE, _MAX_STORE_FILE_BYTES)
        try:
            found = msgspec.json.decode(data or b"", type=_StoreFile)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found = _StoreFile("")
        if not is_id(found.store):
            raise StoreMismatchError(path=self._data.path, reason=f"its {STORE_FILE} is missing or damaged")
        return found.store

    def _new_store_id(self) -> str:
        try:
            return self._store_id()  # left by a start that was killed
        except StoreMismatchError:
            store_id = new_id()
            self._data.write_atomic(STORE_FILE, [msgspec.json.encode(_StoreFile(store_id)) + b"\n"], replace=True)
            return store_id

    def _notices(self) -> tuple[str, ...]:
        if self._asked:
            place = self._config.data_dir / "sessions"
            text = f"{_files(self._asked)} found and may not be opened"
            return (f"{text}; `sessionstore adopt --dir {place}` lists them after a question",)
        if not self._listed:
            return ()
        text = f"{_files(len(self._listed))} found and listed by digest"
        return (f"{text}; `sessionstore migrate` signs what can be read",)


def _files(count: int) -> str:
    return "1 unsigned session file was" if count == 1 else f"{count:,} unsigned session files were"
