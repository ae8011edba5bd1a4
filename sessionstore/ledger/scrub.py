"""Old bytes out of the ledger's files.

A row that is written anew leaves its old bytes in the free part of a page, and in the write-ahead log until that is
written over. Only a file made anew is without them: every row is copied, the log is emptied into the file and cut.

Rules: the copy is made in memory, never in a temporary file; SQLite alone opens the files. It takes about a second for
100,000 sessions, and other processes wait for it as for any write.

Not promised: that the disk forgets the blocks that were freed.
"""

from __future__ import annotations

from sessionstore.errors import StoreUnavailableError
from sessionstore.ledger.ledger import Ledger


def scrub(ledger: Ledger) -> None:
    """Make the ledger's file anew, without anything that no row holds any more.

    Raises:
        StoreUnavailableError: Another process is reading or writing and did not stop in time; the disk is full; the
            store is read-only. The rows are as they were; trying again does no harm.
        LedgerMissingError, LedgerCorruptError: As every use of the ledger.
    """
    with ledger._database.writing(durable=True) as connection:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("VACUUM")
        # The log still has the old pages, and the new ones, until both are in the file and it is cut.
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreUnavailableError(reason="another process is using the ledger", outcome="not_written")
