"""`SealedSessionStore`: what `ClaudeAgentOptions(session_store=…)` takes, over a sealed store.

It takes a blocking store that is open, and not an `AsyncSessionStore`: that one opens in an `async with` and belongs to
one asyncio loop, while the SDK also runs on trio, and its options are often made before there is a loop.

Every call runs in a thread, at most `MAX_THREADS` at once in one event loop, and never in the loop itself. Cancelling a
call does not stop what has begun; see `turns` for what becomes of the batch, and of its retry.

What the store refuses is raised as the store's own error. What the SDK makes of it stands in docs/howto/claude.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import anyio.lowlevel  # pyright: ignore[reportMissingImports]
import anyio.to_thread  # pyright: ignore[reportMissingImports]

from sessionstore.integrations.claude.names import transcript_of
from sessionstore.integrations.claude.transcripts import Transcripts
from sessionstore.integrations.claude.turns import Batch, Line, Lines
from sessionstore.store import SessionStore

if TYPE_CHECKING:
    from claude_agent_sdk import (  # pyright: ignore[reportMissingImports]
        SessionKey,
        SessionListSubkeysKey,
        SessionStoreEntry,
        SessionStoreListEntry,
        SessionSummaryEntry,
    )

MAX_THREADS = 4

P = ParamSpec("P")
T = TypeVar("T")

_threads: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("sessionstore.claude")


class SealedSessionStore:
    """The transcripts of the Claude Agent SDK in a sealed store: `ClaudeAgentOptions(session_store=…)`.

    Use one object for any number of clients, tasks, threads and event loops; any number of processes may have their own
    on the same store. Different names never meet, whatever they look like.

    Args:
        store: An open store. It is not closed here: close it when the last client is done.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._begin()

    def _begin(self) -> None:
        self._transcripts, self._lines = Transcripts(self._store), Lines()
        self._process = os.getpid()

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Save a batch of entries, durably, all or nothing, in the order of the calls. An empty one is no call.

        An entry with a `uuid` that is there already is left out. The cost is that of the batch, at any length of the
        transcript. Cancelled, the batch may be saved or not; given again as the next one, it is saved once.

        Raises:
            VerificationError: The transcript is not what was saved. Nothing is added to it.
            TooLargeError, SessionLimitError: A limit of the store is reached.
            MalformedError, InvalidValueError: An entry is no JSON object, or a part of the key no text.
            StoreUnavailableError: See its `outcome`.
        """
        if not entries:
            return
        given: list[Any] = list(entries)
        batch = Batch(given)
        transcript = transcript_of(key)
        transcripts = self._here()
        lines = self._lines
        line = lines.join(transcript, batch)

        def save(line: Line, batch: Batch) -> None:
            transcripts.append(transcript, line, batch)

        try:
            await _call(line.work, batch, save)
        except anyio.get_cancelled_exc_class():
            batch.is_heard = False
            raise
        finally:
            lines.leave(line, batch)

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """All entries as they were given, verified to the last byte before any is decoded; None if there are none.

        Raises:
            VerificationError: The transcript is not what was saved.
        """
        entries: list[Any] | None = await _call(self._here().load, transcript_of(key))
        return entries

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """Ids and times of the main transcripts, also of those that loading would refuse.

        `mtime` is the time of the last save in milliseconds since 1970. It grows with every save of a session, and with
        every save of one process, by at least one.
        """
        found = await _call(self._here().sessions, project_key)
        return [{"session_id": session, "mtime": mtime_ms} for session, mtime_ms in found]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """What the SDK has folded out of the main transcripts, as it was folded, without reading these.

        `mtime` is that of `list_sessions`. A session whose summary was lost is left out: the SDK reads that.

        Raises:
            VerificationError: A stored summary is not what was saved.
        """
        found = await _call(self._here().summaries, project_key)
        return [{"session_id": session, "mtime": mtime_ms, "data": data} for session, mtime_ms, data in found]

    async def delete(self, key: SessionKey) -> None:
        """Delete a transcript, whether it verifies or not; a main one with all of its subagents. Twice is once.

        Raises:
            AlreadyRunningError: Somebody has it resumed with this package.
        """
        await _call(self._here().delete, transcript_of(key))

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """The subpaths of a session's subagents, in no order."""
        transcript = transcript_of(key)
        return await _call(self._here().subpaths, transcript.project, transcript.session)

    def _here(self) -> Transcripts:
        """What this process knows. A forked one begins anew: a lock held by a thread of its parent is never freed."""
        if self._process != os.getpid():
            self._begin()
        return self._transcripts


async def _call(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` returns or raises, run in a thread. Cancelled, it does not wait for the thread."""
    try:
        limiter = _threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(MAX_THREADS)
        _threads.set(limiter)
    result: T = await anyio.to_thread.run_sync(
        lambda: function(*args, **kwargs), abandon_on_cancel=True, limiter=limiter
    )
    return result
