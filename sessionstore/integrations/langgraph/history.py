"""One thread as its records tell it: checkpoints, the values of their channels, and pending writes.

Rules:

* Records are taken in order. A checkpoint means the values that its channel versions had when it was put; what is put
  later under the same version does not change it.
* A list that goes on from the one before is kept as what was added to it, on the disk and in memory: a conversation
  of n messages takes n messages, not n lists of them.
* A write with an index of 0 or more stays as it came first; one below 0 (errors, interrupts) as it came last.

It is not safe for several threads at once. What it gives out does not change any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from sessionstore.errors import MalformedError
from sessionstore.integrations.langgraph.records import (
    CheckpointRecord,
    Record,
    Typed,
    Value,
    Version,
    Write,
    WritesRecord,
    from_entry,
    to_entry,
)

Place = tuple[str, str]
"""Namespace and id of a checkpoint."""


class Items:
    """A list's items. Lists that go on from each other share one store; each knows how much of it is its own."""

    __slots__ = ("_length", "_shared")

    def __init__(self, shared: list[Typed], length: int) -> None:
        self._shared = shared
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Typed]:
        for index in range(self._length):
            yield self._shared[index]

    def going_on(self, keep: int, more: Sequence[Typed]) -> Items:
        """The first `keep` items and `more`."""
        if keep == self._length == len(self._shared):
            self._shared.extend(more)
            return Items(self._shared, len(self._shared))
        return Items([*self._shared[:keep], *more], keep + len(more))

    def shared_with(self, items: Sequence[Typed]) -> int:
        """How many of the first items are the same."""
        count = 0
        for mine, other in zip(self, items, strict=False):
            if mine != other:
                break
            count += 1
        return count


Stored = Typed | Items


class Point(msgspec.Struct, frozen=True):
    """A checkpoint as it was put last.

    Attributes:
        record: Its record.
        values: The value of each channel that has one.
    """

    record: CheckpointRecord
    values: dict[str, Stored]

    @property
    def place(self) -> Place:
        """Its namespace and id."""
        return self.record.ns, self.record.id


class Pending(msgspec.Struct, frozen=True):
    """A write that is pending on a checkpoint, with its task's id and path."""

    task: str
    path: str
    write: Write


class History:
    """The checkpoints and writes of one thread.

    Args:
        session_id: Of the session they are kept in.

    Attributes:
        session_id: The same.
    """

    def __init__(self, session_id: str = "") -> None:
        self.session_id = session_id
        self._points: dict[Place, Point] = {}
        self._newest: dict[str, str] = {}
        self._writes: dict[Place, dict[tuple[str, int], Pending]] = {}
        self._values: dict[tuple[str, str, Version], Stored | None] = {}
        self._last_list: dict[tuple[str, str], Version] = {}
        self._others: list[dict[str, Any]] = []

    def add(self, entry: dict[str, Any]) -> None:
        """Take the next entry of the session. One that is not of this adapter is kept and means nothing.

        Raises:
            MalformedError: It is a record that does not fit what came before, or one of another release.
        """
        record = from_entry(self.session_id, entry)
        if record is None:
            self._others.append(entry)
        else:
            self.take(record)

    def take(self, record: Record) -> None:
        """Take the next record. Errors as `add`."""
        if isinstance(record, CheckpointRecord):
            self._take_checkpoint(record)
            return
        pending = self._writes.setdefault((record.ns, record.id), {})
        for write in record.writes:
            key = (record.task, write.index)
            if write.index < 0 or key not in pending:
                pending[key] = Pending(record.task, record.path, write)

    def _take_checkpoint(self, record: CheckpointRecord) -> None:
        ns = record.ns
        for value in record.values:
            self._values[ns, value.channel, value.version] = stored = self._stored(ns, value)
            if isinstance(stored, Items):
                self._last_list[ns, value.channel] = value.version
        found = ((channel, self._values.get((ns, channel, version))) for channel, version in record.versions.items())
        values = {channel: stored for channel, stored in found if stored is not None}
        self._points[ns, record.id] = Point(msgspec.structs.replace(record, values=[]), values)
        self._newest[ns] = max(self._newest.get(ns, record.id), record.id)

    def _stored(self, ns: str, value: Value) -> Stored | None:
        if value.items is None:
            return value.whole
        if value.base is None:
            return Items(list(value.items), len(value.items))
        base = self._values.get((ns, value.channel, value.base))
        if not isinstance(base, Items) or not 0 <= value.keep <= len(base):
            raise MalformedError(session_id=self.session_id, reason="a list goes on from one that is not there")
        return base.going_on(value.keep, value.items)

    def point(self, ns: str, id: str | None = None) -> Point | None:
        """The checkpoint, or the newest of the namespace; None if there is none."""
        newest = self._newest.get(ns)
        return None if newest is None else self._points.get((ns, id or newest))

    def points(self) -> list[Point]:
        """Every checkpoint, in the order in which they were first put."""
        return list(self._points.values())

    def newest(self) -> list[Point]:
        """The newest checkpoint of every namespace."""
        return [self._points[place] for place in self._newest.items()]

    def pending(self, place: Place) -> list[Pending]:
        """The writes pending on a checkpoint, in the order in which a graph applies them."""
        found = self._writes.get(place, {}).values()
        return sorted(found, key=lambda pending: (pending.path, pending.task, pending.write.index))

    def going_on(self, ns: str, channel: str, version: Version, items: list[Typed]) -> Value:
        """The record of a list, as what it adds to the channel's last one where they begin alike."""
        base = self._last_list.get((ns, channel))
        last = None if base is None else self._values.get((ns, channel, base))
        keep = last.shared_with(items) if isinstance(last, Items) else 0
        if keep == 0:
            return Value(channel=channel, version=version, items=items)
        return Value(channel=channel, version=version, items=items[keep:], base=base, keep=keep)

    def entries(self, keep: Collection[Place] | None = None) -> list[dict[str, Any]]:
        """The fewest entries that tell the same, or only the checkpoints to `keep` with their writes.

        Writes on checkpoints that have not come yet stay, and so do entries that are not of this adapter.
        """
        told, copied, entries = History(self.session_id), dict[tuple[str, str, Version], Stored](), list(self._others)
        for point in self._points.values():
            if keep is not None and point.place not in keep:
                continue
            values = []
            for channel, version in point.record.versions.items():
                stored = point.values.get(channel)
                key = (point.record.ns, channel, version)
                if stored is None or copied.get(key) is stored:
                    continue
                copied[key] = stored
                if isinstance(stored, Items):
                    values.append(told.going_on(*key, list(stored)))
                else:
                    values.append(Value(channel=channel, version=version, whole=stored))
            record = msgspec.structs.replace(point.record, values=values)
            told.take(record)
            entries.append(to_entry(record))
        for place in self._writes:
            if keep is None or place in keep or place not in self._points:
                entries += [to_entry(record) for record in self._writes_of(place)]
        return entries

    def _writes_of(self, place: Place) -> Iterator[WritesRecord]:
        tasks: dict[tuple[str, str], list[Write]] = {}
        for pending in self.pending(place):
            tasks.setdefault((pending.task, pending.path), []).append(pending.write)
        for (task, path), writes in tasks.items():
            yield WritesRecord(ns=place[0], id=place[1], task=task, path=path, writes=writes)
