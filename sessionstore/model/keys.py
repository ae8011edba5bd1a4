"""What is told of the keys of an installation, and of a change of keys. Never a key itself."""

from __future__ import annotations

from datetime import datetime

import msgspec

from sessionstore.model.session import Unreadable


class KeyNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What can be verified with a key only, counted.

    Attributes:
        sessions: Sessions whose last seal is under it.
        rows: Rows of the ledger.
        audit: Files of the audit log with lines that are not anchored by a digest.
        strays: Sealed files that no session of this store stands for, and that end under it.
        quarantine: Files in quarantine.
    """

    sessions: int = 0
    rows: int = 0
    audit: int = 0
    strays: int = 0
    quarantine: int = 0

    @property
    def any(self) -> bool:
        """Whether there is anything."""
        return any(msgspec.structs.astuple(self))

    @property
    def kept_for(self) -> bool:
        """Whether there is anything that is not given up by asking for it: sessions, or rows."""
        return bool(self.sessions or self.rows)

    def __str__(self) -> str:
        counts = (
            (self.sessions, "session"),
            (self.rows, "row of the ledger"),
            (self.audit, "file of the audit log"),
            (self.strays, "sealed file without a record"),
            (self.quarantine, "file in quarantine"),
        )
        words = (f"{count:,} {_plural(what) if count != 1 else what}" for count, what in counts if count)
        return ", ".join(words) or "nothing"


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One key of this installation; never its bytes.

    Attributes:
        id: 16 hex digits.
        status: `primary`, `verify_only`, `disabled`, `destroyed`.
        rows: Whether rows of the ledger under it count: `none` were ever made, they are `counted`, or `closed`.
        created_at: When it was made.
        needs: What can be verified with it only.
    """

    id: str
    status: str
    rows: str
    created_at: datetime
    needs: KeyNeeds


class KeysReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of the keys came to.

    Attributes:
        keys: Every key, oldest first.
        findings: What has to be done, in words; empty if nothing has.
        notes: What is worth knowing, in words.
    """

    keys: tuple[KeyInfo, ...]
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return not self.findings


class TakeOver(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the sessions of another machine.

    Attributes:
        store: Id of the store they come from.
        key_id: The key that vouched for them.
        taken: For each its id there, and its id here; in a dry run the same id twice.
        refused: The others by file name, each with the reason.
    """

    store: str
    key_id: str
    taken: tuple[tuple[str, str], ...]
    refused: tuple[Unreadable, ...]


class RotationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation has done.

    Attributes:
        primary: Id of the key that signs now.
        added: Whether this call made it; false where an earlier, unfinished rotation was gone on with.
        sessions: How many sessions were sealed anew.
        rows: How many rows of the ledger were signed anew.
        left: Sessions that still end under an older key, each with the reason: running, damaged, busy.
        finished: Whether rows under older keys count no more.
        reason: Why it is not finished, and the command that goes on; "" if it is.
        replaced: Id of the key that was primary when the call began, if another one is now; else "".
        destroyed: Ids of keys that waited to become primary and never will: the keyring they stood in has leaked.
    """

    primary: str
    added: bool
    sessions: int
    rows: int
    left: tuple[Unreadable, ...]
    finished: bool
    reason: str = ""
    replaced: str = ""
    destroyed: tuple[str, ...] = ()


def _plural(what: str) -> str:
    noun, _, rest = what.partition(" ")
    return f"{noun}s {rest}".strip() if noun != "sealed" else "sealed files without a record"
