"""Migration: sign what stands in unsigned files, one after the other, as the next save of each would."""

from __future__ import annotations

from collections.abc import Iterator

from sessionstore.errors import KeyringError, SessionNotFoundError, SessionStoreError, StoreError
from sessionstore.model import MigrationResult
from sessionstore.sessions import Index, Lifecycle


def migrate(index: Index, lifecycle: Lifecycle, session_id: str | None, *, dry_run: bool) -> Iterator[MigrationResult]:
    """Yield what becomes of one unsigned file, or of each that the list shows, as they are migrated."""
    for each in index.unsigned_ids() if session_id is None else [session_id]:
        try:
            outcome = lifecycle.migrate(each, dry_run=dry_run)
        except (StoreError, KeyringError) as error:
            if getattr(error, "outcome", "") != "not_written":
                raise  # it would be the same for all others
            # Perhaps it is this one alone: somebody keeps it locked, or it may not be read.
            yield _refused(each, error)
        except SessionNotFoundError as error:
            if session_id is not None:
                yield _refused(each, error)
        except SessionStoreError as error:
            yield _refused(each, error)
        else:
            if outcome != "sealed":
                yield MigrationResult(each, outcome)


def _refused(session_id: str, error: SessionStoreError) -> MigrationResult:
    return MigrationResult(session_id, "refused", error.code, str(error), error.hint)
