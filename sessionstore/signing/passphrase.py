"""A key from a passphrase, for documents that leave the machine whose key signed them, and for keys that do.

Sources: AES-256-GCM, NIST SP 800-38D.
scrypt, RFC 7914, with r = 8, p = 1. For a document N = 2^15: 32 MiB of memory and a tenth of a second a guess.
For a key, which is worth more, N = 2^17: 128 MiB and half a second. It stands beside what is encrypted, and may be 2^15
to 2^18: less would be a key for the taking, and more takes the memory of whoever tries to read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore.errors import InvalidValueError
from sessionstore.signing.mac import MacKey, TagMismatch

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PASSPHRASE_KEY_ID = "0" * 16
MIN_PASSPHRASE_CHARS = 8
SALT_BYTES = 16
NONCE_BYTES = 12

DOCUMENT_COST = 2**15
KEY_COST = 2**17
KEY_COSTS = (2**15, 2**16, 2**17, 2**18)
BLOCK_SIZE, PARALLEL = 8, 1


def passphrase_key(passphrase: str, salt: bytes) -> MacKey:
    """The key that `passphrase` and `salt` stand for; its id is sixteen zeros, which no install key has.

    Raises:
        InvalidValueError: The passphrase is shorter than 8 characters.
    """
    return MacKey(PASSPHRASE_KEY_ID, _derived(passphrase, salt, DOCUMENT_COST))


def check_passphrase(passphrase: str) -> None:
    """Return if the passphrase may be used.

    Raises:
        InvalidValueError: It is shorter than 8 characters.
    """
    if len(passphrase) < MIN_PASSPHRASE_CHARS:
        raise InvalidValueError(what="passphrase", reason=f"at least {MIN_PASSPHRASE_CHARS} characters are needed")


def encrypted(passphrase: str, salt: bytes, nonce: bytes, plain: bytes, beside: bytes, *, cost: int) -> bytes:
    """`plain`, unreadable without the passphrase, and a tag over it and over `beside`, which stands there readably.

    Args:
        passphrase: At least 8 characters.
        salt: `SALT_BYTES` fresh random bytes: each passphrase and salt is used for one encryption.
        nonce: `NONCE_BYTES` fresh random bytes.
        plain: What to hide.
        beside: What must be the same when it is decrypted.
        cost: One of `KEY_COSTS`, the N of scrypt.

    Raises:
        InvalidValueError: The passphrase is too short.
        ValueError: The cost is none of those; nothing was computed.
    """
    return bytes(_cipher(passphrase, salt, cost).encrypt(nonce, plain, beside))


def decrypted(passphrase: str, salt: bytes, nonce: bytes, data: bytes, beside: bytes, *, cost: int) -> bytes:
    """What `encrypted` was given.

    Raises:
        TagMismatch: The passphrase is another one, or data or `beside` were changed.
        InvalidValueError: The passphrase is too short.
        ValueError: The cost is none of `KEY_COSTS`; nothing was computed.
    """
    from cryptography.exceptions import InvalidTag

    try:
        return bytes(_cipher(passphrase, salt, cost).decrypt(nonce, data, beside))
    except InvalidTag:
        raise TagMismatch from None


def _cipher(passphrase: str, salt: bytes, cost: int) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if cost not in KEY_COSTS:
        raise ValueError("scrypt: N from 2^15 to 2^18 is needed")
    return AESGCM(_derived(passphrase, b"sessionstore/keys/1" + salt, cost))


def _derived(passphrase: str, salt: bytes, cost: int) -> bytes:
    # Imported where it is used: it is slow to import and rarely needed.
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    check_passphrase(passphrase)
    kdf = Scrypt(salt=salt, length=32, n=cost, r=BLOCK_SIZE, p=PARALLEL)
    return bytes(kdf.derive(passphrase.encode("utf-8", "surrogatepass")))
