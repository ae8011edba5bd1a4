"""A key from a passphrase, for documents that leave the machine whose key signed them.

Source: scrypt, RFC 7914, with N = 2^15, r = 8, p = 1: about 32 MiB of memory and a tenth of a second a guess.
"""

from __future__ import annotations

from sessionstore.errors import InvalidValueError
from sessionstore.signing.mac import MacKey

PASSPHRASE_KEY_ID = "0" * 16
MIN_PASSPHRASE_CHARS = 8
SALT_BYTES = 16

_N, _R, _P = 2**15, 8, 1


def passphrase_key(passphrase: str, salt: bytes) -> MacKey:
    """The key that `passphrase` and `salt` stand for; its id is sixteen zeros, which no install key has.

    Raises:
        InvalidValueError: The passphrase is shorter than 8 characters.
    """
    # Imported where it is used: it is slow to import and rarely needed.
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    if len(passphrase) < MIN_PASSPHRASE_CHARS:
        raise InvalidValueError(what="passphrase", reason=f"at least {MIN_PASSPHRASE_CHARS} characters are needed")
    kdf = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P)
    return MacKey(PASSPHRASE_KEY_ID, kdf.derive(passphrase.encode("utf-8", "surrogatepass")))
