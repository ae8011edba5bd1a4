"""From the last seal back towards the start, segment by segment, as far as the reader wants.

The chain in a seal commits the chain of the seal before it and every byte from that seal line up to its own. So a
verified last seal vouches for the segment before it and for the chain written in the seal line in front of that, which
vouches for the next segment, and so on. Whoever needs only the end pays for the end.

This promises nothing about bytes in front of the place where the reader stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

from sessionstore.format.chain import Unchained, written_chain
from sessionstore.format.seal import SEAL_START, ZERO_CHAIN, Sealed

FIRST_STEP_BYTES = 64 * 1024
"""How much is read first: some dozens of turns. Each further step is as long as all before it."""


def segments_back(read: Callable[[int, int], bytes], last: Sealed) -> Iterator[tuple[bytes, bytes]]:
    """Yield the lines of each segment, the last first, and the seal line in front of it, b"" where there is none.

    Args:
        read: `read(start, size)` gives up to `size` bytes from `start`.
        last: A verified seal of this file.

    Raises:
        Unchained: The next segment is not what the seals behind it commit. Every one handed out before is good.
    """
    end, chain = last.seal.at, bytes.fromhex(last.seal.chain)
    window = _Window(read, end)
    while True:
        begin = window.line_of_last_seal(end)
        data = window.between(begin or 0, end)
        line_end = 0 if begin is None else data.find(b"\n") + 1
        try:
            before = ZERO_CHAIN if begin is None else bytes.fromhex(written_chain(data[:line_end]).decode("ascii"))
        except ValueError:
            raise Unchained(b"") from None
        digest = sha256(before)
        digest.update(data)
        if digest.digest() != chain:
            raise Unchained(b"")
        yield data[line_end:], data[:line_end]
        if begin is None:
            return
        end, chain = begin, before


class _Window:
    """The bytes up to `end`, read from their end on as they are needed."""

    def __init__(self, read: Callable[[int, int], bytes], end: int) -> None:
        self._read = read
        self._start = end
        self._data = b""
        self._step = FIRST_STEP_BYTES

    def line_of_last_seal(self, end: int) -> int | None:
        """Offset of the last line before `end` that looks like a seal, None if there is none."""
        while True:
            found = self._data.rfind(SEAL_START, 0, end - self._start)
            if found >= 0:
                return self._start + found + 1
            if self._start == 0:
                return None
            self._extend(end)

    def between(self, begin: int, end: int) -> bytes:
        """The bytes from `begin`, which was found, to `end`."""
        return self._data[begin - self._start : end - self._start]

    def _extend(self, end: int) -> None:
        size = min(max(self._step, end - self._start), self._start)
        self._data = self._read(self._start - size, size) + self._data[: end - self._start]
        self._start -= size
