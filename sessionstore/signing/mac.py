"""HMAC-SHA256 over an unambiguous encoding of several parts, and the one comparison of tags.

Rules of this file:

* What we sign is never a plain concatenation. PAE puts the number of parts and each length in front, so that no two
  lists of parts share an encoding.
* Tags are compared here and nowhere else, in constant time. Checking raises; there is no boolean to ignore.
* Tags have one length. A shorter one is refused before it is compared.

Sources: HMAC, RFC 2104 and FIPS 198-1; the pre-authentication encoding, PASETO specification, "Common", section PAE.
"""

from __future__ import annotations

import hmac
from struct import Struct

MAC_BYTES = 32

_U64 = Struct("<Q").pack


class TagMismatch(Exception):
    """The tag is not the one this key makes. Each room turns it into its own error."""


def pae(*parts: bytes) -> bytes:
    """The pre-authentication encoding of `parts`: their count, then each length and part; 64-bit little-endian."""
    encoded = [_U64(len(parts))]
    for part in parts:
        encoded += (_U64(len(part)), part)
    return b"".join(encoded)


class HmacKey:
    """The bytes of a key and the one comparison, for the two kinds of keys that verify; users have one of those."""

    __slots__ = ("_keyed",)

    def __init__(self, secret: bytes) -> None:
        # The key is taken in once; a copy of that state is two thirds of the time of starting from the key.
        self._keyed = hmac.new(secret, digestmod="sha256")

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled or copied")

    def _digest(self, message: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.digest()

    def _compare(self, tag: bytes, message: bytes) -> None:
        # Neither the key nor the expected tag is ever a local variable: a traceback with variables must not show them.
        if len(tag) != MAC_BYTES or not hmac.compare_digest(self._digest(message), tag):
            raise TagMismatch


class MacKey(HmacKey):
    """A key derived for one purpose. Safe to share between threads; its bytes are in no representation.

    Attributes:
        key_id: Id of the install key it was derived from.
    """

    __slots__ = ("key_id",)

    def __init__(self, key_id: str, secret: bytes) -> None:
        super().__init__(secret)
        self.key_id = key_id

    def __repr__(self) -> str:
        return f"MacKey({self.key_id})"

    def tag(self, *parts: bytes) -> bytes:
        """The 32-byte HMAC-SHA256 tag over `parts`."""
        return self._digest(pae(*parts))

    def verify(self, tag: bytes, *parts: bytes) -> None:
        """Return if `tag` is the tag over `parts`.

        Raises:
            TagMismatch: It is not, or it is not 32 bytes long.
        """
        self._compare(tag, pae(*parts))
