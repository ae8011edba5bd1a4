"""The key of signed files of format version 1, which another tool made: it checks their signatures and makes none.

The tool derives it from three things that a person has to give: the salt that is compiled into the tool, the contents
of the machine's secret file, and the host name. Whoever has these three can sign such a file; that is why one that
verifies is imported, and never taken for a session that was saved here.

Source: PBKDF2, RFC 8018, with HMAC-SHA256 and 100,000 rounds; the password is the salt, the salt all three in a row.
"""

from __future__ import annotations

from sessionstore.signing.mac import HmacKey

_KEY_BYTES = 32
_ROUNDS = 100_000


class OriginKey(HmacKey):
    """A key of the other tool. Safe to share between threads; its bytes are in no representation."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OriginKey()"

    def verify(self, tag: bytes, message: bytes) -> None:
        """Return if `tag` is the HMAC-SHA256 tag over `message` itself, without the encoding that our own tags have.

        Raises:
            TagMismatch: It is not, or it is not 32 bytes long.
        """
        self._compare(tag, message)


def origin_key(salt: str, secret: bytes, host: str) -> OriginKey:
    """The key that these three stand for. Costs some 50 milliseconds; make it once for all files of a machine.

    Args:
        salt: The application salt.
        secret: The contents of the machine's secret file, byte for byte: a line end at its end counts.
        host: The host name, as the tool saw it.
    """
    # Imported where it is used: it is slow to import and rarely needed.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    password, name = (text.encode("utf-8", "surrogatepass") for text in (salt, host))
    kdf = PBKDF2HMAC(algorithm=SHA256(), length=_KEY_BYTES, salt=password + secret + name, iterations=_ROUNDS)
    return OriginKey(kdf.derive(password))
