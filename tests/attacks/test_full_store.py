"""Filling a store that evicts, so that somebody else's sessions, or the traces of something, go."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore import Config, errors, open_store
from sessionstore.storage import Holder


class TestEviction:
    def test_only_what_is_closed_genuine_and_at_rest_can_be_pushed_out_and_all_of_it_is_written_down(
        self, home: Path
    ) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", max_sessions=6, when_full="evict")
        with open_store(config=config) as store:
            open_one, running, changed, *closed = (store.create(entries=[{"n": 1}]).id for _ in range(6))
            for id in (running, changed, *closed):
                store.close_session(id)
            file = home / "data" / "sessions" / f"{changed}.jsonl"
            file.write_bytes(file.read_bytes().replace(b'"n":1', b'"n":2'))
            with store._ground.backend.run(running, Holder()):
                for _ in range(3):
                    store.create()
                with pytest.raises(errors.SessionLimitError):
                    store.create()
            assert [event.session_id for event in store.audit(events=["eviction"])] == closed
            assert store.load(open_one).rev == 1
            assert store.load(running).rev == 2
            assert file.exists()
