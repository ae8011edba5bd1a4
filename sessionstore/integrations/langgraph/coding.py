"""Between LangGraph's values and our records, by the graph's own serializer.

What is handed to the serializer comes from a verified session. A list is cut into its items only for LangGraph's own
serializer, which makes the same bytes of the same item each time; one that encrypts, say, gets its values whole.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from sessionstore.errors import InvalidValueError
from sessionstore.integrations.langgraph.history import History, Items, Pending, Point, Stored
from sessionstore.integrations.langgraph.records import CheckpointRecord, Typed, Value, Version, Write, WritesRecord

# Lists of numbers, such as embeddings, are dear to cut up, and do not grow at their end.
_SCALARS = (bool, int, float, type(None))


def names(config: RunnableConfig) -> tuple[str, str]:
    """Id of the thread and namespace that a configuration names.

    Raises:
        InvalidValueError: It names no thread, or by something that is no text.
    """
    configurable = config.get("configurable", {})
    thread_id, ns = configurable.get("thread_id"), configurable.get("checkpoint_ns", "")
    if not isinstance(thread_id, str) or not isinstance(ns, str):
        raise InvalidValueError(what="thread", reason="thread_id and checkpoint_ns have to be text")
    return thread_id, ns


def config_of(thread_id: str, ns: str, id: str) -> RunnableConfig:
    """The configuration that names a checkpoint."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": id}}


class NewCheckpoint:
    """A checkpoint on its way into a session, everything serialized.

    Args:
        serde: The serializer.
        config: Names the thread, the namespace and the parent.
        checkpoint, metadata, new_versions: As `put` has them.
    """

    def __init__(
        self,
        serde: SerializerProtocol,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> None:
        rest = cast(dict[str, Any], checkpoint.copy())
        values = rest.pop("channel_values")
        self._ns = names(config)[1]
        self._new_versions = new_versions
        self._versions: ChannelVersions = rest.pop("channel_versions")
        self._values = {name: _dumped(serde, values[name]) for name in new_versions if name in values}
        self._id = checkpoint["id"]
        self._parent = get_checkpoint_id(config) or None
        self._rest = dumped(serde, rest)
        self._metadata = dumped(serde, get_checkpoint_metadata(config, metadata))

    @property
    def leans(self) -> bool:
        """Whether its record can be shorter for what is in the thread."""
        return any(isinstance(value, list) for value in self._values.values())

    def record(self, history: History) -> CheckpointRecord:
        """Its record behind what the thread holds."""
        return CheckpointRecord(
            ns=self._ns,
            id=self._id,
            parent=self._parent,
            checkpoint=self._rest,
            metadata=self._metadata,
            versions=dict(self._versions),
            values=[self._value(history, name, version) for name, version in self._new_versions.items()],
        )

    def _value(self, history: History, name: str, version: Version) -> Value:
        value = self._values.get(name)
        if isinstance(value, list):
            return history.going_on(self._ns, name, version, value)
        return Value(channel=name, version=version, whole=value)


def writes_record(
    serde: SerializerProtocol, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task: str, path: str
) -> WritesRecord:
    """The record of one call of `put_writes`."""
    return WritesRecord(
        ns=names(config)[1],
        id=cast(str, config.get("configurable", {}).get("checkpoint_id")),  # checked when it is saved
        task=task,
        path=path,
        writes=[
            Write(WRITES_IDX_MAP.get(channel, index), channel, dumped(serde, value))
            for index, (channel, value) in enumerate(writes)
        ],
    )


def dumped(serde: SerializerProtocol, value: object) -> Typed:
    """A value as the serializer makes it."""
    return Typed(*serde.dumps_typed(value))


def _dumped(serde: SerializerProtocol, value: object) -> Typed | list[Typed]:
    if type(value) is list and value and isinstance(serde, JsonPlusSerializer) and type(value[0]) not in _SCALARS:
        return [dumped(serde, item) for item in value]
    return dumped(serde, value)


def loaded(serde: SerializerProtocol, stored: Stored) -> Any:
    """The value that was serialized."""
    if isinstance(stored, Items):
        return [serde.loads_typed((item.type, item.data)) for item in stored]
    return serde.loads_typed((stored.type, stored.data))


def metadata_of(serde: SerializerProtocol, point: Point) -> CheckpointMetadata:
    """A checkpoint's metadata."""
    return cast(CheckpointMetadata, loaded(serde, point.record.metadata))


def fits(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether metadata have all the members that are wanted."""
    return all(metadata.get(name) == value for name, value in wanted.items())


def pending_write(serde: SerializerProtocol, pending: Pending) -> PendingWrite:
    """A pending write as LangGraph has it."""
    return pending.task, pending.write.channel, loaded(serde, pending.write.value)


def tuple_of(serde: SerializerProtocol, thread_id: str, point: Point, pending: Iterable[Pending]) -> CheckpointTuple:
    """A checkpoint as LangGraph has it."""
    record = point.record
    checkpoint = {
        **loaded(serde, record.checkpoint),
        "channel_values": {name: loaded(serde, stored) for name, stored in point.values.items()},
        "channel_versions": dict(record.versions),
    }
    return CheckpointTuple(
        config=config_of(thread_id, record.ns, record.id),
        checkpoint=cast(Checkpoint, checkpoint),
        metadata=metadata_of(serde, point),
        parent_config=config_of(thread_id, record.ns, record.parent) if record.parent else None,
        pending_writes=[pending_write(serde, one) for one in pending],
    )
