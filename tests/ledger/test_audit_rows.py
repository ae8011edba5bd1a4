"""The rows about the audit log: moved by compare-and-set, verified one by one and as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sessionstore.errors import LedgerCorruptError, StoreUnavailableError
from sessionstore.ledger import AuditFile, AuditHead, Ledger

replace = msgspec.structs.replace


def head(file: int, seq: int, *, start_seq: int = 0, start_mac: bytes = bytes(32)) -> AuditHead:
    return AuditHead(
        file=file,
        seq=seq,
        mac=bytes([seq]) * 32,
        end=seq * 300,
        lines=seq - start_seq,
        start_seq=start_seq,
        start_mac=start_mac,
        day="2026-01-31",
        inode=7,
        size=seq * 300,
        mtime_ns=1,
        ctime_ns=2,
        synced_end=0,
        boot="",
    )


def closed(end: AuditHead) -> AuditFile:
    return AuditFile(
        file=end.file,
        state="closed",
        start_seq=end.start_seq,
        start_mac=end.start_mac,
        seq=end.seq,
        mac=end.mac,
        end=end.end,
        lines=end.lines,
        day=end.day,
        digest=b"d" * 32,
    )


FIRST = head(1, 3)
SECOND = head(2, 5, start_seq=3, start_mac=FIRST.mac)
THIRD = head(3, 6, start_seq=5, start_mac=SECOND.mac)


@pytest.fixture
def begun(ledger: Ledger) -> Ledger:
    """A log of three files."""
    ledger.audit.begin(FIRST, None)
    ledger.audit.begin(SECOND, FIRST, closed(FIRST))
    ledger.audit.begin(THIRD, SECOND, closed(SECOND))
    return ledger


class TestRows:
    def test_there_are_none_before_the_first_line(self, ledger: Ledger) -> None:
        assert ledger.audit.head() is None and ledger.audit.read() == (None, [])

    def test_what_was_committed_is_read(self, begun: Ledger) -> None:
        assert begun.audit.read() == (THIRD, [closed(FIRST), closed(SECOND)])

    def test_they_belong_to_one_data_directory(self, begun: Ledger, open_ledger: Callable[..., Ledger]) -> None:
        other = open_ledger(store_id="1f0c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d")
        assert other.audit.read() == (None, [])

    def test_a_head_moves_from_exactly_the_state_that_was_read(self, begun: Ledger) -> None:
        moved = replace(THIRD, seq=7, mac=b"7" * 32)
        begun.audit.move(moved, THIRD)
        assert begun.audit.head() == moved
        with pytest.raises(StoreUnavailableError):
            begun.audit.move(replace(THIRD, seq=8), THIRD)
        with pytest.raises(StoreUnavailableError):
            begun.audit.begin(head(4, 9), THIRD)
        assert begun.audit.head() == moved

    def test_what_became_of_older_files_is_kept(self, begun: Ledger) -> None:
        begun.audit.change(replace(closed(FIRST), state="retired"), replace(closed(SECOND), state="damaged"))
        assert [file.state for file in begun.audit.read()[1]] == ["retired", "damaged"]


class TestRowsChangedByHand:
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE audit SET mac = x'00' WHERE file = 0",
            "UPDATE audit SET payload = x'00' WHERE file = 1",
            "DELETE FROM audit WHERE file = 0",
            "DELETE FROM audit WHERE file = 1",
            "DELETE FROM audit WHERE file = 2",
            "DELETE FROM audit",
            "UPDATE audit SET file = 9 WHERE file = 2",
            "INSERT INTO audit SELECT store_id, 9, key_id, payload, mac FROM audit WHERE file = 1",
        ],
    )
    def test_are_refused_as_a_whole(self, change: str, begun: Ledger, tamper: Callable[..., None]) -> None:
        tamper(change)
        with pytest.raises(LedgerCorruptError):
            begun.audit.read()

    def test_a_log_whose_rows_are_gone_is_not_begun_anew(self, begun: Ledger, tamper: Callable[..., None]) -> None:
        tamper("DELETE FROM audit")
        with pytest.raises(LedgerCorruptError):
            begun.audit.head()

    def test_a_head_put_back_to_an_older_file_does_not_fit(self, begun: Ledger, tamper: Callable[..., None]) -> None:
        (row,) = begun._database.read("SELECT key_id, payload, mac FROM audit WHERE file = 0")
        fourth = head(4, 8, start_seq=6, start_mac=THIRD.mac)
        begun.audit.begin(fourth, THIRD, closed(THIRD))
        tamper("UPDATE audit SET key_id = ?, payload = ?, mac = ? WHERE file = 0", *row)
        with pytest.raises(LedgerCorruptError):
            begun.audit.read()
        tamper("DELETE FROM audit WHERE file = 3")  # now the rows fit together; the anchor knows of one file more
        with pytest.raises(LedgerCorruptError):
            begun.audit.read()

    def test_rows_that_do_not_follow_each_other_do_not_fit(self, begun: Ledger) -> None:
        begun.audit.change(replace(closed(FIRST), seq=4))
        with pytest.raises(LedgerCorruptError):
            begun.audit.read()

    def test_a_head_is_not_taken_for_a_file(self, begun: Ledger, tamper: Callable[..., Any]) -> None:
        tamper(
            "UPDATE audit SET (key_id, payload, mac) ="
            " (SELECT key_id, payload, mac FROM audit WHERE file = 0) WHERE file = 2"
        )
        with pytest.raises(LedgerCorruptError):
            begun.audit.read()
