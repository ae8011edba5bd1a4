from __future__ import annotations

from collections.abc import Callable

import pytest

from sessionstore.errors import ConflictError, LedgerCorruptError
from sessionstore.ledger import Head, InventoryEntry, Ledger

A = InventoryEntry("a.json", "a" * 64, 10)
B = InventoryEntry("b.json", "b" * 64, 20)
C = InventoryEntry("c.json", "c" * 64, 30)

MakeHead = Callable[..., Head]
Tamper = Callable[..., None]


@pytest.fixture
def taken(ledger: Ledger) -> Ledger:
    ledger.take_inventory([B, A])
    return ledger


class TestInventory:
    def test_it_is_not_taken_before_it_is(self, ledger: Ledger) -> None:
        assert not ledger.inventory_taken()
        assert ledger.inventory() == {}
        assert ledger.inventory_entry("a.json") is None

    def test_an_empty_one_is_taken_too(self, ledger: Ledger) -> None:
        ledger.take_inventory([])
        assert ledger.inventory_taken()
        assert ledger.inventory() == {}

    def test_what_was_listed_is_found(self, taken: Ledger) -> None:
        assert taken.inventory() == {"a.json": A, "b.json": B}
        assert taken.inventory_entry("b.json") == B
        assert taken.inventory_entry("c.json") is None

    def test_it_belongs_to_one_data_directory(self, taken: Ledger, open_ledger: Callable[..., Ledger]) -> None:
        other = open_ledger(store_id="another")
        assert not other.inventory_taken()
        assert other.inventory() == {}
        with pytest.raises(LedgerCorruptError, match="does not know this data directory"):
            other.take_inventory([A])
        other.bind("another", 1, 2)
        other.take_inventory([C])
        assert other.inventory() == {"c.json": C}
        assert taken.inventory() == {"a.json": A, "b.json": B}

    def test_a_file_is_adopted_later(self, taken: Ledger) -> None:
        changed = InventoryEntry("a.json", "d" * 64, 11)
        taken.take_inventory([C, changed])
        assert taken.inventory() == {"a.json": changed, "b.json": B, "c.json": C}
        taken.check()

    def test_a_list_cut_short_by_an_error_takes_nothing(self, taken: Ledger) -> None:
        def entries() -> object:
            yield C
            raise OSError("unreadable")

        with pytest.raises(OSError, match="unreadable"):
            taken.take_inventory(entries())  # type: ignore[arg-type]
        assert taken.inventory() == {"a.json": A, "b.json": B}


class TestMigrating:
    def test_the_head_and_the_mark_are_one_commit(self, taken: Ledger, make_head: MakeHead) -> None:
        taken.commit(make_head(state="creating"), old=None, durable=True)
        taken.commit(make_head(), old=make_head(state="creating"), durable=True, migrates="a.json")
        migrated = InventoryEntry("a.json", "a" * 64, 10, "migrated")
        assert taken.inventory() == {"a.json": migrated, "b.json": B}
        assert taken.head(make_head().session_id) == make_head()
        taken.check()

    def test_a_lost_race_marks_nothing(self, taken: Ledger, make_head: MakeHead) -> None:
        taken.commit(make_head(), old=None)
        with pytest.raises(ConflictError):
            taken.commit(make_head(), old=make_head(state="creating"), migrates="a.json")
        assert taken.inventory_entry("a.json") == A
        taken.commit(make_head(rev=2), old=make_head())

    def test_a_file_that_was_never_listed_moves_no_head(self, taken: Ledger, make_head: MakeHead) -> None:
        with pytest.raises(LedgerCorruptError, match="never listed"):
            taken.commit(make_head(), old=None, migrates="c.json")
        assert taken.head(make_head().session_id) is None
        taken.check()


class TestAListChangedByHand:
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE inventory SET name = 'c.json' WHERE name = 'a.json'",
            "UPDATE inventory SET store_id = 'another' WHERE name = 'a.json'",
            "UPDATE inventory SET payload = payload || x'00'",
            "UPDATE inventory SET mac = zeroblob(32)",
            "UPDATE inventory SET key_id = 'x'",
            "DELETE FROM inventory WHERE name = 'a.json'",
            "DELETE FROM inventory",
            "UPDATE inventory SET (payload, mac) = (SELECT payload, mac FROM inventory WHERE name = 'a.json')",
        ],
    )
    def test_is_refused_as_a_whole(self, taken: Ledger, tamper: Tamper, change: str) -> None:
        tamper(change)
        for use in (taken.inventory, taken.check, lambda: taken.take_inventory([C])):
            with pytest.raises(LedgerCorruptError):
                use()

    def test_does_not_let_a_file_in(self, taken: Ledger, tamper: Tamper) -> None:
        tamper(
            "INSERT INTO inventory SELECT store_id, 'c.json', key_id, payload, mac FROM inventory WHERE name = 'a.json'"
        )
        with pytest.raises(LedgerCorruptError, match="changed outside"):
            taken.inventory_entry("c.json")

    def test_does_not_let_a_genuine_entry_back_in(self, taken: Ledger, tamper: Tamper) -> None:
        tamper("CREATE TABLE kept AS SELECT * FROM inventory")
        taken.take_inventory([InventoryEntry("a.json", "d" * 64, 11)])
        tamper("INSERT OR REPLACE INTO inventory SELECT * FROM kept")
        with pytest.raises(LedgerCorruptError, match="list of unsigned files"):
            taken.inventory()

    @pytest.mark.parametrize("first", [[], [A]])
    def test_an_anchor_put_back_in_an_older_state_does_not_hide_entries(
        self, ledger: Ledger, tamper: Tamper, first: list[InventoryEntry]
    ) -> None:
        if first:
            ledger.take_inventory(first)
        tamper("CREATE TABLE kept AS SELECT * FROM anchor")
        ledger.take_inventory([B, C])
        tamper("DELETE FROM anchor")
        tamper("INSERT INTO anchor SELECT * FROM kept")
        with pytest.raises(LedgerCorruptError, match="list of unsigned files"):
            ledger.inventory()
