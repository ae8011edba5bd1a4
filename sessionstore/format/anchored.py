"""Reading, in bounded memory, a file that begins under an older key.

A seal of the primary key is good by itself. One of an older key is not: whoever has that key can make such seals, and
the bytes that go with them. It is good because a later seal commits it. So at the first seal that is not the primary
key's, the chain is computed from there to the last seal, which was verified and is the one that the ledger names; only
then is anything behind that point handed out. Older keys are not used for this, and need not be there any more.

What was read the first time is compared when it is read again: for each segment, one digest of everything up to the end
of its seal line. That is 32 bytes a segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

from sessionstore.format.cut import STEP_BYTES, cut
from sessionstore.format.log import Segment
from sessionstore.format.seal import ZERO_CHAIN, Broken, Sealed, Sealer, bound_seal, key_id_in

_DIGEST_BYTES = 32

Read = Callable[[int, int], bytes]


def walk_anchored(sealer: Sealer, read: Read, last: Sealed, *, step_bytes: int = STEP_BYTES) -> Iterator[Segment]:
    """Yield the verified segments of a file, in order, up to `last`.

    Args:
        sealer: Knows the keys and the identity that was asked for.
        read: `read(start, size)` gives up to `size` bytes from `start`.
        last: The last seal; it was verified, and the ledger names it or a seal of the primary key before it.
        step_bytes: How much is read at a time, at least.

    Raises:
        Broken: The next segment is not what was saved. Every segment handed out before is good.
        UnknownKeyError, KeyDisabledError: The next seal's key cannot be used.
    """
    primary, previous = sealer.primary_id, None
    known: Iterator[bytes] | None = None
    for body, line in cut(read, start=0, end=last.end, step_bytes=step_bytes):
        if known is None and key_id_in(line) != primary:
            known = iter(_digests(read, previous, last, step_bytes))
        if known is None:
            sealed = sealer.verify(previous, body, line)
        else:
            if _digest(_chain(previous, body), line) != next(known, b""):
                raise Broken
            sealed = bound_seal(line)
        yield Segment(body, sealed, previous is None)
        previous = sealed


def _digests(read: Read, previous: Sealed | None, last: Sealed, step_bytes: int) -> list[bytes]:
    """One digest for each segment from behind `previous` to `last`.

    Raises:
        Broken: The bytes there are not those that `last` commits.
    """
    found: list[bytes] = []
    start = 0 if previous is None else previous.end
    before = ZERO_CHAIN if previous is None else bytes.fromhex(previous.seal.chain) + previous.line
    chain, line = b"", b""
    for body, line in cut(read, start=start, end=last.end, step_bytes=step_bytes):
        chain = sha256(before + body).digest()
        found.append(_digest(chain, line))
        before = chain + line
    if line != last.line or chain.hex() != last.seal.chain:
        raise Broken
    return found


def _chain(previous: Sealed | None, body: bytes) -> bytes:
    before = ZERO_CHAIN if previous is None else bytes.fromhex(previous.seal.chain) + previous.line
    return sha256(before + body).digest()


def _digest(chain: bytes, line: bytes) -> bytes:
    return sha256(chain + line).digest()
