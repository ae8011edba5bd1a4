"""Real graphs over a real store, with a model that only says what it was told to."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph.graph", reason="LangGraph itself is not here: pip install langgraph")
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

from sessionstore import SessionStore, errors, open_store
from sessionstore.integrations.langgraph import SealedSaver

HERE: Any = {"configurable": {"thread_id": "chat"}}


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def chat(saver: SealedSaver, answers: Sequence[str]) -> Any:
    model = GenericFakeChatModel(messages=iter([AIMessage(content=answer) for answer in answers]))
    builder = StateGraph(Chat)
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_edge(START, "model")
    return builder.compile(checkpointer=saver)


def said(state: Any) -> list[str]:
    return [message.content for message in state["messages"]]


def ask(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


class TestConversation:
    def test_it_goes_on_after_a_restart(self, home: Path) -> None:
        with open_store(home) as store:
            assert said(chat(SealedSaver(store), ["I do."]).invoke(ask("Who remembers?"), HERE))[-1] == "I do."
        with open_store(home) as store:
            graph = chat(SealedSaver(store), ["Still."])
            assert said(graph.invoke(ask("And now?"), HERE)) == ["Who remembers?", "I do.", "And now?", "Still."]

    def test_it_goes_on_awaited(self, home: Path) -> None:
        async def turn(question: str, answer: str) -> list[str]:
            with open_store(home) as store:
                return said(await chat(SealedSaver(store), [answer]).ainvoke(ask(question), HERE))

        assert asyncio.run(turn("One?", "1.")) == ["One?", "1."]
        assert asyncio.run(turn("Two?", "2.")) == ["One?", "1.", "Two?", "2."]

    @pytest.mark.parametrize("durability", ["sync", "async", "exit"])
    def test_every_durability_keeps_the_turn(self, saver: SealedSaver, durability: Any) -> None:
        graph = chat(saver, ["1.", "2."])
        graph.invoke(ask("One?"), HERE, durability=durability)
        graph.invoke(ask("Two?"), HERE, durability=durability)
        assert said(graph.get_state(HERE).values) == ["One?", "1.", "Two?", "2."]

    def test_one_can_go_back_and_on_from_there(self, saver: SealedSaver, store: SessionStore) -> None:
        graph = chat(saver, ["1.", "2.", "another 2."])
        graph.invoke(ask("One?"), HERE)
        graph.invoke(ask("Two?"), HERE)
        before = next(state for state in graph.get_state_history(HERE) if said(state.values) == ["One?", "1."])
        graph.invoke(ask("Two again?"), before.config)
        last = chat(SealedSaver(store), []).get_state(HERE).values
        assert said(last) == ["One?", "1.", "Two again?", "another 2."]
        every = [said(state.values) for state in graph.get_state_history(HERE)]
        assert ["One?", "1.", "Two?", "2."] in every

    def test_a_state_can_be_updated(self, saver: SealedSaver) -> None:
        graph = chat(saver, ["1."])
        graph.invoke(ask("One?"), HERE)
        graph.update_state(HERE, {"messages": [AIMessage("Correction.")]})
        assert said(graph.get_state(HERE).values) == ["One?", "1.", "Correction."]

    def test_tasks_at_once_have_threads_of_their_own(self, saver: SealedSaver) -> None:
        async def main() -> None:
            graphs = [chat(saver, [f"answer {number}"]) for number in range(10)]
            configs = [{"configurable": {"thread_id": f"chat {number}"}} for number in range(10)]
            calls = (graph.ainvoke(ask("?"), config) for graph, config in zip(graphs, configs, strict=True))
            assert [said(state)[-1] for state in await asyncio.gather(*calls)] == [f"answer {n}" for n in range(10)]

        asyncio.run(main())


class Form(TypedDict):
    name: str
    log: Annotated[list[str], operator.add]


class TestInterrupts:
    def graph(self, saver: SealedSaver, calls: list[str]) -> Any:
        def other(state: Form) -> dict[str, Any]:
            calls.append("other")
            return {"log": ["other"]}

        def question(state: Form) -> dict[str, Any]:
            calls.append("question")
            return {"name": interrupt("Your name?"), "log": ["question"]}

        builder = StateGraph(Form)
        builder.add_node("other", other)
        builder.add_node("question", question)
        builder.add_edge(START, "other")
        builder.add_edge(START, "question")
        return builder.compile(checkpointer=saver)

    def test_what_was_done_before_an_interrupt_is_not_done_again_after_a_restart(self, home: Path) -> None:
        calls: list[str] = []
        with open_store(home) as store:
            state = self.graph(SealedSaver(store), calls).invoke({"log": []}, HERE)
            assert state["__interrupt__"][0].value == "Your name?"
        with open_store(home) as store:
            state = self.graph(SealedSaver(store), calls).invoke(Command(resume="Ada"), HERE)
        assert (state["name"], state["log"]) == ("Ada", ["other", "question"])
        assert sorted(calls) == ["other", "question", "question"]

    def test_a_failed_step_goes_on_where_it_was(self, saver: SealedSaver) -> None:
        calls: list[str] = []

        def steady(state: Form) -> dict[str, Any]:
            calls.append("steady")
            return {"log": ["steady"]}

        def shaky(state: Form) -> dict[str, Any]:
            calls.append("shaky")
            if calls.count("shaky") == 1:
                raise RuntimeError("once")
            return {"log": ["shaky"]}

        builder = StateGraph(Form)
        builder.add_node("steady", steady)
        builder.add_node("shaky", shaky)
        builder.add_edge(START, "steady")
        builder.add_edge(START, "shaky")
        graph = builder.compile(checkpointer=saver)
        with pytest.raises(RuntimeError):
            graph.invoke({"log": []}, HERE)
        assert sorted(graph.invoke(None, HERE)["log"]) == ["shaky", "steady"]
        assert calls.count("shaky") == 2


class TestSubgraph:
    def test_a_graph_in_a_graph_keeps_its_own_checkpoints(self, saver: SealedSaver, store: SessionStore) -> None:
        inner = StateGraph(Form)
        inner.add_node("ask", lambda state: {"name": interrupt("?"), "log": ["inner"]})
        inner.add_edge(START, "ask")
        outer = StateGraph(Form)
        outer.add_node("inner", inner.compile())
        outer.add_edge(START, "inner")
        outer.add_edge("inner", END)
        graph = outer.compile(checkpointer=saver)
        graph.invoke({"log": []}, HERE)
        namespaces = {found.config["configurable"]["checkpoint_ns"] for found in saver.list(HERE)}
        assert len(namespaces) == 2
        assert len(store.list().sessions) == 1
        assert graph.invoke(Command(resume="Ada"), HERE)["name"] == "Ada"


class TestDeltaChannels:
    def graph(self, saver: SealedSaver, **how: Any) -> Any:
        delta = pytest.importorskip("langgraph.channels.delta", reason="this LangGraph has no delta channels")

        def added(state: list[Any], writes: Sequence[list[Any]]) -> list[Any]:
            return [*state, *(item for write in writes for item in write)]

        kept = TypedDict("kept", {"log": Annotated[list[str], delta.DeltaChannel(added, **how)]})  # noqa: UP013
        builder: Any = StateGraph(kept)
        builder.add_node("a", lambda state: {"log": [f"a{len(state['log'])}"]})
        builder.add_node("b", lambda state: {"log": [f"b{len(state['log'])}"]})
        builder.add_edge(START, "a")
        builder.add_edge("a", "b")
        return builder.compile(checkpointer=saver)

    @pytest.mark.parametrize("frequency", [3, 100])
    @pytest.mark.parametrize("durability", ["sync", "async", "exit"])
    def test_it_is_rebuilt_after_a_restart_and_after_pruning(
        self, store: SessionStore, frequency: int, durability: Any
    ) -> None:
        wanted: list[str] = []
        for turn in range(5):
            graph = self.graph(SealedSaver(store), snapshot_frequency=frequency)
            wanted += [f"in{turn}", f"a{len(wanted) + 1}", f"b{len(wanted) + 2}"]
            assert graph.invoke({"log": [f"in{turn}"]}, HERE, durability=durability)["log"] == wanted
            if turn == 2:
                SealedSaver(store).prune(["chat"])
        saver = SealedSaver(store)
        assert self.graph(saver).get_state(HERE).values["log"] == wanted
        everything = [state.values.get("log") for state in self.graph(saver).get_state_history(HERE)]
        saver.copy_thread("chat", "copy")
        saver.delete_thread("chat")
        copy: Any = {"configurable": {"thread_id": "copy"}}
        assert [state.values.get("log") for state in self.graph(saver).get_state_history(copy)] == everything
        assert asyncio.run(self.graph(saver).aget_state(copy)).values["log"] == wanted

    def test_it_tells_the_same_as_the_walk_that_langgraph_would_make(self, saver: SealedSaver) -> None:
        base = SealedSaver.__mro__[1]
        graph = self.graph(saver, snapshot_frequency=4)
        for turn in range(6):
            graph.invoke({"log": [f"in{turn}"]}, HERE)
        for found in saver.list(HERE):
            given = {"config": found.config, "channels": ["log", "none"]}
            assert saver.get_delta_channel_history(**given) == base.get_delta_channel_history(saver, **given)


class TestTampering:
    def test_a_changed_thread_stops_the_graph_with_the_stores_error(self, home: Path) -> None:
        with open_store(home) as store:
            chat(SealedSaver(store), ["1."]).invoke(ask("One?"), HERE)
        (log,) = (home / "data" / "sessions").glob("*.jsonl")
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
        with open_store(home) as store:
            graph = chat(SealedSaver(store), ["2."])
            with pytest.raises(errors.VerificationError):
                graph.invoke(ask("Two?"), HERE)
            with pytest.raises(errors.VerificationError):
                asyncio.run(graph.ainvoke(ask("Two?"), HERE))
            with pytest.raises(errors.VerificationError):
                graph.get_state(HERE)
            assert [result.ok for result in store.verify()] == [False]

    # Not "async": a change at the very moment of a save in the background is found only when the thread is read again.
    @pytest.mark.parametrize("durability", ["sync", "exit"])
    def test_a_thread_that_is_changed_while_the_graph_runs_stops_it(
        self, store: SessionStore, saver: SealedSaver, home: Path, durability: Any
    ) -> None:
        chat(saver, ["1."]).invoke(ask("One?"), HERE)

        def change(state: Chat) -> Chat:
            (log,) = (home / "data" / "sessions").glob("*.jsonl")
            log.write_bytes(log.read_bytes().replace(b'"langgraph/checkpoint"', b'"langgraph/checkpoinT"', 1))
            return {"messages": [AIMessage("Changed.")]}

        builder = StateGraph(Chat)
        builder.add_node("change", change)
        builder.add_edge(START, "change")
        with pytest.raises(errors.VerificationError):
            builder.compile(checkpointer=saver).invoke(ask("Two?"), HERE, durability=durability)
