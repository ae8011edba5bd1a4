"""What the SDK folds out of main transcripts, kept word for word beside each, found by its digest.

The SDK's `fold_session_summary` makes the next summary of the one so far and a batch of entries. To list sessions, and
to go on folding in a fresh process, the newest one has to be at hand without reading the transcript. So each main
transcript has a second, small session: its entries are `{"digest": …, "data": …}`, one for each time that the data
changed. That is about once in a turn of the agent, not with each batch.

Which of them holds, the stamp of the transcript says, sealed with the entries. So the two sessions need no common step:
data without its stamp is waste, and a stamp without its data, after a crash, means that the summary is folded anew.

Nothing here interprets the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from claude_agent_sdk import fold_session_summary  # pyright: ignore[reportMissingImports]

from sessionstore.errors import SessionNotFoundError
from sessionstore.integrations.claude.entries import Entry, given, stored
from sessionstore.integrations.claude.names import Transcript, digest_of
from sessionstore.store import SessionStore

if TYPE_CHECKING:
    from claude_agent_sdk import (  # pyright: ignore[reportMissingImports]
        SessionKey,
        SessionSummaryEntry,
    )

Data = dict[str, Any]

# Old summaries are dropped when there are so many, or when they take so much: a title may have any length.
MAX_KEPT = 64
MAX_KEPT_BYTES = 256 * 1024


def folded(transcript: Transcript, data: Data | None, entries: Iterable[Entry]) -> Data:
    """The summary's data after these entries, as the SDK makes it."""
    key: SessionKey = {"project_key": transcript.project, "session_id": transcript.session}
    before: SessionSummaryEntry | None = None
    if data is not None:
        before = {"session_id": transcript.session, "mtime": 0, "data": data}
    batch: list[Any] = list(entries)
    result: Data = fold_session_summary(before, key, batch)["data"]
    return result


class Summaries:
    """The summaries of the main transcripts of one store. Safe for many threads and processes."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def find(self, transcript: Transcript, digest: str) -> Data | None:
        """The data with this digest, verified; None if it is not there."""
        record = self._store.recorded(key=transcript.summary_key)
        if record is None:
            return None
        try:
            entries = self._store.load(record.id).entries
        except SessionNotFoundError:  # deleted in this moment
            return None
        for item in given(reversed(entries)):
            data = item.get("data")
            if item.get("digest") == digest and isinstance(data, dict):  # what was redacted or added by hand is neither
                return data
        return None

    def keep(self, transcript: Transcript, parent: str, data: Data) -> str:
        """Store the data, durably; its digest.

        Args:
            transcript: Whose.
            parent: Id of its session, whose fate the summaries share.
            data: As `folded` returned it.
        """
        digest = digest_of(data)
        item = stored([{"digest": digest, "data": data}], max_bytes=self._store.config.max_entry_bytes)
        while True:
            record = self._store.recorded(key=transcript.summary_key)
            name = f"Summary of {transcript.title}"[:200]
            try:
                if record is None:
                    session = self._store.get_or_create(transcript.summary_key, name=name, parent=parent)
                    self._store.append(session.id, item)
                else:
                    if record.entries >= MAX_KEPT or record.size_bytes >= MAX_KEPT_BYTES:
                        self._store.clear(record.id)
                    self._store.append(record.id, item)
            except SessionNotFoundError:
                continue
            return digest

    def drop(self, transcript: Transcript) -> None:
        """Delete them, if there are any."""
        record = self._store.recorded(key=transcript.summary_key)
        if record is not None:
            delete(self._store, record.id)


def delete(store: SessionStore, session_id: str) -> None:
    """Delete a session, or find that somebody was faster."""
    try:
        store.delete(session_id)
    except SessionNotFoundError:
        return
