"""What a turn costs does not grow with what was said before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint

from sessionstore import SessionStore
from sessionstore.integrations.langgraph import SealedSaver

HERE: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


class Conversation:
    """Turns as a graph has them: read the newest checkpoint, put writes, put the next one."""

    def __init__(self, saver: SealedSaver) -> None:
        self.saver = saver
        self.messages: list[str] = []

    def turn(self) -> None:
        found = self.saver.get_tuple(HERE)
        before: Checkpoint = empty_checkpoint() if found is None else found.checkpoint
        if found is not None:
            assert before["channel_values"]["messages"] == self.messages
            self.saver.put_writes(found.config, [("messages", "x" * 200)], f"task {len(self.messages)}")
        self.messages.append(f"{len(self.messages):0200}")
        made = empty_checkpoint()
        version = self.saver.get_next_version(before["channel_versions"].get("messages"), None)
        made["channel_values"], made["channel_versions"] = {"messages": list(self.messages)}, {"messages": version}
        config = HERE if found is None else found.config
        self.saver.put(config, made, {"step": len(self.messages)}, {"messages": version})


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many bytes are read and written in the block."""
    total = [0, 0]
    pread, pwrite = os.pread, os.pwrite

    def read(fd: int, size: int, offset: int) -> bytes:
        data = pread(fd, size, offset)
        total[0] += len(data)
        return data

    def write(fd: int, data: Any, offset: int) -> int:
        total[1] += len(data)
        return pwrite(fd, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", read)
        patched.setattr(os, "pwrite", write)
        yield total


def test_a_turn_reads_and_writes_as_much_at_the_end_as_at_the_beginning(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation, costs = Conversation(SealedSaver(store)), []
    for _ in range(4):
        for _ in range(50):
            conversation.turn()
        with counted(monkeypatch) as total:
            conversation.turn()
        costs.append(tuple(total))
    first, last = costs[0], costs[-1]
    assert 0 < first[0] < 20_000
    assert 0 < first[1] < 20_000
    assert last[0] <= first[0] * 1.1
    assert last[1] <= first[1] * 1.1


def test_it_stays_so_where_another_process_saves_in_between(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation, other, costs = Conversation(SealedSaver(store)), SealedSaver(store), []
    for _ in range(3):
        for _ in range(40):
            conversation.turn()
            conversation.saver, other = other, conversation.saver
        with counted(monkeypatch) as total:
            conversation.turn()
        costs.append(tuple(total))
    assert costs[-1][0] <= costs[0][0] * 1.1
    assert costs[-1][1] <= costs[0][1] * 1.1


def test_a_list_that_is_changed_at_its_end_is_saved_from_there_on(store: SessionStore) -> None:
    saver, items = SealedSaver(store), ["x" * 500 for _ in range(200)]
    sizes = []
    for number in range(20):
        made = empty_checkpoint()
        items[-1] = f"{number}"
        made["channel_values"], made["channel_versions"] = {"items": list(items)}, {"items": f"{number}"}
        saver.put(HERE, made, {}, {"items": f"{number}"})
        sizes.append(store.list().sessions[0].size_bytes)
    assert sizes[0] > 100_000
    assert sizes[-1] - sizes[0] < 19 * 2_000
    for each in (saver, SealedSaver(store)):
        ends = [found.checkpoint["channel_values"]["items"][-1] for found in each.list(HERE)]
        assert ends == [f"{number}" for number in reversed(range(20))]


def test_numbers_are_not_cut_up(store: SessionStore) -> None:
    saver, made = SealedSaver(store), empty_checkpoint()
    made["channel_values"], made["channel_versions"] = {"v": [0.5] * 1000}, {"v": "1"}
    saver.put(HERE, made, {}, {"v": "1"})
    assert store.list().sessions[0].size_bytes < 20_000
