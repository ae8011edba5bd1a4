"""A transcript of another tool becomes a session, by one call of the library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessionstore.importers import TranscriptHead
    from sessionstore.model import SessionSummary
    from sessionstore.store import SessionStore


def take_in(store: SessionStore, head: TranscriptHead, entries: Iterable[dict[str, Any]]) -> SessionSummary:
    """Make the session, whole or not at all.

    The project directory that the transcript names is recorded with its identity where it can be opened here, else as
    a name only.
    """
    from sessionstore.fs.project import capture_or_state

    project = None if head.project is None else capture_or_state(head.project)
    return store.take_in(head.title, entries, project=project, origin=head.source_id, config=head.config)
