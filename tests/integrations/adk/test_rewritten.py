"""Sessions that the command line rewrites between two calls: redacted, rewound; and damage that is somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.session import Session
from google.genai import types

from sessionstore import SessionStore, errors, open_store
from sessionstore.integrations.adk import SealedSessionService
from sessionstore.integrations.adk.names import SessionName, StateName

APP, USER = "my_app", "ada@example.org"

NAME = SessionName(APP, USER, "s")


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]


def saying(text: str, **change: Any) -> Event:
    content = types.Content(role="user", parts=[types.Part(text=text)])
    return Event(author="user", content=content, actions=EventActions(state_delta=change))


def texts(session: Session | None) -> list[str | None]:
    assert session is not None
    return [event.content.parts[0].text for event in session.events if event.content and event.content.parts]


async def made(service: SealedSessionService) -> Session:
    session = await service.create_session(
        app_name=APP, user_id=USER, session_id="s", state={"first": "secret", "user:u": "kept"}
    )
    for number in range(3):
        await service.append_event(session, saying(f"text {number}", **{f"n{number}": number}))
    return session


async def got(service: SealedSessionService) -> Session | None:
    return await service.get_session(app_name=APP, user_id=USER, session_id="s")


def id_of(store: SessionStore, name: SessionName | StateName) -> str:
    found = store.id_of(name.key)
    assert found is not None
    return found


class TestRedacted:
    def test_an_entry_that_was_taken_out_is_no_event_and_the_others_stay(
        self, service: SealedSessionService, store: SessionStore, home: Path
    ) -> None:
        async def main() -> None:
            held = await made(service)
            with open_store(home) as other:
                other.redact(id_of(store, NAME), entries=[0, 2])  # the first state, and the second event
            with pytest.raises(StaleSessionError):
                await service.append_event(held, saying("on what is not there any more"))
            for each in (service, SealedSessionService(store)):
                found = await got(each)
                assert texts(found) == ["text 0", "text 2"]
                assert found is not None
                assert found.state == {"n0": 0, "n2": 2, "user:u": "kept"}
            await service.append_event(found, saying("text 3"))
            assert texts(await got(SealedSessionService(store))) == ["text 0", "text 2", "text 3"]

        run(main)

    def test_a_shared_state_that_was_taken_out_is_empty(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            session = await made(service)
            store.redact(id_of(store, StateName(APP, USER)), entries=[0])
            assert await service.get_user_state(app_name=APP, user_id=USER) == {}
            await service.append_event(session, saying("text 3", **{"user:v": 1}))
            found = await got(SealedSessionService(store))
            assert found is not None
            assert found.state["user:v"] == 1

        run(main)

    @pytest.mark.parametrize("long", [False, True])
    def test_a_pattern_that_fits_its_names_leaves_it_what_it_is(
        self, service: SealedSessionService, store: SessionStore, long: bool
    ) -> None:
        async def main() -> None:
            user = USER + "x" * 600 * long
            session = await service.create_session(app_name=APP, user_id=user, state={"user:u": 1})
            await service.append_event(session, saying(f"I am {USER}."))
            for summary in store.list().sessions:
                store.redact(summary.id, patterns=["ada@example.org", "my_app"])
            for each in (service, SealedSessionService(store)):
                (listed,) = (await each.list_sessions(app_name=APP)).sessions
                assert (listed.user_id, listed.id, listed.state) == (user, session.id, {"user:u": 1})
                found = await each.get_session(app_name=APP, user_id=user, session_id=session.id)
                assert texts(found) == ["I am [redacted:pattern]."]

        run(main)

    def test_an_event_that_adk_does_not_take_any_more_is_the_stores_error(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            session = await made(service)
            picture = types.Part(inline_data=types.Blob(mime_type="image/png", data=b"picture" * 9))
            await service.append_event(
                session, Event(author="user", content=types.Content(role="user", parts=[picture]))
            )
            id = id_of(store, NAME)
            store.redact(id, patterns=["[a-zA-Z0-9+/=_-]{84,}"])
            for each in (service, SealedSessionService(store)):
                with pytest.raises(errors.MalformedError, match="ADK") as refused:
                    await got(each)
                assert refused.value.session_id == id
            store.redact(id, entries=[4])
            assert texts(await got(service)) == ["text 0", "text 1", "text 2"]

        run(main)


class TestRewound:
    def test_who_has_not_seen_the_last_event_is_refused_also_where_there_are_as_many(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            held = await made(service)
            store.pop(id_of(store, NAME))
            other = SealedSessionService(store)
            again = await got(other)
            assert again is not None
            await other.append_event(again, saying("another one"))
            assert len(again.events) == len(held.events)
            with pytest.raises(StaleSessionError):
                await service.append_event(held, saying("on what is not there any more"))
            assert texts(await got(service)) == ["text 0", "text 1", "another one"]

        run(main)


class TestDamageElsewhere:
    def test_it_does_not_keep_good_sessions_from_being_listed(
        self, service: SealedSessionService, store: SessionStore, home: Path
    ) -> None:
        def damage(id: str) -> None:
            log = home / "data" / "sessions" / f"{id}.jsonl"
            log.write_bytes(log.read_bytes()[:-10] + b"xxxxxxxxx\n")

        async def main() -> None:
            session = await made(service)
            await service.create_session(app_name="other", user_id=USER, session_id="s")
            damage(store.create().id)
            damage(id_of(store, SessionName("other", USER, "s")))
            fresh = SealedSessionService(store)
            assert [one.id for one in (await fresh.list_sessions(app_name=APP)).sessions] == [session.id]
            for user in (None, USER):
                with pytest.raises(errors.VerificationError):
                    await fresh.list_sessions(app_name="other", user_id=user)
            assert (await fresh.list_sessions(app_name="other", user_id="another")).sessions == []

        run(main)

    def test_a_session_of_a_long_name_that_says_another_one_is_refused(
        self, service: SealedSessionService, store: SessionStore
    ) -> None:
        async def main() -> None:
            for name in (SessionName(APP, "x" * 600, "s"), SessionName("other", "y" * 600, "s")):
                await service.create_session(app_name=name.app, user_id=name.user, session_id=name.id)
            store.append(id_of(store, name), config={"adk": {**SessionName(APP, "z" * 600, "s").config}})
            with pytest.raises(errors.MalformedError):
                await SealedSessionService(store).list_sessions(app_name=APP)

        run(main)
