"""The recorded policy: what is not there is the default only if it never was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sessionstore.errors import LedgerCorruptError, StoreUnavailableError
from sessionstore.ledger import Ledger

Tamper = Callable[..., None]


class TestPolicy:
    def test_it_is_warn_until_it_is_changed(self, ledger: Ledger, open_ledger: Callable[..., Ledger]) -> None:
        assert ledger.policy.read() == "warn"
        ledger.policy.change("strict", old="warn")
        assert (ledger.policy.read(), open_ledger().policy.read()) == ("strict", "strict")
        ledger.policy.change("accept", old="strict")
        assert ledger.policy.read() == "accept"
        ledger.check()

    def test_of_two_who_change_it_at_once_one_is_told(self, ledger: Ledger) -> None:
        ledger.policy.change("require", old="warn")
        with pytest.raises(StoreUnavailableError, match="somebody else"):
            ledger.policy.change("strict", old="warn")
        assert ledger.policy.read() == "require"

    def test_it_belongs_to_one_data_directory(self, ledger: Ledger, open_ledger: Callable[..., Ledger]) -> None:
        ledger.policy.change("strict", old="warn")
        other = open_ledger(store_id="another")
        assert other.policy.read() == "warn"
        with pytest.raises(LedgerCorruptError, match="does not know this data directory"):
            other.policy.change("accept", old="warn")


class TestChangedByHand:
    @pytest.mark.parametrize(
        "change",
        [
            "DELETE FROM policy",
            "UPDATE policy SET store_id = 'another'",
            "UPDATE policy SET payload = payload || x'00'",
            "UPDATE policy SET mac = zeroblob(32)",
            "UPDATE policy SET key_id = 'x'",
            "UPDATE policy SET payload = ?, mac = ?",
        ],
    )
    def test_it_is_refused_and_cannot_be_changed(self, ledger: Ledger, tamper: Tamper, change: str) -> None:
        ledger.policy.change("accept", old="warn")
        older = ledger._database.read("SELECT payload, mac FROM policy")[0]
        ledger.policy.change("strict", old="accept")
        tamper(change, *(older if "?" in change else ()))
        for use in (ledger.policy.read, ledger.check, lambda: ledger.policy.change("accept", old="warn")):
            with pytest.raises(LedgerCorruptError):
                use()

    def test_a_row_made_up_is_refused(self, ledger: Ledger, tamper: Tamper) -> None:
        tamper("INSERT INTO policy SELECT '5d9c3b52', key_id, payload, mac FROM anchor")
        assert ledger.policy.read() == "warn"
        tamper("UPDATE policy SET store_id = ?", ledger.store_id)
        with pytest.raises(LedgerCorruptError):
            ledger.policy.read()
