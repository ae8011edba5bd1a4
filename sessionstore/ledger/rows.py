"""What the rows of the ledger hold, as bytes.

Rules:

* A row's content is one payload: a MessagePack array (the fields of a struct, in order). Columns beside it serve
  indexes; whoever finds a row by them compares them with the payload.
* Payloads are encoded in one way only, so two rows are equal exactly if their payloads are.
* Beside each payload stands its tag; see `sessionstore.ledger.tag`.

Not promised: that a row is the newest one its writer made. Whoever puts back an older row of the same name, byte for
byte, is not noticed here. The sealed file, which is ahead then, stays readable: its seals are checked on their own.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sessionstore.model import Policy, Provenance

HeadState = Literal["creating", "live", "deleting", "deleted"]
InventoryState = Literal["listed", "migrated"]
AuditFileState = Literal["closed", "damaged", "cut", "retired", "taken"]


class Head(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The newest state of one session that this machine acknowledged.

    Attributes:
        session_id: Which session.
        state: `creating` until its file has its name, `live`, `deleting` until the file is gone, then
            `deleted` for ever.
        rev: Revision of the last seal, 0 while there is none.
        tag: That seal's signature text, "" while there is none.
        end: Offset just after it, in bytes.
        seal_at: Offset of its first byte.
        inode, size, mtime_ns, ctime_ns: The file's stamp when this was committed.
        key: The embedder's external key.
        name, tags, entries, provenance: As in the seal.
        project: Display path of the project directory.
        place: Device and inode of the project directory.
        parent, origin: Ids of the session it was forked from, and of the document it was imported from.
        created_at, updated_at, closed_at: RFC 3339 text, 27 characters.
        last_key: Idempotency key of the newest seal.
    """

    session_id: str
    state: HeadState
    rev: int
    tag: str
    end: int
    seal_at: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    key: str | None
    name: str
    project: str | None
    place: tuple[int, int] | None
    parent: str | None
    origin: str | None
    created_at: str
    updated_at: str
    closed_at: str | None
    entries: int
    tags: tuple[str, ...]
    provenance: Provenance
    last_key: str | None

    @property
    def taken_key(self) -> str | None:
        """The external key that this session keeps others from using: a deleted one gives it back."""
        return None if self.state == "deleted" else self.key


class InventoryEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One unsigned file that may be opened.

    Attributes:
        name: Its file name.
        digest: SHA-256 of its bytes, 64 hex digits.
        size: Its size in bytes.
        state: `listed`, or `migrated` once its session was saved signed.
    """

    name: str
    digest: str
    size: int
    state: InventoryState = "listed"


class InventorySummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What binds the inventory as a set, so that no entry can be added or taken away by hand.

    Attributes:
        entries: How many there are.
        digest: SHA-256 over names, digests and sizes in the order of names, 64 hex digits.
    """

    entries: int
    digest: str


class Binding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A data directory that belongs to this ledger.

    Attributes:
        store_id: The random id that the directory holds.
        device, inode: The directory itself, as it was when it was bound.
        heads: How many sessions were ever begun in it; their rows are never removed.
        inventory: The set of unsigned files, None until it is taken.
        audit_file: Number of the newest file of the audit log, 0 while there is none.
        policies: How often the policy was changed.
    """

    store_id: str
    device: int
    inode: int
    heads: int = 0
    inventory: InventorySummary | None = None
    audit_file: int = 0
    policies: int = 0


class Anchor(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The one row that every ledger has; what it says is missed when rows are taken away.

    Attributes:
        stores: Every data directory bound so far.
        writes: Counts the writes of this row.
    """

    stores: tuple[Binding, ...] = ()
    writes: int = 0


class Bucket(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The attempts of one kind that still count.

    Attributes:
        leaves_at: When the newest of them counts no more, in microseconds of the attempts' own time; the column too.
        entries: When each was made, oldest first, in the same time.
    """

    leaves_at: int
    entries: tuple[int, ...]


class AttemptClock(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The own time of the attempts of one store, and the clocks it was taken from. It never goes back.

    Attributes:
        now_us: That time in microseconds; 0 at the first attempt.
        boot: Which start of which system the next reading belongs to, "" where it cannot be told.
        running_us: How long that system had been running then.
        wall_us: Its wall clock then, since 1970.
    """

    now_us: int
    boot: str
    running_us: int
    wall_us: int


class AuditHead(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Where the audit log ends, and what its newest file looked like when that was written.

    Attributes:
        file: Number of the newest file.
        seq: Sequence number of the last line.
        mac: Its 32 bytes.
        end: Offset after it in that file, in bytes.
        lines: How many lines that file has.
        start_seq, start_mac: Sequence number and MAC of the line before the file's first.
        day: UTC date of its first line, `YYYY-MM-DD`.
        inode, size, mtime_ns, ctime_ns: The file's stamp.
        synced_end: Up to where the file was synced.
        boot: Which start of the machine the rest was written in, "" if the system does not say.
    """

    file: int
    seq: int
    mac: bytes
    end: int
    lines: int
    start_seq: int
    start_mac: bytes
    day: str
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    synced_end: int
    boot: str


class AuditFile(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A file of the audit log that takes no more lines.

    Attributes:
        file: Its number.
        state: `closed`; `damaged`: it was not what was written when the next file was begun; `cut`: its unsynced end
            was lost with the machine; `retired`: removed because of its age; `taken`: found when the ledger was made
            anew, and not all of it could be checked.
        start_seq, start_mac: Sequence number and MAC of the line before its first.
        seq, mac: Of its last line, or where that was lost, of the line that was last; the next file goes on from here.
        end: Offset after that line, in bytes.
        lines: How many lines were written; if taken, how many count.
        day: UTC date of its first line.
        digest: SHA-256 of its bytes when it was closed, found cut or taken, 32 bytes; empty if damaged.
        first: If taken, the number of the first line that counts.
    """

    file: int
    state: AuditFileState
    start_seq: int
    start_mac: bytes
    seq: int
    mac: bytes
    end: int
    lines: int
    day: str
    digest: bytes
    first: int = 0


class PolicyRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The policy, and how often it was changed.

    Attributes:
        floor: The policy.
        number: 1 for the first change.
    """

    floor: Policy
    number: int


class Generation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which state of the keyring the ledger is written with.

    Attributes:
        generation: That of the keyring.
    """

    generation: int
