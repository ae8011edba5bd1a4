"""What a thread's session holds: a record for each checkpoint that was put, and one for each call that put writes.

Values are what the graph's serializer made of them: a type and bytes, in base64. Nothing here decodes them. Records are
only added; what a later one says of the same checkpoint, channel version or write stands for what an earlier one said.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sessionstore.errors import MalformedError

Version = str | int | float


class Typed(msgspec.Struct, frozen=True, array_like=True):
    """A value as the serializer gave it.

    Attributes:
        type: The serializer's word for how to read it.
        data: The bytes.
    """

    type: str
    data: bytes


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A channel's value at a version; none of `whole` and `items` if the channel was emptied.

    Attributes:
        channel, version: Which.
        whole: The value.
        items: The items of a list, behind the first `keep` items that the channel had at version `base`.
        base, keep: See `items`. Without a base they are all the items.
    """

    channel: str
    version: Version
    whole: Typed | None = None
    items: list[Typed] | None = None
    base: Version | None = None
    keep: int = 0


class CheckpointRecord(msgspec.Struct, frozen=True, kw_only=True, tag="langgraph/checkpoint", tag_field="type"):
    """A checkpoint that was put.

    Attributes:
        ns, id: Its namespace and id.
        parent: Id of the checkpoint it follows.
        checkpoint: The checkpoint without channel values and versions.
        metadata: The metadata.
        versions: The version of each channel.
        values: What came anew with it.
    """

    ns: str
    id: str
    parent: str | None
    checkpoint: Typed
    metadata: Typed
    versions: dict[str, Version]
    values: list[Value]


class Write(msgspec.Struct, frozen=True, array_like=True):
    """One write of a task.

    Attributes:
        index: Its place among the task's writes; below 0 for the special channels.
        channel, value: What is written where.
    """

    index: int
    channel: str
    value: Typed


class WritesRecord(msgspec.Struct, frozen=True, kw_only=True, tag="langgraph/writes", tag_field="type"):
    """Writes of one task that are pending on a checkpoint.

    Attributes:
        ns, id: Namespace and id of the checkpoint.
        task, path: Id and path of the task.
        writes: The writes.
    """

    ns: str
    id: str
    task: str
    path: str
    writes: list[Write]


Record = CheckpointRecord | WritesRecord

TYPES = ("langgraph/checkpoint", "langgraph/writes")


def to_entry(record: Record) -> dict[str, Any]:
    """The entry that keeps a record.

    Raises:
        MalformedError: An id, a name or a version is not what it has to be.
    """
    try:
        # Structs are not checked when they are made; what comes back has to be what was given.
        entry: dict[str, Any] = msgspec.to_builtins(record)
        msgspec.convert(entry, type=type(record))
    except (msgspec.ValidationError, TypeError) as exc:
        raise MalformedError(session_id="", reason=f"this checkpoint cannot be kept: {exc}") from exc
    return entry


def from_entry(session_id: str, entry: dict[str, Any]) -> Record | None:
    """The record in a verified entry; None for an entry that is not of this adapter.

    Raises:
        MalformedError: It is a record of another release, or one that something was taken out of.
    """
    if entry.get("type") not in TYPES:
        return None
    try:
        record: Record = msgspec.convert(entry, type=Record)
    except msgspec.ValidationError as exc:
        raise MalformedError(
            session_id=session_id, reason=f"a record of another release, or a redacted one: {exc}"
        ) from exc
    return record
