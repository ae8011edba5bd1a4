"""What a file of the audit log is, compared with what the ledger says of it. Pure: bytes and rows in, a verdict out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sessionstore.audit.lines import GoodLine, Lines, Place
from sessionstore.ledger import AuditFile, AuditHead

State = Literal["whole", "cut", "damaged"]


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        state: `whole`: every committed line is there. `cut`: the rest was never synced, and the machine was started
            anew since. `damaged`: anything else.
        good: The lines that verify, from the first on; if whole, with those behind the committed ones.
        bad_line: 1-based number of the first committed line that does not, 0 if whole.
    """

    state: State
    good: list[GoodLine]
    bad_line: int

    @property
    def end(self) -> int:
        """Offset after the last good line."""
        return self.good[-1].end if self.good else 0


def examine(lines: Lines, data: bytes, row: AuditHead | AuditFile, *, boot: str = "") -> Verdict:
    """Compare the bytes of a file with its row.

    Args:
        lines: Of this store.
        data: The file, at least up to the row's end if it is that long.
        row: What the ledger says.
        boot: The present start of the machine; lines of another one may have been lost if they were not synced.
    """
    good = list(lines.walk(data, row.file, Place(row.start_seq, row.start_mac)))
    committed = [line for line in good if line.end <= row.end]
    last = committed[-1] if committed else None
    reached = last.end if last is not None else 0
    if reached == row.end:
        if last is None or last.place == (row.seq, row.mac):
            return Verdict("whole", good, 0)
        # Genuine lines, and not those that were committed: of another history of this store.
        return Verdict("damaged", committed[:-1], len(committed))
    restarted = isinstance(row, AuditHead) and (not boot or boot != row.boot) and reached >= row.synced_end
    return Verdict("cut" if restarted else "damaged", committed, len(committed) + 1)
