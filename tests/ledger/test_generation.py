"""A change of keys as ledgers see it: the one who changed them, one that was open meanwhile, and one that is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sessionstore.errors import (
    KeyDisabledError,
    KeyUnavailableError,
    LedgerCorruptError,
    StoreUnavailableError,
    UnknownKeyError,
)
from sessionstore.ledger import AuditFile, AuditHead, Head, InventoryEntry, Ledger
from sessionstore.signing import Key, Keyring, added, closed, promoted, retired, waiting_key

MADE_AT = "2026-02-01T00:00:00.000000Z"
MakeHead = Callable[..., Head]


@dataclass
class Stored:
    """A keyring as it is stored, and copies of it that processes hold."""

    now: Keyring
    loads: int = 0
    held: list[Keyring] = field(default_factory=list)

    def copy(self) -> Keyring:
        keyring = Keyring(self.now.keys, generation=self.now.generation)
        keyring.loaded_by(self.load)
        self.held.append(keyring)
        return keyring

    def load(self) -> Keyring:
        self.loads += 1
        return Keyring(self.now.keys, generation=self.now.generation)

    def step(self, step: Callable[[Keyring], Keyring | None]) -> Keyring:
        newer = step(self.now)
        assert newer is not None
        self.now = newer
        return self.load()


@pytest.fixture
def stored(keyring: Keyring) -> Stored:
    return Stored(keyring)


@pytest.fixture
def ours(stored: Stored, open_ledger: Callable[..., Ledger]) -> Ledger:
    return open_ledger(with_keyring=stored.copy())


@pytest.fixture
def theirs(ours: Ledger, stored: Stored, open_ledger: Callable[..., Ledger]) -> Ledger:
    return open_ledger(with_keyring=stored.copy())


def promote(ledger: Ledger, stored: Stored) -> str:
    """Make another key primary; its id."""
    ledger.generations.follow(stored.step(lambda ring: added(ring, waiting_key(MADE_AT))))
    ledger.generations.follow(stored.step(promoted))
    return stored.now.primary.id


def tag(key_id: str, mark: str = "1") -> str:
    return f"ss2.{key_id}.{mark * 64}"


def signers(state: Any) -> dict[str, str]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(f"{state.path}/ledger.db")) as connection:
        found = connection.execute("SELECT session_id, key_id FROM heads").fetchall()
        found += connection.execute("SELECT 'anchor', key_id FROM anchor").fetchall()
        return dict(found)


class TestNoticed:
    def test_another_process_takes_the_new_key_with_the_next_head(
        self, ours: Ledger, theirs: Ledger, stored: Stored, make_head: MakeHead
    ) -> None:
        ours.commit(make_head(), old=None)
        loads = stored.loads
        assert theirs.head(make_head().session_id) == make_head()
        assert stored.loads == loads
        new = promote(ours, stored)
        assert [ring.generation for ring in stored.held] == [3, 1]
        assert theirs.head(make_head().session_id) == make_head()
        assert stored.held[1].primary.id == new

    def test_a_statement_of_its_own_is_signed_again(
        self, ours: Ledger, theirs: Ledger, stored: Stored, make_head: MakeHead, state: Any
    ) -> None:
        ours.commit(make_head(), old=None)
        assert theirs.head(make_head().session_id) == make_head()
        new = promote(ours, stored)
        theirs.commit(make_head(mtime_ns=9), old=make_head())
        assert signers(state)[make_head().session_id] == new

    def test_a_transaction_begins_with_it(
        self, ours: Ledger, theirs: Ledger, stored: Stored, make_head: MakeHead, state: Any
    ) -> None:
        new = promote(ours, stored)
        theirs.commit(make_head(), old=None)
        assert signers(state) == {make_head().session_id: new, "anchor": new}

    def test_other_rows_of_a_newer_process_are_read(
        self, ours: Ledger, theirs: Ledger, stored: Stored, make_head: MakeHead
    ) -> None:
        promote(ours, stored)
        ours.commit(make_head(key="k"), old=None)
        ours.take_inventory([InventoryEntry("a.json", "0" * 64, 1)])
        assert [head.key for head in theirs.heads()] == ["k"]
        assert list(theirs.inventory()) == ["a.json"]

    def test_the_audit_log_too(self, ours: Ledger, theirs: Ledger, stored: Stored) -> None:
        head = audit_head()
        ours.audit.begin(head, None)
        assert theirs.audit.head() == head
        new = promote(ours, stored)
        moved = audit_head(seq=2)
        theirs.audit.move(moved, head)
        assert ours.audit.head() == moved
        assert ours.renewal.under(new) == 1
        with pytest.raises(StoreUnavailableError, match="without its lock"):
            theirs.audit.move(moved, head)


class TestRefused:
    def test_a_head_moves_only_to_a_seal_of_the_primary_key(
        self, ours: Ledger, theirs: Ledger, stored: Stored, make_head: MakeHead
    ) -> None:
        old = stored.now.primary.id
        ours.commit(make_head(tag=tag(old)), old=None)
        before = theirs.head(make_head().session_id)
        assert before is not None
        new = promote(ours, stored)
        with pytest.raises(KeyDisabledError) as caught:
            theirs.commit(make_head(rev=2, tag=tag(old, "2")), old=before)
        assert caught.value.fields == {"key_id": old, "status": "verify_only"}
        assert ours.head(make_head().session_id) == before
        theirs.commit(make_head(rev=2, tag=tag(new, "2")), old=before)
        with pytest.raises(KeyDisabledError, match="unknown"):
            theirs.commit(make_head(rev=3, tag=tag("f" * 16)), old=make_head(rev=2, tag=tag(new, "2")))

    def test_an_older_keyring_that_was_put_back(
        self, ours: Ledger, stored: Stored, keyring: Keyring, open_ledger: Callable[..., Ledger]
    ) -> None:
        ours.generations.follow(stored.step(lambda ring: added(ring, waiting_key(MADE_AT))))
        with pytest.raises(KeyUnavailableError) as caught:
            open_ledger(with_keyring=Keyring(keyring.keys, generation=1))
        assert caught.value.fields["reason"] == "older"
        promote_only = stored.step(promoted)
        ours.generations.follow(promote_only)
        with pytest.raises(UnknownKeyError):
            open_ledger(with_keyring=Keyring(keyring.keys, generation=1))

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM generation",
            "UPDATE generation SET payload = x'9109'",
            "UPDATE generation SET mac = x'00'",
            "UPDATE generation SET payload = x'ff'",
        ],
    )
    def test_a_row_that_was_changed_by_hand(
        self, ours: Ledger, make_head: MakeHead, tamper: Callable[..., None], sql: str
    ) -> None:
        ours.commit(make_head(), old=None)
        tamper("CREATE TABLE kept AS SELECT * FROM generation")
        tamper(sql)
        calls: tuple[Callable[[], object], ...] = (
            lambda: ours.head(make_head().session_id),
            lambda: ours.commit(make_head(2), old=None),
        )
        if "mac" not in sql:  # the content that everybody relies on is as it was: noticed when a ledger is opened
            for call in calls:
                with pytest.raises(LedgerCorruptError):
                    call()
        with pytest.raises(LedgerCorruptError):
            ours.generations.settle()
        tamper("DELETE FROM generation")
        tamper("INSERT INTO generation SELECT * FROM kept")
        tamper("DROP TABLE kept")

    def test_a_row_under_an_old_key_once_all_were_made_anew(
        self, ours: Ledger, stored: Stored, make_head: MakeHead, tamper: Callable[..., None], state: Any
    ) -> None:
        import sqlite3
        from contextlib import closing

        ours.commit(make_head(), old=None)
        with closing(sqlite3.connect(f"{state.path}/ledger.db")) as connection:
            columns = connection.execute("SELECT key_id, mac FROM heads").fetchone()
        promote(ours, stored)
        while ours.renewal.page():
            pass
        assert ours.head(make_head().session_id) == make_head()
        tamper("UPDATE heads SET key_id = ?, mac = ?", *columns)
        assert ours.head(make_head().session_id) == make_head()
        ours.generations.follow(stored.step(closed))
        with pytest.raises(LedgerCorruptError, match="old key"):
            ours.head(make_head().session_id)


class TestKilled:
    def test_between_keyring_and_row(
        self, ours: Ledger, theirs: Ledger, stored: Stored, open_ledger: Callable[..., Ledger], make_head: MakeHead
    ) -> None:
        ours.generations.follow(stored.step(lambda ring: added(ring, waiting_key(MADE_AT))))
        theirs.generations.settle()
        stored.step(promoted)  # and then it was killed
        theirs.commit(make_head(), old=None)
        assert stored.held[1].generation == 2
        with open_ledger(with_keyring=stored.copy()) as finished:
            assert finished.head(make_head().session_id) == make_head()
        assert theirs.head(make_head().session_id) == make_head()
        assert stored.held[1].primary.id == stored.now.primary.id

    def test_a_reader_leaves_it_to_others(
        self, ours: Ledger, stored: Stored, open_ledger: Callable[..., Ledger], make_head: MakeHead
    ) -> None:
        ours.commit(make_head(), old=None)
        ours.generations.follow(stored.step(lambda ring: added(ring, waiting_key(MADE_AT))))
        stored.step(promoted)
        with open_ledger(with_keyring=stored.copy(), read_only=True) as reader:
            assert reader.head(make_head().session_id) == make_head()
        assert stored.held[0].generation == 2

    def test_a_change_that_the_ledger_refuses_is_taken_up_by_the_next_call(
        self, ours: Ledger, stored: Stored, make_head: MakeHead, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours.commit(make_head(), old=None)
        ours.generations.follow(stored.step(lambda ring: added(ring, waiting_key(MADE_AT))))
        newer = stored.step(promoted)
        put = ours.generations._put

        def fail(connection: object) -> None:
            raise StoreUnavailableError(reason="full", outcome="not_written")

        with monkeypatch.context() as patched:
            patched.setattr(ours.generations, "_put", fail)
            with pytest.raises(StoreUnavailableError):
                ours.generations.follow(newer)
        assert ours.generations._put == put
        ours.commit(make_head(mtime_ns=5), old=make_head())
        assert ours.renewal.under(stored.now.primary.id) == 1


class TestRenewal:
    def test_every_kind_of_row_is_made_anew_page_by_page(
        self, ours: Ledger, stored: Stored, make_head: MakeHead, open_ledger: Callable[..., Ledger], state: Any
    ) -> None:
        fill(ours, make_head)
        before = everything(ours)
        old, new = stored.now.primary.id, promote(ours, stored)
        left = ours.renewal.left()
        assert (left, ours.renewal.under(old), ours.renewal.under(new)) == (9, 9, 0)
        assert [ours.renewal.page(4) for _ in range(4)] == [4, 4, 1, 0]
        assert (ours.renewal.left(), ours.renewal.under(new)) == (0, 9)
        assert everything(ours) == before
        ours.generations.follow(stored.step(closed))
        ours.generations.follow(stored.step(lambda ring: retired(ring, old, "destroyed")))
        with open_ledger(with_keyring=stored.copy()) as again:
            assert everything(again) == before
            again.check()

    def test_a_row_that_does_not_verify_is_not_signed(
        self, ours: Ledger, stored: Stored, make_head: MakeHead, tamper: Callable[..., None]
    ) -> None:
        fill(ours, make_head)
        promote(ours, stored)
        tamper("UPDATE inventory SET mac = x'00'")
        left = ours.renewal.left()
        with pytest.raises(LedgerCorruptError):
            ours.renewal.page()
        assert ours.renewal.left() == left

    def test_a_writer_with_a_head_in_hand_is_not_disturbed(
        self, ours: Ledger, theirs: Ledger, stored: Stored, make_head: MakeHead
    ) -> None:
        ours.commit(make_head(), old=None)
        head = theirs.head(make_head().session_id)
        promote(ours, stored)
        while ours.renewal.page():
            pass
        theirs.commit(make_head(mtime_ns=3), old=head)


def fill(ledger: Ledger, make_head: MakeHead) -> None:
    for number in (1, 2):
        ledger.commit(make_head(number), old=None)
    ledger.commit(make_head(3, state="deleted"), old=None)
    ledger.take_inventory([InventoryEntry("a.json", "0" * 64, 1)])
    with ledger.attempts() as attempts:
        attempts.clock()
        from sessionstore.ledger import AttemptClock

        attempts.set_clock(AttemptClock(5, "", 0, 0))
        attempts.put("all", [1, 2], leaves_at=100)
    ledger.audit.begin(audit_head(), None)
    closed_row = AuditFile(
        file=1,
        state="closed",
        start_seq=0,
        start_mac=bytes(32),
        seq=1,
        mac=b"m" * 32,
        end=9,
        lines=1,
        day="2026-02-01",
        digest=b"d" * 32,
    )
    ledger.audit.begin(audit_head(file=2, start_seq=1, start_mac=b"m" * 32), audit_head(), closed_row)


def everything(ledger: Ledger) -> list[object]:
    with ledger.attempts() as attempts:
        counted = (attempts.clock(), attempts.entries("all"))
    return [
        ledger.heads(states=("live", "deleted")),
        ledger.inventory(),
        counted,
        ledger.audit.read(),
        [binding.store_id for binding in ledger.stores()],
    ]


def audit_head(**changes: Any) -> AuditHead:
    members: dict[str, Any] = {
        "file": 1,
        "seq": 1,
        "mac": b"m" * 32,
        "end": 9,
        "lines": 1,
        "start_seq": 0,
        "start_mac": bytes(32),
        "day": "2026-02-01",
        "inode": 1,
        "size": 9,
        "mtime_ns": 1,
        "ctime_ns": 1,
        "synced_end": 9,
        "boot": "",
    }
    return AuditHead(**members | changes)


def test_a_destroyed_key_is_no_key(keyring: Keyring) -> None:
    assert Key(b"", "destroyed", MADE_AT, id=keyring.primary.id).secret == b""
