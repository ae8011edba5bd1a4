"""The door to trust: a seal is made here, and a seal is verified here; nothing is decoded before.

A seal is the signed line that commits every byte before it. It binds:

* the bytes: `chain` = SHA-256(chain of the seal before || everything from that seal line's first byte up to this seal
  line's first byte); for the first seal, 32 zero bytes and everything from the start of the file;
* the place: HMAC-SHA256 over (label, store id, session id, key id, seal bytes), where the session id is the one that
  was *asked for*, so that a file under another's name is refused;
* the order: `rev` grows by one with every seal, `at` is the seal's own offset.

Rules:

* A seal line is cut by length: the last 102 bytes are `,"signature":"ss2.<16 hex>.<64 hex>"}` and LF. The seal bytes
  are what stands before, from the first `{`. There is no algorithm field; `ss2` fixes everything.
* The key id is looked up once; no key is tried on the chance.
* The tag is checked before the seal is decoded, the seal before the chain, the chain before any line is decoded.
* `more` marks a seal in the middle of one save: the file may not end there. A save of any size is whole or absent.
* The first seal of a rewritten file names, in `replaces`, the signature it took the place of. Otherwise an abandoned
  rewrite that somebody kept could be put in place of later saves.
"""

from __future__ import annotations

import re
from hashlib import sha256

import msgspec

from sessionstore.errors import TooLargeError
from sessionstore.model import Provenance
from sessionstore.signing import Keyring, MacKey, TagMismatch

SEAL = b'{"seal":'
SEAL_START = b"\n" + SEAL
SUFFIX_BYTES = 102
MAX_SEAL_BYTES = 16 * 1024
SEGMENT_BYTES = 1024 * 1024
"""A save longer than this is sealed in steps, so that a reader needs no more than a segment in memory."""

HOPS = 32
"""So many lines are hopped over before a seal is searched for: finding one byte takes an eighth of the time."""

CONTEXT = b"sessionstore/session/2"

_SUFFIX = re.compile(rb',"signature":"ss2\.([0-9a-f]{16})\.([0-9a-f]{64})"\}\n')
ZERO_CHAIN = bytes(32)


class Broken(Exception):
    """These bytes are no good seal, or not the seal of these bytes."""


class Seal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signed content of a seal line.

    Attributes:
        rev: Revision, 1 for the first.
        at: Offset of the seal line in bytes.
        entries: Entries before it in the file.
        lines: Lines before it in the file.
        name, tags, project, provenance, created_at, updated_at, closed_at: The state at this point, for lists.
        place: Device and inode of the project directory.
        idempotency_key: Key of the save it ends.
        replaces: Signature of the seal that a rewritten file took the place of; first seal only.
        more: The save goes on behind this seal.
        chain: 64 hex digits.
    """

    rev: int
    at: int
    entries: int
    lines: int
    name: str
    tags: tuple[str, ...]
    project: str | None
    place: tuple[int, int] | None
    provenance: Provenance
    created_at: str
    updated_at: str
    closed_at: str | None
    idempotency_key: str | None = None
    replaces: str | None = None
    more: bool = False
    chain: str


class Sealed(msgspec.Struct, frozen=True):
    """A seal that was made or verified here, and what is needed to go on behind it.

    Attributes:
        seal: Its content.
        signature: `ss2.<key id>.<tag>`.
        line: The whole seal line with its end.
    """

    seal: Seal
    signature: str
    line: bytes

    @property
    def end(self) -> int:
        """Offset just behind the seal line, in bytes."""
        return self.seal.at + len(self.line)

    @property
    def key_id(self) -> str:
        """Id of the key that signed it."""
        return self.signature[4:20]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Seal).decode


class Sealer:
    """Makes and verifies the seals of one session.

    Args:
        keyring: Looked up by key id; new seals are signed by its primary key.
        store_id: Id of the store.
        session_id: The id that was asked for.
    """

    def __init__(self, keyring: Keyring, store_id: str, session_id: str) -> None:
        self._keyring = keyring
        self._identity = (CONTEXT, store_id.encode(), session_id.encode())

    def make(self, previous: Sealed | None, body: bytes, seal: Seal) -> Sealed:
        """Seal `body`, which follows `previous` directly.

        Args:
            previous: The seal before, None at the start of a file.
            body: The new lines.
            seal: What it says; its `chain` is put in here.

        Raises:
            TooLargeError: Name, tags and project make the seal line longer than 16 KiB.
        """
        seal = msgspec.structs.replace(seal, chain=_chain(previous, body))
        key = self._keyring.mac_key("session")
        content = SEAL + _encode(seal)
        signature = f"ss2.{key.key_id}.{self._tag(key, content).hex()}"
        line = content + b',"signature":"' + signature.encode() + b'"}\n'
        if len(line) > MAX_SEAL_BYTES:
            raise TooLargeError(what="seal", size_bytes=len(line), limit_bytes=MAX_SEAL_BYTES, setting="")
        return Sealed(seal, signature, line)

    def verify_line(self, line: bytes) -> Sealed:
        """The seal in `line` (with its end), by its signature alone: bytes before it are not looked at.

        Raises:
            Broken: No seal line, or the signature is not ours for this session.
            UnknownKeyError, KeyDisabledError: Its key cannot be used.
        """
        suffix = _SUFFIX.fullmatch(line, max(0, len(line) - SUFFIX_BYTES))
        if suffix is None or len(line) > MAX_SEAL_BYTES or not line.startswith(SEAL):
            raise Broken
        content = line[:-SUFFIX_BYTES]
        key = self._keyring.mac_key("session", suffix[1].decode())
        try:
            key.verify(bytes.fromhex(suffix[2].decode()), *self._identity, key.key_id.encode(), content)
            seal = _decode(content[len(SEAL) :])
        except (TagMismatch, msgspec.MsgspecError):
            raise Broken from None
        return Sealed(seal, line[-SUFFIX_BYTES + 14 : -3].decode(), line)

    def verify(self, previous: Sealed | None, body: bytes | memoryview, line: bytes) -> Sealed:
        """The seal in `line` as the one that follows `previous` and commits `body`.

        Raises:
            Broken: As `verify_line`, or it commits other bytes, another place or another order.
            UnknownKeyError, KeyDisabledError: Its key cannot be used.
        """
        return placed(previous, body, self.verify_line(line))

    @property
    def primary_id(self) -> str:
        """Id of the one key whose seals are good by themselves."""
        return self._keyring.primary.id

    def _tag(self, key: MacKey, content: bytes) -> bytes:
        return key.tag(*self._identity, key.key_id.encode(), content)


def placed(previous: Sealed | None, body: bytes | memoryview, sealed: Sealed) -> Sealed:
    """A seal that says of itself to follow `previous` and to commit `body`, and does.

    Raises:
        Broken: It commits other bytes, another place or another order.
    """
    seal = sealed.seal
    if previous is None:
        in_order, start = (seal.rev > 1) == (seal.replaces is not None), 0
    else:
        in_order, start = seal.rev == previous.seal.rev + 1 and seal.replaces is None, previous.end
    if not in_order or seal.at != start + len(body) or seal.chain != _chain(previous, body):
        raise Broken
    return sealed


def bound_seal(line: bytes) -> Sealed:
    """The seal in a line, for what it says: its own signature is not checked. Only a later seal can vouch for it.

    Raises:
        Broken: It is no seal line.
    """
    if len(line) > MAX_SEAL_BYTES or not line.startswith(SEAL) or not key_id_in(line):
        raise Broken
    try:
        return Sealed(_decode(line[len(SEAL) : -SUFFIX_BYTES]), line[-SUFFIX_BYTES + 14 : -3].decode(), line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Broken from None


def key_id_in(line: bytes) -> str:
    """The key id that a seal line names, "" if it is none; nothing is verified."""
    suffix = _SUFFIX.fullmatch(line, max(0, len(line) - SUFFIX_BYTES))
    return "" if suffix is None else suffix[1].decode()


def find_seal(data: bytes, start: int, scan: int = 0, limit: int | None = None) -> tuple[int, int] | None:
    """Where the next seal line from `start` begins and ends, or None while there is no whole one.

    Args:
        data: Bytes of a session file.
        start: The beginning of a line.
        scan: From where to search, where it is known that no seal line begins before.
        limit: Where the search ends, None for the end of `data`.

    What is found only looks like a seal; `Sealer.verify` says whether it is one. A line longer than any seal is given
    as far as a seal may go: waiting for its end would search the same bytes again with every step of reading.
    """
    begin = start
    for _ in range(HOPS if scan <= start else 0):
        if data.startswith(SEAL, begin):
            break
        begin = data.find(b"\n", begin) + 1
        if begin == 0:
            return None
    else:
        begin = data.find(SEAL_START, max(begin - 1, scan, 0), limit) + 1
        if begin == 0:
            return None
    most = begin + MAX_SEAL_BYTES
    end = data.find(b"\n", begin, most)
    if end >= 0:
        return begin, end + 1
    return (begin, most) if most <= len(data) else None


def _chain(previous: Sealed | None, body: bytes | memoryview) -> str:
    if previous is None:
        digest = sha256(ZERO_CHAIN)
    else:
        digest = sha256(bytes.fromhex(previous.seal.chain))
        digest.update(previous.line)
    digest.update(body)
    return digest.hexdigest()
