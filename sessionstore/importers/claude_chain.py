"""Which records of a Claude Code transcript are the conversation: the way from its last leaf up to its root.

The file is a tree written as a log: every record names its parent. Editing an earlier prompt starts a new branch, a
subagent writes a side chain, and nothing is ever removed. Pure: places in, places out.

Rules:

- A parent is the nearest record *above* with that uuid, because a log is written parent first and a resumed session
  may repeat records; only where there is none above, the first one below.
- Where `parentUuid` is empty, `logicalParentUuid` is followed: a compact boundary cuts the first and keeps the second.
- The leaf is the last record that is neither side chain nor meta, has nothing of that kind below it in the tree, and
  has a message on its way up; a progress line without parent at the end of the file must not hide the conversation.
- Side chains and meta records on the way are walked through, and are not part of it. A meta record that holds a tool
  result is: without it the call stays unanswered.
- A file that holds side chains only is a subagent's own transcript; there the side chain is the conversation.
- Parallel tool calls are written as records that share a message id, each result hanging on its own call, so one way
  up misses all but one of them. Those are brought back: records with the message id of one on the way, and results
  that hang on such a record and answer a call that nothing on the way answers.
- A cycle, and a parent that is not in the file, end the way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec


class Node(msgspec.Struct, gc=False):
    """What has to be known of one record to find the conversation.

    Attributes:
        place: Its line, from 0.
        uuid: Its own name, None for a message that has none.
        parent: The name of its parent.
        sidechain, meta: Its flags.
        message_id: The model's message id, on an assistant's message.
        message: Whether it is a message.
        tool_calls: Tool calls in it.
        answers: Ids of the tool calls that it answers ("" where a result names none).
    """

    place: int
    uuid: str | None
    parent: str | None
    sidechain: bool
    meta: bool
    message: bool
    message_id: str | None = None
    tool_calls: int = 0
    answers: tuple[str, ...] = ()


class Conversation(msgspec.Struct):
    """What was found.

    Attributes:
        places: The messages of the conversation, in its order.
        recovered: How many of them are parallel tool calls or results off the direct way.
        missing_parent: Place of the record whose parent is not in the file, where the way ends there.
        subagent: The file holds side chains only.
        unlinked: No message has a uuid; the order is that of the file.
    """

    places: list[int]
    recovered: int = 0
    missing_parent: int | None = None
    subagent: bool = False
    unlinked: bool = False


def find_conversation(nodes: Sequence[Node]) -> Conversation:
    """The conversation among `nodes`, which are in the order of the file. Linear in their number."""
    subagent = all(node.sidechain or node.meta for node in nodes if node.message)
    taken = [not node.meta and (subagent or not node.sidechain) for node in nodes]
    parents = _Parents(nodes)
    leaf = _last_leaf(nodes, taken, parents.of)
    if leaf is None:
        places = [node.place for node, is_taken in zip(nodes, taken, strict=True) if node.message and is_taken]
        return Conversation(places, subagent=subagent and bool(places), unlinked=bool(places))

    way: list[int] = []
    on_way: set[int] = set()
    at: int | None = leaf
    while at is not None and at not in on_way:
        on_way.add(at)
        way.append(at)
        at = parents.of[at]
    root = way[-1]
    direct = [index for index in reversed(way) if nodes[index].message and taken[index]]
    found = _parallel_calls(nodes, taken, parents.of, direct, on_way)
    places = [nodes[index].place for index in _merged(direct, found)]
    lost = at is None and nodes[root].parent is not None
    return Conversation(places, len(found), nodes[root].place if lost else None, subagent)


class _Parents:
    """`of[i]` is the index of the parent of node i, None at a root."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        by_uuid: dict[str, list[int]] = {}
        for index, node in enumerate(nodes):
            if node.uuid is not None:
                by_uuid.setdefault(node.uuid, []).append(index)
        self.of = [self._find(index, node, by_uuid) for index, node in enumerate(nodes)]

    @staticmethod
    def _find(index: int, node: Node, by_uuid: dict[str, list[int]]) -> int | None:
        if node.uuid is None or node.parent is None or node.parent not in by_uuid:
            return None
        bearers = by_uuid[node.parent]
        above = bisect_left(bearers, index)
        if above:
            return bearers[above - 1]
        return None if node.parent == node.uuid else bearers[0]


def _last_leaf(nodes: Sequence[Node], taken: list[bool], parents: list[int | None]) -> int | None:
    """Each step of a walk marks a node that was not marked, so all walks together are linear."""
    linked = [index for index, node in enumerate(nodes) if taken[index] and node.uuid is not None]
    inner = [False] * len(nodes)
    for index in linked:
        at = parents[index]
        while at is not None and not inner[at]:
            inner[at] = True
            at = parents[at]
    # Only a cycle leaves no leaf at all.
    leaves = [index for index in linked if not inner[index]] or linked
    barren: set[int] = set()
    for leaf in reversed(leaves):
        at = leaf
        while at is not None and at not in barren:
            if nodes[at].message and taken[at]:
                return leaf
            barren.add(at)
            at = parents[at]
    return None


def _parallel_calls(
    nodes: Sequence[Node], taken: list[bool], parents: list[int | None], direct: list[int], on_way: set[int]
) -> list[int]:
    groups = {nodes[index].message_id for index in direct if nodes[index].message_id is not None}
    seen_uuids = {nodes[index].uuid for index in on_way}
    answered = {call for index in direct for call in nodes[index].answers}
    candidates = [i for i, node in enumerate(nodes) if node.message and taken[i] and node.uuid and i not in on_way]
    found: list[int] = []
    holders = {index for index in direct if nodes[index].message_id is not None}
    for index in candidates:
        node = nodes[index]
        if node.message_id in groups and node.uuid not in seen_uuids:
            found.append(index)
            holders.add(index)
            seen_uuids.add(node.uuid)
    for index in candidates:
        node = nodes[index]
        if parents[index] in holders and node.answers and answered.isdisjoint(node.answers):
            found.append(index)
            answered.update(node.answers)
    return sorted(found)


def _merged(direct: list[int], found: list[int]) -> list[int]:
    """`direct` with each of `found` after the member that stands above it most closely in the file."""
    if not found:
        return direct
    ordered = sorted(direct)
    after: dict[int, list[int]] = {}
    for index in found:
        above = bisect_left(ordered, index)
        after.setdefault(ordered[above - 1] if above else -1, []).append(index)
    merged = after.get(-1, [])
    for index in direct:
        merged += [index, *after.get(index, [])]
    return merged
