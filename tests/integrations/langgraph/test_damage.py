"""A thread that is not what was saved: refused by every call, before the serializer sees a byte of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from sessionstore import SessionStore, errors, open_store
from sessionstore.integrations.langgraph import SealedSaver

HERE: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
THERE: Any = {"configurable": {"thread_id": "u", "checkpoint_ns": ""}}


class Watched(JsonPlusSerializer):
    """LangGraph's serializer, which counts what it is given to read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.read += 1
        return super().loads_typed(data)


def put(saver: SealedSaver, config: Any, text: str) -> Any:
    made = empty_checkpoint()
    made["channel_values"], made["channel_versions"] = {"text": [text]}, {"text": text}
    return saver.put(config, made, {"run_id": "run"}, {"text": text})


@pytest.fixture
def log(home: Path, store: SessionStore, saver: SealedSaver) -> Path:
    """The file of a thread of three checkpoints."""
    for text in ("one", "two", "three"):
        put(saver, HERE, text)
    (found,) = (home / "data" / "sessions").glob("*.jsonl")
    put(saver, THERE, "other")
    return found


def flip(log: Path, at: int) -> None:
    data = bytearray(log.read_bytes())
    data[at] ^= 1
    log.write_bytes(data)


READS: dict[str, Callable[[SealedSaver], Any]] = {
    "get_tuple": lambda saver: saver.get_tuple(HERE),
    "list": lambda saver: list(saver.list(HERE)),
    "list all": lambda saver: list(saver.list(None)),
    "put": lambda saver: put(saver, HERE, "more"),
    "prune": lambda saver: saver.prune(["t"]),
    "delete_for_runs": lambda saver: saver.delete_for_runs(["run"]),
    "copy_thread": lambda saver: saver.copy_thread("t", "v"),
    "get_delta_channel_history": lambda saver: saver.get_delta_channel_history(config=HERE, channels=["text"]),
    "aget_tuple": lambda saver: asyncio.run(saver.aget_tuple(HERE)),
}


class TestChanged:
    @pytest.mark.parametrize("call", READS)
    @pytest.mark.parametrize("place", ["begin", "middle", "end"])
    def test_one_changed_byte_is_refused(self, store: SessionStore, log: Path, call: str, place: str) -> None:
        size = log.stat().st_size
        flip(log, {"begin": 40, "middle": size // 2, "end": size - 20}[place])
        serde = Watched()
        saver = SealedSaver(store, serde=serde)
        with pytest.raises(errors.VerificationError):
            READS[call](saver)
        assert serde.read <= (4 if call in ("list all", "delete_for_runs") else 0)  # of the other thread

    @pytest.mark.parametrize("call", READS)
    def test_it_is_refused_also_while_the_thread_is_held(
        self, store: SessionStore, saver: SealedSaver, log: Path, call: str
    ) -> None:
        assert saver.get_tuple(HERE) is not None
        flip(log, log.stat().st_size // 2)
        with pytest.raises(errors.VerificationError):
            READS[call](saver)

    def test_every_byte_counts(self, store: SessionStore, log: Path) -> None:
        good = log.read_bytes()
        for at in range(0, len(good), 37):
            flip(log, at)
            with pytest.raises(errors.VerificationError):
                SealedSaver(store).get_tuple(HERE)
            log.write_bytes(good)
        assert SealedSaver(store).get_tuple(HERE) is not None

    def test_an_older_state_put_back_is_refused(self, store: SessionStore, saver: SealedSaver, log: Path) -> None:
        old = log.read_bytes()
        put(saver, HERE, "four")
        log.write_bytes(old)
        for each in (saver, SealedSaver(store)):
            with pytest.raises(errors.RollbackError):
                each.get_tuple(HERE)

    def test_a_file_that_is_gone_is_refused(self, store: SessionStore, saver: SealedSaver, log: Path) -> None:
        log.unlink()
        for each in (saver, SealedSaver(store)):
            with pytest.raises(errors.MissingError):
                each.get_tuple(HERE)

    def test_another_threads_file_in_its_place_is_refused(self, store: SessionStore, log: Path) -> None:
        (other,) = (path for path in log.parent.glob("*.jsonl") if path != log)
        log.write_bytes(other.read_bytes())
        with pytest.raises(errors.VerificationError):
            SealedSaver(store).get_tuple(HERE)

    def test_other_threads_are_as_good_as_before(self, store: SessionStore, log: Path) -> None:
        flip(log, log.stat().st_size - 20)
        saver = SealedSaver(store)
        assert saver.get_tuple(THERE) is not None
        listed, listing = [], saver.list(None)
        with pytest.raises(errors.VerificationError):
            for found in listing:
                listed.append(found.config["configurable"]["thread_id"])
        assert listed == ["u"]

    @pytest.mark.parametrize("damage", ["byte", "end", "gone"])
    def test_a_damaged_thread_can_be_deleted(self, store: SessionStore, log: Path, damage: str) -> None:
        if damage == "gone":
            log.unlink()
        else:
            flip(log, log.stat().st_size // 2 if damage == "byte" else log.stat().st_size - 20)
        saver = SealedSaver(store)
        saver.delete_thread("t")
        assert saver.get_tuple(HERE) is None
        put(saver, HERE, "anew")
        assert saver.get_tuple(HERE) is not None

    def test_files_that_were_never_sessions_here_do_not_keep_the_threads_from_being_listed(
        self, store: SessionStore, log: Path
    ) -> None:
        log.with_name("00000000-0000-4000-8000-000000000000.jsonl").write_bytes(log.read_bytes())
        log.with_name("00000000-0000-4000-8000-000000000001.json").write_bytes(b"{}")
        assert len(list(SealedSaver(store).list(None))) == 4

    def test_it_is_put_on_record(self, store: SessionStore, log: Path) -> None:
        flip(log, log.stat().st_size // 2)
        with pytest.raises(errors.VerificationError):
            SealedSaver(store).get_tuple(HERE)
        assert [record.session_id for record in store.audit(events=["tampering_found"])] == [log.stem]

    def test_a_store_for_reading_only_gives_threads_and_takes_none(self, home: Path, log: Path) -> None:
        with open_store(home, read_only=True) as store:
            saver = SealedSaver(store)
            assert saver.get_tuple(HERE) is not None
            with pytest.raises(errors.StoreUnavailableError):
                put(saver, HERE, "more")


def test_damage_of_what_is_no_thread_does_not_keep_the_threads_from_being_listed(
    saver: SealedSaver, store: SessionStore, log: Path
) -> None:
    stranger = store.create().id
    flip(log.with_name(f"{stranger}.jsonl"), -20)
    for each in (saver, SealedSaver(store)):
        assert len(list(each.list(None))) == 4
        each.delete_for_runs(["none"])
    flip(log, -20)
    with pytest.raises(errors.VerificationError):
        list(SealedSaver(store).list(None))


class TestRedacted:
    def test_a_pattern_that_fits_a_threads_id_leaves_it_the_thread(
        self, saver: SealedSaver, store: SessionStore
    ) -> None:
        names = ["ada@example.org", "ada@example.org" + "x" * 600]
        for name in names:
            put(saver, {"configurable": {"thread_id": name, "checkpoint_ns": ""}}, "text")
        for summary in store.list().sessions:
            store.redact(summary.id, patterns=["ada@example.org"])
        for each in (saver, SealedSaver(store)):
            assert sorted(found.config["configurable"]["thread_id"] for found in each.list(None)) == names

    def test_a_record_that_something_was_taken_out_of_stops_the_thread(
        self, saver: SealedSaver, store: SessionStore, log: Path
    ) -> None:
        store.redact(log.stem, entries=[1])
        for each in (saver, SealedSaver(store)):
            with pytest.raises(errors.MalformedError, match="redacted"):
                each.get_tuple(HERE)
        saver.delete_thread("t")
        assert saver.get_tuple(HERE) is None
