"""The ledger changed by hand, with the tool that everybody has. A row that was touched is never believed."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import open_store
from sessionstore.errors import (
    AlreadyExistsError,
    LedgerCorruptError,
    LedgerMissingError,
    SessionStoreError,
    StoreUnavailableError,
    UnanchoredError,
    UnknownKeyError,
)

SEED = 20261121


def ledger(victim: Any) -> Path:
    return victim.root / "state" / "ledger.db"


def edit(victim: Any, *statements: str, arguments: tuple[object, ...] = ()) -> int:
    changed = 0
    with closing(sqlite3.connect(ledger(victim))) as connection, connection:
        for statement in statements:
            changed += connection.execute(statement, arguments).rowcount
    return changed


ONE = "WHERE session_id = '{id}'"


class TestRows:
    @pytest.mark.parametrize(
        "change",
        [
            "mac = zeroblob(32)",
            "mac = substr(mac, 1, 31)",
            "mac = 5",
            "mac = hex(mac)",
            "payload = zeroblob(10)",
            "payload = payload || x'00'",
            "payload = 'text'",
            "payload = 5",
            "key_id = '0000000000000000'",
            "key_id = x'ff'",
            "key_id = 5",
            "state = 'deleted'",
            "state = 'creating'",
            "state = 5",
            "ext_key = 'mine'",
            "updated_at = '9999-01-01T00:00:00.000000Z'",
        ],
    )
    def test_a_changed_column_is_a_damaged_ledger_and_nothing_is_given_back(self, victim: Any, change: str) -> None:
        assert edit(victim, f"UPDATE heads SET {change} " + ONE.format(id=victim.id)) == 1
        for call in (
            lambda: victim.store.load(victim.id),
            lambda: victim.store.append(victim.id, [{}]),
            lambda: victim.store.delete(victim.id),
            lambda: victim.store.rewind(victim.id, 0),
            lambda: victim.store.list(limit=5).sessions[0],
        ):
            with pytest.raises((LedgerCorruptError, IndexError)):
                call()
        assert victim.path.read_bytes() == victim.good

    def test_a_row_that_was_marked_as_gone_is_not_hidden_from_the_list(self, victim: Any, another: Any) -> None:
        edit(victim, "UPDATE heads SET state = 'deleted' " + ONE.format(id=victim.id))
        assert victim.listed() == {victim.id: "ledger_corrupt"}

    def test_two_rows_exchanged(self, victim: Any, another: Any) -> None:
        with closing(sqlite3.connect(ledger(victim))) as connection, connection:
            one, two = connection.execute("SELECT payload, mac, session_id FROM heads").fetchall()
            for row, name in ((one, two[2]), (two, one[2])):
                connection.execute("UPDATE heads SET payload = ?, mac = ? WHERE session_id = ?", (*row[:2], name))
        for session in (victim, another):
            with pytest.raises(LedgerCorruptError):
                victim.store.load(session.id)

    def test_a_row_of_another_session_given_its_name(self, victim: Any, another: Any) -> None:
        edit(victim, "DELETE FROM heads " + ONE.format(id=victim.id))
        edit(victim, f"UPDATE heads SET session_id = '{victim.id}'")
        with pytest.raises(LedgerCorruptError):
            victim.store.load(victim.id)

    def test_a_removed_row_leaves_a_file_that_nobody_vouches_for(self, victim: Any) -> None:
        edit(victim, "DELETE FROM heads")
        with pytest.raises(UnanchoredError):
            victim.store.load(victim.id)
        assert victim.listed() == {victim.id: "unanchored", "ledger.db": "ledger_corrupt"}
        with pytest.raises(AlreadyExistsError):
            victim.store.create(id=victim.id)
        with pytest.raises(LedgerCorruptError, match="were begun"):
            victim.store._ground.ledger.check()

    def test_a_key_whose_row_was_removed_is_not_free(self, victim: Any) -> None:
        """Whoever asks by key would be told that there never was such a session, and would begin it anew."""
        store = victim.store
        id = store.get_or_create("key").id
        edit(victim, "DELETE FROM heads " + ONE.format(id=id))
        for call in (
            lambda: store.find("key"),
            lambda: store.id_of("key"),
            lambda: store.recorded(key="key"),
            lambda: store.keys(),
            lambda: store.get_or_create("key"),
            lambda: store.get_or_create("another"),
        ):
            with pytest.raises(LedgerCorruptError, match="taken away"):
                call()

    def test_an_older_row_makes_no_older_session(self, victim: Any) -> None:
        """The file is ahead then, by saves that are sealed one on top of the other: it is the newest that counts."""
        with closing(sqlite3.connect(ledger(victim))) as connection:
            (row,) = connection.execute("SELECT payload, mac, updated_at FROM heads").fetchall()
        victim.store.append(victim.id, [{"role": "user", "content": "next"}])
        victim.acknowledge()
        edit(victim, "UPDATE heads SET payload = ?, mac = ?, updated_at = ?", arguments=row)
        assert victim.store.load(victim.id) == victim.session

    @pytest.mark.parametrize(
        "change",
        ["DELETE FROM anchor", "UPDATE anchor SET payload = zeroblob(4)", "UPDATE anchor SET mac = zeroblob(32)"],
    )
    def test_without_its_first_row_it_is_no_ledger(self, victim: Any, change: str) -> None:
        victim.store.close()
        edit(victim, change)
        with pytest.raises(LedgerCorruptError):
            open_store(victim.root, environ={})

    @pytest.mark.parametrize(
        "change",
        [
            "CREATE TRIGGER t AFTER UPDATE ON heads BEGIN DELETE FROM heads; END",
            "CREATE VIEW v AS SELECT 1",
            "CREATE TABLE t (x)",
            "DROP INDEX heads_by_key",
            "ALTER TABLE heads RENAME TO heads_before",
            "PRAGMA user_version = 2",
        ],
    )
    def test_other_tables_than_ours_are_refused(self, victim: Any, change: str) -> None:
        victim.store.close()
        edit(victim, change)
        with pytest.raises(LedgerCorruptError):
            open_store(victim.root, environ={})


class TestFoundByAnother:
    """Rows that are genuine, and found under a name that is not theirs: SQLite believes its own pages."""

    def test_a_row_reached_by_another_sessions_id(self, store: Any, root: Path) -> None:
        ids = [f"{first}f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d" for first in "159"]
        for session_id in ids:
            store.create(id=session_id)
        store.close()
        # The store id in the row of the second: a search for it then ends on the row of the first, which verifies, and
        # deleting the second once deleted the first.
        path = root / "state" / "ledger.db"
        good = path.read_bytes()
        refused = []
        for at in [at for at in range(len(good)) if good.startswith(store.store_id.encode(), at)]:
            path.write_bytes(good[:at] + b"\xf0" + good[at + 1 :])
            try:
                with open_store(root, environ={}) as again:
                    for session_id in ids:
                        head = again._ground.ledger.head(session_id)
                        assert head is None or head.session_id == session_id
            except LedgerCorruptError as error:
                refused.append(error.reason)
        assert "two columns of a row disagree" in refused

    def test_a_row_reached_by_another_sessions_key(self, store: Any, root: Path) -> None:
        """The index is built over exchanged keys, set aside, and put back when the keys stand where they did."""
        for key in ("alice", "bob"):
            store.create(key=key, name=f"of {key}")
        store.close()
        path = root / "state" / "ledger.db"
        exchange = "UPDATE heads SET ext_key = CASE ext_key WHEN 'alice' THEN 'bob' ELSE 'alice' END"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            row = connection.execute("SELECT * FROM sqlite_master WHERE name = 'heads_by_key'").fetchone()
            connection.execute("DROP INDEX heads_by_key")
            connection.execute(exchange)
            connection.execute(row[4])
            row = connection.execute("SELECT * FROM sqlite_master WHERE name = 'heads_by_key'").fetchone()
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("DELETE FROM sqlite_master WHERE name = 'heads_by_key'")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(exchange)
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
        with open_store(root, environ={}) as again:
            for key in ("alice", "bob"):
                with pytest.raises(LedgerCorruptError):
                    again.get_or_create(key)
                with pytest.raises(LedgerCorruptError):
                    again.find(key)


class TestWholeFile:
    def replaced(self, victim: Any, put: Callable[[Path], None]) -> pytest.ExceptionInfo[SessionStoreError]:
        victim.store.close()
        key = (victim.root / "state" / "keyring").read_bytes()
        for path in (victim.root / "state").glob("ledger.db*"):
            path.unlink()
        put(ledger(victim))
        if ledger(victim).exists():
            ledger(victim).chmod(0o600)
        with pytest.raises(SessionStoreError) as caught:
            open_store(victim.root, environ={})
        assert (victim.root / "state" / "keyring").read_bytes() == key
        assert victim.path.read_bytes() == victim.good
        return caught

    def test_an_empty_file(self, victim: Any) -> None:
        assert self.replaced(victim, lambda path: path.write_bytes(b"")).type is LedgerCorruptError

    def test_an_empty_ledger_with_all_its_tables(self, victim: Any) -> None:
        from sessionstore.ledger import schema

        assert self.replaced(victim, lambda path: schema.make(str(path))).type is LedgerCorruptError

    def test_the_ledger_of_another_store(self, victim: Any, tmp_path: Path) -> None:
        open_store(tmp_path / "elsewhere", environ={}).close()
        foreign = (tmp_path / "elsewhere" / "state" / "ledger.db").read_bytes()
        assert self.replaced(victim, lambda path: path.write_bytes(foreign) and None).type is UnknownKeyError

    def test_none_at_all(self, victim: Any) -> None:
        assert self.replaced(victim, lambda path: None).type is LedgerMissingError

    def test_a_link_to_it(self, victim: Any) -> None:
        victim.store.close()
        ledger(victim).rename(victim.root / "moved")
        ledger(victim).symlink_to(victim.root / "moved")
        with pytest.raises(LedgerCorruptError, match="symbolic link"):
            open_store(victim.root, environ={})

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_one_that_others_can_use(self, victim: Any, mode: int) -> None:
        victim.store.close()
        ledger(victim).chmod(mode)
        with pytest.raises(LedgerCorruptError, match="others may"):
            open_store(victim.root, environ={})

    def test_one_that_is_replaced_while_it_is_open_takes_no_save(self, victim: Any) -> None:
        copy = victim.root / "copy"
        copy.write_bytes(ledger(victim).read_bytes())
        copy.chmod(0o600)
        copy.rename(ledger(victim))
        for change in (lambda: victim.store.append(victim.id, [{}]), victim.store.close):
            with pytest.raises(StoreUnavailableError, match="replaced while it was open"):
                change()


class TestFlippedBytes:
    def test_a_changed_byte_anywhere_is_refused_or_changes_nothing(self, victim: Any, another: Any) -> None:
        print(f"seed {SEED}")
        dice = random.Random(SEED)
        victim.store.close()
        good = ledger(victim).read_bytes()
        sessions = {session.id: session.session for session in (victim, another)}
        refused = 0
        used = [at for at in range(len(good)) if good[at]]
        for at in dice.sample(used, 150):
            data = bytearray(good)
            data[at] ^= 1 << dice.randrange(8)
            for path in (victim.root / "state").glob("ledger.db*"):
                path.unlink()
            ledger(victim).write_bytes(data)
            ledger(victim).chmod(0o600)
            try:
                with open_store(victim.root, environ={}) as store:
                    for session_id, session in sessions.items():
                        try:
                            assert store.load(session_id) == session
                        except SessionStoreError:
                            refused += 1
            except SessionStoreError:
                refused += 1
        assert refused > 10
