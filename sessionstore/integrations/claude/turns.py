"""Who appends to one transcript, in the order in which the calls were made.

A call puts its batch into the line on the event loop, so the order is that of the calls; threads then work the line
off, one batch at a time. A call that is cancelled while its batch waits takes it back out. One that is cancelled later
cannot stop it, and nobody hears how it ended: so the line remembers the batch, and if the next one is its equal, that
is the retry and is not saved again. The same holds after a failure whose outcome is unknown.

Locks here are between threads only; processes meet in the store.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from sessionstore.errors import StoreUnavailableError
from sessionstore.integrations.claude.entries import Entry, Known
from sessionstore.integrations.claude.names import Transcript
from sessionstore.integrations.claude.summaries import Data
from sessionstore.model import SessionSummary

# How many transcripts are remembered while nobody appends to them.
MAX_IDLE = 64


@dataclass(eq=False)
class Batch:
    """Entries to be saved in one step.

    Attributes:
        entries: As the SDK gave them.
        token: The store's idempotency key for this batch and its retries.
        is_retry: Whether a batch before it had this token.
        state: `saved` and `unknown` (the store cannot tell) say how the saving ended; `failed`: nothing was saved.
        error: What is to be raised.
        is_heard: Whether the caller waits for the answer or had it; not, if it was cancelled.
    """

    entries: list[Entry]
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    is_retry: bool = False
    state: str = "waiting"
    error: Exception | None = None
    is_heard: bool = True


class Line:
    """The batches for one transcript, and what this process remembers of it.

    Attributes:
        record: Of its session, as this process left it; the store refuses a save if it is not up to date.
        known: `uuid`s that are there.
        summary: Digest and data of the newest summary seen here.
    """

    def __init__(self) -> None:
        self.record: SessionSummary | None = None
        self.known = Known()
        self.summary: tuple[str, Data] | None = None
        self.waiting: deque[Batch] = deque()
        self.users = 0  # calls that have joined and not left
        self._last: Batch | None = None
        self._working = threading.Lock()

    def work(self, batch: Batch, save: Callable[[Line, Batch], None]) -> None:
        """Save what waits, up to this batch; raise what its saving raised."""
        with self._working:
            while batch.state == "waiting":
                try:
                    first = self.waiting.popleft()
                except IndexError:  # it was taken back
                    return
                self._save(first, save)
        if batch.error is not None:
            raise batch.error

    def _save(self, batch: Batch, save: Callable[[Line, Batch], None]) -> None:
        last, self._last = self._last, batch
        if last is not None and last.entries == batch.entries and (last.state == "unknown" or not last.is_heard):
            if last.state == "saved":
                batch.state = "saved"
                return
            batch.token, batch.is_retry = last.token, True
        try:
            save(self, batch)
        except Exception as error:
            is_unknown = isinstance(error, StoreUnavailableError) and error.outcome == "unknown"
            batch.state, batch.error = "unknown" if is_unknown else "failed", error
        else:
            batch.state = "saved"


class Lines:
    """The lines of all transcripts; idle ones beyond `MAX_IDLE` are forgotten. Safe for many threads."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Transcript, Line] = OrderedDict()
        self._lock = threading.Lock()

    def join(self, transcript: Transcript, batch: Batch) -> Line:
        """Put the batch at the end of its line. `leave` has to follow, whatever happens."""
        with self._lock:
            line = self._lines.setdefault(transcript, Line())
            self._lines.move_to_end(transcript)
            line.users += 1
            line.waiting.append(batch)
            return line

    def leave(self, line: Line, batch: Batch) -> None:
        """The caller waits no longer. A batch that still waits is not saved."""
        with suppress(ValueError):
            line.waiting.remove(batch)
        if batch.state == "saved" and batch.is_heard:
            batch.entries = []  # nobody will repeat it
        with self._lock:
            line.users -= 1
            if len(self._lines) > MAX_IDLE:
                for transcript in [key for key, line in self._lines.items() if line.users == 0][:-MAX_IDLE]:
                    del self._lines[transcript]
