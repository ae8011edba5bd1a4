"""The chain of a checkpoint's ancestors, which a `DeltaChannel` is rebuilt from.

Such a channel has no value in most checkpoints. Its value is the one of the nearest ancestor that has one, and all
writes from there on. An ancestor that is missed would not be noticed: the channel would silently be shorter.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol

from sessionstore.integrations.langgraph.coding import loaded, metadata_of, pending_write
from sessionstore.integrations.langgraph.history import History, Pending, Place, Point


class Ancestor(NamedTuple):
    """A checkpoint before another one, with the writes that led on from it."""

    point: Point
    pending: Sequence[Pending]


def ancestors(history: History, target: Point | None, channels: Collection[str]) -> list[Ancestor]:
    """The ancestors of a checkpoint, the nearest first, until each channel had a value or there is none before."""
    missing, found = set(channels), []
    seen: set[Place] = set()
    while target is not None and target.record.parent and missing and target.place not in seen:
        seen.add(target.place)
        target = history.point(target.record.ns, target.record.parent)
        if target is not None:
            found.append(Ancestor(target, history.pending(target.place)))
            missing -= target.values.keys()
    return found


def rebuilt(
    serde: SerializerProtocol, found: Sequence[Ancestor], channels: Sequence[str]
) -> Mapping[str, DeltaChannelHistory]:
    """What each channel is rebuilt from, the oldest write first."""
    result: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        writes: list[PendingWrite] = []
        result[channel] = history = DeltaChannelHistory(writes=writes)
        for point, pending in found:
            # The value is the one before the writes that are pending on the same checkpoint.
            writes += [pending_write(serde, one) for one in reversed(pending) if one.write.channel == channel]
            if channel in point.values:
                history["seed"] = loaded(serde, point.values[channel])
                break
        writes.reverse()
    return result


def needed_for_latest(serde: SerializerProtocol, history: History) -> frozenset[Place]:
    """The newest checkpoint of each namespace, and those before it that one of its channels is rebuilt from."""
    needed = set()
    for point in history.newest():
        needed.add(point.place)
        counters = metadata_of(serde, point).get("counters_since_delta_snapshot") or {}
        open_channels = [channel for channel in counters if channel not in point.values]
        needed |= {ancestor.point.place for ancestor in ancestors(history, point, open_channels)}
    return frozenset(needed)
