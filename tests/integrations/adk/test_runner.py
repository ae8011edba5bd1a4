"""Real runners over a real store, with a model that only says what it was told to."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the SDK's own imports
    from google.adk.agents import LlmAgent, SequentialAgent
    from google.adk.models.base_llm import BaseLlm
    from google.adk.models.llm_request import LlmRequest
    from google.adk.models.llm_response import LlmResponse
    from google.adk.runners import Runner
    from google.adk.tools.tool_context import ToolContext
from google.adk.errors import StaleSessionError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.genai import types

from sessionstore import SessionStore, errors, open_store
from sessionstore.integrations.adk import SealedSessionService

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

APP, USER, ID = "chat_app", "ada", "chat"


class Told(BaseLlm):
    """Says what it was told to, and keeps what it was asked."""

    model: str = "told"
    answers: list[Any] = []  # noqa: RUF012
    asked: list[list[str]] = []  # noqa: RUF012

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        parts = [part for content in llm_request.contents for part in content.parts or ()]
        self.asked.append([part.text for part in parts if part.text])
        answer = self.answers.pop(0)
        part = types.Part(text=answer) if isinstance(answer, str) else answer
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def agent(answers: Sequence[Any], **how: Any) -> LlmAgent:
    return LlmAgent(**{"name": "assistant", "model": Told(answers=list(answers), asked=[]), **how})


async def ask(runner: Runner, text: str) -> list[str]:
    said = []
    message = types.Content(role="user", parts=[types.Part(text=text)])
    async for event in runner.run_async(user_id=USER, session_id=ID, new_message=message):
        parts = event.content.parts if event.content and event.content.parts else ()
        said += [part.text for part in parts if part.text]
    return said


def runner_over(store: SessionStore, root: Any) -> Runner:
    return Runner(app_name=APP, agent=root, session_service=SealedSessionService(store), auto_create_session=True)


class TestConversation:
    def test_it_goes_on_after_a_restart(self, home: Path) -> None:
        with open_store(home) as store:
            assert asyncio.run(ask(runner_over(store, agent(["I do."])), "Who remembers?")) == ["I do."]
        with open_store(home) as store:
            root = agent(["Still."])
            assert asyncio.run(ask(runner_over(store, root), "And now?")) == ["Still."]
            assert isinstance(root.model, Told)
            assert root.model.asked == [["Who remembers?", "I do.", "And now?"]]

    def test_what_an_agent_says_becomes_state_that_others_see(self, store: SessionStore) -> None:
        async def main() -> None:
            first = agent(["Oslo"], name="first", output_key="user:city")
            hidden = agent(["a draft"], name="hidden", output_key="temp:draft")
            last = agent(["Cold."], name="last", instruction="It is {user:city}, see {temp:draft}.")
            root = SequentialAgent(name="all", sub_agents=[first, hidden, last])
            assert await ask(runner_over(store, root), "Where?") == ["Oslo", "a draft", "Cold."]
            service = SealedSessionService(store)
            assert await service.get_user_state(app_name=APP, user_id=USER) == {"city": "Oslo"}
            found = await service.get_session(app_name=APP, user_id=USER, session_id=ID)
            assert found is not None
            assert found.state["user:city"] == "Oslo"
            assert "temp:draft" not in found.state

        asyncio.run(main())

    def test_a_tools_calls_and_its_state_are_kept(self, store: SessionStore) -> None:
        def count(tool_context: ToolContext) -> dict[str, int]:
            """Counts."""
            tool_context.state["calls"] = tool_context.state.get("calls", 0) + 1
            return {"calls": tool_context.state["calls"]}

        async def main() -> None:
            call = types.Part(function_call=types.FunctionCall(name="count", args={}))
            for number in (1, 2):
                root = agent([call, f"{number}"], tools=[count])
                assert await ask(runner_over(store, root), "Count!") == [f"{number}"]
            found = await SealedSessionService(store).get_session(app_name=APP, user_id=USER, session_id=ID)
            assert found is not None
            assert found.state["calls"] == 2
            assert [event.author for event in found.events] == ["user", *["assistant"] * 3] * 2

        asyncio.run(main())

    def test_an_unknown_session_is_adks_error(self, store: SessionStore) -> None:
        runner = Runner(app_name=APP, agent=agent([]), session_service=SealedSessionService(store))
        with pytest.raises(SessionNotFoundError):
            asyncio.run(ask(runner, "Anybody?"))

    def test_who_comes_between_stops_the_run(self, store: SessionStore) -> None:
        async def main() -> None:
            service = SealedSessionService(store)
            other = runner_over(store, agent(["In between."]))

            async def between(callback_context: Any) -> None:
                await ask(other, "Me first!")

            root = agent(["Late."], before_agent_callback=between)
            with pytest.raises(StaleSessionError):
                await ask(runner_over(store, root), "Slow.")
            found = await service.get_session(app_name=APP, user_id=USER, session_id=ID)
            assert found is not None
            texts = [event.content.parts[0].text for event in found.events if event.content and event.content.parts]
            assert texts == ["Slow.", "Me first!", "In between."]

        asyncio.run(main())


class TestTampering:
    def test_a_changed_session_stops_the_runner_with_the_stores_error(self, home: Path) -> None:
        with open_store(home) as store:
            asyncio.run(ask(runner_over(store, agent(["1."])), "One?"))
        (log,) = (home / "data" / "sessions").glob("*.jsonl")
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
        with open_store(home) as store:
            root = agent(["2."])
            with pytest.raises(errors.VerificationError):
                asyncio.run(ask(runner_over(store, root), "Two?"))
            assert isinstance(root.model, Told)
            assert root.model.asked == []

    def test_a_session_that_is_changed_while_the_runner_works_stops_it(self, store: SessionStore, home: Path) -> None:
        def change(callback_context: Any) -> None:
            (log,) = (home / "data" / "sessions").glob("*.jsonl")
            log.write_bytes(log.read_bytes().replace(b"One?", b"Two?"))

        root = agent(["1."], before_agent_callback=change)
        with pytest.raises(errors.VerificationError):
            asyncio.run(ask(runner_over(store, root), "One?"))
