"""The end of a store: closing twice, and every use afterwards."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import SessionStore, errors, open_store


class TestClose:
    def test_closing_again_does_nothing(self, store: SessionStore) -> None:
        store.close()
        store.close()
        with store:
            pass

    def test_leaving_the_block_closes_also_after_an_error(self, home: Path) -> None:
        with pytest.raises(ZeroDivisionError), open_store(home) as store:
            raise ZeroDivisionError
        with pytest.raises(errors.StoreUnavailableError):
            store.list()

    def test_every_use_afterwards_is_our_error(self, store: SessionStore) -> None:
        id = store.create(entries=[{"n": 1}]).id
        store.append(id, [{"n": 2}])
        session, document = store.load(id), store.export(id)
        store.close()
        calls: list[Callable[[], object]] = [
            lambda: store.create(),
            lambda: store.get_or_create("k"),
            lambda: store.append(id, [{"n": 3}]),
            lambda: store.save(session.append({"n": 3})),
            lambda: store.load(id),
            lambda: next(store.entries(id)),
            lambda: store.list(),
            lambda: store.list(limit=1),
            lambda: store.summary(id),
            lambda: store.find("k"),
            lambda: store.inside("/"),
            lambda: next(store.search("n")),
            lambda: store.stats(),
            lambda: next(store.verify()),
            lambda: store.inspect(id),
            lambda: store.rename(id, "n"),
            lambda: store.tag(id, add=["t"]),
            lambda: store.close_session(id),
            lambda: store.rewind(id, 0),
            lambda: store.compact(id),
            lambda: store.fork(id),
            lambda: store.delete(id),
            lambda: store.cleanup(keep_last=0),
            lambda: store.export(id),
            lambda: store.import_document(document),
        ]
        for call in calls:
            with pytest.raises(errors.StoreUnavailableError) as caught:
                call()
            assert "closed" in caught.value.fields["reason"]
            assert caught.value.fields["outcome"] == "not_written"
        assert [result.code for result in store.verify(id)] == ["store_unavailable"]

    def test_what_was_saved_is_there_when_it_is_opened_again(self, home: Path) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"n": 1}]).id
            store_id = store.store_id
            assert repr(store) == f"SessionStore({store_id})"
        with open_store(home) as store:
            assert store.store_id == store_id
            assert store.load(id).entries == ({"n": 1},)

    def test_two_stores_on_one_home_see_each_other_at_once(self, home: Path) -> None:
        with open_store(home) as one, open_store(home) as two:
            id = one.create().id
            assert two.append(id, [{"by": "two"}]) == 2
            assert one.append(id, [{"by": "one"}]) == 3
            assert two.append(id, [{"by": "two"}]) == 4
            assert one.load(id) == two.load(id)
            two.rewind(id, 1)
            assert one.append(id, [{"by": "one"}]) == 6
            one.delete(id)
            with pytest.raises(errors.SessionNotFoundError):
                two.append(id, [{"n": 1}])

    def test_no_descriptor_is_left_behind(self, home: Path) -> None:
        def use() -> None:
            with open_store(home) as store:
                ids = [store.create(entries=[{"n": 1}]).id for _ in range(3)]
                for id in ids:
                    store.append(id, [{"n": 2}])
                    store.rewind(id, 1)
                    with pytest.raises(errors.MalformedError):
                        store.append(id, [{"n": float("nan")}])
                    reading = store.entries(id)
                    next(reading)
                    del reading
                    store.append(id, [{"n": 3}])
                    with pytest.raises(errors.ConflictError):
                        store.append(id, [{"n": 4}], expected_rev=1)
                store.append(ids[1], [{"n": 4}])
                store.fork(ids[0])
                store.delete(ids[0])
                store.list()
                list(store.verify())

        use()
        gc.collect()
        before = sorted(os.listdir("/proc/self/fd"))
        use()
        gc.collect()
        assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_log_that_cannot_be_used_any_more_costs_one_save(store: SessionStore) -> None:
    """As after a device went away: the save is refused, the log let go, and the next save opens another."""
    session = store.create()
    rev = store.append(session.id, [{"n": 1}])
    store._writer.logs._idle[session.id].log.close()
    with pytest.raises(errors.StoreUnavailableError):
        store.append(session.id, [{"n": 2}])
    assert store.append(session.id, [{"n": 2}]) == rev + 1
    assert store.load(session.id).entries == ({"n": 1}, {"n": 2})
