"""The checkpointer's calls: names, what counts once, lists over all threads, copies, and what is made smaller."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.integrations.langgraph import SealedSaver
from sessionstore.integrations.langgraph.history import Items
from sessionstore.integrations.langgraph.records import Typed

LOOK_ALIKES = [
    "", "a", "A", "\u0430", "\uff41", "a ", " a", "a\n", "a\x00", "é", "e\u0301", "ß", "ss", "SS", "a/b", "../a", "./a",
    'a","b', "a\\", "[\"a\"]", "None", "0", "langgraph:sha256:00", "x" * 600, "x" * 601, "X" * 600,
]  # fmt: skip


def at(thread_id: Any, ns: Any = "", id: Any = None) -> Any:
    config: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": ns}
    return {"configurable": config if id is None else {**config, "checkpoint_id": id}}


def checkpoint(**values: Any) -> Checkpoint:
    made = empty_checkpoint()
    made["channel_values"] = values
    made["channel_versions"] = dict.fromkeys(values, "1")
    return made


def put(saver: SealedSaver, config: Any, metadata: Any = None, **values: Any) -> Any:
    made = checkpoint(**values)
    return saver.put(config, made, metadata or {}, made["channel_versions"])


def value(saver: SealedSaver, config: Any) -> Any:
    found = saver.get_tuple(config)
    return None if found is None else found.checkpoint["channel_values"]


def ids(saver: SealedSaver, config: Any = None, **only: Any) -> list[str]:
    return [found.config["configurable"]["checkpoint_id"] for found in saver.list(config, **only)]


class TestNames:
    def test_threads_that_look_alike_are_apart(self, saver: SealedSaver, store: SessionStore) -> None:
        for number, name in enumerate(LOOK_ALIKES):
            put(saver, at(name), n=number)
        for each in (saver, SealedSaver(store)):
            assert [value(each, at(name)) for name in LOOK_ALIKES] == [{"n": n} for n in range(len(LOOK_ALIKES))]
        assert len(store.list().sessions) == len(LOOK_ALIKES)

    def test_namespaces_and_ids_that_look_alike_are_apart(self, saver: SealedSaver, store: SessionStore) -> None:
        places = list(itertools.product(LOOK_ALIKES, [name for name in LOOK_ALIKES if name]))
        for number, (ns, id) in enumerate(places):
            made = checkpoint(n=number)
            made["id"] = id
            saver.put(at("t", ns), made, {}, {"n": "1"})
            if number % 40 == 0:
                saver.put_writes(at("t", ns, id), [("n", number)], "task")
        fresh = SealedSaver(store)
        assert [value(fresh, at("t", ns, id)) for ns, id in places] == [{"n": n} for n in range(len(places))]
        found = fresh.get_tuple(at("t", *places[40]))
        assert found is not None
        assert found.pending_writes == [("task", "n", 40)]

    def test_every_thread_can_be_listed_by_its_name(self, saver: SealedSaver) -> None:
        for name in LOOK_ALIKES:
            put(saver, at(name), n=1)
        listed = [found.config["configurable"]["thread_id"] for found in saver.list(None)]
        assert listed == list(reversed(LOOK_ALIKES))

    @pytest.mark.parametrize("name", [None, 7, b"a", "\ud800", ("a",), ["a"]])
    def test_a_thread_whose_name_is_no_text_is_refused(self, saver: SealedSaver, name: Any) -> None:
        calls = [
            lambda: saver.get_tuple(at(name)),
            lambda: put(saver, at(name), n=1),
            lambda: saver.put_writes(at(name, "", "x"), [("a", 1)], "t"),
            lambda: next(saver.list(at(name)), None),
            lambda: saver.delete_thread(name),
        ]
        for call in calls:
            with pytest.raises(errors.InvalidValueError):
                call()

    def test_no_thread_at_all_is_refused(self, saver: SealedSaver) -> None:
        for config in ({}, {"configurable": {}}):
            with pytest.raises(errors.InvalidValueError):
                saver.get_tuple(config)  # type: ignore[typeddict-item,arg-type]

    def test_what_json_cannot_keep_is_refused_and_nothing_is_saved(self, saver: SealedSaver) -> None:
        made = checkpoint(n=1)
        made["id"] = "\ud800"
        with pytest.raises(errors.MalformedError):
            saver.put(at("t"), made, {}, {"n": "1"})
        with pytest.raises(errors.MalformedError):
            saver.put_writes(at("t"), [("n", 1)], "task")  # no checkpoint is named
        assert saver.get_tuple(at("t")) is None


class TestPutAndWrites:
    def test_a_checkpoint_put_twice_is_there_once(self, saver: SealedSaver, store: SessionStore) -> None:
        made = checkpoint(messages=["a", "b"])
        for _ in range(2):
            one = saver.put(at("t"), made, {"step": 1}, {"messages": "1"})
        assert ids(saver, at("t")) == [made["id"]]
        assert value(SealedSaver(store), one) == {"messages": ["a", "b"]}

    def test_one_that_says_it_follows_itself_ends(self, saver: SealedSaver) -> None:
        made = checkpoint(n=1)
        one = saver.put(at("t", "", made["id"]), made, {}, {"n": "1"})
        assert saver.get_delta_channel_history(config=one, channels=["none"]) == {"none": {"writes": []}}

    def test_no_writes_are_no_save(self, saver: SealedSaver, store: SessionStore) -> None:
        saver.put_writes(at("t", "", "x"), [], "task")
        assert not store.list().sessions

    def test_writes_may_come_before_their_checkpoint(self, saver: SealedSaver) -> None:
        made = checkpoint(n=1)
        saver.put_writes(at("t", "", made["id"]), [("n", 2)], "task")
        assert saver.get_tuple(at("t")) is None
        saver.put(at("t"), made, {}, {"n": "1"})
        found = saver.get_tuple(at("t"))
        assert found is not None
        assert found.pending_writes == [("task", "n", 2)]

    def test_of_two_branches_each_keeps_its_values_though_their_versions_are_equal(
        self, saver: SealedSaver, store: SessionStore
    ) -> None:
        first = put(saver, at("t"), messages=["a", "b", "c"])
        for tail in ("left", "right"):
            made = checkpoint(messages=["a", "b", tail])
            made["channel_versions"] = {"messages": 2}
            saver.put(first, made, {"source": tail}, {"messages": 2})
        for each in (saver, SealedSaver(store)):
            for tail in ("left", "right"):
                (found,) = each.list(at("t"), filter={"source": tail})
                assert found.checkpoint["channel_values"] == {"messages": ["a", "b", tail]}

    def test_versions_of_every_kind_come_back_as_they_were(self, saver: SealedSaver, store: SessionStore) -> None:
        made = checkpoint(a=1, b=2, c=3)
        made["channel_versions"] = {"a": 7, "b": 7.0, "c": "7"}
        one = saver.put(at("t"), made, {}, made["channel_versions"])
        found = SealedSaver(store).get_tuple(one)
        assert found is not None
        versions = found.checkpoint["channel_versions"]
        assert [(type(version), version) for version in versions.values()] == [(int, 7), (float, 7.0), (str, "7")]

    def test_the_next_version_is_above_and_never_given_twice(self, saver: SealedSaver) -> None:
        version = None
        for _ in range(12):
            one, other = saver.get_next_version(version, None), saver.get_next_version(version, None)
            assert one != other
            assert version is None or (one > version and other > version)
            version = one
        assert saver.get_next_version(7, None).startswith(f"{8:032}.")  # type: ignore[arg-type]

    def test_another_serializer_gets_lists_whole(self, store: SessionStore) -> None:
        class Spy(JsonPlusSerializer):
            pass

        class Own:
            seen: list[Any] = []  # noqa: RUF012

            def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
                self.seen.append(obj)
                return JsonPlusSerializer().dumps_typed(obj)

            def loads_typed(self, data: tuple[str, bytes]) -> Any:
                return JsonPlusSerializer().loads_typed(data)

        one = put(SealedSaver(store, serde=Own()), at("t"), messages=["a", "b"])
        assert ["a", "b"] in Own.seen
        assert value(SealedSaver(store, serde=Own()), one) == {"messages": ["a", "b"]}
        two = put(SealedSaver(store, serde=Spy()), one, messages=["a", "b", "c"])
        assert value(SealedSaver(store), two) == {"messages": ["a", "b", "c"]}

    def test_an_encrypting_serializer_leaves_no_value_readable(self, store: SessionStore, home: Path) -> None:
        class Cipher:
            def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
                return "flip", bytes(byte ^ 255 for byte in plaintext)

            def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
                return bytes(byte ^ 255 for byte in ciphertext)

        strict = JsonPlusSerializer(allowed_msgpack_modules=None)
        saver = SealedSaver(store, serde=EncryptedSerializer(Cipher(), strict))
        one = put(saver, at("t"), messages=["a secret"] * 3)
        assert value(saver, one) == {"messages": ["a secret"] * 3}
        clone = saver.with_allowlist([("builtins", "set")])
        assert clone is not saver
        assert value(clone, one) == {"messages": ["a secret"] * 3}  # type: ignore[arg-type]
        put(SealedSaver(store), at("u"), messages=["in clear"])
        logs = b"".join(log.read_bytes() for log in home.rglob("*.jsonl"))
        texts = [text for text in re.findall(rb'"([\w+/=]{8,})"', logs) if len(text) % 4 == 0]
        readable = b" ".join(b64decode(text) for text in texts)
        assert b"a secret" not in readable
        assert b"in clear" in readable


class TestLists:
    def test_all_threads_are_listed_the_one_saved_last_first(self, saver: SealedSaver, store: SessionStore) -> None:
        store.create(key="no thread", entries=[{"n": 1}])
        one = put(saver, at("one"), n=1)
        two = put(saver, at("two"), n=2)
        three = put(saver, at("one", "child"), n=3)
        wanted = [config["configurable"]["checkpoint_id"] for config in (three, one, two)]
        assert ids(saver) == ids(SealedSaver(store)) == wanted
        assert ids(saver, limit=2) == wanted[:2]
        assert ids(saver, limit=0) == []
        assert ids(saver, before=one) == [wanted[1]][1:]

    def test_what_was_put_while_a_list_is_read_does_not_disturb_it(self, saver: SealedSaver) -> None:
        first, second = put(saver, at("t"), n=1), put(saver, at("t"), n=2)
        listing = saver.list(at("t"))
        assert next(listing).config == second
        put(saver, at("t"), n=3)
        assert [found.config for found in listing] == [first]

    def test_a_session_that_only_looks_like_a_thread_is_no_thread(
        self, saver: SealedSaver, store: SessionStore
    ) -> None:
        put(saver, at("t"), n=1)
        store.create(key='["langgraph","other"]', config={"langgraph": {"thread_id": "t"}})
        with pytest.raises(errors.MalformedError):
            ids(saver)
        with pytest.raises(errors.MalformedError):
            saver.get_tuple(at("other"))

    def test_a_thread_of_a_long_name_that_says_another_one_is_refused(
        self, saver: SealedSaver, store: SessionStore
    ) -> None:
        put(saver, at("x" * 600), n=1)
        put(saver, at("t"), n=2)
        store.append(store.list().sessions[1].id, config={"langgraph": {"id": "t"}})
        with pytest.raises(errors.MalformedError):
            ids(SealedSaver(store))

    def test_entries_that_others_added_mean_nothing_and_stay(self, saver: SealedSaver, store: SessionStore) -> None:
        put(saver, at("t"), n=1)
        last = put(saver, at("t"), n=2)
        (session,) = store.list().sessions
        store.append(session.id, [{"role": "user", "content": "hello"}])
        assert value(saver, at("t")) == {"n": 2}
        saver.prune(["t"])
        assert ids(saver, at("t")) == [last["configurable"]["checkpoint_id"]]
        assert store.load(session.id).entries[0] == {"role": "user", "content": "hello"}

    def test_a_record_of_another_release_is_told(self, saver: SealedSaver, store: SessionStore) -> None:
        put(saver, at("t"), n=1)
        (session,) = store.list().sessions
        store.append(session.id, [{"type": "langgraph/checkpoint", "ns": ""}])
        for each in (saver, SealedSaver(store)):
            with pytest.raises(errors.MalformedError, match="another release"):
                each.get_tuple(at("t"))


class TestDeleteCopyPrune:
    def test_a_deleted_thread_is_gone_and_may_begin_anew(self, saver: SealedSaver, store: SessionStore) -> None:
        other = SealedSaver(store)
        put(saver, at("t"), n=1)
        assert value(other, at("t")) == {"n": 1}
        saver.delete_thread("t")
        saver.delete_thread("t")
        assert not store.list().sessions
        assert value(other, at("t")) is None
        put(saver, at("t"), n=2)
        assert value(other, at("t")) == value(saver, at("t")) == {"n": 2}
        saver.delete_thread("t")
        put(other, at("t"), n=3)  # it held the one that is gone
        assert value(saver, at("t")) == {"n": 3}

    def test_a_pruned_thread_holds_the_bytes_of_the_newest_only(
        self, saver: SealedSaver, store: SessionStore, home: Path
    ) -> None:
        config = at("t")
        for number in range(10):
            config = put(saver, config, n=f"number-{number}".encode() * 100)
        (session,) = store.list().sessions
        saver.prune(["t", "never there"])
        assert ids(saver, at("t")) == [config["configurable"]["checkpoint_id"]]
        assert value(SealedSaver(store), at("t")) == {"n": b"number-9" * 100}
        assert store.summary(session.id).entries == 1
        assert store.summary(session.id).size_bytes < session.size_bytes / 4
        rev = store.summary(session.id).rev
        saver.prune(["t"])
        assert store.summary(session.id).rev == rev  # nothing goes, so nothing is written

    def test_a_way_of_pruning_that_does_not_exist_is_refused(self, saver: SealedSaver) -> None:
        put(saver, at("t"), n=1)
        with pytest.raises(errors.InvalidValueError):
            saver.prune(["t"], strategy="delete_all")
        assert value(saver, at("t")) == {"n": 1}

    def test_lists_are_whole_after_what_they_went_on_from_was_pruned(
        self, saver: SealedSaver, store: SessionStore
    ) -> None:
        config, messages = at("t"), []
        for number in range(6):
            messages.append(f"message {number}")
            config = put(saver, config, {"run_id": f"run {number}"}, messages=list(messages))
        saver.delete_for_runs(["run 0", "run 2", "run 3"])
        for each in (saver, SealedSaver(store)):
            found = [found.checkpoint["channel_values"]["messages"] for found in each.list(at("t"))]
            assert found == [messages, messages[:5], messages[:2]]
        put(saver, config, messages=[*messages, "more"])
        assert value(SealedSaver(store), at("t")) == {"messages": [*messages, "more"]}

    def test_a_thread_of_which_nothing_is_left_is_deleted(self, saver: SealedSaver, store: SessionStore) -> None:
        put(saver, at("t"), {"run_id": "x"}, n=1)
        put(saver, at("u"), {"run_id": "x"}, n=1)
        put(saver, at("u"), {"run_id": "y"}, n=2)
        saver.delete_for_runs(["x"])
        assert len(store.list().sessions) == 1
        assert (value(saver, at("t")), value(saver, at("u"))) == (None, {"n": 2})

    def test_a_copy_is_a_thread_of_its_own_that_knows_where_it_comes_from(
        self, saver: SealedSaver, store: SessionStore
    ) -> None:
        first = put(saver, at("a"), messages=["x"])
        put(saver, first, messages=["x", "y"])
        saver.copy_thread("a", "b")
        put(saver, at("b"), messages=["x", "y", "z"])
        assert (len(ids(saver, at("a"))), len(ids(saver, at("b")))) == (2, 3)
        saver.delete_thread("a")
        assert value(SealedSaver(store), at("b")) == {"messages": ["x", "y", "z"]}

    def test_what_others_delete_meanwhile_is_no_error(
        self, saver: SealedSaver, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = SealedSaver(store)

        def first(name: str, act: Any) -> None:
            whole = getattr(store, name)

            def call(*args: Any, **kwargs: Any) -> Any:
                monkeypatch.undo()
                act()
                return whole(*args, **kwargs)

            monkeypatch.setattr(store, name, call)

        put(saver, at("t"), n=1)
        first("delete", lambda: other.delete_thread("t"))
        saver.delete_thread("t")
        assert value(saver, at("t")) is None

        put(saver, at("t"), n=1)
        put(saver, at("u"), n=2)
        first("append", lambda: other.delete_thread("u"))
        saver.copy_thread("t", "u")
        assert value(other, at("u")) == {"n": 1}

        put(saver, put(saver, at("t"), n=3), n=4)
        first("replace", lambda: other.delete_thread("t"))
        saver.prune(["t"])
        assert value(saver, at("t")) is None
        put(saver, at("t"), n=5)
        assert value(other, at("t")) == {"n": 5}

    def test_a_copy_says_its_parent(self, saver: SealedSaver, store: SessionStore) -> None:
        put(saver, at("a"), n=1)
        (source,) = store.list().sessions
        saver.copy_thread("a", "b")
        assert {session.parent for session in store.list().sessions} == {None, source.id}

    def test_what_cannot_be_copied_is_refused(self, saver: SealedSaver) -> None:
        put(saver, at("a"), n=1)
        with pytest.raises(errors.InvalidValueError):
            saver.copy_thread("a", "a")
        with pytest.raises(errors.SessionNotFoundError):
            saver.copy_thread("none", "b")
        assert value(saver, at("b")) is None

    def test_writes_whose_checkpoint_is_still_to_come_stay(self, saver: SealedSaver) -> None:
        put(saver, put(saver, at("t"), n=1), n=2)
        made = checkpoint(n=3)
        saver.put_writes(at("t", "", made["id"]), [("n", 4)], "task")
        saver.prune(["t"])
        saver.put(at("t"), made, {}, {"n": "1"})
        found = saver.get_tuple(at("t"))
        assert found is not None
        assert found.pending_writes == [("task", "n", 4)]

    @pytest.mark.parametrize("rest", [0, 1])
    def test_what_is_put_while_it_is_pruned_is_not_lost(
        self, saver: SealedSaver, store: SessionStore, monkeypatch: pytest.MonkeyPatch, rest: int
    ) -> None:
        for _ in range(rest):
            put(saver, at("t"), {"run_id": "other"}, n=0)
        put(saver, at("t"), {"run_id": "x"}, n=1)
        other, replace, delete = SealedSaver(store), store.replace, store.delete
        calls = []

        def put_first(act: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                if not calls:
                    calls.append(1)
                    put(other, at("t"), {"run_id": "y"}, n=2)
                return act(*args, **kwargs)

            return call

        monkeypatch.setattr(store, "replace", put_first(replace))
        monkeypatch.setattr(store, "delete", put_first(delete))
        saver.delete_for_runs(["x"])
        assert calls
        assert value(SealedSaver(store), at("t")) == {"n": 2}


class TestFull:
    @pytest.fixture
    def small(self, home: Path) -> Any:
        config = Config(data_dir=home / "data", state_dir=home / "state", max_session_bytes=200_000)
        with open_store(config=config) as store:
            yield store

    def test_a_full_thread_is_compacted_and_goes_on(self, small: SessionStore) -> None:
        saver, made = SealedSaver(small), checkpoint(n=b"x" * 2000)
        for number in range(200):  # the same checkpoint again and again: later records stand for earlier ones
            saver.put(at("t"), made, {"step": number}, {"n": "1"})
        found = SealedSaver(small).get_tuple(at("t"))
        assert found is not None
        assert found.metadata["step"] == 199

    def test_one_that_is_full_of_what_it_needs_is_told_and_can_be_pruned(self, small: SessionStore) -> None:
        saver, config = SealedSaver(small), at("t")
        with pytest.raises(errors.TooLargeError):
            for number in range(200):
                config = put(saver, config, n=f"{number}".encode() * 500)
        held = value(saver, at("t"))
        assert value(SealedSaver(small), at("t")) == held
        replaced = small.summary(small.list().sessions[0].id).rev
        with pytest.raises(errors.TooLargeError):
            put(saver, config, n=b"x" * 2000)
        assert small.summary(small.list().sessions[0].id).rev == replaced  # it is not compacted on every try
        saver.prune(["t"])
        config = put(saver, config, n=b"more")
        assert value(SealedSaver(small), at("t")) == {"n": b"more"}

    def test_one_that_another_process_made_shorter_is_compacted_again(self, small: SessionStore, home: Path) -> None:
        saver, config, made = SealedSaver(small), at("t"), checkpoint(n=b"x" * 2000)
        with pytest.raises(errors.TooLargeError):
            for number in range(200):
                config = put(saver, config, n=f"{number}".encode() * 500)
        SealedSaver(small).prune(["t"])
        for number in range(200):
            saver.put(at("t"), made, {"step": number}, {"n": "1"})
        found = saver.get_tuple(at("t", "", made["id"]))
        assert found is not None
        assert found.metadata["step"] == 199

    @pytest.mark.parametrize("does", ["put", "delete"])
    def test_what_others_do_while_it_is_compacted_is_not_lost(
        self, small: SessionStore, monkeypatch: pytest.MonkeyPatch, does: str
    ) -> None:
        saver, other, made = SealedSaver(small), SealedSaver(small), checkpoint(n=b"x" * 2000)
        replace, done = small.replace, []

        def first(*args: Any, **kwargs: Any) -> Any:
            if not done:
                done.append(True)
                if does == "put":
                    other.put_writes(at("t", "", made["id"]), [("n", "new")], "task")
                else:
                    other.delete_thread("t")
            return replace(*args, **kwargs)

        monkeypatch.setattr(small, "replace", first)
        for number in range(200):
            try:
                saver.put(at("t"), made, {"step": number}, {"n": "1"})
            except errors.TooLargeError:  # it tries it once
                saver.put(at("t"), made, {"step": number}, {"n": "1"})
        found = SealedSaver(small).get_tuple(at("t"))
        assert done and found is not None
        assert found.pending_writes == ([("task", "n", "new")] if does == "put" else [])
        assert found.metadata["step"] == 199

    def test_what_is_too_large_by_itself_is_refused(self, small: SessionStore) -> None:
        saver = SealedSaver(small)
        one = put(saver, at("t"), n=1)
        with pytest.raises(errors.TooLargeError):
            put(saver, one, n=b"x" * 300_000)
        assert value(saver, at("t")) == {"n": 1}


class TestHeld:
    def test_what_is_held_is_bounded(self, store: SessionStore) -> None:
        saver = SealedSaver(store, max_held_bytes=100_000)
        for number in range(30):
            put(saver, at(f"{number}"), n=b"x" * 20_000)
            value(saver, at(f"{number}"))
        assert 2 <= len(saver._threads) <= 5
        assert [value(saver, at(f"{number}")) for number in range(30)] == [{"n": b"x" * 20_000}] * 30

    def test_many_small_threads_are_not_all_held(self, store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sessionstore.integrations.held.MAX_HELD", 5)
        saver = SealedSaver(store)
        for number in range(20):
            value(saver, at(f"{number}"))
        assert len(saver._threads) == 5

    def test_a_checkpoint_that_was_given_out_may_be_changed(self, saver: SealedSaver) -> None:
        put(saver, at("t"), messages=[{"a": 1}])
        value(saver, at("t"))["messages"].append("mine")
        value(saver, at("t"))["messages"][0]["a"] = 2
        assert value(saver, at("t")) == {"messages": [{"a": 1}]}


class TestItems:
    def test_two_lists_that_go_on_from_one_do_not_meet(self) -> None:
        def typed(*texts: str) -> list[Typed]:
            return [Typed("t", text.encode()) for text in texts]

        first = Items(typed("a"), 1)
        left, right = first.going_on(1, typed("b")), first.going_on(1, typed("c"))
        assert [list(items) for items in (first, left, right)] == [typed("a"), typed("a", "b"), typed("a", "c")]
        assert list(left.going_on(1, typed("d"))) == typed("a", "d")
        assert list(left) == typed("a", "b")


class TestConflicts:
    def test_what_a_list_goes_on_from_may_be_deleted_while_it_is_put(
        self, saver: SealedSaver, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = put(saver, at("t"), {"run_id": "keep"}, n=1)
        put(saver, first, {"run_id": "x"}, messages=["a", "b"])
        other, append, calls = SealedSaver(store), store.append, []

        def second(*args: Any, **kwargs: Any) -> Any:
            if not calls:
                calls.append(1)
                other.delete_for_runs(["x"])
            return append(*args, **kwargs)

        monkeypatch.setattr(store, "append", second)
        put(saver, first, messages=["a", "b", "c"])
        assert calls
        assert value(SealedSaver(store), at("t")) == {"messages": ["a", "b", "c"]}

    def test_one_that_always_comes_second_saves_its_list_whole(
        self, saver: SealedSaver, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = put(saver, at("t"), messages=["a", "b"])
        other, append = SealedSaver(store), store.append
        busy = threading.local()

        def second(*args: Any, **kwargs: Any) -> Any:
            if not getattr(busy, "on", False):
                busy.on = True
                other.put_writes(one, [("messages", "c")], "task")
                busy.on = False
            return append(*args, **kwargs)

        monkeypatch.setattr(store, "append", second)
        put(saver, one, messages=["a", "b", "c"])
        assert value(SealedSaver(store), at("t")) == {"messages": ["a", "b", "c"]}

    def test_threads_of_one_process_put_to_one_thread(self, saver: SealedSaver) -> None:
        one = put(saver, at("t"), messages=["a"])

        def work(number: int) -> None:
            for step in range(10):
                put(saver, one, messages=["a", f"{number}.{step}"])
                saver.put_writes(one, [("n", step)], f"task {number}.{step}")

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        found = [found.checkpoint["channel_values"]["messages"][1:] for found in saver.list(at("t"))]
        assert sorted(one for one in found if one) == sorted([f"{n}.{s}"] for n in range(4) for s in range(10))
        first = saver.get_tuple(one)
        assert first is not None
        assert len(first.pending_writes or ()) == 40


class TestAsync:
    def test_the_awaited_calls_do_the_same(self, saver: SealedSaver) -> None:
        async def main() -> None:
            made = checkpoint(n=1)
            one = await saver.aput(at("t"), made, {"run_id": "x"}, {"n": "1"})
            await saver.aput_writes(one, [("n", 2)], "task")
            found = await saver.aget_tuple(at("t"))
            assert found is not None
            assert found.pending_writes == [("task", "n", 2)]
            await saver.acopy_thread("t", "u")
            assert [found.config["configurable"]["thread_id"] async for found in saver.alist(None)] == ["u", "t"]
            await saver.aprune(["u"], strategy="delete")
            await saver.adelete_for_runs(["x"])
            assert [found async for found in saver.alist(None)] == []
            await saver.adelete_thread("t")
            assert await saver.aget_delta_channel_history(config=at("t"), channels=["n"]) == {"n": {"writes": []}}

        asyncio.run(main(), debug=True)

    def test_many_tasks_put_to_one_thread(self, saver: SealedSaver) -> None:
        async def main() -> None:
            one = await saver.aput(at("t"), checkpoint(n=0), {}, {"n": "1"})
            made = [checkpoint(messages=["a", f"{number}"]) for number in range(40)]
            await asyncio.gather(*(saver.aput(one, each, {}, {"messages": "1"}) for each in made))
            found = {found.checkpoint["id"]: found async for found in saver.alist(at("t"))}
            assert all(found[each["id"]].checkpoint["channel_values"] == each["channel_values"] for each in made)

        asyncio.run(main(), debug=True)

    def test_the_event_loop_goes_on_while_a_call_waits(self, saver: SealedSaver, store: SessionStore) -> None:
        one = put(saver, at("t"), n=0)
        (session,) = store.list().sessions

        async def main() -> None:
            with store._ground.locked(session.id):
                waiting = asyncio.ensure_future(saver.aput_writes(one, [("n", 1)], "task"))
                for _ in range(100):
                    await asyncio.sleep(0)
                assert not waiting.done()
            await waiting

        asyncio.run(main())

    def test_a_call_that_is_cancelled_half_way_and_repeated_is_saved_once(
        self, saver: SealedSaver, store: SessionStore
    ) -> None:
        one = put(saver, at("t"), messages=["a"])
        (session,) = store.list().sessions
        made = checkpoint(messages=["a", "b"])

        async def main() -> None:
            for _ in range(3):
                with store._ground.locked(session.id):
                    calls = [
                        asyncio.ensure_future(saver.aput(one, made, {"step": 1}, {"messages": "1"})),
                        asyncio.ensure_future(saver.aput_writes(one, [("n", 1), ("__error__", "e")], "task")),
                    ]
                    while saver._threads._held["t"].lock.acquire(blocking=False):  # until a call has begun
                        saver._threads._held["t"].lock.release()
                        await asyncio.sleep(0)
                    for call in calls:
                        call.cancel()
                    for call in calls:
                        with pytest.raises(asyncio.CancelledError):
                            await call
            await saver.aput(one, made, {"step": 1}, {"messages": "1"})
            await saver.aput_writes(one, [("n", 1), ("__error__", "e")], "task")

        asyncio.run(main())
        for each in (saver, SealedSaver(store)):
            assert ids(each, at("t")) == [made["id"], one["configurable"]["checkpoint_id"]]
            found = each.get_tuple(one)
            assert found is not None
            assert found.pending_writes == [("task", "__error__", "e"), ("task", "n", 1)]
            assert value(each, at("t")) == {"messages": ["a", "b"]}
