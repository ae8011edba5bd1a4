from __future__ import annotations

from collections.abc import Callable

import pytest

from sessionstore.errors import LedgerCorruptError, UnknownKeyError
from sessionstore.ledger import Binding, Head, InventoryEntry, Ledger
from sessionstore.signing import Keyring, new_key

OpenLedger = Callable[..., Ledger]


class TestBinding:
    def test_a_bound_directory_is_known_by_its_store_id(self, ledger: Ledger, store_id: str) -> None:
        assert ledger.binding(store_id) == Binding(store_id, 1, 2)
        assert ledger.stores() == (Binding(store_id, 1, 2),)

    def test_an_unknown_store_id_has_none(self, ledger: Ledger) -> None:
        assert ledger.binding("another") is None

    def test_several_directories_share_a_ledger(self, ledger: Ledger, store_id: str) -> None:
        ledger.bind("another", 7, 8)
        assert [binding.store_id for binding in ledger.stores()] == [store_id, "another"]
        assert ledger.binding("another") == Binding("another", 7, 8)

    def test_claiming_a_directory_keeps_what_was_counted_in_it(
        self, ledger: Ledger, store_id: str, make_head: Callable[..., Head]
    ) -> None:
        ledger.commit(make_head(), old=None)
        ledger.take_inventory([InventoryEntry("a.json", "0" * 64, 1)])
        ledger.bind(store_id, 2**40, 2**64 - 1)
        binding = ledger.binding(store_id)
        assert binding is not None
        assert (binding.device, binding.inode, binding.heads) == (2**40, 2**64 - 1, 1)
        assert ledger.inventory_taken()
        ledger.check()


class TestAnchor:
    def test_a_ledger_signed_with_another_installations_key_is_not_called_tampered(
        self, ledger: Ledger, open_ledger: OpenLedger, keyring: Keyring
    ) -> None:
        with pytest.raises(UnknownKeyError) as caught:
            open_ledger(with_keyring=Keyring([new_key("2026-02-01T00:00:00.000000Z")], generation=1))
        assert caught.value.fields == {"key_id": keyring.primary.id}

    @pytest.mark.parametrize(
        "change",
        [
            "DELETE FROM anchor",
            "UPDATE anchor SET mac = zeroblob(32)",
            "UPDATE anchor SET payload = payload || x'00'",
            "UPDATE anchor SET payload = x'9290c0'",
        ],
    )
    def test_a_ledger_without_its_genuine_first_row_is_refused(
        self, ledger: Ledger, open_ledger: OpenLedger, tamper: Callable[..., None], change: str
    ) -> None:
        # Else it would look new, and list unsigned files a second time.
        tamper(change)
        with pytest.raises(LedgerCorruptError):
            ledger.inventory_taken()
        ledger.close()
        with pytest.raises(LedgerCorruptError):
            open_ledger()

    def test_a_second_first_row_has_no_place(self, ledger: Ledger, tamper: Callable[..., None]) -> None:
        tamper("PRAGMA ignore_check_constraints = ON")
        with pytest.raises(Exception, match="CHECK constraint failed"):
            tamper("INSERT INTO anchor SELECT 2, key_id, payload, mac FROM anchor")
