"""Cutting a session file into segments, without looking into them: where the lines end that look like seals.

Nothing is verified here, and nothing is decoded. Memory: a few times one segment or one step; a line without an end is
not held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sessionstore.format.seal import MAX_SEAL_BYTES, SEAL, SEGMENT_BYTES, Broken, find_seal

STEP_BYTES = 1024 * 1024


def cut(
    read: Callable[[int, int], bytes], *, start: int, end: int, step_bytes: int = STEP_BYTES
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the lines before each seal and the seal's line, from `start` up to `end`; stop where no whole one follows.

    Args:
        read: `read(start, size)` gives up to `size` bytes from `start`.
        start: The beginning of a segment, in bytes.
        end: Offset where reading stops, in bytes.
        step_bytes: How much is read at a time, at least. A line over 1 MiB is read twice: first for where it ends.

    Raises:
        Broken: The line that fills a segment has no seal behind it.
    """
    window = b""  # its first byte is at `start`
    line = scan = 0  # in the window: where the segment begins, where the search goes on
    while True:
        found = _next_seal(window, line, scan)
        if found is None:
            pending = len(window) - line
            at, known = start + line, start + len(window)
            if _fills_a_segment(window, line, scan):
                # It may never end: that is found out without keeping it, and the line is read again if it does.
                behind = _line_end(read, known, end)
                if behind is None:
                    return
                window = read(at, min(behind + max(step_bytes, MAX_SEAL_BYTES), end) - at)
            else:
                step = read(known, min(max(step_bytes, pending // 2), end - known))
                if not step:
                    return
                window = window[line:] + step
            # The search goes on where it stopped, but for a seal line that was cut off.
            scan = max(0, pending - MAX_SEAL_BYTES)
            start, line = at, 0
            continue
        begin, stop = found
        yield window[line:begin], window[begin:stop]
        line, scan = stop, stop


def _next_seal(window: bytes, line: int, scan: int) -> tuple[int, int] | None:
    """Where the next seal line begins and ends, None while it is not there as a whole.

    Raises:
        Broken: The line that fills a segment has no seal behind it. Nothing that comes later can mend that, so a file
            without seals is not read to its end.
    """
    found = find_seal(window, line, scan, line + SEGMENT_BYTES)
    if found is not None and found[0] <= line + SEGMENT_BYTES:
        return found
    full = window.find(b"\n", max(line + SEGMENT_BYTES - 1, scan)) + 1
    if full and not SEAL.startswith(window[full : full + len(SEAL)]):
        raise Broken
    return find_seal(window, full) if full else None


def _fills_a_segment(window: bytes, line: int, scan: int) -> bool:
    """Whether the segment ends with the line that the window stops in, wherever that ends."""
    full = line + SEGMENT_BYTES - 1
    return len(window) > full and window.find(b"\n", max(full, scan)) < 0


def _line_end(read: Callable[[int, int], bytes], start: int, end: int) -> int | None:
    """Offset behind the first line end from `start`, None if none comes before `end`. Holds one step."""
    while step := read(start, min(STEP_BYTES, end - start)):
        found = step.find(b"\n")
        if found >= 0:
            return start + found + 1
        start += len(step)
    return None
