"""`SealedSaver`: what LangGraph asks of a checkpointer, blocking and awaited.

The blocking calls are the implementation. The awaited ones run them on a few threads of the store's and never block the
event loop; cancelling one does not undo it, and doing it again does no harm: a checkpoint or a write that is put twice
is there once. Nothing reaches the serializer that was not verified before.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from sessionstore.aio.borrowed import pool_of
from sessionstore.aio.pool import Pool
from sessionstore.errors import InvalidValueError, SessionNotFoundError
from sessionstore.integrations.held import MAX_HELD_BYTES
from sessionstore.integrations.langgraph import chain
from sessionstore.integrations.langgraph.coding import (
    NewCheckpoint,
    config_of,
    fits,
    metadata_of,
    names,
    tuple_of,
    writes_record,
)
from sessionstore.integrations.langgraph.history import History, Pending, Place, Point
from sessionstore.integrations.langgraph.threads import Threads
from sessionstore.store import SessionStore


class SealedSaver(BaseCheckpointSaver[str]):
    """A checkpointer over an open store: `graph = builder.compile(checkpointer=SealedSaver(store))`.

    Each `thread_id` is one session; its namespaces and checkpoints lie in it. Any number of graphs, tasks, threads and
    processes may use the same threads at once. The store has to stay open as long as it is used; it does not close it.

    All calls raise the store's errors: a `VerificationError` where a thread is not what was saved, an
    `InvalidValueError` for ids that are no text.

    Args:
        store: What `open_store` gave.
        serde: The serializer of values; LangGraph's own if left out. With that one, a list that goes on from the one
            before is saved as what was added; what any other serializer makes is saved whole.
        max_held_bytes: About how much of the threads used last is held in memory.
    """

    def __init__(
        self, store: SessionStore, *, serde: SerializerProtocol | None = None, max_held_bytes: int = MAX_HELD_BYTES
    ) -> None:
        super().__init__(serde=serde)
        self._store = store
        self._threads = Threads(store, max_held_bytes)

    @property
    def _pool(self) -> Pool:
        return pool_of(self._store)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the configuration names, or the newest of its namespace; None if there is none."""
        thread_id, ns = names(config)
        with self._threads.use(thread_id) as thread:
            history = thread.history()
            point = None if history is None else history.point(ns, get_checkpoint_id(config))
            if history is None or point is None:
                return None
            pending = history.pending(point.place)
        return tuple_of(self.serde, thread_id, point, pending)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, the newest of each thread first.

        Args:
            config: The thread, and if given its namespace and id. None for all threads, the one saved last first.
            filter: Only with these metadata.
            before: Only with a smaller id than this configuration has.
            limit: At most so many.
        """
        left = limit
        for thread_id in self._threads.names() if config is None else (names(config)[0],):
            for point, pending in self._found(thread_id, config, before):
                if left is not None and left <= 0:
                    return
                if filter and not fits(metadata_of(self.serde, point), filter):
                    continue
                left = None if left is None else left - 1
                yield tuple_of(self.serde, thread_id, point, pending)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint durably, at the price of what is new in it; the configuration that names it."""
        thread_id, ns = names(config)
        new = NewCheckpoint(self.serde, config, checkpoint, metadata, new_versions)
        with self._threads.use(thread_id) as thread:
            if new.leans:
                thread.append_leaning(new.record)
            else:
                thread.append(new.record(History()))
        return config_of(thread_id, ns, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save what a task writes on the way to the next checkpoint, durably. A task's same write counts once."""
        thread_id, _ = names(config)
        record = writes_record(self.serde, config, writes, task_id, task_path)
        if record.writes:
            with self._threads.use(thread_id) as thread:
                thread.append(record)

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with all it holds, also a damaged one. One that does not exist is no error."""
        with self._threads.use(thread_id) as thread:
            thread.delete()

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs with their writes, in all threads; the bytes are gone afterwards.

        Every thread of the store is looked into. What a `DeltaChannel` of a later run was built on goes too.

        Raises:
            VerificationError: A thread is not what was saved: whether it holds anything of them cannot be known.
        """
        wanted = frozenset(run_ids)
        for thread_id in self._threads.names() if wanted else ():
            with self._threads.use(thread_id) as thread:
                thread.keep(lambda history: self._of_other_runs(history, wanted))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Add all checkpoints and writes of one thread to another, in one step.

        Raises:
            SessionNotFoundError: There is no such thread to copy.
            InvalidValueError: It is the same one.
        """
        if source_thread_id == target_thread_id:
            raise InvalidValueError(what="target thread", reason="another one than the source is needed")
        with self._threads.use(source_thread_id) as source:
            history = source.history()
            if history is None:
                raise SessionNotFoundError
            session_id, entries = history.session_id, history.entries()
        with self._threads.use(target_thread_id) as target:
            target.copy_from(session_id, entries)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Make threads smaller; the bytes of what goes are gone afterwards.

        Args:
            thread_ids: Which; those that do not exist are passed over.
            strategy: `keep_latest`: the newest checkpoint of each namespace stays, and those before it that one of its
                `DeltaChannel`s is built on. `delete`: nothing stays.

        Raises:
            InvalidValueError: There is no such strategy.
        """
        if strategy not in ("keep_latest", "delete"):
            raise InvalidValueError(what="strategy", reason="keep_latest or delete is needed")
        for thread_id in thread_ids:
            with self._threads.use(thread_id) as thread:
                if strategy == "delete":
                    thread.delete()
                else:
                    thread.keep(lambda history: chain.needed_for_latest(self.serde, history))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What each channel is rebuilt from: a value of an ancestor of the checkpoint, and the writes since then."""
        thread_id, ns = names(config)
        with self._threads.use(thread_id) as thread:
            history = thread.history() or History()
            target = history.point(ns, get_checkpoint_id(config))
            ancestors = chain.ancestors(history, target, frozenset(channels))
        return chain.rebuilt(self.serde, ancestors, channels)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """A version above `current`, and one that two branches of a thread do not give to different values."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{os.urandom(8).hex()}"

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await self._pool.call(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        found = self._pool.stream(lambda: self.list(config, filter=filter, before=before, limit=limit))
        async for one in found:
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`. After a cancellation it may be saved or not: put it again."""
        return await self._pool.call(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`. After a cancellation they may be saved or not: put them again."""
        await self._pool.call(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._pool.call(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self._pool.call(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await self._pool.call(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await self._pool.call(self.prune, thread_ids, strategy=strategy)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        return await self._pool.call(self.get_delta_channel_history, config=config, channels=channels)

    def _found(
        self, thread_id: str, config: RunnableConfig | None, before: RunnableConfig | None
    ) -> Sequence[tuple[Point, Sequence[Pending]]]:
        """The checkpoints of a thread that a list is asked for, as they are now, the newest first."""
        given = {} if config is None else config.get("configurable", {})
        ns, id = given.get("checkpoint_ns"), given.get("checkpoint_id")
        end = get_checkpoint_id(before) if before else None
        with self._threads.use(thread_id) as thread:
            history = thread.history() or History()
            found = [
                (point, history.pending(point.place))
                for point in history.points()
                if ns in (None, point.record.ns) and id in (None, "", point.record.id)
                if not end or point.record.id < end
            ]
        return sorted(found, key=lambda pair: pair[0].record.id, reverse=True)

    def _of_other_runs(self, history: History, run_ids: Collection[str]) -> frozenset[Place]:
        points = history.points()
        return frozenset(p.place for p in points if metadata_of(self.serde, p).get("run_id") not in run_ids)
