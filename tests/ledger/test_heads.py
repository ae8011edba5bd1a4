from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessionstore.errors import AlreadyExistsError, ConflictError, KeyDisabledError, LedgerCorruptError, UnknownKeyError
from sessionstore.ledger import Head, Ledger
from sessionstore.signing import Key, Keyring, new_key

MakeHead = Callable[..., Head]
OpenLedger = Callable[..., Ledger]


class TestHead:
    def test_a_session_that_was_never_begun_has_none(self, ledger: Ledger, make_head: MakeHead) -> None:
        assert ledger.head(make_head().session_id) is None

    def test_what_was_committed_is_read_back_in_every_field(self, ledger: Ledger, make_head: MakeHead) -> None:
        head = make_head(
            key="customer 7 — ü\U0001f642",
            name="n" * 200,
            project=None,
            place=(2**63, 2**64 - 1),
            parent="p",
            origin="o",
            closed_at="2026-01-31T13:00:00.000000Z",
            tags=("a", "b"),
            last_key="k",
            mtime_ns=2**62,
        )
        ledger.commit(head, old=None)
        assert ledger.head(head.session_id) == head

    def test_it_is_there_after_closing_and_opening(self, open_ledger: OpenLedger, make_head: MakeHead) -> None:
        first = open_ledger()
        first.commit(make_head(), old=None)
        first.close()
        assert open_ledger().head(make_head().session_id) == make_head()

    def test_more_than_are_remembered_as_verified_are_still_read_right(
        self, ledger: Ledger, make_head: MakeHead, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sessionstore.ledger.heads._MOST_VERIFIED", 2)
        for number in range(1, 6):
            ledger.commit(make_head(number), old=None)
        for _ in range(2):
            for number in range(1, 6):
                assert ledger.head(make_head(number).session_id) == make_head(number)
        assert len(ledger._heads._verified) <= 2

    def test_a_remembered_row_counts_only_while_the_stored_bytes_are_the_same(
        self, ledger: Ledger, make_head: MakeHead, tamper: Callable[..., None]
    ) -> None:
        ledger.commit(make_head(), old=None)
        assert ledger.head(make_head().session_id) == make_head()
        tamper("UPDATE heads SET mac = zeroblob(32)")
        with pytest.raises(LedgerCorruptError):
            ledger.head(make_head().session_id)

    def test_heads_of_one_data_directory_are_not_those_of_another(
        self, open_ledger: OpenLedger, make_head: MakeHead
    ) -> None:
        open_ledger().commit(make_head(), old=None)
        assert open_ledger(store_id="another").head(make_head().session_id) is None

    def test_a_row_signed_before_a_rotation_is_read_and_the_next_one_is_signed_with_the_new_key(
        self, open_ledger: OpenLedger, make_head: MakeHead, keyring: Keyring
    ) -> None:
        with open_ledger() as before:
            before.commit(make_head(), old=None)
        new = new_key("2026-02-01T00:00:00.000000Z")
        retired = Key(keyring.primary.secret, "verify_only", keyring.primary.created_at)
        rotated = open_ledger(with_keyring=Keyring([new, retired], generation=2))
        assert rotated.head(make_head().session_id) == make_head()
        rotated.commit(make_head(rev=2), old=make_head())
        assert rotated.head(make_head().session_id) == make_head(rev=2)
        with pytest.raises(UnknownKeyError):
            open_ledger()

    def test_a_row_under_a_disabled_key_is_refused(
        self, open_ledger: OpenLedger, make_head: MakeHead, keyring: Keyring
    ) -> None:
        with open_ledger() as before:
            before.commit(make_head(), old=None)
        new = new_key("2026-02-01T00:00:00.000000Z")
        disabled = Key(keyring.primary.secret, "disabled", keyring.primary.created_at)
        with pytest.raises(KeyDisabledError):
            open_ledger(with_keyring=Keyring([new, disabled], generation=2))


class TestCommit:
    def test_it_moves_a_head_that_stands_as_the_caller_read_it(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(), old=None)
        ledger.commit(make_head(rev=2), old=ledger.head(make_head().session_id))
        assert ledger.head(make_head().session_id) == make_head(rev=2)

    def test_the_second_writer_from_one_state_is_told_who_won(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(), old=None)
        ledger.commit(make_head(rev=2, end=1), old=make_head())
        with pytest.raises(ConflictError) as caught:
            ledger.commit(make_head(rev=2, end=2), old=make_head())
        assert (caught.value.fields["expected"], caught.value.fields["found"]) == (1, 2)
        assert ledger.head(make_head().session_id) == make_head(rev=2, end=1)

    @pytest.mark.parametrize("change", [{"end": 1}, {"mtime_ns": 9}, {"tags": ()}, {"last_key": "x"}])
    def test_every_field_of_the_old_state_counts(
        self, ledger: Ledger, make_head: MakeHead, change: dict[str, Any]
    ) -> None:
        ledger.commit(make_head(), old=None)
        with pytest.raises(ConflictError):
            ledger.commit(make_head(rev=2), old=make_head(**change))

    def test_a_head_that_is_not_there_cannot_be_moved(self, ledger: Ledger, make_head: MakeHead) -> None:
        with pytest.raises(ConflictError) as caught:
            ledger.commit(make_head(rev=2), old=make_head())
        assert caught.value.fields["found"] == 0

    def test_a_session_begins_once(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(), old=None)
        with pytest.raises(AlreadyExistsError) as caught:
            ledger.commit(make_head(rev=5), old=None)
        assert caught.value.fields == {"what": "id"}
        assert ledger.head(make_head().session_id) == make_head()
        ledger.check()

    def test_a_deleted_session_stays_known_and_its_id_taken(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(), old=None)
        ledger.commit(make_head(state="deleting"), old=make_head(), durable=True)
        ledger.commit(make_head(state="deleted"), old=make_head(state="deleting"), durable=True)
        assert ledger.head(make_head().session_id) == make_head(state="deleted")
        with pytest.raises(AlreadyExistsError):
            ledger.commit(make_head(), old=None)

    def test_a_key_is_one_sessions_until_it_is_deleted(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(1, key="k"), old=None)
        with pytest.raises(AlreadyExistsError) as caught:
            ledger.commit(make_head(2, key="k"), old=None)
        assert caught.value.fields == {"what": "key"}
        ledger.commit(make_head(1, key="k", state="deleted"), old=make_head(1, key="k"))
        ledger.commit(make_head(2, key="k"), old=None)
        assert ledger.find_key("k") == make_head(2, key="k")
        assert ledger.head(make_head(1).session_id) == make_head(1, key="k", state="deleted")

    def test_a_taken_key_is_refused_for_a_session_that_exists(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(1, key="k"), old=None)
        ledger.commit(make_head(2), old=None)
        with pytest.raises(AlreadyExistsError):
            ledger.commit(make_head(2, key="k"), old=make_head(2))
        assert ledger.head(make_head(2).session_id) == make_head(2)

    def test_nothing_is_begun_in_a_data_directory_that_was_not_bound(
        self, open_ledger: OpenLedger, make_head: MakeHead
    ) -> None:
        stranger = open_ledger(store_id="another")
        with pytest.raises(LedgerCorruptError, match="does not know this data directory"):
            stranger.commit(make_head(), old=None)
        assert stranger.ids() == {}


class TestFindKey:
    def test_a_key_nobody_has_finds_nothing(self, ledger: Ledger) -> None:
        assert ledger.find_key("k") is None

    @pytest.mark.parametrize("other", ["K", "k ", " k", "k\0", "\uff4b"])
    def test_keys_are_compared_byte_by_byte(self, ledger: Ledger, make_head: MakeHead, other: str) -> None:
        ledger.commit(make_head(1, key="k"), old=None)
        ledger.commit(make_head(2, key=other), old=None)
        assert ledger.find_key("k") == make_head(1, key="k")
        assert ledger.find_key(other) == make_head(2, key=other)

    def test_a_key_given_to_another_row_by_hand_is_noticed(
        self, ledger: Ledger, make_head: MakeHead, tamper: Callable[..., None]
    ) -> None:
        ledger.commit(make_head(1, key="k"), old=None)
        tamper("UPDATE heads SET ext_key = 'other'")
        with pytest.raises(LedgerCorruptError, match="disagree"):
            ledger.find_key("other")


class TestHeads:
    @pytest.fixture
    def five(self, ledger: Ledger, make_head: MakeHead) -> Ledger:
        states = {2: "creating", 4: "deleted"}
        for number in (3, 1, 5, 2, 4):
            ledger.commit(make_head(number, state=states.get(number, "live")), old=None)
        return ledger

    def numbers(self, heads: list[Head]) -> list[int]:
        return [int(head.session_id[-12:]) for head in heads]

    def test_live_ones_newest_first(self, five: Ledger) -> None:
        assert self.numbers(five.heads()) == [5, 3, 1]

    def test_other_states_and_oldest_first(self, five: Ledger) -> None:
        assert self.numbers(five.heads(states=("live", "deleted"), newest_first=False)) == [1, 3, 4, 5]
        assert self.numbers(five.heads(states=("creating",))) == [2]
        assert self.numbers(five.heads(states=("deleting",))) == []

    @pytest.mark.parametrize("newest_first", [True, False])
    @pytest.mark.parametrize("states", [("live",), ("live", "creating", "deleted")])
    def test_pages_put_together_are_the_whole_list(
        self, five: Ledger, newest_first: bool, states: tuple[Any, ...]
    ) -> None:
        whole = five.heads(states=states, newest_first=newest_first)
        pages: list[Head] = []
        while True:
            after = (pages[-1].updated_at, pages[-1].session_id) if pages else None
            page = five.heads(states=states, newest_first=newest_first, after=after, limit=2)
            if not page:
                break
            assert len(page) <= 2
            pages += page
        assert pages == whole
        second = (whole[1].updated_at, whole[1].session_id)
        assert five.heads(states=states, newest_first=newest_first, after=second) == whole[2:]

    def test_sessions_of_one_moment_are_ordered_by_id_and_none_is_skipped(
        self, ledger: Ledger, make_head: MakeHead
    ) -> None:
        moment = make_head(9).updated_at
        for number in (2, 1, 3):
            ledger.commit(make_head(number, updated_at=moment), old=None)
        assert self.numbers(ledger.heads()) == [3, 2, 1]
        assert self.numbers(ledger.heads(after=(moment, make_head(3).session_id), limit=5)) == [2, 1]

    def test_a_save_moves_a_session_to_the_front(self, five: Ledger, make_head: MakeHead) -> None:
        five.commit(make_head(1, updated_at=make_head(8).updated_at), old=make_head(1))
        assert self.numbers(five.heads()) == [1, 5, 3]
        assert self.numbers(five.heads(limit=1)) == [1]

    def test_counts_and_states_are_those_of_the_rows(self, five: Ledger, make_head: MakeHead) -> None:
        assert five.count() == 3
        assert five.count(("creating", "deleted")) == 2
        assert five.ids() == {
            make_head(number).session_id: state
            for number, state in ((1, "live"), (2, "creating"), (3, "live"), (4, "deleted"), (5, "live"))
        }


class TestKnows:
    def test_it_is_true_for_what_was_begun_and_not_deleted(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(1), old=None)
        ledger.commit(make_head(2, state="creating"), old=None)
        ledger.commit(make_head(3), old=None)
        ledger.commit(make_head(3, state="deleted"), old=make_head(3))
        known = {number: ledger.knows(make_head(number).session_id) for number in (1, 2, 3, 4)}
        assert known == {1: True, 2: True, 3: False, 4: False}

    def test_it_knows_the_sessions_of_its_own_data_directory_only(
        self, ledger: Ledger, open_ledger: OpenLedger, make_head: MakeHead
    ) -> None:
        ledger.commit(make_head(1), old=None)
        assert not open_ledger(store_id="another").knows(make_head(1).session_id)


class TestChangedToken:
    def test_it_stays_while_nobody_commits(self, ledger: Ledger, make_head: MakeHead) -> None:
        before = ledger.changed_token()
        ledger.heads()
        assert ledger.changed_token() == before

    def test_it_changes_with_every_commit_of_ours_and_of_others(
        self, ledger: Ledger, make_head: MakeHead, open_ledger: OpenLedger, run_child: Callable[[str], str]
    ) -> None:
        seen = [ledger.changed_token()]
        ledger.commit(make_head(), old=None)
        seen.append(ledger.changed_token())
        ledger.commit(make_head(rev=2), old=make_head())
        seen.append(ledger.changed_token())
        open_ledger().commit(make_head(rev=3), old=make_head(rev=2))
        seen.append(ledger.changed_token())
        run_child(f"with open_ledger() as ledger: bump(ledger, {make_head().session_id!r})")
        seen.append(ledger.changed_token())
        assert len(set(seen)) == 5


class TestCheck:
    def test_a_good_ledger_passes(self, ledger: Ledger, make_head: MakeHead) -> None:
        ledger.commit(make_head(1, key="k"), old=None)
        ledger.commit(make_head(1, key="k", state="deleted"), old=make_head(1, key="k"))
        ledger.commit(make_head(2, key="k"), old=None)
        ledger.check()

    def test_a_data_directory_without_sessions_passes(self, open_ledger: OpenLedger) -> None:
        open_ledger(store_id="another").check()

    def test_a_row_taken_away_is_missed(self, ledger: Ledger, make_head: MakeHead, tamper: Callable[..., None]) -> None:
        ledger.commit(make_head(1), old=None)
        ledger.commit(make_head(2), old=None)
        tamper("DELETE FROM heads WHERE session_id = ?", make_head(1).session_id)
        with pytest.raises(LedgerCorruptError, match="2 sessions were begun here, but there are 1 rows"):
            ledger.check()

    @pytest.mark.parametrize("change", ["state = 'deleted'", "ext_key = NULL", "updated_at = '2030'"])
    def test_a_column_that_would_hide_a_row_is_noticed(
        self, ledger: Ledger, make_head: MakeHead, tamper: Callable[..., None], change: str
    ) -> None:
        ledger.commit(make_head(key="k"), old=None)
        tamper(f"UPDATE heads SET {change}")
        with pytest.raises(LedgerCorruptError, match="disagree"):
            ledger.check()

    def test_an_index_that_lost_its_rows_is_noticed(
        self, open_ledger: OpenLedger, make_head: MakeHead, tamper: Callable[..., None]
    ) -> None:
        with open_ledger() as ledger:
            ledger.commit(make_head(), old=None)
        tamper("CREATE TABLE saved AS SELECT * FROM sqlite_master WHERE name = 'heads_by_time'")
        tamper("DELETE FROM sqlite_master WHERE name = 'heads_by_time'")
        tamper("UPDATE heads SET updated_at = '2030'")
        tamper("INSERT INTO sqlite_master SELECT * FROM saved")
        tamper("DROP TABLE saved")
        with pytest.raises(LedgerCorruptError, match="it is damaged"):
            open_ledger().check()
