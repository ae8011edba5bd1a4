"""The session service's own promises: names, cancelling, what a turn costs, shared state, and full sessions."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.integrations.adk import SealedSessionService
from sessionstore.integrations.adk.logs import COMPACT_CHANGES, StateLog
from sessionstore.integrations.adk.names import SessionName, StateName

APP, USER = "my_app", "test_user"

SHARE = 0.4
"""So much of a full session has to be events: more than there would be if the seals of all turns stood in it."""

LOOK_ALIKES = [
    "", "a", "A", "\u0430", "\uff41", "a ", " a", "a\n", "a\x00", "é", "e\u0301", "ß", "ss", "SS", "a/b", "../a", "./a",
    'a","b', "a\\", '["a"]', "None", "0", "x" * 600, "x" * 601, "X" * 600,
]  # fmt: skip


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]


def changing(**change: Any) -> Event:
    return Event(invocation_id="inv", author="user", actions=EventActions(state_delta=change))


async def again(service: SealedSessionService, session: Session) -> Session:
    found = await service.get_session(app_name=session.app_name, user_id=session.user_id, session_id=session.id)
    assert found is not None
    return found


class TestNames:
    @pytest.mark.parametrize("part", ["app_name", "user_id", "session_id"])
    def test_names_that_look_alike_are_apart(
        self, service: SealedSessionService, store: SessionStore, part: str
    ) -> None:
        async def main() -> None:
            rest = {"app_name": "a", "user_id": "b", "session_id": "c"}
            for number, name in enumerate(LOOK_ALIKES):
                state = {"n": number, "user:n": number, "app:n": number}
                await service.create_session(**{**rest, part: name}, state=state)  # type: ignore[arg-type]
            for each in (service, SealedSessionService(store)):
                for number, name in enumerate(LOOK_ALIKES):
                    found = await each.get_session(**{**rest, part: name})  # type: ignore[arg-type]
                    assert found is not None
                    assert (found.app_name, found.user_id, found.id)[list(rest).index(part)] == name
                    assert found.state["n"] == number
                    if part == "app_name":
                        assert found.state["app:n"] == number
                    if part != "session_id":
                        assert found.state["user:n"] == number
                        listed = await each.list_sessions(app_name=found.app_name, user_id=found.user_id)
                        assert [session.state["n"] for session in listed.sessions] == [number]

        run(main)

    def test_parts_do_not_run_into_each_other(self, service: SealedSessionService) -> None:
        async def main() -> None:
            names = list(itertools.product(["", "a", 'a","b', "a:b"], repeat=3))
            for number, (app, user, id) in enumerate(names):
                await service.create_session(app_name=app, user_id=user, session_id=id, state={"n": number})
            for number, (app, user, id) in enumerate(names):
                found = await service.get_session(app_name=app, user_id=user, session_id=id)
                assert found is not None
                assert found.state == {"n": number}

        run(main)

    def test_a_users_state_is_not_an_apps(self) -> None:
        keys = [StateName("a").key, StateName("a", "").key, StateName("a", "b").key, SessionName("a", "b", "c").key]
        assert len(set(keys)) == 4

    @pytest.mark.parametrize("name", [None, 7, b"a", "\ud800", ["a"]])
    def test_what_is_no_text_is_refused(self, service: SealedSessionService, name: Any) -> None:
        async def main() -> None:
            calls = [
                service.create_session(app_name=name, user_id=USER),
                service.get_session(app_name=APP, user_id=name, session_id="s"),
                service.delete_session(app_name=APP, user_id=USER, session_id=name),
                service.get_user_state(app_name=APP, user_id=name),
            ]
            for call in calls:
                with pytest.raises(errors.InvalidValueError):
                    await call

        run(main)

    def test_other_sessions_of_the_store_are_no_sessions_of_adk(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        for key in ('["adk","session","my_app"]', '["adk","session","my_app",1,"s"]', "adk:other", "something"):
            store.create(key=key)
        store.create(key='["adk","session","my_app","test_user","s"]')
        said = {"kind": "session", "app": APP, "user": "another", "session": "t"}
        store.create(key='["adk","session","my_app","test_user","t"]', config={"adk": said})

        async def main() -> None:
            for id in ("s", "t"):
                with pytest.raises(errors.MalformedError):
                    await service.get_session(app_name=APP, user_id=USER, session_id=id)
            assert (await service.list_sessions(app_name="other")).sessions == []

        run(main)


class TestCancelling:
    def test_a_call_that_is_cancelled_half_way_and_repeated_is_saved_once(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
            summary = store.find(SessionName(APP, USER, "s").key)
            assert summary is not None
            event = changing(n=1, **{"user:n": 1, "temp:t": 1})
            in_use = service._sessions._held[SessionName(APP, USER, "s")].lock
            with store._ground.locked(summary.id):
                call = asyncio.ensure_future(service.append_event(session, event))
                while in_use.acquire(blocking=False):  # until the call has begun
                    in_use.release()
                    await asyncio.sleep(0)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            await service.append_event(session, event)
            await service.append_event(session, event)
            assert session.events == [event]
            await service.append_event(session, changing(n=2))
            for each in (service, SealedSessionService(store)):
                found = await again(each, session)
                assert [event.actions.state_delta["n"] for event in found.events] == [1, 2]
                assert found.state == {"n": 2, "user:n": 1}

        run(main)

    def test_an_answer_that_got_lost_is_made_good_by_appending_again(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER)
            lost, event = session.model_copy(deep=True), changing(n=1)
            await SealedSessionService(store).append_event(lost, event)  # a process that died before it could say so
            await service.append_event(session, event.model_copy(deep=True))
            assert session == lost
            await service.append_event(session, changing(n=2))
            assert len((await again(service, session)).events) == 2

        run(main)

    def test_the_event_loop_goes_on_while_a_call_waits(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
            summary = store.find(SessionName(APP, USER, "s").key)
            assert summary is not None
            with store._ground.locked(summary.id):
                waiting = asyncio.ensure_future(service.append_event(session, changing(n=1)))
                for _ in range(100):
                    await asyncio.sleep(0)
                assert not waiting.done()
            await waiting

        run(main)


class TestOthers:
    def test_one_that_is_renamed_meanwhile_is_not_stale(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
            summary = store.find(SessionName(APP, USER, "s").key)
            assert summary is not None
            store.rename(summary.id, "another name")
            store.append(summary.id, [{"role": "user", "content": "not of ADK"}])
            await service.append_event(session, changing(n=1))
            assert (await again(service, session)).state == {"n": 1}

        run(main)

    def test_one_that_is_renamed_or_deleted_at_the_same_moment(
        self, service: SealedSessionService, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def first(name: str, act: Callable[..., Any]) -> None:
            whole = getattr(store, name)

            def call(id: Any, *args: Any, **kwargs: Any) -> Any:
                monkeypatch.undo()
                act(id)
                return whole(id, *args, **kwargs)

            monkeypatch.setattr(store, name, call)

        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER)
            first("append", lambda id: store.rename(id, "another name"))
            await service.append_event(session, changing(n=1))
            assert (await again(service, session)).state == {"n": 1}
            first("append", store.delete)
            with pytest.raises(SessionNotFoundError):
                await service.append_event(session, changing(n=2))
            other = await service.create_session(app_name=APP, user_id=USER, state={"user:a": 1})
            first("append", store.delete)  # of the user's state
            await service.append_event(other, changing(**{"user:b": 2}))
            assert await service.get_user_state(app_name=APP, user_id=USER) == {"b": 2}
            other_service = SealedSessionService(store)
            monkeypatch.setattr(store, "get_or_create", _made_before(store, monkeypatch))
            with pytest.raises(AlreadyExistsError):
                await other_service.create_session(app_name=APP, user_id=USER, session_id="raced")

        run(main)

    def test_one_that_another_process_appends_to_at_the_same_moment_is_stale(
        self, service: SealedSessionService, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER)
            copy, append = session.model_copy(deep=True), store.append

            def second(*args: Any, **kwargs: Any) -> Any:
                monkeypatch.undo()
                asyncio.run(SealedSessionService(store).append_event(copy, changing(n=1)))
                return append(*args, **kwargs)

            monkeypatch.setattr(store, "append", second)
            with pytest.raises(StaleSessionError):
                await service.append_event(session, changing(n=2))
            assert (await again(service, session)).state == {"n": 1}

        run(main)

    def test_an_entry_of_another_release_is_told(self, service: SealedSessionService, store: SessionStore) -> None:
        async def main() -> None:
            await service.create_session(app_name=APP, user_id=USER, session_id="s")
            summary = store.find(SessionName(APP, USER, "s").key)
            assert summary is not None
            store.append(summary.id, [{"type": "adk/event", "event": "?"}])
            for each in (service, SealedSessionService(store)):
                with pytest.raises(errors.MalformedError, match="another release"):
                    await each.get_session(app_name=APP, user_id=USER, session_id="s")

        run(main)

    def test_what_was_given_out_may_be_changed(self, service: SealedSessionService) -> None:
        async def main() -> None:
            given = {"own": {"a": 1}, "app:x": {"a": 1}}
            session = await service.create_session(app_name=APP, user_id=USER, state=given)
            session.state["own"]["a"] = session.state["app:x"]["a"] = 2
            await service.create_session(app_name=APP, user_id=USER, state={"own": {}})
            one, two = (await service.list_sessions(app_name=APP)).sessions
            one.state["own"]["a"] = one.state["app:x"]["a"] = 3
            assert two.state["app:x"] == {"a": 1}
            assert (await again(service, session)).state == given

        run(main)


def _made_before(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    whole = store.get_or_create

    def call(key: str, **args: Any) -> Any:
        monkeypatch.undo()
        whole(key, **{**args, "config": {"adk": {**args["config"]["adk"], "made_as": "by another"}}})
        return whole(key, **args)

    return call


class TestCost:
    def test_a_turn_reads_and_writes_as_much_at_the_end_as_at_the_beginning(
        self, service: SealedSessionService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        total = [0, 0]
        pread, pwrite = os.pread, os.pwrite

        def read(fd: int, size: int, offset: int) -> bytes:
            data = pread(fd, size, offset)
            total[0] += len(data)
            return data

        def write(fd: int, data: Any, offset: int) -> int:
            total[1] += len(data)
            return pwrite(fd, data, offset)

        monkeypatch.setattr(os, "pread", read)
        monkeypatch.setattr(os, "pwrite", write)

        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
            costs = []
            for number in range(151):
                total[:] = [0, 0]
                found = await again(service, session)
                await service.append_event(found, changing(n=number, **{"user:n": number}))
                costs.append(tuple(total))
            assert 0 < max(costs[50]) < 20_000
            assert costs[150][0] <= costs[50][0] * 1.1
            assert costs[150][1] <= costs[50][1] * 1.1

        run(main)

    def test_a_shared_state_does_not_grow_with_its_changes(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER)
            for number in range(600):
                await service.append_event(session, changing(**{"user:n": number, f"user:k{number % 5}": "x" * 100}))
            summary = store.find(StateName(APP, USER).key)
            assert summary is not None
            assert summary.entries < 300
            assert (await again(SealedSessionService(store), session)).state["user:n"] == 599

        run(main)

    def test_what_is_held_is_bounded(self, store: SessionStore) -> None:
        service = SealedSessionService(store, max_held_bytes=100_000)

        async def main() -> None:
            for number in range(20):
                await service.create_session(
                    app_name=APP, user_id=USER, session_id=f"{number}", state={"x": "x" * 20_000}
                )
            assert len(service._sessions) <= 5
            assert len((await service.list_sessions(app_name=APP)).sessions) == 20
            assert len(service._sessions) <= 5

        run(main)


class TestFull:
    @pytest.fixture
    def small(self, home: Any) -> Any:
        config = Config(data_dir=home / "data", state_dir=home / "state", max_session_bytes=2_500_000)
        with open_store(config=config) as store:
            yield store

    def test_a_full_session_is_compacted_once_and_then_told(self, small: SessionStore) -> None:
        service = SealedSessionService(small)

        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER)
            with pytest.raises(errors.TooLargeError):
                for _ in range(6000):
                    await service.append_event(session, Event(author="user"))
            count = len(session.events)
            assert count * len(session.events[0].model_dump_json(exclude_none=True)) > 2_500_000 * SHARE
            found = await again(SealedSessionService(small), session)
            assert found == session

        run(main)

    def test_a_shared_state_that_is_full_is_compacted(self, small: SessionStore) -> None:
        service = SealedSessionService(small)

        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER)
            for number in range(20):
                await service.append_event(session, changing(**{"app:x": f"{number % 10}" * 300_000}))
                if number % 6 == 5:  # the session itself is not what is to be full
                    session = await service.create_session(app_name=APP, user_id=USER)
            with pytest.raises(errors.TooLargeError):
                await service.append_event(session, changing(**{"app:y": "y" * 2_400_000}))
            assert (await again(service, session)).state == {"app:x": "9" * 300_000}

        run(main)


class TestASharedStateAtTheSameMoment:
    """Two processes change one state; `second` does something in front of a step of the first."""

    @pytest.fixture
    def log(self, store: SessionStore) -> StateLog:
        log = StateLog(store, StateName(APP))
        log.change({"a": 1})
        return log

    def second(self, monkeypatch: pytest.MonkeyPatch, store: SessionStore, step: str, does: Callable[[], Any]) -> None:
        original = getattr(store, step)

        def call(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(store, step, original)
            does()
            return original(*args, **kwargs)

        monkeypatch.setattr(store, step, call)

    def test_one_that_is_deleted_is_made_again(
        self, log: StateLog, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert log.now() == {"a": 1}
        self.second(monkeypatch, store, "append", StateLog(store, StateName(APP)).delete)
        log.change({"b": 2})
        assert StateLog(store, StateName(APP)).now() == log.now() == {"b": 2}

    @pytest.mark.parametrize("does", ["change", "delete"])
    def test_it_is_not_compacted_over_what_another_one_did(
        self, log: StateLog, store: SessionStore, monkeypatch: pytest.MonkeyPatch, does: str
    ) -> None:
        other = StateLog(store, StateName(APP))
        for number in range(COMPACT_CHANGES - 2):
            other.change({"n": number})
        steps: dict[str, Callable[[], Any]] = {"change": lambda: other.change({"c": 3}), "delete": other.delete}
        self.second(monkeypatch, store, "replace", steps[does])
        log.change({"b": 2})
        after = {"a": 1, "b": 2, "c": 3, "n": COMPACT_CHANGES - 3} if does == "change" else {}
        assert log.now() == StateLog(store, StateName(APP)).now() == after
        log.change({"d": 4})
        assert log.now() == after | {"d": 4}

    def test_a_change_that_is_too_large_by_itself_is_refused(self, log: StateLog) -> None:
        with pytest.raises(errors.TooLargeError):
            log.change({"b": "x" * (9 * 1024 * 1024)})
        assert log.now() == {"a": 1}


class TestDamage:
    async def made(self, service: SealedSessionService) -> Session:
        session = await service.create_session(app_name=APP, user_id=USER, session_id="s", state={"user:u": 1})
        for number in range(3):
            await service.append_event(session, changing(n=number))
        return session

    @pytest.mark.parametrize("what", ["session", "state"])
    @pytest.mark.parametrize("held", [True, False])
    @pytest.mark.parametrize("place", [40, 0.5, -20])
    def test_one_changed_byte_is_refused(
        self, service: SealedSessionService, store: SessionStore, home: Any, what: str, held: bool, place: float
    ) -> None:
        async def main() -> None:
            session = await self.made(service)
            event = session.events[-1]
            name = SessionName(APP, USER, "s") if what == "session" else StateName(APP, USER)
            summary = store.find(name.key)
            assert summary is not None
            log = home / "data" / "sessions" / f"{summary.id}.jsonl"
            data = bytearray(log.read_bytes())
            data[int(len(data) * place) if 0 < place < 1 else int(place)] ^= 1
            log.write_bytes(data)
            used = service if held else SealedSessionService(store)
            calls: list[Awaitable[Any]] = [
                used.get_session(app_name=APP, user_id=USER, session_id="s"),
                used.get_session(
                    app_name=APP, user_id=USER, session_id="s", config=GetSessionConfig(num_recent_events=0)
                ),
                used.list_sessions(app_name=APP),
                used.append_event(session, changing(n=3, **{"user:u": 2})),
            ]
            if what == "session":
                calls.append(used.append_event(session, event))
            else:
                calls.append(used.get_user_state(app_name=APP, user_id=USER))
            for call in calls:
                with pytest.raises(errors.VerificationError):
                    await call
            if what == "session":
                await used.delete_session(app_name=APP, user_id=USER, session_id="s")
                assert await used.get_session(app_name=APP, user_id=USER, session_id="s") is None

        run(main)

    def test_other_users_are_not_affected(self, service: SealedSessionService, store: SessionStore, home: Any) -> None:
        async def main() -> None:
            await self.made(service)
            other = await service.create_session(app_name=APP, user_id="other")
            summary = store.find(SessionName(APP, USER, "s").key)
            assert summary is not None
            log = home / "data" / "sessions" / f"{summary.id}.jsonl"
            log.write_bytes(log.read_bytes().replace(b'"n":1', b'"n":7'))
            fresh = SealedSessionService(store)
            await fresh.append_event(await again(fresh, other), changing(n=1))
            listed = await fresh.list_sessions(app_name=APP, user_id="other")
            assert [session.state for session in listed.sessions] == [{"n": 1}]

        run(main)

    def test_a_session_put_back_to_an_older_state_is_refused(
        self, service: SealedSessionService, store: SessionStore, home: Any
    ) -> None:
        async def main() -> None:
            session = await self.made(service)
            summary = store.find(SessionName(APP, USER, "s").key)
            assert summary is not None
            log = home / "data" / "sessions" / f"{summary.id}.jsonl"
            old = log.read_bytes()
            await service.append_event(session, changing(n=3))
            log.write_bytes(old)
            for each in (service, SealedSessionService(store)):
                with pytest.raises(errors.RollbackError):
                    await again(each, session)

        run(main)


def test_threads_of_one_process_use_one_service(service: SealedSessionService) -> None:
    def work(number: int) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=f"{number}")
            for step in range(10):
                await service.append_event(session, changing(**{"step": step, f"app:{number}": step}))

        run(main)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    async def main() -> None:
        found = (await service.list_sessions(app_name=APP)).sessions
        assert [session.state for session in found] == [{"step": 9, **{f"app:{n}": 9 for n in range(4)}}] * 4

    run(main)
