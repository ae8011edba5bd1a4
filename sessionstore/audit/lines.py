r"""The lines of the audit log: made, and verified before anything in them is decoded.

    {"audit":{"file":1,"seq":7,"at":"…","event":"…","session":…,"pid":…,"fields":{…}},"signature":"sa2.<16>.<64>"}

Rules:

* MAC = HMAC-SHA256(K_audit, PAE("sessionstore/audit/2", store id, key id, file number, sequence number, MAC of the line
  before, line up to the suffix)). So a line is good for one store and one place behind one other line.
* The suffix is cut off by its length and matched to the byte; nothing of a line is decoded before its MAC was checked.
* Lines are printable ASCII: control characters, U+2028, bidirectional controls and everything else beyond are JSON's
  escapes. A line is at most 4 KiB; 0x0A ends it.

Pure functions of bytes. The format is on the reference page "Audit log", with a vector.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from sessionstore.audit.events import Ready
from sessionstore.errors import KeyringError
from sessionstore.model import AuditRecord, parse_time
from sessionstore.signing import Keyring, MacKey, TagMismatch

CONTEXT = b"sessionstore/audit/2"
MAX_LINE_BYTES = 4096
SUFFIX_BYTES = 102
NOTHING_BEFORE = bytes(32)

_PREFIX = b'{"audit":'
_SUFFIX = re.compile(rb',"signature":"sa2\.([0-9a-f]{16})\.([0-9a-f]{64})"\}\n')
_CLAIM = re.compile(rb'\{"audit":\{"file":([0-9]{1,16}),"seq":([0-9]{1,16}),"at":"([0-9-]{10})T')
_NAMED = re.compile(rb',"signature":"sa2\.([0-9a-f]{16})\.')
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


class Place(NamedTuple):
    """Behind which line the next one stands.

    Attributes:
        seq: Its sequence number, 0 before the first.
        mac: Its 32 bytes; zeros before the first.
    """

    seq: int = 0
    mac: bytes = NOTHING_BEFORE


class GoodLine(NamedTuple):
    """A line that was verified.

    Attributes:
        number: 1-based, in its file.
        start, end: Offsets of its first byte and after its line feed.
        place: Its own sequence number and MAC; nothing if the file was verified as a whole.
        key_id: The key that signed it, likewise.
    """

    number: int
    start: int
    end: int
    place: Place = Place()
    key_id: str = ""


class Claim(NamedTuple):
    """What a line says of itself, unverified.

    Attributes:
        file: Number of the file.
        place: The line's own sequence number and MAC.
        day: UTC date.
        key_id: The key that signed it.
    """

    file: int
    place: Place
    day: str
    key_id: str


class Lines:
    """Makes and checks the lines of one store's log. Safe to share between threads."""

    def __init__(self, keyring: Keyring, store_id: str) -> None:
        self._keyring = keyring
        self._store = store_id.encode()

    def make(self, file: int, before: Place, at: str, pid: int, event: Ready) -> tuple[bytes, Place]:
        """The line behind `before`, signed with the primary key, and its place."""
        seq = before.seq + 1
        said = {"file": file, "seq": seq, "at": at, "event": event.name, "session": event.session_id, "pid": pid}
        body = _encode({**said, "fields": event.fields})
        content = _PREFIX + body.encode("ascii")
        key = self._keyring.mac_key("audit")
        mac = key.tag(*self._identity(key, file, seq, before.mac), content)
        return content + f',"signature":"sa2.{key.key_id}.{mac.hex()}"}}\n'.encode(), Place(seq, mac)

    def walk(self, data: bytes, file: int, before: Place) -> Iterator[GoodLine]:
        """Yield the lines of a file from its start as long as they verify; whoever asks sees where that ends."""
        start = number = 0
        while (end := data.find(b"\n", start, start + MAX_LINE_BYTES) + 1) > 0:
            good = self.verified(data[start:end], file, before)
            if good is None:
                return
            key_id, before = good
            number += 1
            yield GoodLine(number, start, end, before, key_id)
            start = end

    def can_check(self, key_id: str) -> bool:
        """Whether the key is here and may be used."""
        try:
            self._keyring.mac_key("audit", key_id)
        except KeyringError:
            return False
        return True

    def verified(self, line: bytes, file: int, before: Place) -> tuple[str, Place] | None:
        """The key and the place of a line, with its line feed, if it stands in that file behind `before`, else None."""
        suffix = _SUFFIX.fullmatch(line, max(0, len(line) - SUFFIX_BYTES))
        if suffix is None:
            return None
        seq = before.seq + 1
        try:
            key = self._keyring.mac_key("audit", suffix[1].decode())
            mac = bytes.fromhex(suffix[2].decode())
            key.verify(mac, *self._identity(key, file, seq, before.mac), line[:-SUFFIX_BYTES])
        except (KeyringError, TagMismatch):
            return None
        return key.key_id, Place(seq, mac)

    def _identity(self, key: MacKey, file: int, seq: int, before: bytes) -> tuple[bytes, ...]:
        return CONTEXT, self._store, key.key_id.encode(), b"%d" % file, b"%d" % seq, before


def claimed(data: bytes) -> Claim | None:
    """What the first line in `data` says of itself, None if it has not the form of one; nothing is verified."""
    line = data[: data.find(b"\n") + 1]
    claim, suffix = _CLAIM.match(line), _SUFFIX.fullmatch(line, max(0, len(line) - SUFFIX_BYTES))
    if claim is None or suffix is None:
        return None
    place = Place(int(claim[2]), bytes.fromhex(suffix[2].decode()))
    return Claim(int(claim[1]), place, claim[3].decode(), suffix[1].decode())


def key_ids(data: bytes) -> set[str]:
    """The ids of the keys that the lines in `data` name; nothing is verified."""
    return {found.decode() for found in _NAMED.findall(data)}


def split(data: bytes) -> list[GoodLine]:
    """The lines of a file that was verified by its digest: their keys may be gone, and are not needed."""
    found: list[GoodLine] = []
    start = 0
    while (end := data.find(b"\n", start) + 1) > 0:
        found.append(GoodLine(len(found) + 1, start, end))
        start = end
    return found


def decode(line: bytes, number: int) -> AuditRecord:
    """What a line that was verified says."""
    said = json.loads(line[len(_PREFIX) : -SUFFIX_BYTES])
    return AuditRecord(
        file=said["file"],
        line=number,
        seq=said["seq"],
        at=parse_time(said["at"]),
        event=said["event"],
        session_id=said["session"],
        pid=said["pid"],
        fields=said["fields"],
    )
