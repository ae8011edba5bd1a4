"""Whatever is done to it, it tells the same as LangGraph's own checkpointer in memory."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from sessionstore import SessionStore
from sessionstore.integrations.langgraph import SealedSaver

STEPS = 120
NAMESPACES = ("", "child:1", "CHILD:1")
CHANNELS = ("messages", "note", "numbers", "gone")


def told(found: CheckpointTuple | None) -> Any:
    if found is None:
        return None
    names = found.config["configurable"]
    return (
        {name: names[name] for name in ("thread_id", "checkpoint_ns", "checkpoint_id")},
        found.checkpoint,
        found.metadata,
        found.parent_config,
        found.pending_writes,
    )


def value(random_: random.Random, channel: str, before: Any) -> Any:
    if channel == "messages":
        items = list(before or [])
        match random_.randrange(6):
            case 0:
                return items[: random_.randrange(len(items) + 1)]
            case 1 if items:
                items[-1] = {"changed": random_.random()}
                return items
            case _:
                return [*items, {"text": "x" * random_.randrange(40), "n": random_.random()}]
    if channel == "numbers":
        return [random_.random() for _ in range(3)]
    return random_.choice([None, b"\x00\xff", "text", {"a": (1, 2)}, [], [None], {1, 2}, 1 << 40])


@pytest.mark.parametrize("seed", range(6))
def test_random_steps_are_told_alike(seed: int, store: SessionStore) -> None:
    random_, memory, ours = random.Random(seed), InMemorySaver(), SealedSaver(store)
    points: list[Any] = []
    for step in range(STEPS):
        if points and random_.random() < 0.4:
            config = random_.choice(points)[0]
            writes = [
                (random_.choice([*CHANNELS, "__error__", "__interrupt__"]), {"v": random_.random()})
                for _ in range(random_.randrange(1, 4))
            ]
            task, path = random_.choice("ab"), random_.choice(["", "~1", "~2"])
            if path and any(name.startswith("__") for name, _ in writes):
                path = ""
            memory.put_writes(config, writes, task, path)
            ours.put_writes(config, writes, task, path)
        else:
            if points and random_.random() < 0.8:
                config, before = random_.choice(points[-3:] if random_.random() < 0.8 else points)
            else:
                config = {"configurable": {"thread_id": "t", "checkpoint_ns": random_.choice(NAMESPACES)}}
                before = empty_checkpoint()
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = dict(before["channel_values"])
            checkpoint["channel_versions"] = dict(before["channel_versions"])
            news = {}
            for channel in random_.sample(CHANNELS, random_.randrange(1, 4)):
                version = ours.get_next_version(before["channel_versions"].get(channel), None)
                news[channel] = checkpoint["channel_versions"][channel] = version
                if channel == "gone":
                    checkpoint["channel_values"].pop(channel, None)
                else:
                    new = value(random_, channel, before["channel_values"].get(channel))
                    checkpoint["channel_values"][channel] = new
            metadata: Any = {"source": "loop", "step": step, "run_id": random_.choice("xy")}
            one = memory.put(config, checkpoint, metadata, news)
            assert ours.put(config, checkpoint, metadata, news) == one
            points.append((one, checkpoint))
        if random_.random() < 0.1:
            ours = SealedSaver(store)  # one that has read nothing yet
        if random_.random() < 0.03:
            with ours._threads.use("t") as thread:
                thread._make_room()
    for saver in (ours, SealedSaver(store)):
        for config, _ in points:
            assert told(saver.get_tuple(config)) == told(memory.get_tuple(config))
        for ns in (*NAMESPACES, "none"):
            at = {"configurable": {"thread_id": "t", "checkpoint_ns": ns}}
            assert told(saver.get_tuple(at)) == told(memory.get_tuple(at))
            for only in ({}, {"run_id": "x"}):
                expected = [told(found) for found in memory.list(at, filter=only)]
                assert [told(found) for found in saver.list(at, filter=only)] == expected
