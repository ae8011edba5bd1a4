"""A value that is replaced again and again: whole after any interruption, bounded, never an older one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

pytest.importorskip("strands", reason="needs Strands Agents: pip install 'sessionstore[strands]'")

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.integrations.strands.register import LONG_BYTES, Register, Value


@pytest.fixture
def register(store: SessionStore) -> Register:
    return Register(store, "test", "value")


def put(register: Register, value: Value) -> None:
    register.change(lambda before: value)


def large(number: int) -> Value:
    return [{"number": number, "filling": "x" * (LONG_BYTES // 3)}]


class Interrupted(BaseException):
    """Stands for the death of the process."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, steps: int) -> Iterator[list[str]]:
    """Let a process take so many steps that change the store, and die in front of the next one."""
    taken: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(SessionStore, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if len(taken) == steps:
                raise Interrupted
            taken.append(name)
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("append", "replace", "delete", "create"):
            patch.setattr(SessionStore, name, counted(name))
        yield taken


class TestAValue:
    def test_it_is_what_was_put_there_last(self, register: Register, store: SessionStore) -> None:
        assert register.read() is None and not register.is_there()
        for value in (
            [{"a": 1}],
            [{}],
            [{"part": 1}, {"part": 2}, {"part": 3}],
            [{"strands": "own"}][:0] or [{"b": 2}],
        ):
            put(register, value)
            assert register.read() == Register(store, "test", "value").read() == value
            assert register.is_there()

    def test_a_session_without_a_value_is_none(self, register: Register, store: SessionStore) -> None:
        store.create(key='["test","value"]')
        assert register.read() is None and not register.is_there()
        put(register, [{"a": 2}])
        assert register.read() == [{"a": 2}]
        assert len(store.list().sessions) == 1

    def test_what_refuses_to_make_one_changes_nothing(self, register: Register) -> None:
        put(register, [{"a": 1}])

        def refuse(before: Value | None) -> Value:
            assert before == [{"a": 1}]
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            register.change(refuse)
        assert register.read() == [{"a": 1}]

    def test_one_that_cannot_be_kept_leaves_the_old_one(self, register: Register) -> None:
        for number in range(8):
            put(register, large(number))
            with pytest.raises(errors.MalformedError):
                put(register, [{"bad": float("nan"), "filling": "x" * LONG_BYTES}])
            assert register.read() == large(number)

    def test_old_versions_do_not_pile_up(self, register: Register, store: SessionStore) -> None:
        for number in range(30):
            put(register, large(number))
            assert sum(line.size_bytes for line in store.list().sessions) < 4 * LONG_BYTES
        assert register.read() == large(29)
        assert len(store.list().sessions) == 1

    def test_one_as_long_as_a_session_may_be_is_replaced_too(self, home: Any) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", max_session_bytes=2 * LONG_BYTES)
        with open_store(config=config) as store:
            register = Register(store, "test", "value")
            for number in range(6):
                value = [{"number": number, "filling": "x" * 800_000}, {"filling": "y" * 800_000}]
                put(register, value)
                assert register.read() == value
            with pytest.raises(errors.TooLargeError):
                put(register, [{"filling": "x" * 800_000}] * 3)
            assert register.read() == value

    def test_an_entry_that_is_no_version_is_refused(self, register: Register, store: SessionStore) -> None:
        put(register, [{"a": 1}, {"a": 2}])
        (line,) = store.list().sessions
        for entry in ({"a": 1}, {"strands": {"part": 1, "of": 2}}, {"strands": {"part": 0, "of": 0}}, {"strands": 7}):
            store.append(line.id, [entry])
            with pytest.raises(errors.MalformedError):
                register.read()
            store.pop(line.id)
        assert register.read() == [{"a": 1}, {"a": 2}]


class TestInterrupted:
    @pytest.mark.parametrize("before", range(1, 9))
    def test_there_is_always_the_old_value_or_the_new_one(
        self, register: Register, store: SessionStore, monkeypatch: pytest.MonkeyPatch, before: int
    ) -> None:
        for number in range(before):
            put(register, large(number))
        for steps in range(6):
            old = register.read()
            assert old is not None
            new = large(old[0]["number"] + 1)
            with dying(monkeypatch, steps) as taken:
                try:
                    put(register, new)
                except Interrupted:
                    assert len(taken) == steps
                    assert register.read() in (old, new)
                else:
                    assert register.read() == new
            put(register, large(99))
            assert register.read() == large(99)

    @pytest.mark.parametrize("before", [1, 3, 4, 5, 6, 7])
    def test_a_removal_brings_no_older_value_back(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch, before: int
    ) -> None:
        found = []
        for steps in range(7):
            register = Register(store, "test", f"{steps}")
            for number in range(before):
                put(register, large(number))
            with dying(monkeypatch, steps), suppress(Interrupted):
                assert register.remove()
            found.append(register.read())
            register.remove()
            assert not register.remove()
        first_gone = found.index(None)
        assert found == [large(before - 1)] * first_gone + [None] * (7 - first_gone)
        assert store.list().sessions == ()

    @pytest.mark.parametrize("steps", range(4))
    def test_a_removal_of_a_changed_value_brings_no_older_one_back(
        self, register: Register, store: SessionStore, monkeypatch: pytest.MonkeyPatch, flip: Any, steps: int
    ) -> None:
        for number in range(5):
            put(register, large(number))
        flip(b'"number":4', b'"number":7')
        with dying(monkeypatch, steps), suppress(Interrupted):
            register.remove()
        with suppress(errors.VerificationError):
            assert register.read() is None


class TestTogether:
    @pytest.mark.parametrize("before", range(6))
    @pytest.mark.parametrize("step", range(5))
    @pytest.mark.parametrize("by_other", [1, LONG_BYTES // 2], ids=["small", "large"])
    def test_a_change_made_between_any_two_steps_of_another_is_kept(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch, before: int, step: int, by_other: int
    ) -> None:
        def more(value: Value | None, **filling: str) -> Value:
            return [{"count": 1 + (0 if value is None else value[0]["count"]), **filling}]

        one, other = Register(store, "test", "value"), Register(store, "test", "value")
        for _ in range(before):
            one.change(lambda value: more(value, filling="x" * (LONG_BYTES // 3)))
        taken = 0
        originals = {name: getattr(SessionStore, name) for name in ("append", "replace", "create")}

        def stepping(name: str) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal taken
                taken += 1
                if taken == step + 1:
                    other.change(lambda value: more(value, filling="x" * by_other))
                return originals[name](*args, **kwargs)

            return call

        for name in originals:
            monkeypatch.setattr(SessionStore, name, stepping(name))
        one.change(lambda value: more(value, filling="x" * (LONG_BYTES // 3)))
        value = one.read()
        assert value is not None and value[0]["count"] == before + 1 + (taken > step)

    def test_changes_of_many_threads_are_all_there(self, store: SessionStore) -> None:
        def count() -> None:
            register = Register(store, "test", "value")
            for _ in range(15):
                register.change(
                    lambda before: [{"count": 1 if before is None else before[0]["count"] + 1, "x": "x" * 100_000}]
                )

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        value = Register(store, "test", "value").read()
        assert value is not None and value[0]["count"] == 60
        assert store.list().sessions[0].size_bytes < 4 * LONG_BYTES  # it was written anew meanwhile


class TestTampering:
    def test_a_changed_value_is_refused_and_can_be_removed(
        self, register: Register, store: SessionStore, flip: Any
    ) -> None:
        for number in range(5):
            put(register, large(number))
        flip(b'"number":4', b'"number":7')
        for call in (register.read, register.is_there, lambda: put(register, [{}])):
            with pytest.raises(errors.InvalidSignatureError):
                call()
        assert register.remove()
        assert register.read() is None
        assert store.list().sessions == ()

    def test_one_that_was_taken_away_is_missed(self, register: Register, store: SessionStore, home: Any) -> None:
        put(register, [{"a": 1}])
        (path,) = (home / "data" / "sessions").glob("*.jsonl")
        path.unlink()
        with pytest.raises(errors.MissingError):
            register.read()


class TestUnknownOutcome:
    def test_a_change_the_ledger_refused_is_made_once(self, home: Any, ledger_locked: Any) -> None:
        config = Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.2)
        with open_store(config=config) as store:
            register = Register(store, "test", "value")
            put(register, [{"n": 1}])
            with ledger_locked(), pytest.raises(errors.StoreUnavailableError):
                put(register, [{"n": 2}])
            register.change(lambda before: [{"n": (before or [{}])[0]["n"] + 1}])
            assert register.read() in ([{"n": 2}], [{"n": 3}])
