"""The quick way through a file whose last seal is already verified: only the chain, in memory.

The last seal binds every byte before it through the chain. So when that seal is good and the chain computed from the
bytes ends in it, the seals before it need neither their signatures checked nor their contents decoded: no other bytes
lead to the same chain. What differs is found at the first seal whose written chain is not the computed one.
"""

from __future__ import annotations

from hashlib import sha256

from sessionstore.format.seal import SUFFIX_BYTES, ZERO_CHAIN, Sealed, find_seal

_CHAIN_END = SUFFIX_BYTES + len('"}')
_CHAIN_START = _CHAIN_END + 64


class Unchained(Exception):
    """The bytes are not those that the last seal commits.

    Attributes:
        good: The seal line before the first place that differs, b"" if that is in the first segment.
    """

    def __init__(self, good: bytes) -> None:
        self.good = good


def chained_bodies(data: bytes, last: Sealed) -> list[tuple[int, int]]:
    """Where the bodies of all segments of `data` begin and end, in order.

    Args:
        data: The file from its start; what stands behind `last` is not looked at.
        last: A verified seal of this file.

    Raises:
        Unchained: The bytes before `last` are not those that it commits.
    """
    view = memoryview(data)
    bodies: list[tuple[int, int]] = []
    digest, hashed, line, end = sha256(ZERO_CHAIN), 0, 0, last.end
    while True:
        found = find_seal(data, line)
        if found is None or found[1] > end:
            raise Unchained(data[hashed:line])
        begin, stop = found
        digest.update(view[hashed:begin])
        chain = digest.digest()
        written = written_chain(data, stop) if stop < end else last.seal.chain.encode()
        if written != chain.hex().encode():
            raise Unchained(data[hashed:line])
        bodies.append((line, begin))
        if stop == end:
            return bodies
        digest, hashed, line = sha256(chain), begin, stop


def written_chain(data: bytes, stop: int | None = None) -> bytes:
    """What stands in the place of the chain in the seal line that ends at `stop`: 64 hex digits in a good one."""
    stop = len(data) if stop is None else stop
    return data[max(0, stop - _CHAIN_START) : max(0, stop - _CHAIN_END)]
