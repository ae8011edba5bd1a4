"""What can still be read of a ledger that was damaged and moved away: the heads whose tags are good.

Rules:

* The file is copied first, with the log that SQLite keeps beside it: nothing beside the original is made or changed.
* A row counts only if its tag is good for this store, this session and a key whose rows count. Others are passed over.
* Reading goes on from the other end where the file is damaged. What lies between is lost.

Not promised: that a row is the newest one of its session. It says what was acknowledged at least.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sessionstore.errors import KeyringError, LedgerCorruptError, StoreUnavailableError
from sessionstore.ledger import schema
from sessionstore.ledger.files import WAL
from sessionstore.ledger.rows import Head
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Keyring

_ROWS = "SELECT session_id, key_id, payload, mac FROM heads ORDER BY store_id {order}, session_id {order}"


def salvage(path: Path, keyring: Keyring, store_id: str) -> dict[str, Head]:
    """The heads of one store, by session id.

    Raises:
        StoreUnavailableError: There is no such file, or it cannot be read.
        LedgerCorruptError: It is of a newer release, or nothing in it can be read.
    """
    seal = RowSeal(keyring, "head", b"sessionstore/head/2", store_id, Head, str(path))
    found: dict[str, Head] = {}
    with tempfile.TemporaryDirectory(prefix="sessionstore-") as name:
        copy = Path(name, "ledger.db")
        try:
            shutil.copyfile(path, copy)
            beside = path.with_name(path.name + WAL)
            if beside.exists():
                shutil.copyfile(beside, copy.with_name(copy.name + WAL))
        except OSError as exc:
            raise StoreUnavailableError(reason=f"{path}: {exc.strerror}", outcome="not_written") from exc
        rows = list(_rows(copy, str(path)))
        for session_id, *row in rows:
            with suppress(KeyringError, LedgerCorruptError, AttributeError):
                found[session_id] = seal.open(session_id, *row)  # the tag binds the id too
    if not rows:
        hint = "leave it out: `sessionstore recover-ledger --dry-run` says what can be had back without it"
        raise LedgerCorruptError(path=str(path), reason="nothing in it can be read", hint=hint)
    return found


def _rows(copy: Path, path: str) -> Iterator[tuple[Any, ...]]:
    with closing(sqlite3.connect(copy)) as connection:
        with suppress(sqlite3.DatabaseError):
            schema.refuse_newer(connection, path)
        for order in ("ASC", "DESC"):
            try:
                yield from connection.execute(_ROWS.format(order=order))
                return
            except sqlite3.DatabaseError:
                continue
