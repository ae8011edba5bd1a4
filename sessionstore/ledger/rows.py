"""What the rows of the ledger hold, as bytes, and the tag that stands beside each.

Rules:

* A row's content is one payload: a MessagePack array (the fields of a struct, in order). Columns beside it serve
  indexes; whoever finds a row by them compares them with the payload.
* Tag = MAC(key of the purpose, PAE(context, store id, row name, key id, payload)): a row is good for one store, one
  name and one kind. Nothing is decoded before its tag was checked.
* A row names its key. What that key may do is the keyring's decision.
* Payloads are encoded in one way only, so two rows are equal exactly if their payloads are.

Not promised: that a row is the newest one its writer made. Whoever puts back an older row of the same name, byte for
byte, is not noticed here. The sealed file, which is ahead then, stays readable: its seals are checked on their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import msgspec

from sessionstore.errors import LedgerCorruptError, UnknownKeyError
from sessionstore.model import Provenance
from sessionstore.signing import Keyring, MacKey, Purpose, TagMismatch

HeadState = Literal["creating", "live", "deleting", "deleted"]
InventoryState = Literal["listed", "migrated"]
AuditFileState = Literal["closed", "damaged", "cut", "retired"]


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
            was lost with the machine; `retired`: removed because of its age.
        start_seq, start_mac: Sequence number and MAC of the line before its first.
        seq, mac: Of its last line, or where that was lost, of the line that was last; the next file goes on from here.
        end: Offset after that line, in bytes.
        lines: How many lines were written.
        day: UTC date of its first line.
        digest: SHA-256 of its bytes when it was closed or found cut, 32 bytes; empty if damaged.
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


T = TypeVar("T", bound=msgspec.Struct)


class RowSeal(Generic[T]):
    """Makes and checks rows of one kind for one store. Safe to share between threads.

    Args:
        keyring: Where the keys come from; new rows are made with its primary key.
        purpose: Whose derived key.
        context: First part of every pre-image.
        store_id: The store whose rows these are, "" for rows of no store.
        kind: The struct that the payload holds.
        path: The ledger's path, for errors.
    """

    def __init__(
        self, keyring: Keyring, purpose: Purpose, context: bytes, store_id: str, kind: type[T], path: str
    ) -> None:
        self._keyring = keyring
        self._purpose: Purpose = purpose
        self._context = context
        self._store = store_id.encode()
        self._path = path
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: Callable[[bytes], T] = msgspec.msgpack.Decoder(kind).decode
        self._primary = keyring.mac_key(purpose)
        self._known: dict[str, tuple[MacKey, bytes]] = {}

    def payload(self, value: T) -> bytes:
        """The bytes that stand for `value`."""
        return self._encode(value)

    def sign(self, name: str, payload: bytes) -> tuple[str, bytes]:
        """Id of the primary key, and its tag on a row."""
        key = self._primary
        return key.key_id, key.tag(self._context, self._store, name.encode(), key.key_id.encode(), payload)

    def open(self, name: str, key_id: str, payload: bytes, mac: bytes) -> T:
        """The value of a row, after its tag was checked.

        Raises:
            LedgerCorruptError: Any of the four is not what was written, or it names a key that the keyring lacks.
            KeyDisabledError: Its key may not be used any more.
        """
        try:
            known = self._known.get(key_id) or self._learn(key_id)
            known[0].verify(mac, self._context, self._store, name.encode(), known[1], payload)
            return self._decode(payload)
        except UnknownKeyError as exc:
            raise self.corrupt("a row names a key that is not in the keyring") from exc
        except (TagMismatch, TypeError, AttributeError, UnicodeError) as exc:
            # SQLite stores any type in any column: a hand can put text, a number or NULL where bytes belong.
            raise self.corrupt("a row was changed outside sessionstore") from exc
        except msgspec.DecodeError as exc:
            raise self.corrupt("a row is of another release") from exc

    def corrupt(self, reason: str) -> LedgerCorruptError:
        """The error for something in the ledger that cannot be."""
        return LedgerCorruptError(path=self._path, reason=reason)

    def _learn(self, key_id: str) -> tuple[MacKey, bytes]:
        known = self._known[key_id] = (self._keyring.mac_key(self._purpose, key_id), key_id.encode())
        return known
