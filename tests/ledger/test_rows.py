"""Rows changed by hand: whoever can write the file but lacks the key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import msgspec
import pytest

from sessionstore.errors import LedgerCorruptError
from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger
from sessionstore.ledger.tag import RowSeal
from sessionstore.signing import Key, Keyring, new_key, pae

MakeHead = Callable[..., Head]
Tamper = Callable[..., None]


@pytest.fixture
def two(ledger: Ledger, make_head: MakeHead) -> Ledger:
    ledger.commit(make_head(1, key="k"), old=None)
    ledger.commit(make_head(2), old=None)
    return ledger


def flipped(data: bytes, bit: int) -> bytes:
    position = bit // 8 % len(data)
    return data[:position] + bytes([data[position] ^ 1 << bit % 8]) + data[position + 1 :]


def row(state: Directory, session_id: str) -> tuple[str, bytes, bytes]:
    with closing(sqlite3.connect(f"{state.path}/ledger.db")) as connection:
        found = connection.execute("SELECT key_id, payload, mac FROM heads WHERE session_id = ?", (session_id,))
        key_id, payload, mac = found.fetchone()
        return key_id, payload, mac


class TestAChangedRow:
    @pytest.mark.parametrize(
        "change",
        [
            "state = 'deleted'",
            "state = 'creating'",
            "updated_at = '2030-01-01T00:00:00.000000Z'",
            "ext_key = 'l'",
            "ext_key = NULL",
            "key_id = '0000000000000000'",
            "key_id = 7",
            "key_id = CAST(x'ff' AS TEXT)",
            "payload = payload || x'00'",
            "payload = x''",
            "payload = CAST(payload AS TEXT)",
            "payload = 1",
            "mac = x''",
            "mac = zeroblob(32)",
            "mac = zeroblob(33)",
            "mac = substr(mac, 1, 31)",
            "mac = 'text of exactly 32 bytes, no blob'",
            "mac = 3.5",
        ],
    )
    def test_is_refused_whichever_column_it_was(
        self, two: Ledger, make_head: MakeHead, tamper: Tamper, change: str
    ) -> None:
        tamper(f"UPDATE heads SET {change} WHERE session_id = ?", make_head(1).session_id)
        with pytest.raises(LedgerCorruptError):
            two.head(make_head(1).session_id)
        with pytest.raises(LedgerCorruptError):
            two.check()
        assert two.head(make_head(2).session_id) == make_head(2)

    @pytest.mark.parametrize("change", ["key_id = 'x'", "payload = payload || x'00'", "mac = zeroblob(32)"])
    def test_is_refused_in_a_list(self, two: Ledger, make_head: MakeHead, tamper: Tamper, change: str) -> None:
        tamper(f"UPDATE heads SET {change} WHERE session_id = ?", make_head(1).session_id)
        for limit in (None, 10):
            with pytest.raises(LedgerCorruptError):
                two.heads(limit=limit)

    def test_is_refused_in_a_list_of_the_state_it_was_moved_to(
        self, two: Ledger, make_head: MakeHead, tamper: Tamper
    ) -> None:
        tamper("UPDATE heads SET state = 'deleted'")
        for limit in (None, 10):
            with pytest.raises(LedgerCorruptError, match="disagree"):
                two.heads(states=("deleted",), limit=limit)

    def test_is_refused_for_every_flipped_bit_of_its_payload_and_tag(
        self, two: Ledger, make_head: MakeHead, tamper: Tamper, state: Directory
    ) -> None:
        session_id = make_head(1).session_id
        _, payload, mac = row(state, session_id)
        for bit in range(0, len(payload) * 8, 37):
            tamper("UPDATE heads SET payload = ? WHERE session_id = ?", flipped(payload, bit), session_id)
            with pytest.raises(LedgerCorruptError):
                two.head(session_id)
        tamper("UPDATE heads SET payload = ? WHERE session_id = ?", payload, session_id)
        for bit in range(0, len(mac) * 8, 37):
            tamper("UPDATE heads SET mac = ? WHERE session_id = ?", flipped(mac, bit), session_id)
            with pytest.raises(LedgerCorruptError):
                two.head(session_id)
        tamper("UPDATE heads SET mac = ? WHERE session_id = ?", mac, session_id)
        assert two.head(session_id) == make_head(1, key="k")

    def test_cannot_be_moved_over(self, two: Ledger, make_head: MakeHead, tamper: Tamper) -> None:
        tamper("UPDATE heads SET payload = payload || x'00'")
        with pytest.raises(LedgerCorruptError):
            two.commit(make_head(2, rev=2), old=make_head(2))


class TestARowOfAnother:
    def test_session_is_refused(self, two: Ledger, make_head: MakeHead, tamper: Tamper, state: Directory) -> None:
        first, second = make_head(1).session_id, make_head(2).session_id
        a, b = row(state, first), row(state, second)
        tamper("UPDATE heads SET key_id = ?, payload = ?, mac = ? WHERE session_id = ?", *b, first)
        tamper("UPDATE heads SET key_id = ?, payload = ?, mac = ? WHERE session_id = ?", *a, second)
        for session_id in (first, second):
            with pytest.raises(LedgerCorruptError, match="changed outside"):
                two.head(session_id)
        with pytest.raises(LedgerCorruptError, match="changed outside"):
            two.heads()

    def test_session_is_refused_under_a_new_name(self, two: Ledger, make_head: MakeHead, tamper: Tamper) -> None:
        tamper("UPDATE heads SET session_id = ? WHERE session_id = ?", make_head(3).session_id, make_head(1).session_id)
        with pytest.raises(LedgerCorruptError, match="changed outside"):
            two.head(make_head(3).session_id)

    def test_data_directory_is_refused(
        self, two: Ledger, make_head: MakeHead, tamper: Tamper, open_ledger: Callable[..., Ledger]
    ) -> None:
        tamper("UPDATE heads SET store_id = 'another'")
        with pytest.raises(LedgerCorruptError, match="changed outside"):
            open_ledger(store_id="another").head(make_head(1).session_id)

    def test_purpose_is_refused(
        self, two: Ledger, make_head: MakeHead, tamper: Tamper, keyring: Keyring, store_id: str
    ) -> None:
        # The same bytes, tagged with the key that signs sessions: an oracle for one must not serve the other.
        payload = msgspec.msgpack.encode(make_head(1, rev=9, key="k"))
        session_id = make_head(1).session_id
        mac = keyring.mac_key("session").tag(
            b"sessionstore/head/2", store_id.encode(), session_id.encode(), keyring.primary.id.encode(), payload
        )
        tamper("UPDATE heads SET payload = ?, mac = ? WHERE session_id = ?", payload, mac, session_id)
        with pytest.raises(LedgerCorruptError, match="changed outside"):
            two.head(session_id)

    def test_key_of_the_keyring_is_refused_under_the_first_ones_name(
        self, two: Ledger, make_head: MakeHead, tamper: Tamper, keyring: Keyring, open_ledger: Callable[..., Ledger]
    ) -> None:
        other = Key(new_key("2026-02-01T00:00:00.000000Z").secret, "verify_only", "2026-02-01T00:00:00.000000Z")
        both = open_ledger(with_keyring=Keyring([keyring.primary, other], generation=1))
        tamper("UPDATE heads SET key_id = ?", other.id)
        with pytest.raises(LedgerCorruptError, match="changed outside"):
            both.head(make_head(1).session_id)

    def test_moment_is_not_noticed_here(
        self, two: Ledger, make_head: MakeHead, tamper: Tamper, state: Directory
    ) -> None:
        # The documented limit: an older row of the same session is genuine. The file is ahead of it then.
        session_id = make_head(2).session_id
        old = row(state, session_id)
        two.commit(make_head(2, rev=2), old=make_head(2))
        tamper("UPDATE heads SET key_id = ?, payload = ?, mac = ? WHERE session_id = ?", *old, session_id)
        assert two.head(session_id) == make_head(2)


class TestRowSeal:
    def test_the_pre_image_is_what_the_format_page_says(self, keyring: Keyring, make_head: MakeHead) -> None:
        seal = RowSeal(keyring, "head", b"sessionstore/head/2", "store", Head, "ledger.db")
        payload = seal.payload(make_head())
        key_id, mac = seal.sign("name", payload)
        assert key_id == keyring.primary.id
        parts = (b"sessionstore/head/2", b"store", b"name", key_id.encode(), payload)
        keyring.mac_key("head").verify(mac, *parts)
        assert pae(*parts).startswith(b"\5\0\0\0\0\0\0\0\x13\0\0\0\0\0\0\0sessionstore/head/2")

    def test_a_payload_is_a_messagepack_array_in_the_order_of_the_fields(
        self, keyring: Keyring, make_head: MakeHead
    ) -> None:
        seal = RowSeal(keyring, "head", b"sessionstore/head/2", "store", Head, "ledger.db")
        decoded = msgspec.msgpack.decode(seal.payload(make_head()))
        assert decoded[:5] == [make_head().session_id, "live", 1, make_head().tag, 2000]
        assert len(decoded) == len(Head.__struct_fields__) == 23

    @pytest.mark.parametrize("payload", [b"", b"\x90", b"\xc1", msgspec.msgpack.encode(["too", "short"])])
    def test_a_genuine_row_of_another_shape_is_not_called_tampering(self, keyring: Keyring, payload: bytes) -> None:
        seal = RowSeal(keyring, "head", b"sessionstore/head/2", "store", Head, "ledger.db")
        key_id, mac = seal.sign("name", payload)
        with pytest.raises(LedgerCorruptError, match="of another release"):
            seal.open("name", key_id, payload, mac)
