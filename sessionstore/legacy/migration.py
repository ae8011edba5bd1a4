"""Migration: sign what stands in unsigned files, one after the other, as the next save of each would."""

from __future__ import annotations

from collections.abc import Iterator

from sessionstore.errors import KeyringError, SessionStoreError, StoreError
from sessionstore.model import MigrationResult
from sessionstore.sessions import Index, Lifecycle


def migrate(index: Index, lifecycle: Lifecycle, session_id: str | None, *, dry_run: bool) -> Iterator[MigrationResult]:
    """Yield what becomes of one unsigned file, or of each that the list shows, as they are migrated."""
    for each in index.unsigned_ids() if session_id is None else [session_id]:
        try:
            outcome = lifecycle.migrate(each, dry_run=dry_run)
        except (StoreError, KeyringError):
            raise  # it would be the same for all others
        except SessionStoreError as error:
            yield MigrationResult(each, "refused", error.code, str(error), error.hint)
        else:
            if outcome != "sealed":
                yield MigrationResult(each, outcome)
