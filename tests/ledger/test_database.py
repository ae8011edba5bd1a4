from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from sessionstore.errors import ConflictError, LedgerCorruptError, StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger

MakeHead = Callable[..., Head]
OpenLedger = Callable[..., Ledger]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def is_full(ledger: Ledger) -> bool:
    """Whether the last commit was synced, as SQLite says of its own connection."""
    connection = ledger._database._connection
    assert connection is not None
    return bool(connection.execute("PRAGMA synchronous").fetchone()[0] == 2)


class TestSyncing:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def ledger(self, open_ledger: OpenLedger, clock: Clock) -> Ledger:
        return open_ledger(sync_interval_s=5.0, clock=clock)

    def test_an_ordinary_commit_waits_for_a_later_sync(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(), old=None)
        assert not is_full(ledger)
        ledger.commit(make_head(rev=2), old=make_head())
        assert not is_full(ledger)

    def test_a_durable_one_is_synced_and_the_next_ordinary_one_is_not(
        self, ledger: Ledger, make_head: MakeHead
    ) -> None:
        ledger.commit(make_head(), old=None, durable=True)
        assert is_full(ledger)
        ledger.commit(make_head(rev=2), old=make_head())
        assert not is_full(ledger)
        ledger.commit(make_head(rev=3), old=make_head(rev=2), durable=True)
        assert is_full(ledger)

    def test_one_is_synced_when_the_last_sync_is_longer_ago_than_the_interval(
        self, ledger: Ledger, make_head: MakeHead, clock: Clock
    ) -> None:
        ledger.commit(make_head(), old=None)
        clock.now += 5.0
        ledger.commit(make_head(rev=2), old=make_head())
        assert not is_full(ledger)
        clock.now += 0.1
        ledger.commit(make_head(rev=3), old=make_head(rev=2))
        assert is_full(ledger)
        clock.now += 4.9
        ledger.commit(make_head(rev=4), old=make_head(rev=3))
        assert not is_full(ledger)

    def test_what_changes_once_in_a_lifetime_is_always_synced(
        self, ledger: Ledger, store_id: str, make_head: MakeHead
    ) -> None:
        changes = (lambda: ledger.bind(store_id, 1, 2), lambda: ledger.take_inventory([]), ledger.sync)
        for number, change in enumerate(changes):
            ledger.commit(make_head(number), old=None)
            assert not is_full(ledger)
            change()
            assert is_full(ledger)

    def test_closing_syncs_what_waits_and_nothing_else(
        self, ledger: Ledger, make_head: MakeHead, state: Directory
    ) -> None:
        # Held open beside it, so that closing is not the last close, which brings the log home by itself.
        with closing(sqlite3.connect(f"{state.path}/ledger.db")) as beside:
            beside.execute("SELECT count(*) FROM heads").fetchone()
            ledger.commit(make_head(), old=None)
            size = os.stat(f"{state.path}/ledger.db-wal").st_size
            ledger.close()
            synced = os.stat(f"{state.path}/ledger.db-wal").st_size
            assert synced > size
            ledger.close()
            assert os.stat(f"{state.path}/ledger.db-wal").st_size == synced


class TestClosing:
    def test_it_may_be_repeated_and_nothing_works_after_it(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.close()
        ledger.close()
        with pytest.raises(StoreUnavailableError, match="is closed"):
            ledger.head(make_head().session_id)
        with pytest.raises(StoreUnavailableError, match="is closed"):
            ledger.commit(make_head(), old=None)

    def test_it_leaves_one_file(self, ledger: Ledger, make_head: MakeHead, state: Directory) -> None:
        ledger.commit(make_head(), old=None)
        ledger.close()
        assert os.listdir(state.path) == ["ledger.db"]


class TestWaiting:
    @pytest.fixture
    def holder(self, ledger: Ledger, state: Directory) -> Iterator[sqlite3.Connection]:
        """Another user of the ledger, in the middle of a write."""
        with closing(sqlite3.connect(f"{state.path}/ledger.db", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def test_a_lock_kept_too_long_is_told_and_nothing_is_written(
        self, open_ledger: OpenLedger, make_head: MakeHead, holder: sqlite3.Connection
    ) -> None:
        ledger = open_ledger(timeout_s=0)
        with pytest.raises(StoreUnavailableError, match="keeps the ledger locked") as caught:
            ledger.commit(make_head(), old=None)
        assert caught.value.fields["outcome"] == "not_written"
        holder.execute("ROLLBACK")
        ledger.commit(make_head(), old=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="keeps the ledger locked"):
            ledger.commit(make_head(rev=2), old=make_head())
        assert ledger.head(make_head().session_id) == make_head()
        holder.execute("ROLLBACK")
        ledger.commit(make_head(rev=2), old=make_head())

    def test_readers_do_not_wait_for_a_writer(
        self, open_ledger: OpenLedger, make_head: MakeHead, holder: sqlite3.Connection
    ) -> None:
        assert open_ledger(timeout_s=0).heads() == []


class TestAFailedWrite:
    def test_a_file_size_limit_loses_nothing_acknowledged(
        self, ledger: Ledger, make_head: MakeHead, run_child: Callable[[str], str]
    ) -> None:
        ledger.commit(make_head(), old=None)
        ledger.close()
        acknowledged = run_child(f"""
import resource
ledger = open_ledger()
done = bump(ledger, {make_head().session_id!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
try:
    while True:
        done = bump(ledger, {make_head().session_id!r})
except StoreUnavailableError as error:
    assert error.outcome == "not_written", error
    assert "limit for the size" in error.reason, error
assert ledger.head({make_head().session_id!r}).rev == done
begun = 1
try:
    while True:
        head = ledger.head({make_head().session_id!r})
        ledger.commit(replace(head, session_id=str(begun)), old=None)
        begun += 1
except StoreUnavailableError as error:
    assert error.outcome == "not_written", error
assert ledger.count() == begun > 1
ledger.check()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert ledger.head({make_head().session_id!r}).rev == done
done = bump(ledger, {make_head().session_id!r})
ledger.check()
ledger.close()
print(done)
""")
        assert int(acknowledged) > 2

    def test_a_block_left_by_an_error_of_ours_writes_nothing(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(), old=None)
        with pytest.raises(KeyboardInterrupt), ledger._database.transaction(durable=False) as connection:
            connection.execute("DELETE FROM heads")
            raise KeyboardInterrupt
        assert ledger.heads() == [make_head()]

    def test_an_error_of_the_database_in_a_block_is_told_in_our_words(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerCorruptError), ledger._database.transaction(durable=False) as connection:
            connection.execute("SELECT * FROM no_such_table")
        ledger.check()


class TestThreads:
    def test_threads_that_race_lose_no_commit(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(), old=None)
        failures: list[BaseException] = []
        numbers = itertools.count(2)

        def work() -> None:
            try:
                for turn in range(25):
                    bump(ledger, make_head().session_id)
                    ledger.commit(make_head(next(numbers)), old=None, durable=turn == 0)
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert ledger.heads(newest_first=False)[0].rev == 101
        assert ledger.count() == 101
        ledger.check()


def bump(ledger: Ledger, session_id: str) -> None:
    while True:
        old = ledger.head(session_id)
        assert old is not None
        try:
            return ledger.commit(Head(**{**_fields(old), "rev": old.rev + 1}), old=old)
        except ConflictError:
            pass


def _fields(head: Head) -> dict[str, object]:
    return {name: getattr(head, name) for name in Head.__struct_fields__}
