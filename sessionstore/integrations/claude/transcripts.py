"""The SDK's calls on transcripts, as blocking calls on the store.

A batch is one step of the store: entries, stamp and idempotency key under one seal. The step names the revision it was
made for, so two processes never fold the same summary apart; who was slower does it again on what is there now.

Cost: that of the new bytes, at any length and in a fresh process. The one exception is a replay: entries that are older
than the last save and unknown here. Then what is there is read once, so that the transcript does not double.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from sessionstore.errors import ConflictError, LedgerCorruptError, MalformedError, SessionNotFoundError, TooDeepError
from sessionstore.integrations.claude.entries import MAX_KNOWN, Entry, Known, given, is_replay, once, stored, uuid_of
from sessionstore.integrations.claude.names import (
    Stamp,
    Transcript,
    is_shortened,
    read_config,
    read_key,
    stamp_of,
    stamped,
)
from sessionstore.integrations.claude.summaries import Data, Summaries, delete, folded
from sessionstore.integrations.claude.turns import Batch, Line
from sessionstore.model import SessionSummary
from sessionstore.model.ids import is_id
from sessionstore.store import SessionStore


class Transcripts:
    """The transcripts of the SDK in one store. Safe for many threads and processes."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._summaries = Summaries(store)
        self._last_ms = 0
        self._lock = threading.Lock()
        self._names: dict[str, Transcript] = {}  # of shortened keys, by our id

    def append(self, transcript: Transcript, line: Line, batch: Batch) -> None:
        """Save the batch, all of it or nothing. Its `line` is held by the caller.

        Raises:
            VerificationError: The transcript is not what was saved; nothing is added to it.
            MalformedError, TooDeepError, TooLargeError: An entry cannot be kept.
            StoreUnavailableError: See its `outcome`.
        """
        max_bytes = None  # of an entry that is tried before it is saved
        while True:
            record = line.record
            if record is None or any(uuid_of(entry) in line.known for entry in batch.entries):
                record = self._store.recorded(key=transcript.key)  # what is left out has to be there now
            at = None if record is None else (record.id, record.rev)
            if line.known.at != at:
                line.known = Known(at)  # others saved, or took away
            line.record = None
            try:
                if record is None:
                    self._create(transcript)
                else:
                    if batch.is_retry and self._store.saved_under(record.id, batch.token) is not None:
                        return  # and others have saved behind it
                    line.record = self._append(transcript, line, batch, record, max_bytes)
                    return
            except (ConflictError, SessionNotFoundError):  # somebody saved or deleted it meanwhile
                continue
            except (MalformedError, TooDeepError):
                if max_bytes is not None:
                    raise
                max_bytes = self._store.config.max_entry_bytes

    def load(self, transcript: Transcript) -> list[Entry] | None:
        """All entries, verified to the last byte; None if there are none."""
        record = self._store.recorded(key=transcript.key)
        if record is None:
            return None
        try:
            return list(once(given(self._store.load(record.id).entries))) or None
        except SessionNotFoundError:  # deleted in this moment
            return None

    def sessions(self, project: str) -> list[tuple[str, int]]:
        """Session id and time of the last save, of every main transcript that has entries."""
        return [(found.session, stamp_of(record).mtime_ms) for found, record in self._mains(project)]

    def summaries(self, project: str) -> list[tuple[str, int, Data]]:
        """The same with the summary. A transcript whose summary is not at hand is left out: the SDK then reads it."""
        result = []
        for found, record in self._mains(project):
            stamp = stamp_of(record)
            data = self._summaries.find(found, stamp.digest)
            if data is not None:
                result.append((found.session, stamp.mtime_ms, data))
        return result

    def subpaths(self, project: str, session: str) -> list[str]:
        """The transcripts of a session's subagents."""
        found = (item for item, record in self._group(Transcript(project, session, "").group) if record.entries)
        return [item.subpath for item in found if item[:2] == (project, session) and item.subpath is not None]

    def delete(self, transcript: Transcript) -> None:
        """Delete the transcript; with a main one those of its subagents and its summaries. Again: nothing happens.

        The main one goes last: a deletion that was interrupted can be repeated.
        """
        if transcript.subpath is None:
            for found, record in self._group(transcript._replace(subpath="").group):
                if found[:2] == transcript[:2]:
                    delete(self._store, record.id)
            self._summaries.drop(transcript)
        mine = self._store.recorded(key=transcript.key)
        if mine is not None:
            delete(self._store, mine.id)

    def _append(
        self, transcript: Transcript, line: Line, batch: Batch, record: SessionSummary, max_bytes: int | None
    ) -> SessionSummary:
        """Save what is new of the batch on top of `record`; the record after it."""
        known = line.known
        known.is_whole = known.is_whole or record.entries == 0
        if not known.is_whole and record.entries <= MAX_KNOWN and is_replay(batch.entries, record.updated_at):
            known.is_whole = True
            known.add(given(self._store.entries(record.id)))
        new = list(once(batch.entries, known))
        if not new:
            return record
        tags = record.tags if transcript.subpath is not None else self._stamped(transcript, line, record, new)
        rev = self._store.append(
            record.id,
            stored(new, max_bytes=max_bytes),
            tags=tags if tags != record.tags else UNSET,
            expected_rev=record.rev,
            idempotency_key=batch.token,
        )
        known.add(new)
        known.at = (record.id, rev)
        return msgspec.structs.replace(
            record, rev=rev, entries=record.entries + len(new), tags=tags, updated_at=datetime.now(UTC)
        )

    def _stamped(self, transcript: Transcript, line: Line, record: SessionSummary, new: list[Entry]) -> tuple[str, ...]:
        """The tags of the transcript after these entries; their summary is stored."""
        before = self._summary(transcript, line, record)
        after = folded(transcript, None if before is None else before[1], new)
        if before is None or after != before[1]:
            line.summary = before = (self._summaries.keep(transcript, record.id, after), after)
        with self._lock:
            self._last_ms = max(int(time.time() * 1000), stamp_of(record).mtime_ms + 1, self._last_ms + 1)
            return stamped(record.tags, Stamp(self._last_ms, before[0]))

    def _summary(self, transcript: Transcript, line: Line, record: SessionSummary) -> tuple[str, Data] | None:
        """The summary of what `record` stands for, and its digest; None if there are no entries yet."""
        if record.entries == 0:
            return None
        digest = stamp_of(record).digest
        if line.summary is None or line.summary[0] != digest:
            data = self._summaries.find(transcript, digest)
            if data is None:  # a crash, a redaction, or its session was deleted: the entries are the truth
                data = folded(transcript, None, once(given(self._store.entries(record.id))))
                digest = self._summaries.keep(transcript, record.id, data)
            line.summary = (digest, data)
        return line.summary

    def _create(self, transcript: Transcript) -> None:
        """Make the session of a transcript, still without entries."""
        parent = None
        if transcript.subpath is None:
            self._summaries.drop(transcript)  # of a transcript of that name whose session was deleted by other hands
        else:
            parent = self._store.recorded(key=transcript._replace(subpath=None).key)
        self._store.get_or_create(
            transcript.key,
            name=transcript.title,
            tags=(transcript.group,),
            config=transcript.as_config(),
            parent=None if parent is None else parent.id,
        )

    def _mains(self, project: str) -> list[tuple[Transcript, SessionSummary]]:
        group = self._group(Transcript(project, "").group)
        return [(found, record) for found, record in group if found.project == project and record.entries]

    def _group(self, tag: str) -> Iterator[tuple[Transcript, SessionSummary]]:
        """Yield the transcripts with this tag and their records, also those whose file is broken.

        Left out of a list, a broken one would be passed over without a word, and the SDK would go on with an older one.
        """
        page = self._store.list(tag=tag)
        if any(item.code == LedgerCorruptError.code for item in page.unreadable):
            self._store.keys()  # raises it: one whose row was taken away stands in no list
        records = {record.id: record for record in page.sessions}
        for broken in {item.name for item in page.unreadable if is_id(item.name)} - records.keys():
            record = self._store.recorded(id=broken)
            if record is not None and tag in record.tags:
                records[broken] = record
        for record in records.values():
            found = self._name(record)
            if found is not None:
                yield found, record

    def _name(self, record: SessionSummary) -> Transcript | None:
        """Which transcript the session is; None for none, such as a copy: that has all of the original but its key.

        Raises:
            VerificationError: The name did not fit into the key, and the session that holds it is broken.
        """
        if not is_shortened(record.key):
            return read_key(record.key)
        if record.id not in self._names:
            self._names[record.id] = read_config(self._store.load(record.id))
        return self._names[record.id]
