"""What ADK asks of every session service, in the words of its own tests, and beside its service in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.adk.tools.tool_confirmation import ToolConfirmation
from google.genai import types

from sessionstore import SessionStore
from sessionstore.integrations.adk import SealedSessionService

APP, USER = "my_app", "test_user"


class Both:
    """The service under test, made anew for every call, so that all it knows stands in the store."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(SealedSessionService(self._store), name)


@pytest.fixture(params=["held", "anew", "memory"])
def any_service(request: pytest.FixtureRequest, store: SessionStore) -> Any:
    """Each test holds for ADK's own service too: so it says what ADK asks, and not what we do."""
    if request.param == "memory":
        return InMemorySessionService()
    return SealedSessionService(store) if request.param == "held" else Both(store)


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]


def changing(**change: Any) -> Event:
    return Event(invocation_id="inv", author="user", actions=EventActions(state_delta=change))


async def again(service: BaseSessionService, session: Session, **config: Any) -> Session:
    given = GetSessionConfig(**config) if config else None
    found = await service.get_session(
        app_name=session.app_name, user_id=session.user_id, session_id=session.id, config=given
    )
    assert found is not None
    return found


class TestSessions:
    def test_one_that_was_never_made_is_none(self, any_service: Any) -> None:
        async def main() -> None:
            assert await any_service.get_session(app_name=APP, user_id=USER, session_id="123") is None

        run(main)

    def test_one_that_was_made_is_got_and_deleted(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER, state={"key": "value"})
            assert (session.app_name, session.user_id, session.state) == (APP, USER, {"key": "value"})
            assert session.id
            assert session.last_update_time > 0
            assert await again(any_service, session) == session
            for _ in range(2):
                await any_service.delete_session(app_name=APP, user_id=USER, session_id=session.id)
            assert await any_service.get_session(app_name=APP, user_id=USER, session_id=session.id) is None

        run(main)

    def test_an_id_is_taken_once_for_each_user(self, any_service: Any) -> None:
        async def main() -> None:
            one = await any_service.create_session(app_name=APP, user_id="u1", session_id="s", state={"k": 1})
            await any_service.append_event(one, changing(k=2))
            with pytest.raises(AlreadyExistsError):
                await any_service.create_session(app_name=APP, user_id="u1", session_id="s", state={"k": 3})
            two = await any_service.create_session(app_name=APP, user_id="u2", session_id="s")
            assert (two.events, two.state) == ([], {})
            assert (await again(any_service, one)).state == {"k": 2}
            await any_service.delete_session(app_name=APP, user_id="u1", session_id="s")
            again_one = await any_service.create_session(app_name=APP, user_id="u1", session_id="s")
            assert (again_one.events, again_one.state) == ([], {})

        run(main)

    def test_of_two_who_make_the_same_at_once_one_gets_it(self, any_service: Any) -> None:
        async def main() -> None:
            for number in range(5):
                calls = (
                    any_service.create_session(app_name=APP, user_id=USER, session_id=f"race {number}")
                    for _ in range(4)
                )
                results = await asyncio.gather(*calls, return_exceptions=True)
                failures = [result for result in results if isinstance(result, Exception)]
                assert len(failures) == 3
                assert all(isinstance(failure, AlreadyExistsError) for failure in failures)

        run(main)


class TestLists:
    def test_sessions_are_listed_by_user_with_their_state_and_without_events(self, any_service: Any) -> None:
        async def main() -> None:
            for user, id in (("u1", "a"), ("u1", "b"), ("u2", "c")):
                made = await any_service.create_session(
                    app_name=APP, user_id=user, session_id=id, state={"k": id, "user:n": user, "app:x": 1, "temp:t": 1}
                )
                await any_service.append_event(made, changing(more=id))
            await any_service.create_session(app_name="other", user_id="u1", session_id="d")

            def told(response: Any) -> Any:
                assert all(session.events == [] for session in response.sessions)
                return {session.id: session.state for session in response.sessions}

            def state(user: str, id: str) -> Any:
                return {"k": id, "more": id, "user:n": user, "app:x": 1}

            u1, u2 = {"a": state("u1", "a"), "b": state("u1", "b")}, {"c": state("u2", "c")}
            assert told(await any_service.list_sessions(app_name=APP, user_id="u1")) == u1
            assert told(await any_service.list_sessions(app_name=APP, user_id="u2")) == u2
            assert told(await any_service.list_sessions(app_name=APP)) == {**u1, **u2}
            assert told(await any_service.list_sessions(app_name=APP, user_id="")) == {}
            assert told(await any_service.list_sessions(app_name="none")) == {}

        run(main)

    def test_the_one_used_last_comes_last(self, any_service: Any) -> None:
        async def main() -> None:
            made = [
                await any_service.create_session(app_name=APP, user_id=USER, session_id=id) for id in ("a", "b", "c")
            ]
            event = Event(author="user", timestamp=made[2].last_update_time + 1)
            await any_service.append_event(made[0], event)
            listed = (await any_service.list_sessions(app_name=APP, user_id=USER)).sessions
            assert [session.id for session in listed] == ["b", "c", "a"]

        run(main)


class TestState:
    def test_an_apps_state_is_shared_by_all_and_a_users_by_his_sessions(self, any_service: Any) -> None:
        async def main() -> None:
            one = await any_service.create_session(
                app_name=APP, user_id="u1", session_id="s1", state={"app:a": 1, "user:u": 1, "own": 1}
            )
            await any_service.append_event(one, changing(**{"app:b": 2, "user:v": 2, "own2": 2}))
            mine = await any_service.create_session(app_name=APP, user_id="u1", session_id="s2")
            assert mine.state == {"app:a": 1, "app:b": 2, "user:u": 1, "user:v": 2}
            others = await any_service.create_session(app_name=APP, user_id="u2", session_id="s3")
            assert others.state == {"app:a": 1, "app:b": 2}
            assert (await any_service.create_session(app_name="other", user_id="u1")).state == {}
            assert (await again(any_service, one)).state == {**mine.state, "own": 1, "own2": 2}
            await any_service.delete_session(app_name=APP, user_id="u1", session_id="s1")
            assert (await again(any_service, mine)).state == mine.state

        run(main)

    def test_a_users_state_is_read_without_a_session(self, any_service: Any) -> None:
        async def main() -> None:
            assert await any_service.get_user_state(app_name=APP, user_id=USER) == {}
            session = await any_service.create_session(app_name=APP, user_id=USER)
            await any_service.append_event(session, changing(**{"user:profile": {"name": "Ada"}, "own": 1}))
            await any_service.append_event(session, changing(**{"user:n": 1}))
            await any_service.append_event(session, changing(**{"user:n": 2}))
            state = await any_service.get_user_state(app_name=APP, user_id=USER)
            assert state == {"profile": {"name": "Ada"}, "n": 2}
            state["profile"]["name"] = "Bob"
            assert (await any_service.get_user_state(app_name=APP, user_id=USER))["profile"] == {"name": "Ada"}
            assert await any_service.get_user_state(app_name=APP, user_id="another") == {}

        run(main)

    @pytest.mark.parametrize("scope", ["", "user:", "app:"])
    def test_a_value_takes_the_place_of_the_one_before(self, any_service: Any, scope: str) -> None:
        async def main() -> None:
            key, flag, kept = f"{scope}key", f"{scope}flag", f"{scope}kept"
            given = {key: {"name": "ada", "role": "admin"}, flag: True, kept: False}
            session = await any_service.create_session(app_name=APP, user_id=USER, state=given)
            await any_service.append_event(session, changing(**{key: {"name": "bob"}, flag: None}))
            found = await again(any_service, session)
            for each in (session, found):
                assert each.state == {key: {"name": "bob"}, flag: None, kept: False}
                assert each.state[kept] is False

        run(main)

    def test_temporary_state_lives_in_the_session_at_hand_only(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER, state={"temp:a": 1, "b": 1})
            event = changing(**{"temp:k1": "v1", "sk": "v2"})
            await any_service.append_event(session, event)
            assert (session.state["temp:k1"], session.state["sk"]) == ("v1", "v2")
            assert event.actions.state_delta == {"sk": "v2"}
            found = await again(any_service, session)
            assert found.state == {"b": 1, "sk": "v2"}
            assert found.events[0].actions.state_delta == {"sk": "v2"}

        run(main)


class TestEvents:
    def test_an_event_comes_back_whole(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER)
            event = Event(
                invocation_id="invocation",
                author="user",
                content=types.Content(
                    role="user",
                    parts=[
                        types.Part(text="text"),
                        types.Part.from_bytes(data=b"\x00\xff\xfeimage", mime_type="image/png"),
                        types.Part(function_call=types.FunctionCall(id="c", name="f", args={"a": [1, 2.5, None]})),
                    ],
                ),
                turn_complete=True,
                partial=False,
                actions=EventActions(
                    artifact_delta={"file": 0},
                    transfer_to_agent="agent",
                    escalate=True,
                    requested_tool_confirmations={"call": ToolConfirmation(hint="hint", payload={"id": "x"})},
                ),
                long_running_tool_ids={"tool1", "tool2"},
                error_code="error_code",
                error_message="error_message",
                interrupted=True,
                grounding_metadata=types.GroundingMetadata(
                    web_search_queries=["q"], search_entry_point=types.SearchEntryPoint(sdk_blob=b"\xfb\xff")
                ),
                usage_metadata=types.GenerateContentResponseUsageMetadata(prompt_token_count=1, total_token_count=2),
                citation_metadata=types.CitationMetadata(),
                custom_metadata={"custom_key": "custom_value"},
                timestamp=1700000000.123,
                input_transcription=types.Transcription(text="in", finished=True),
                branch="a.b",
            )
            await any_service.append_event(session, event)
            assert session.events == [event]
            assert await again(any_service, session) == session

        run(main)

    def test_the_time_of_the_last_event_is_the_sessions(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER)
            event = Event(author="user", timestamp=session.last_update_time + 10)
            await any_service.append_event(session, event)
            assert session.last_update_time == event.timestamp
            assert (await again(any_service, session)).last_update_time == event.timestamp

        run(main)

    def test_the_last_events_or_those_since_a_moment_are_got(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER)
            for number in range(1, 6):
                await any_service.append_event(session, Event(author="user", timestamp=100 + number))

            async def times(**config: Any) -> list[float]:
                return [event.timestamp - 100 for event in (await again(any_service, session, **config)).events]

            assert await times() == [1, 2, 3, 4, 5]
            assert await times(num_recent_events=0) == []
            assert await times(num_recent_events=3) == [3, 4, 5]
            assert await times(num_recent_events=9) == [1, 2, 3, 4, 5]
            assert await times(after_timestamp=104.0) == [4, 5]
            assert await times(after_timestamp=1000.0) == []
            assert await times(after_timestamp=104.0, num_recent_events=3) == [4, 5]
            assert await times(after_timestamp=102.0, num_recent_events=1) == [5]

        run(main)

    def test_a_partial_event_is_not_saved(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER)
            event = Event(author="user", partial=True, actions=EventActions(state_delta={"k": 1}))
            assert await any_service.append_event(session, event) is event
            assert (session.events, session.state) == ([], {})
            assert (await again(any_service, session)).events == []

        run(main)

    def test_an_event_that_is_delivered_again_is_there_once(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER)
            event = changing(**{"n": 1, "temp:t": 1})
            await any_service.append_event(session, event)
            await any_service.append_event(session, event)
            await any_service.append_event(session, event.model_copy(deep=True))
            await any_service.append_event(await again(any_service, session), event.model_copy(deep=True))
            assert len(session.events) == 1
            assert (await again(any_service, session)).events == [event]

        run(main)

    def test_events_that_only_share_an_id_are_all_there(self, any_service: Any) -> None:
        async def main() -> None:
            session = await any_service.create_session(app_name=APP, user_id=USER)
            for author in ("a", "b"):
                await any_service.append_event(session, Event(id="shared", author=author, timestamp=5.0))
            assert [event.author for event in (await again(any_service, session)).events] == ["a", "b"]

        run(main)

    def test_there_is_no_appending_to_what_is_not_there(self, any_service: Any) -> None:
        async def main() -> None:
            with pytest.raises(SessionNotFoundError):
                await any_service.append_event(Session(app_name=APP, user_id=USER, id="never"), Event(author="user"))
            session = await any_service.create_session(app_name=APP, user_id=USER)
            await any_service.delete_session(app_name=APP, user_id=USER, session_id=session.id)
            with pytest.raises(SessionNotFoundError):
                await any_service.append_event(session, Event(author="user"))

        run(main)


@pytest.fixture(params=["held", "anew"])
def ours(request: pytest.FixtureRequest, store: SessionStore) -> Any:
    """For what ADK asks of services that keep sessions, which its own in memory does not do."""
    return SealedSessionService(store) if request.param == "held" else Both(store)


class TestStale:
    def test_who_has_not_seen_the_last_event_is_refused(self, ours: Any) -> None:
        async def main() -> None:
            old = await ours.create_session(app_name=APP, user_id=USER)
            await ours.append_event(old, changing(k1=1))
            new = await again(ours, old)
            await ours.append_event(new, changing(k2=2, **{"app:x": 1}))
            with pytest.raises(StaleSessionError, match="modified in storage"):
                await ours.append_event(old, changing(k3=3, **{"app:x": 2, "user:y": 2}))
            found = await again(ours, old)
            assert found.state == {"k1": 1, "k2": 2, "app:x": 1}
            assert (len(found.events), len(old.events)) == (2, 1)

        run(main)

    def test_of_two_at_once_one_is_refused(self, ours: Any) -> None:
        async def main() -> None:
            session = await ours.create_session(app_name=APP, user_id=USER)
            for number in range(8):
                latest = await again(ours, session)
                copies = [latest.model_copy(deep=True) for _ in range(2)]
                calls = (ours.append_event(each, changing(n=number)) for each in copies)
                results = await asyncio.gather(*calls, return_exceptions=True)
                failures = [result for result in results if isinstance(result, Exception)]
                assert [type(failure) for failure in failures] == [StaleSessionError]
            assert len((await again(ours, session)).events) == 8

        run(main)

    def test_tasks_that_share_a_session_append_one_after_the_other(self, service: SealedSessionService) -> None:
        async def main() -> None:
            session = await service.create_session(app_name=APP, user_id=USER)
            await asyncio.gather(*(service.append_event(session, changing(**{f"k{n}": n})) for n in range(20)))
            found = await again(service, session)
            assert found.state == session.state == {f"k{n}": n for n in range(20)}
            assert found == session

        run(main)

    def test_a_session_without_a_marker_is_judged_by_its_last_event(self, ours: Any) -> None:
        async def main() -> None:
            session = await ours.create_session(app_name=APP, user_id=USER)
            await ours.append_event(session, changing(k=1))
            wired = Session.model_validate_json(session.model_dump_json())
            wired.last_update_time -= 0.0001
            await ours.append_event(wired, changing(k=2))
            with pytest.raises(StaleSessionError):
                await ours.append_event(Session.model_validate_json(session.model_dump_json()), changing(k=3))
            short = Session(app_name=APP, user_id=USER, id=session.id, last_update_time=wired.last_update_time)
            await ours.append_event(short, changing(k=3))  # it was got with no events, and nothing came since
            empty = Session(app_name=APP, user_id=USER, id=session.id)
            with pytest.raises(StaleSessionError):
                await ours.append_event(empty, changing(k=3))
            assert len((await again(ours, session)).events) == 3

        run(main)

    def test_who_asked_for_few_events_may_append(self, ours: Any) -> None:
        async def main() -> None:
            session = await ours.create_session(app_name=APP, user_id=USER)
            await ours.append_event(session, changing(k=1))
            short = await again(ours, session, num_recent_events=0)
            await ours.append_event(short, changing(k=2))
            assert len((await again(ours, session)).events) == 2

        run(main)

    def test_one_that_was_deleted_and_made_again_is_another_one(self, ours: Any) -> None:
        async def main() -> None:
            session = await ours.create_session(app_name=APP, user_id=USER, session_id="s")
            await ours.delete_session(app_name=APP, user_id=USER, session_id="s")
            await ours.create_session(app_name=APP, user_id=USER, session_id="s")
            with pytest.raises(StaleSessionError):
                await ours.append_event(session, changing(k=1))

        run(main)

    def test_a_value_that_json_does_not_know_becomes_text_as_elsewhere_in_adk(self, ours: Any) -> None:
        async def main() -> None:
            session = await ours.create_session(app_name=APP, user_id=USER)
            await ours.append_event(session, changing(callback=print, ok=2))
            found = await again(ours, session)
            assert found.state["ok"] == 2
            assert isinstance(found.state["callback"], str)

        run(main)
