"""Walking through a file some of whose keys cannot be used any more, and saying what of it is good.

A key is retired, and later its bytes are gone; the seals that it made stay in the files. Such a seal proves nothing by
itself. Everything of it can be checked but the signature: form, order, place, size, and the chain over every byte. It
is *held*, with the bytes that it commits, until a later seal that counts commits it: the chain binds every byte before.
What no such seal commits is not good, however well it looks: whoever has an old key, or none, could have made it.

Which seals count, the caller says. Nothing is decoded here but seals, and no bytes are kept: reading what was found to
be good is for `walk_anchored`, which compares every byte once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sessionstore.errors import KeyringError
from sessionstore.format.cut import STEP_BYTES, cut
from sessionstore.format.log import Segment
from sessionstore.format.seal import Broken, Sealed, Sealer, bound_seal, placed

Read = Callable[[int, int], bytes]


class Held(NamedTuple):
    """One segment of a file, in its place.

    Attributes:
        segment: Its lines and its seal.
        checked: Whether the signature was checked, and is good. If not, the key of the seal cannot be used.
    """

    segment: Segment
    checked: bool


class Good(NamedTuple):
    """What of a file is good.

    Attributes:
        first: Its first seal, None if nothing is good.
        last: The last seal that is good.
        whole: The last good seal that ends a save; what is behind it was never saved whole.
        at: The good seal of the revision that was asked for, None if there is none.
        began: The first seal that is in its place, good or not.
        broken: Whether a seal behind `last` does not fit the bytes before it.
    """

    first: Sealed | None
    last: Sealed | None
    whole: Sealed | None
    at: Sealed | None
    began: Sealed | None
    broken: bool


def walk_held(sealer: Sealer, read: Read, *, end: int, step_bytes: int = STEP_BYTES) -> Iterator[Held]:
    """Yield the segments of a file in order, those too whose key cannot be used; stop where no whole seal follows.

    Args:
        sealer: Knows the keys and the identity that was asked for.
        read: `read(start, size)` gives up to `size` bytes from `start`.
        end: Offset where reading stops, in bytes.
        step_bytes: How much is read at a time, at least.

    Raises:
        Broken: The next seal does not commit the bytes before it, or its key is here and did not sign it.
    """
    previous: Sealed | None = None
    for body, line in cut(read, start=0, end=end, step_bytes=step_bytes):
        try:
            sealed, checked = sealer.verify(previous, body, line), True
        except KeyringError:
            sealed, checked = placed(previous, body, bound_seal(line)), False
        yield Held(Segment(body, sealed, previous is None), checked)
        previous = sealed


def good_part(sealer: Sealer, read: Read, *, end: int, counts: Callable[[Held], bool], rev: int = 0) -> Good:
    """Walk through a whole file and say what of it is good.

    Args:
        sealer, read, end: As for `walk_held`.
        counts: Whether a seal is good by itself. It must not say so of one that was not checked.
        rev: The seal of which revision to tell of.
    """
    good = Good(None, None, None, None, None, False)
    began: Sealed | None = None
    whole: Sealed | None = None
    at: Sealed | None = None
    try:
        for held in walk_held(sealer, read, end=end):
            sealed = held.segment.sealed
            began = sealed if began is None else began
            if not sealed.seal.more:
                whole = sealed
            if sealed.seal.rev == rev:
                at = sealed
            if counts(held):
                good = Good(began, sealed, whole, at, began, False)
    except Broken:
        good = good._replace(broken=True)
    return good._replace(began=began)
